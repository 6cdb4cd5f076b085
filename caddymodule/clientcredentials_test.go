package caddymodule

import (
	"slices"
	"strings"
	"testing"
)

// A client gets a token of its own, asks what it is, calls the API and ends it.
func TestClientCredentialsThenRevoked(t *testing.T) {
	s := newServer(t)
	s.config = strings.Replace(s.config, "client "+clientID+" {", "client "+clientID+" {\naccounts 2", 1)
	s.start()

	var got tokens
	s.answer(s.form("/oauth2/token", "grant_type=client_credentials&scope=read:accounts+read:market"), 200, &got)
	if got.Refresh != "" || got.Scope != "read:accounts read:market" {
		t.Errorf("refresh token %q, scope %q", got.Refresh, got.Scope)
	}
	var seen struct {
		Headers map[string][]string
	}
	s.answer(s.call("GET", "/api/v1/accounts", got.Access), 200, &seen)
	if subject := seen.Headers["X-Auth-Subject"]; !slices.Equal(subject, []string{clientID}) {
		t.Errorf("the API hears of subject %v: %v", subject, seen.Headers)
	}
	s.answer(s.call("POST", "/api/v1/eft", got.Access), 403, nil)

	var self struct {
		Subject  string
		Accounts []string
	}
	request := s.request("GET", s.issuer+"/token/self", nil)
	request.Header.Set("Authorization", "Bearer "+got.Access)
	s.answer(request, 200, &self)
	if self.Subject != clientID || !slices.Equal(self.Accounts, []string{"2"}) {
		t.Errorf("self: %+v", self)
	}
	if !s.active(got.Access) {
		t.Error("introspection calls a live token dead")
	}
	s.revoke(got.Access)
	s.answer(s.call("GET", "/api/v1/accounts", got.Access), 401, nil)
	if s.active(got.Access) {
		t.Error("introspection calls a revoked token alive")
	}
}

// active asks by RFC 7662 whether a token lives.
func (s *server) active(token string) bool {
	s.t.Helper()
	var got struct{ Active bool }
	s.answer(s.form("/oauth2/introspect", "token="+token), 200, &got)
	return got.Active
}
