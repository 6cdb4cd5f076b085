package caddymodule

import (
	"slices"
	"strings"
	"testing"
)

// A client gets a token of its own, asks what it is, calls the API and ends it.
func TestClientCredentialsThenRevoked(t *testing.T) {
	t.Parallel()
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

// The tokens that a client gets for itself are one line of the grant list. That
// ends them all at once, and the client asks for others.
func TestOwnTokensAreOneGrant(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	own := func() (got tokens) {
		s.answer(s.form("/oauth2/token", "grant_type=client_credentials&scope=read:accounts"), 200, &got)
		return got
	}
	live := func() []grant {
		var list struct{ Grants []grant }
		s.decode(s.ok("", "bearer", "grant", "list", "--client", clientID, "--json"), &list)
		return list.Grants
	}
	first, second := own(), own()
	grants := live()
	if len(grants) != 1 || len(s.events("--action", "client_credentials.issue", "--target", "grant:"+grants[0].ID)) != 2 {
		t.Fatalf("after two tokens: %+v", grants)
	}
	var would ending
	s.decode(s.ok("", "bearer", "client", "revoke", clientID, "--dry-run", "--json"), &would)
	if would.Grants != 1 || !slices.Equal(would.GrantIDs, []string{grants[0].ID}) {
		t.Errorf("a dry run says %+v", would)
	}

	s.revoke(first.Access)
	s.answer(s.call("GET", "/api/v1/accounts", first.Access), 401, nil)
	s.areGood(second, own())

	s.ok("", "bearer", "grant", "revoke", grants[0].ID, "--reason", "test")
	s.isDead(second)
	s.areGood(own(), own())
	after := live()
	if len(after) != 1 || after[0].ID == grants[0].ID {
		t.Errorf("after the revocation: %+v; before: %+v", after, grants)
	}

	// What is in memory alone is forgotten; what was issued is not.
	kept := own()
	s.restart()
	s.areGood(kept, own())
	if grants := live(); len(grants) != 2 {
		t.Errorf("after a restart: %+v", grants)
	}
}

// active asks by RFC 7662 whether a token lives.
func (s *server) active(token string) bool {
	s.t.Helper()
	var got struct{ Active bool }
	s.answer(s.form("/oauth2/introspect", "token="+token), 200, &got)
	return got.Active
}
