//go:build clients

package clients

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

// tourTokenLifetime is what a tour waits for, and what it has for the calls that
// must succeed before.
const tourTokenLifetime = 6 * time.Second

// Each library leads a token through its life: it asks for one, calls the API,
// sees it expire, has a person allow access
// (with PKCE), renews that, asks about it and revokes it. The program checks
// what it is answered; here is checked that it took every step, and that the API
// was called.
func TestS3_11_LibrariesUnmodified(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		library string
		command []string
		steps   string
	}{
		{"oauth4webapi", node("oauth4webapi"), "discover get validate call expire code renew introspect revoke errors"},
		{"openid-client", node("openid-client"), "discover get call expire code renew introspect revoke errors"},
		{"simple-oauth2", node("simple-oauth2"), "get call expire code renew revoke errors"},
		{"Authlib", python("authlib"), "get discover validate call expire code renew introspect revoke errors"},
		{"requests-oauthlib", python("requests-oauthlib"), "get call expire code renew revoke errors"},
		{"golang.org/x/oauth2", []string{build("./golang/tour")}, "get call expire code renew revoke errors"},
		{"oauth2-oidc-sdk", java("Tour"), "discover get validate call expire code renew introspect revoke errors"},
		{"curl", []string{"bash", "curl/tour.sh"}, "discover get call expire code renew introspect revoke errors"},
	} {
		t.Run(c.library, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, tourTokenLifetime).start()
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

// tour runs a program to its end and returns the steps that it took. When it says
// "authorize ADDRESS", it wants a person to open that, and reads the address at
// which the app would get the answer.
func (s *server) tour(command []string) (steps []string) {
	s.t.Helper()
	s.addAlice()
	cmd := s.program(tourist, command)
	cmd.Env = append(cmd.Env, "REDIRECT_URI="+redirectURI, "PUBLIC_CLIENT_ID="+nomad)
	var complaints bytes.Buffer
	cmd.Stderr = &complaints
	output, err := cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	input, err := cmd.StdinPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	for lines := bufio.NewScanner(output); lines.Scan(); {
		switch what, rest, _ := strings.Cut(lines.Text(), " "); what {
		case "step":
			steps = append(steps, rest)
		case "authorize":
			_, err = io.WriteString(input, s.authorize(rest)+"\n")
		default:
			s.t.Errorf("it said %q", lines.Text())
		}
	}
	if err := errors.Join(err, cmd.Wait()); err != nil {
		s.t.Errorf("after the steps %q: %v\n%s", steps, err, &complaints)
	}
	if len(s.backend.calls(tourist.ID)) == 0 {
		s.t.Error("the API was never called")
	}
	return steps
}
