package caddymodule

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
)

const ownRoutes = `
		route health GET /health {
			public
		}
		route accounts GET /api/v1/accounts {
			scopes read:accounts
		}
		route events GET /api/v1/events {
			any_of read:market
			any_of read:accounts write:eft
		}
		route orders POST /api/v1/accounts/{account}/orders {
			scopes trade:orders
			bind account token.account
		}
`

// withRoutes is the configuration of a gate that has routes of its own.
func (s *server) withRoutes(routes string) string {
	return strings.Replace(s.caddyfile(siteOptions{gate: routes}), "bearer_gate test {", "bearer_gate {", 1)
}

func TestRoutesInTheGateDecide(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.config = s.withRoutes(ownRoutes)
	s.start()
	token := s.obtain("read:accounts trade:orders read:eft").Access
	for request, want := range map[string]int{
		"GET /api/v1/accounts":           200,
		"GET /api/v1/events":             403,
		"GET /api/v1/eft":                403, // only the policy file has it
		"POST /api/v1/accounts/1/orders": 200,
		"POST /api/v1/accounts/9/orders": 403,
	} {
		method, path, _ := strings.Cut(request, " ")
		if got := s.answerStatus(s.call(method, path, token)); got != want {
			t.Errorf("%s: %d, want %d", request, got, want)
		}
	}
}

// The scopes of a gate's own routes are those of a policy file that changes.
func TestRoutesInTheGateFollowTheScopes(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.config = s.withRoutes(ownRoutes)
	s.start()
	token := s.obtain("all:eft").Access
	events := func() int {
		response, err := http.DefaultClient.Do(s.call("GET", "/api/v1/events", token))
		if err != nil {
			return 0
		}
		response.Body.Close() // the stream has no end
		return response.StatusCode
	}
	if got := events(); got != 403 {
		t.Fatalf("all:eft alone: %d", got)
	}
	s.write("policy.yaml", strings.Replace(testPolicy, "implies: [read:eft,", "implies: [read:market, read:eft,", 1))
	s.eventually("all:eft is enough", func() bool { return events() == 200 })
	stream := s.openEvents("events", http.DefaultClient, s.api, token)
	stream.alive(t)

	s.write("policy.yaml", strings.ReplaceAll(testPolicy, "read:market", "see:market"))
	before, _, _ := strings.Cut(s.config, "route events")
	complaint := fmt.Sprintf(`%s:%d: unknown scope \"read:market\"; did you mean \"see:market\"?`, s.path("Caddyfile"), 1+strings.Count(before, "\n"))
	s.eventually("that the routes no longer fit is reported", func() bool { return strings.Contains(s.output.String(), complaint) })
	stream.alive(t)
	if got := events(); got != 200 {
		t.Errorf("with scopes that do not fit the routes: %d", got)
	}
	s.write("policy.yaml", testPolicy)
	s.eventually("all:eft is no longer enough", func() bool { return events() == 403 })
	if _, err := stream.end(); err == nil || !strings.Contains(err.Error(), "data: {") {
		t.Errorf("the stream ended with %v", err)
	}
}

// A reload that leaves a gate's routes alone leaves its streams alone, and one
// that changes them ends what they had let in.
func TestRoutesInTheGateAreReloaded(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.config = s.withRoutes(ownRoutes)
	s.start()
	token := s.obtain("read:market").Access
	stream := s.openEvents("events", http.DefaultClient, s.api, token)
	if complaint := s.reload("# moves every line\n" + s.config); complaint != "" {
		t.Fatal(complaint)
	}
	stream.alive(t)
	if complaint := s.reload(s.withRoutes(strings.Replace(ownRoutes, "any_of read:market\n", "", 1))); complaint != "" {
		t.Fatal(complaint)
	}
	if _, err := stream.end(); err == nil || !strings.Contains(err.Error(), "data: {") {
		t.Errorf("the stream ended with %v", err)
	}
	if got := s.answerStatus(s.call("GET", "/api/v1/events", token)); got != 403 {
		t.Errorf("after the reload: %d", got)
	}
}

// The gate's routes must still be there for those who hold on to the old
// configuration when the new one did not start.
func TestRoutesInTheGateOutliveARejectedReload(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.config = s.withRoutes(ownRoutes)
	s.start()
	token := s.obtain("read:accounts").Access
	taken := "http://:" + port(s.backend.server.URL) + " {\n respond ok\n}\n"
	if complaint := s.reload(s.withRoutes(strings.Replace(ownRoutes, "/api/v1/accounts {", "/api/v1/other {", 1)) + taken); complaint == "" {
		t.Fatal("the reload was accepted")
	}
	s.answer(s.call("GET", "/api/v1/accounts", token), 200, nil)
}
