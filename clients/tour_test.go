//go:build clients

package clients

import (
	"bufio"
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"
)

// Each library leads a token through its life: it asks for one, calls the API,
// sees it expire, renews it, asks about it and revokes it. The program checks
// what it is answered; here is checked that it took every step, and that the API
// was called.
func TestLibrariesUnmodified(t *testing.T) {
	for _, c := range []struct {
		library string
		command []string
		steps   string
	}{
		{"oauth4webapi", node("oauth4webapi"), "discover get validate call expire renew introspect revoke errors"},
		{"openid-client", node("openid-client"), "discover get call expire renew introspect revoke errors"},
		{"simple-oauth2", node("simple-oauth2"), "get call expire renew revoke errors"},
		{"Authlib", python("authlib"), "get discover validate call expire renew introspect revoke errors"},
		{"requests-oauthlib", python("requests-oauthlib"), "get call expire renew revoke errors"},
		{"golang.org/x/oauth2", []string{build("./golang/tour")}, "get call expire renew revoke errors"},
		{"oauth2-oidc-sdk", java("Tour"), "discover get validate call expire renew introspect revoke errors"},
		{"curl", []string{"bash", "curl/tour.sh"}, "discover get call expire renew introspect revoke errors"},
	} {
		t.Run(c.library, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, 2*time.Second).start()
			if c.command[0] == "java" {
				s.trustStore()
			}
			if steps := s.tour(c.command); !slices.Equal(steps, strings.Fields(c.steps)) {
				t.Errorf("steps %q, want %q", steps, c.steps)
			}
		})
	}
}

func node(library string) []string {
	return []string{"node", "javascript/tour_" + library + ".mjs"}
}

func python(library string) []string {
	return []string{"python/.venv/bin/python", "python/tour_" + library + ".py"}
}

// java runs a program of one file, without a build.
func java(class string) []string {
	return []string{"java", "-cp", "java/lib/*", "java/" + class + ".java"}
}

// tour runs a program to its end and returns the steps that it took.
func (s *server) tour(command []string) (steps []string) {
	s.t.Helper()
	cmd := s.program(tourist, command)
	cmd.Env = append(cmd.Env, "REFRESH_TOKEN="+s.refreshToken(tourist))
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	output, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewScanner(output)
	for lines.Scan() {
		if step, found := strings.CutPrefix(lines.Text(), "step "); found {
			steps = append(steps, step)
		} else {
			s.t.Errorf("it said %q", lines.Text())
		}
	}
	if err := cmd.Wait(); err != nil {
		s.t.Errorf("after the steps %q: %v\n%s", steps, err, &complaints)
	}
	if len(s.backend.calls(tourist.ID)) == 0 {
		s.t.Error("the API was never called")
	}
	return steps
}
