package caddymodule

import (
	"strings"
	"testing"
)

// A password that a person changed on the page Security stays changed when a copy of
// the database from before takes its place. It stands in no log.
func TestPasswordThatAPersonChanged(t *testing.T) {
	s := newServer(t).start()
	const next = "canary of a new password"
	alice := s.browserOf("alice", "read:accounts", "1")
	other := s.browser()
	if s.signIn(other, "alice", userPassword); !s.isSignedIn(other) {
		t.Fatal("not signed in")
	}
	s.bearer("backup", s.path("backup.db"))
	alice.fill("/settings", "/settings/password", 403, "old", "canary that is wrong", "new", next, "again", next)
	alice.fill("/settings", "/settings/password", 303, "old", userPassword, "new", next, "again", next)
	if s.isSignedIn(other) || !s.isSignedIn(alice.client) {
		t.Errorf("signed in elsewhere: %v, here: %v", s.isSignedIn(other), s.isSignedIn(alice.client))
	}
	trail := s.bearer("audit", "list", "--json", "--target", "principal:alice")
	if !strings.Contains(trail, `"user.password_change"`) || !strings.Contains(trail, `"user:alice"`) {
		t.Errorf("audit trail %s", trail)
	}
	s.noSecrets(userPassword, next, "canary that is wrong")
	s.kill()

	s.put("backup.db", "bearer.db")
	out := s.bearer("restore", s.path("bearer.db"), "--config", s.path("Caddyfile"), "--adapter", "caddyfile", "--replay")
	if !strings.Contains(out, "sandbox principal:alice") {
		t.Errorf("restore does not name the user: %s", out)
	}
	s.start()
	if status := s.signIn(s.browser(), "alice", userPassword); status != 403 {
		t.Errorf("the password from before: %d", status)
	}
	s.bearer("user", "enable", "alice")
	s.ok(next, "bearer", "user", "password", "alice")
	if status := s.signIn(s.browser(), "alice", next); status != 303 {
		t.Errorf("the password that an operator gave: %d", status)
	}
}
