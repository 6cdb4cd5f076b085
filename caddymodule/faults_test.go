package caddymodule

import (
	"net"
	"os"
	"strings"
	"testing"
)

// Each of these must be refused at the start, with a message that names what is
// wrong and where.
func TestStartRefusesWithAClearError(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(*server)
		want  []string
	}{
		"bad Caddyfile": {
			func(s *server) { s.config = strings.Replace(s.config, "root_key", "rot_key", 1) },
			[]string{"Caddyfile:", "rot_key", "root_key"},
		},
		"bad policy": {
			func(s *server) { s.write("policy.yaml", "version: 1\nscpoes: {}\n") },
			[]string{"policy.yaml:2:1", "scpoes", "scopes"},
		},
		"missing policy": {
			func(s *server) { s.config = strings.Replace(s.config, "policy.yaml", "nowhere.yaml", 1) },
			[]string{"nowhere.yaml", "no such file"},
		},
		"unwritable folder": {
			func(s *server) { // a file where the folder should be: even root can't write below it
				s.write("file", "")
				s.config = strings.Replace(s.config, s.path("bearer.db"), s.path("file/bearer.db"), 1)
			},
			[]string{"file/bearer.db", "not a directory"},
		},
		"database open to others": {
			func(s *server) {
				s.write("bearer.db", "")
				if err := os.Chmod(s.path("bearer.db"), 0o644); err != nil {
					s.t.Fatal(err)
				}
			},
			[]string{"bearer.db has mode 0644", "chmod 600"},
		},
		"not a database": {
			func(s *server) { s.write("bearer.db", strings.Repeat("this is no database ", 1000)) },
			[]string{"bearer.db", "not a database"},
		},
		"root key open to others": {
			func(s *server) {
				s.write("root.key", "x")
				if err := os.Chmod(s.path("root.key"), 0o644); err != nil {
					s.t.Fatal(err)
				}
			},
			[]string{"root.key", "600"},
		},
		"root key is garbage": {
			func(s *server) { s.write("root.key", "not a key") },
			[]string{"root.key"},
		},
		"operator token open to others": {
			func(s *server) {
				s.write("operator.token", "admin "+strings.Repeat("x", 40))
				if err := os.Chmod(s.path("operator.token"), 0o644); err != nil {
					s.t.Fatal(err)
				}
			},
			[]string{"operator.token", "chmod 600"},
		},
		"port in use": {
			func(s *server) {
				listener, err := net.Listen("tcp", "127.0.0.1:"+port(s.api))
				if err != nil {
					s.t.Fatal(err)
				}
				s.t.Cleanup(func() { listener.Close() })
			},
			[]string{"address already in use"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			test.spoil(s)
			complaint := s.startAndFail()
			for _, want := range test.want {
				if !strings.Contains(complaint, want) {
					t.Errorf("the complaint does not say %q:\n%s", want, complaint)
				}
			}
		})
	}
}

func TestRootKeyLostOrSwapped(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	alive := s.obtain("read:accounts")
	s.signal(os.Kill)
	s.await("the process ends", s.exited)
	good, err := os.ReadFile(s.path("root.key"))
	if err != nil {
		t.Fatal(err)
	}

	if err := os.Remove(s.path("root.key")); err != nil {
		t.Fatal(err)
	}
	if complaint := s.startAndFail(); !strings.Contains(complaint, s.path("root.key")) || !strings.Contains(complaint, "put that file back") {
		t.Errorf("missing root key: %s", complaint)
	}
	if _, err := os.Stat(s.path("root.key")); err == nil {
		t.Error("a new root key was made beside an old database")
	}

	other := newServer(t).start()
	wrong, err := os.ReadFile(other.path("root.key"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("root.key", string(wrong))
	if complaint := s.startAndFail(); !strings.Contains(complaint, s.path("root.key")) || !strings.Contains(complaint, "was made with key") {
		t.Errorf("wrong root key: %s", complaint)
	}

	s.write("root.key", string(good))
	s.start()
	s.answer(s.call("GET", "/api/v1/accounts", alive.Access), 200, nil)
}

func TestSecondProcessOnTheSameDataIsRefused(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	second := newServer(t)
	second.config = strings.Replace(second.config, second.path("bearer.db"), s.path("bearer.db"), 1)
	second.config = strings.Replace(second.config, second.path("root.key"), s.path("root.key"), 1)
	if complaint := second.startAndFail(); !strings.Contains(complaint, "bearer.db") || !strings.Contains(complaint, "another process") {
		t.Errorf("complaint: %s", complaint)
	}
	s.answer(s.call("GET", "/api/v1/accounts", s.obtain("read:accounts").Access), 200, nil)
}

// After a rejected reload Caddy's admin endpoint belongs to the rejected
// configuration; a revocation by command must reach the one that serves.
func TestRevocationByCommandAfterARejectedReload(t *testing.T) {
	t.Parallel()
	for name, spoiled := range map[string]func(*server) string{
		"bad at load":                   func(s *server) string { return strings.Replace(s.config, "bearer_gate test", "bearer_gate tset", 1) },
		"fails at start of the app":     func(s *server) string { return strings.Replace(s.config, s.path("root.key"), s.path("other.key"), 1) },
		"fails at start of its sibling": func(s *server) string { return s.config + "http://:" + s.taken() + " {\n respond hi\n}\n" },
		"fails at start with another store": func(s *server) string {
			return strings.Replace(s.config, s.path("bearer.db"), s.path("file/other.db"), 1)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			s.write("file", "")
			s.start()
			got := s.obtain("read:accounts read:market")
			ws := s.openWebSocket(got.Access)
			good := s.config
			if complaint := s.reload(spoiled(s)); complaint == "" {
				t.Fatal("the reload was accepted")
			}
			ws.alive(t)
			s.answer(s.call("GET", "/api/v1/accounts", got.Access), 200, nil)

			_, complaint, code := s.run(got.Refresh, "bearer", "token", "revoke", "--environment", "sandbox")
			if code != 0 {
				t.Fatalf("revoke by command: exit %d: %s", code, complaint)
			}
			s.answer(s.call("GET", "/api/v1/accounts", got.Access), 401, nil)
			if _, err := ws.end(); err == nil {
				t.Error("the stream goes on")
			}
			if complaint := s.reload(good); complaint != "" {
				t.Errorf("the good configuration again: %s", complaint)
			}
			s.answer(s.call("GET", "/api/v1/accounts", s.obtain("read:accounts").Access), 200, nil)
		})
	}
}

// taken is a port that somebody else listens on.
func (s *server) taken() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { listener.Close() })
	return port(listener.Addr().String())
}

// The policy file was made stricter while the server ran. A reload whose sibling
// app fails to start must not bring back the policy that the old configuration
// had read at its own start, not for a moment.
func TestRejectedReloadDoesNotBringBackAnOlderPolicy(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	token := s.obtain("read:accounts read:market").Access
	ws := s.openWebSocket(token)
	s.write("policy.yaml", strings.Replace(testPolicy, "{scopes: [read:accounts]}", "{scopes: [trade:orders]}", 1))
	s.eventually("the stricter policy is in effect", func() bool { return s.answerStatus(s.call("GET", "/api/v1/accounts", token)) == 403 })
	s.write("policy.yaml", "not a policy")
	s.eventually("the bad policy is reported", func() bool { return strings.Contains(s.output.String(), "policy file is bad") })
	s.write("other.yaml", testPolicy)
	rejected := strings.Replace(s.config, s.path("policy.yaml"), s.path("other.yaml"), 1) + "http://:" + s.taken() + " {\n respond hi\n}\n"
	if complaint := s.reload(rejected); !strings.Contains(complaint, "address already in use") {
		t.Fatalf("complaint: %s", complaint)
	}
	s.answer(s.call("GET", "/api/v1/accounts", token), 403, nil)
	ws.alive(t)
}

// What a rejected configuration does not have is not taken from who rides on it.
func TestRejectedReloadWithoutAPolicyKeepsItsStreams(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	ws := s.openWebSocket(s.obtain("read:market").Access)
	renamed := strings.NewReplacer("policy test ", "policy renamed ", "bearer_gate test", "bearer_gate renamed").Replace(s.config)
	if complaint := s.reload(renamed + "http://:" + s.taken() + " {\n respond hi\n}\n"); !strings.Contains(complaint, "address already in use") {
		t.Fatalf("complaint: %s", complaint)
	}
	ws.alive(t)
	if complaint := s.reload(renamed); complaint != "" {
		t.Fatal(complaint)
	}
	if _, err := ws.end(); err == nil {
		t.Error("a stream goes on under a policy that is gone")
	}
}

// A proxy that would drop every WebSocket at each reload is reported, however
// deep in the routes it stands.
func TestWarnsOfAProxyThatDropsStreams(t *testing.T) {
	t.Parallel()
	const warning = "no stream_close_delay"
	s := newServer(t)
	careful := s.config
	s.config = strings.Replace(careful, "reverse_proxy "+s.backend.address()+" {\n\t\tstream_close_delay 1h\n\t}", "handle {\nreverse_proxy "+s.backend.address()+"\n}", 1)
	if s.config == careful {
		t.Fatal("the test's configuration has changed")
	}
	s.start()
	if !strings.Contains(s.output.String(), warning) {
		t.Error("no warning")
	}
	s = newServer(t).start()
	if strings.Contains(s.output.String(), warning) {
		t.Error("a warning without need")
	}
}

func TestReloadToAnotherStoreCutsTheOldOnesStreams(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	got := s.obtain("read:market")
	ws := s.openWebSocket(got.Access)
	other := strings.NewReplacer(s.path("bearer.db"), s.path("second.db"), s.path("root.key"), s.path("second.key"),
		s.path("revocations.journal"), s.path("second.journal")).Replace(s.config)
	if complaint := s.reload(other); complaint != "" {
		t.Fatal(complaint)
	}
	if _, err := ws.end(); err == nil {
		t.Error("a stream of the old store goes on where no revocation reaches it")
	}
	s.answer(s.call("GET", "/api/v1/events", got.Access), 401, nil)
}
