package caddymodule

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	_ "github.com/caddyserver/caddy/v2/modules/metrics"
)

// healthyMachine is a machine on which nothing is to be found.
func healthyMachine() machine {
	return machine{
		now:     time.Now,
		synced:  func() (bool, bool) { return true, true },
		disk:    func(string) (diskFacts, error) { return diskFacts{free: 1 << 40, known: true}, nil },
		memory:  func(int) int64 { return 1 << 40 },
		process: func(int) processFacts { return processFacts{files: 1 << 20} },
	}
}

// soundSites is a production setup in which the doctor finds nothing.
const soundSites = `{
	admin unix//run/caddy/admin.sock|0600
	bearer {
		store sqlite DIR/data/bearer.db
		root_key file DIR/keys/root.key
		revocation_journal file DIR/other/revocations.journal
		operator_token file DIR/keys/operator.token
		policy trading ../examples/quickstart/policy.yaml
		environment production {
			issuer https://auth.example.com
			audience https://api.example.com
		}
		environment sandbox {
			issuer https://auth.sandbox.example.com
			audience https://api.sandbox.example.com
		}
	}
}

http://:9180 {
	bind 127.0.0.1
	metrics
}

auth.example.com {
	log
	bearer_health
	bearer_issuer {
		environment production
	}
	respond 404
}

api.example.com {
	log
	bearer_gate trading {
		environment production
	}
	reverse_proxy 127.0.0.1:9000 {
		stream_close_delay 24h
	}
}
`

// examineText has a Caddyfile examined in a folder of its own.
func examineText(t *testing.T, source string, only ...string) []diagnosis {
	t.Helper()
	file := filepath.Join(t.TempDir(), "Caddyfile")
	writeText(t, file, source)
	x := &examination{ctx: context.Background(), machine: healthyMachine(), server: new(runningServer)}
	must(t, x.readFile(file, ""))
	return x.examine(only)
}

// seen is what a diagnosis is held against: level, name and, if it was found, the
// line.
func (d *diagnosis) seen(source string) string {
	text := string(d.Level) + " " + d.Check
	var number int
	if at := strings.LastIndex(d.Where, "Caddyfile:"); at >= 0 {
		_, _ = fmt.Sscanf(d.Where[at:], "Caddyfile:%d", &number)
		text += " at " + strings.TrimSpace(strings.Split(source, "\n")[number-1])
	}
	return text
}

func seenIn(found []diagnosis, source string) (all []string) {
	for i := range found {
		all = append(all, found[i].seen(source))
	}
	return all
}

func TestDoctorFindsNothingInASoundSetup(t *testing.T) {
	if found := examineText(t, strings.ReplaceAll(soundSites, "DIR", t.TempDir())); len(found) > 0 {
		t.Errorf("found %+v", found)
	}
}

// A policy that can't be read hides what else is wrong, so it is told of whatever
// was asked for.
func TestDoctorTellsOfAMissingPolicyInAnyGroup(t *testing.T) {
	source := strings.ReplaceAll(replaced(t, soundSites, "../examples/quickstart/policy.yaml", "nowhere.yaml"), "DIR", t.TempDir())
	if seen := seenIn(examineText(t, source, "config"), source); !slices.Equal(seen, []string{"error policy at policy trading nowhere.yaml"}) {
		t.Errorf("found %q", seen)
	}
}

// One fault each, and exactly one finding.
func TestDoctorFindsOneFault(t *testing.T) {
	const upstream, log = "	reverse_proxy 127.0.0.1:9000 {\n		stream_close_delay 24h\n	}\n", "api.example.com {\n	log\n"
	for name, test := range map[string]struct{ old, by, want string }{
		"a Caddyfile that is none":               {"	respond 404", "	respnod 404", "error config"},
		"a file with two purposes":               {"DIR/keys/operator.token", "DIR/keys/root.key", "error config"},
		"an option of another app":               {"	bearer_health\n", "	bearer_health {\n		require clocks\n	}\n", "error config"},
		"a scope that the policy lacks":          {"issuer https://auth.sandbox.example.com", "issuer https://auth.sandbox.example.com\n			trading_tokens read:acounts", "error config"},
		"production without TLS":                 {"issuer https://auth.example.com", "issuer http://auth.example.com", "error config"},
		"a published client in production":       {"issuer https://auth.example.com", "issuer https://auth.example.com\n			client demo-client {\n				secret_hash " + clientHash() + "\n			}", "error config"},
		"a sandbox without TLS":                  {"issuer https://auth.sandbox.example.com", "issuer http://auth.sandbox.example.com", "warning plain-issuer at issuer http://auth.sandbox.example.com"},
		"a policy that is gone":                  {"../examples/quickstart/policy.yaml", "nowhere.yaml", "error policy at policy trading nowhere.yaml"},
		"the admin endpoint for all":             {"admin unix//run/caddy/admin.sock|0600", "admin :2019", "error admin-open at admin :2019"},
		"the admin endpoint on loopback":         {"	admin unix//run/caddy/admin.sock|0600\n", "", "note admin-local"},
		"the admin socket for a group":           {"|0600", "|0660", "warning admin-socket at admin unix//run/caddy/admin.sock|0660"},
		"no admin endpoint":                      {"admin unix//run/caddy/admin.sock|0600", "admin off", "warning admin-off at admin off"},
		"streams dropped at a reload":            {"		stream_close_delay 24h\n", "", "warning stream-close-delay at reverse_proxy 127.0.0.1:9000 {"},
		"streams behind a gate in a named route": {"	bearer_gate trading {\n		environment production\n	}\n" + upstream, "	route {\n		invoke gated\n		reverse_proxy 127.0.0.1:9000\n	}\n}\n\n&(gated) {\n	bearer_gate trading {\n		environment production\n	}\n", "warning stream-close-delay at reverse_proxy 127.0.0.1:9000"},
		"a grace_period":                         {"	bearer {\n", "	grace_period 10s\n	bearer {\n", "warning grace-period at grace_period 10s"},
		"a gate with a matcher":                  {"bearer_gate trading {", "bearer_gate /api/* trading {", "warning matcher at bearer_gate /api/* trading {"},
		"a gate with a named matcher":            {"	bearer_gate trading {", "	@api path /api/*\n	bearer_gate @api trading {", "warning matcher at bearer_gate @api trading {"},
		"a way around the gate":                  {"auth.example.com {\n", "old.example.com {\n	log\n	reverse_proxy 127.0.0.1:9000\n}\n\nauth.example.com {\n", "error around-the-gate at reverse_proxy 127.0.0.1:9000"},
		"a prefix stripped behind the gate":      {upstream, "	handle_path /api/* {\n	" + upstream + "	}\n", "warning rewrite at handle_path /api/* {"},
		"a rewrite behind the gate":              {"	bearer_gate trading {\n		environment production\n	}\n" + upstream, "	route {\n		bearer_gate trading {\n			environment production\n		}\n		rewrite * /v2{uri}\n" + upstream + "	}\n", "warning rewrite at rewrite * /v2{uri}"},
		"a proxy that rewrites":                  {"stream_close_delay 24h\n", "stream_close_delay 24h\n		rewrite /v2{uri}\n", "warning rewrite at rewrite /v2{uri}"},
		"a proxy in front that is not named":     {"api.example.com {\n", "http://:8080 {\n", "warning trusted-proxies"},
		"no access log":                          {log, "api.example.com {\n", "warning access-log"},
		"credentials in the log":                 {"	bearer {\n", "	servers {\n		log_credentials\n	}\n	bearer {\n", "error log-credentials at log_credentials"},
		"metrics for everybody":                  {"	bind 127.0.0.1\n", "", "note metrics-open at metrics"},
		"metrics for nobody":                     {"http://:9180 {\n	bind 127.0.0.1\n	metrics\n}\n", "", "note metrics"},
		"a log at level debug":                   {"	bearer {\n", "	log {\n		level DEBUG\n	}\n	bearer {\n", "note log-level at level DEBUG"},
		"health details for everybody":           {"	bearer_health\n", "	bearer_health {\n		detail\n	}\n", "warning health-detail at detail"},
		"the root key beside the database":       {"DIR/keys/root.key", "DIR/data/root.key", "warning root-key-place at root_key file DIR/data/root.key"},
		"the journal beside the database":        {"DIR/other/revocations.journal", "DIR/data/revocations.journal", "note journal-place at revocation_journal file DIR/data/revocations.journal"},
		"a gate in every site but one of two":    {"auth.example.com {\n", "two.example.com {\n	log\n	handle /a {\n		bearer_gate trading {\n			environment sandbox\n		}\n		reverse_proxy 127.0.0.1:9001 {\n			stream_close_delay 1h\n		}\n	}\n	handle {\n		reverse_proxy 127.0.0.1:9001\n	}\n}\n\nauth.example.com {\n", "error around-the-gate"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if log := "auth.example.com {\n	log\n"; name == "no access log" { // it is a matter of the server, which both sites share
				test.old, test.by = log, strings.TrimSuffix(log, "	log\n")
			}
			source := replaced(t, soundSites, test.old, test.by)
			if name == "no access log" {
				source = strings.Replace(source, "	log\n", "", 1)
			}
			source = strings.ReplaceAll(source, "DIR", dir)
			found := examineText(t, source)
			if seen, want := seenIn(found, source), strings.ReplaceAll(test.want, "DIR", dir); !slices.Equal(seen, []string{want}) {
				t.Fatalf("found %q, want %q\n%+v", seen, want, found)
			}
			if found[0].What == "" || found[0].Do == "" {
				t.Errorf("%+v says too little", found[0])
			}
		})
	}
}

// What is as it should be, and looks like a fault.
func TestDoctorKnowsWhatIsMeantSo(t *testing.T) {
	for name, change := range map[string][2]string{
		"a rewrite before the gate":       {"	bearer_gate trading {", "	uri strip_prefix /v1\n	bearer_gate trading {"},
		"a gate and a proxy in a handle":  {"	bearer_gate trading {\n		environment production\n	}\n	reverse_proxy 127.0.0.1:9000 {\n		stream_close_delay 24h\n	}\n", "	handle /api/* {\n		bearer_gate trading {\n			environment production\n		}\n		reverse_proxy 127.0.0.1:9000 {\n			stream_close_delay 24h\n		}\n	}\n"},
		"another API that has no gate":    {"auth.example.com {\n", "www.example.com {\n	reverse_proxy 127.0.0.1:9002\n}\n\nauth.example.com {\n"},
		"a load balancer that is named":   {"	bearer {\n", "	servers {\n		trusted_proxies static 10.0.0.0/8\n	}\n	bearer {\n"},
		"health details on loopback only": {"auth.example.com {\n", "http://:9999 {\n	bind 127.0.0.1\n	bearer_health {\n		detail\n	}\n}\n\nauth.example.com {\n"},
	} {
		t.Run(name, func(t *testing.T) {
			source := strings.ReplaceAll(replaced(t, soundSites, change[0], change[1]), "DIR", t.TempDir())
			if found := examineText(t, source); len(found) > 0 {
				t.Errorf("found %+v", found)
			}
		})
	}
}

// The examples that are shipped have nothing but notes, which are documented.
func TestDoctorOnTheExamples(t *testing.T) {
	t.Chdir("..")
	state := t.TempDir()
	t.Setenv("STATE_DIR", state)
	for file, want := range map[string][]string{
		"examples/quickstart/Caddyfile": {"note access-log", "note access-log", "note metrics", "note root-key-place", "note journal-place"},
		"Caddyfile.example":             nil,
	} {
		source := strings.ReplaceAll(readText(t, file), "/etc/caddy/policies/trading.yaml", "examples/quickstart/policy.yaml")
		source = strings.ReplaceAll(source, "/var/lib/caddy/", state+"/")
		var seen []string
		for _, d := range examineText(t, source) {
			seen = append(seen, string(d.Level)+" "+d.Check)
		}
		slices.Sort(seen)
		slices.Sort(want)
		if !slices.Equal(seen, want) {
			t.Errorf("%s: found %q, want %q", file, seen, want)
		}
	}
}

// The machine, with one fault each.
func TestDoctorLooksAtTheMachine(t *testing.T) {
	for name, test := range map[string]struct {
		spoil func(*machine)
		want  string
	}{
		"a clock that nobody sets":        {func(m *machine) { m.synced = func() (bool, bool) { return false, true } }, "note clock-sync"},
		"caches that don't fit":           {func(m *machine) { m.memory = func(int) int64 { return 200 << 20 } }, "warning memory"},
		"few files":                       {func(m *machine) { m.process = func(int) processFacts { return processFacts{files: 1024} } }, "warning open-files"},
		"keys on the swap disk":           {func(m *machine) { m.process = func(int) processFacts { return processFacts{swapped: 1 << 20} } }, "warning swap"},
		"memory that is never given back": {func(m *machine) { m.process = func(int) processFacts { return processFacts{collection: "off"} } }, "warning gogc"},
		"GOMEMLIMIT beyond the container": {func(m *machine) {
			m.memory = func(int) int64 { return 512 << 20 }
			m.process = func(int) processFacts { return processFacts{memory: "1GiB"} }
		}, "warning gomemlimit"},
	} {
		x := &examination{ctx: t.Context(), machine: healthyMachine(), server: &runningServer{pid: 1}}
		test.spoil(&x.machine)
		file := filepath.Join(t.TempDir(), "Caddyfile")
		writeText(t, file, strings.ReplaceAll(soundSites, "DIR", t.TempDir()))
		must(t, x.readFile(file, ""))
		if seen := seenIn(x.examine([]string{"machine"}), ""); !slices.Equal(seen, []string{test.want}) {
			t.Errorf("%s: found %q, want %q", name, seen, test.want)
		}
	}
}

func TestMemorySizes(t *testing.T) {
	for text, want := range map[string]int64{"512MiB": 512 << 20, "1GiB": 1 << 30, "4096": 4096, "4096B": 4096, "2KiB": 2048} {
		if got, err := parseMemory(text); got != want || err != nil {
			t.Errorf("%s: %d, %v", text, got, err)
		}
	}
	if _, err := parseMemory("off"); err == nil {
		t.Error("off is no size")
	}
}

// The files of a server that ran, with one fault each.
func TestDoctorLooksAtTheFiles(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	s.obtain("read:accounts")
	s.signal(syscall.SIGTERM)
	s.await("the process ends", s.exited)
	for _, test := range []struct {
		name, want  string
		spoil, mend func()
		machine     func(*machine)
	}{
		{name: "all is well"},
		{name: "root key open to others", want: "error root-key",
			spoil: func() { must(t, os.Chmod(s.path("root.key"), 0o644)) }, mend: func() { must(t, os.Chmod(s.path("root.key"), 0o600)) }},
		{name: "root key gone", want: "error root-key",
			spoil: func() { must(t, os.Rename(s.path("root.key"), s.path("away"))) }, mend: func() { must(t, os.Rename(s.path("away"), s.path("root.key"))) }},
		{name: "operator tokens open to others", want: "error operator-token",
			spoil: func() { must(t, os.Chmod(s.path("operator.token"), 0o640)) }, mend: func() { must(t, os.Chmod(s.path("operator.token"), 0o600)) }},
		{name: "journal gone", want: "error journal",
			spoil: func() { must(t, os.Rename(s.path("revocations.journal"), s.path("away"))) }, mend: func() { must(t, os.Rename(s.path("away"), s.path("revocations.journal"))) }},
		{name: "database open to others", want: "error database",
			spoil: func() { must(t, os.Chmod(s.path("bearer.db"), 0o644)) }, mend: func() { must(t, os.Chmod(s.path("bearer.db"), 0o600)) }},
		{name: "folder open to others", want: "error folder",
			spoil: func() { must(t, os.Chmod(s.dir, 0o777)) }, mend: func() { must(t, os.Chmod(s.dir, 0o700)) }},
		{name: "schema of a newer program", want: "error schema",
			spoil: func() { s.sql("INSERT INTO goose_db_version (version_id, is_applied) VALUES (999, 1)") }, mend: func() { s.sql("DELETE FROM goose_db_version WHERE version_id = 999") }},
		{name: "schema of an older program", want: "note schema",
			spoil: func() { s.sql("UPDATE goose_db_version SET is_applied = 0 WHERE version_id > 7") }, mend: func() { s.sql("UPDATE goose_db_version SET is_applied = 1") }},
		{name: "disk nearly full", want: "warning disk-space",
			machine: func(m *machine) {
				m.disk = func(string) (diskFacts, error) { return diskFacts{free: 1 << 20, known: true}, nil }
			}},
		{name: "network disk", want: "error file-system",
			machine: func(m *machine) {
				m.disk = func(string) (diskFacts, error) { return diskFacts{kind: diskNetwork}, nil }
			}},
		{name: "clock behind", want: "error clock error clock", // of the journal and of the trail
			machine: func(m *machine) { m.now = func() time.Time { return time.Now().Add(-time.Hour) } }},
		{name: "rotation that does not come", want: "warning signing-key",
			machine: func(m *machine) { m.now = func() time.Time { return time.Now().Add(92 * 24 * time.Hour) } }},
	} {
		if test.spoil != nil {
			test.spoil()
		}
		x := &examination{ctx: t.Context(), machine: healthyMachine(), server: new(runningServer)}
		if test.machine != nil {
			test.machine(&x.machine)
		}
		must(t, x.readFile(s.path("Caddyfile"), ""))
		var seen []string
		for _, d := range x.examine([]string{"files"}) {
			if d.Check != "root-key-place" && d.Check != "journal-place" { // all lie in one folder here
				seen = append(seen, string(d.Level)+" "+d.Check)
			}
			for _, secret := range s.secrets() {
				if strings.Contains(d.What+d.Do, secret) {
					t.Errorf("%s: a secret is shown", test.name)
				}
			}
		}
		if got := strings.Join(seen, " "); got != test.want {
			t.Errorf("%s: found %q, want %q", test.name, got, test.want)
		}
		if test.mend != nil {
			test.mend()
		}
	}
}

// sql changes the database of a server that was stopped.
func (s *server) sql(query string) {
	s.t.Helper()
	db, err := sql.Open("sqlite", s.path("bearer.db"))
	must(s.t, err)
	_, err = db.ExecContext(s.t.Context(), query)
	must(s.t, err)
	must(s.t, db.Close())
}

// secrets are the lines of the files that nobody may see, as far as they are there.
func (s *server) secrets() (all []string) {
	for _, file := range []string{"root.key", "operator.token"} {
		text, err := os.ReadFile(s.path(file))
		if err != nil {
			continue
		}
		for _, word := range strings.Fields(string(text)) {
			if len(word) > 20 {
				all = append(all, word)
			}
		}
	}
	return all
}

// The command with a server that runs, and without.
func TestDoctorCommand(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	const config = "Caddyfile"
	live, _, code := s.run("", "bearer", "doctor", "--only", "config,server,files")
	if code != 0 || !strings.Contains(live, "note: ") || strings.Contains(live, "[server]") || strings.Contains(live, "warning: ") {
		t.Errorf("the running configuration: exit %d\n%s", code, live)
	}
	out, errs, code := s.run("", "bearer", "doctor", "--config", config, "--only", "server", "--json")
	if code != 0 || strings.TrimSpace(out) != "{\n  \"findings\": []\n}" {
		t.Errorf("the file that runs: exit %d\n%s%s", code, out, errs)
	}
	s.write(config, strings.Replace(s.config, "stream_close_delay 1h", "lb_policy first", 1))
	out, _, code = s.run("", "bearer", "doctor", "--config", config, "--only", "config,server", "--json")
	var told struct{ Findings []diagnosis }
	s.decode(out, &told)
	line := 1 + strings.Count(s.config[:strings.Index(s.config, "reverse_proxy")], "\n")
	if want := fmt.Sprintf("%s:%d", config, line); code != 1 || !slices.ContainsFunc(told.Findings, func(d diagnosis) bool {
		return d.Check == "stream-close-delay" && d.Level == levelWarning && d.Where == want
	}) || !slices.ContainsFunc(told.Findings, func(d diagnosis) bool { return d.Check == "running-config" }) {
		t.Errorf("a file that was changed: exit %d, want a finding at %s\n%s", code, want, out)
	}
	s.write("policy.yaml", "scopes: {")
	if out, _, code = s.run("", "bearer", "doctor", "--only", "policies"); code != 1 || !strings.Contains(out, "error: "+s.path("policy.yaml")+":1:") {
		t.Errorf("a bad policy: exit %d\n%s", code, out)
	}
	for _, secret := range append(s.secrets(), serviceHash(), clientHash()) {
		if strings.Contains(live+out, secret) {
			t.Error("a secret is shown")
		}
	}
	s.signal(syscall.SIGTERM)
	s.await("the process ends", s.exited)
	if out, errs, code = s.run("", "bearer", "doctor", "--config", config, "--only", "server"); code != 0 || !strings.Contains(out, "note: no server answered") {
		t.Errorf("without a server: exit %d\n%s%s", code, out, errs)
	}
	for _, args := range [][]string{{}, {"--config", "nowhere"}, {"--only", "everything"}, {"--config", "policy.yaml"}} {
		if _, errs, code := s.run("", append([]string{"bearer", "doctor"}, args...)...); code != 2 || !strings.Contains(errs, "error: ") {
			t.Errorf("%q: exit %d: %s", args, code, errs)
		}
	}
}
