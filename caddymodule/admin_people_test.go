package caddymodule

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// signIn sends the sign-in form of the sandbox and returns the status and the
// session's cookie, if there is one.
func (w *adminWorld) signIn(id, password string) (status int, session *http.Cookie) {
	w.t.Helper()
	form := url.Values{"user": {id}, "password": {password}}.Encode()
	r := httptest.NewRequestWithContext(w.t.Context(), "POST", "https://auth.test/login", strings.NewReader(form))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	r.Header.Set("Sec-Fetch-Site", "same-origin")
	r.Header.Set("User-Agent", "Test/1.0 \x1b[31m")
	answer := httptest.NewRecorder()
	w.app.runtime.worlds[store.Sandbox].issuer.Load().ServeHTTP(answer, r)
	for _, cookie := range answer.Result().Cookies() {
		return answer.Code, cookie
	}
	return answer.Code, nil
}

// isSignedIn asks the sign-in page, which leads on whoever is.
func (w *adminWorld) isSignedIn(session *http.Cookie) bool {
	r := httptest.NewRequestWithContext(w.t.Context(), "GET", "https://auth.test/login", nil)
	r.AddCookie(session)
	answer := httptest.NewRecorder()
	w.app.runtime.worlds[store.Sandbox].issuer.Load().ServeHTTP(answer, r)
	return answer.Code == http.StatusSeeOther
}

func TestPasswordOfAUser(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("POST", "/users", `{"id":"alice"}`)
	const first, second = "correct horse battery", "staple, staple, staple"
	if status, _ := w.signIn("alice", first); status != 403 {
		t.Fatalf("without a password: %d", status)
	}
	w.ok("PUT", "/users/alice/password", `{"password":"`+first+`"}`)
	status, session := w.signIn("alice", first)
	if status != 303 || !w.isSignedIn(session) {
		t.Fatalf("with the password: %d", status)
	}
	// What else is changed of a user changes neither.
	w.ok("PATCH", "/users/alice", `{"name":"Alice Doe","scopes":["read:eft"]}`)
	if !w.isSignedIn(session) {
		t.Error("another name signed the user out")
	}
	shown := w.ok("PUT", "/users/alice/password", `{"password":"`+second+`"}`).body
	if w.isSignedIn(session) {
		t.Error("another password left a session from before")
	}
	if status, _ := w.signIn("alice", first); status != 403 {
		t.Errorf("the password from before: %d", status)
	}
	if status, session = w.signIn("alice", second); status != 303 {
		t.Errorf("the new password: %d", status)
	}
	w.ok("POST", "/users/alice/disable", "")
	if w.isSignedIn(session) {
		t.Error("a disabled user is signed in")
	}
	if status, _ := w.signIn("alice", second); status != 403 {
		t.Errorf("disabled: %d", status)
	}
	w.ok("POST", "/users/alice/enable", "")
	if w.isSignedIn(session) {
		t.Error("the session came back with the user")
	}
	_, session = w.signIn("alice", second)
	w.ok("POST", "/users/alice/revoke", "")
	if w.isSignedIn(session) {
		t.Error("a revoked user is signed in")
	}
	later := shown + w.everything() + w.ok("GET", "/users/alice", "").body
	for _, entry := range w.logged.All() {
		later += entry.Message
		for _, value := range entry.ContextMap() {
			if text, ok := value.(string); ok {
				later += text
			}
		}
	}
	for _, password := range []string{first, second} {
		if strings.Contains(later, password) {
			t.Errorf("%q is shown", password)
		}
	}
	if strings.Contains(shown, "argon2id") || !strings.Contains(later, "user.set_password") {
		t.Errorf("shown %s", shown)
	}
}

func TestPasswordsThatAreRefused(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("POST", "/users", `{"id":"alice"}`)
	w.ok("POST", "/users", `{"id":"alice@example.com"}`)
	for _, test := range []struct {
		path, body string
		status     int
		says       string
	}{
		{"/users/alice/password", `{"password":""}`, 400, "the password is empty"},
		{"/users/alice/password", `{}`, 400, "the password is empty"},
		{"/users/alice/password", `{"password":"eleven char"}`, 400, "the password has 11 characters; at least 12"},
		{"/users/alice/password", `{"password":"ééééééééééé"}`, 400, "the password has 11 characters; at least 12"},
		{"/users/alice/password", `{"password":"` + strings.Repeat("x", 1025) + `"}`, 400, "longer than 1024 bytes"},
		{"/users/alice/password", `{"password":"secret canary\u0000"}`, 400, "cannot be typed"},
		{"/users/alice/password", `{"password":"secret canary\n"}`, 400, "cannot be typed"},
		{"/users/alice@example.com/password", `{"password":"alice@example.com"}`, 400, "is the user's id"},
		{"/users/alice/password", `{"password":"correct horse battery","old":"x"}`, 400, "not what is expected"},
		{"/users/bob/password", `{"password":"correct horse battery"}`, 404, "there is no user"},
		{"/users/" + serviceID + "/password", `{"password":"correct horse battery"}`, 404, "there is no user"},
	} {
		got := w.try("PUT", test.path, test.body)
		if got.status != test.status || !strings.Contains(got.body, test.says) || strings.Contains(got.body, "canary") {
			t.Errorf("%s %s: %d %s", test.path, test.body, got.status, got.body)
		}
	}
	if status, _ := w.signIn("alice", "eleven char"); status != 403 {
		t.Errorf("a refused password signs in: %d", status)
	}
	w.ok("PUT", "/users/alice/password", `{"password":"`+strings.Repeat("é", 512)+`"}`)
	if status, _ := w.signIn("alice", strings.Repeat("é", 512)); status != 303 {
		t.Errorf("the longest password: %d", status)
	}
}

func TestSessionsOfAUser(t *testing.T) {
	w := newAdminWorld(t)
	for _, id := range []string{"alice", "bob"} {
		w.ok("POST", "/users", `{"id":"`+id+`"}`)
		w.ok("PUT", "/users/"+id+"/password", `{"password":"correct horse battery"}`)
	}
	var sessions []*http.Cookie
	for _, id := range []string{"alice", "alice", "alice", "bob"} {
		_, session := w.signIn(id, "correct horse battery")
		sessions = append(sessions, session)
	}
	list := func() []openSession {
		t.Helper()
		var got map[string][]openSession
		w.ok("GET", "/users/alice/sessions", "").decode(t, &got)
		return got["sessions"]
	}
	open := list()
	if len(open) != 3 || open[0].ID == open[1].ID || open[0].Since.IsZero() || open[0].Seen.IsZero() || !open[0].Expires.After(open[0].Since) ||
		open[0].Address != "192.0.2.1" || !strings.HasPrefix(open[0].Agent, "Test/1.0") {
		t.Fatalf("sessions %+v", open)
	}
	if got := w.try("POST", "/users/bob/sessions/end", `{"session":"`+open[0].ID+`"}`); got.status != 404 {
		t.Errorf("a session of somebody else: %d %s", got.status, got.body)
	}
	w.ok("POST", "/users/alice/sessions/end", `{"session":"`+open[0].ID+`"}`)
	if got := list(); len(got) != 2 || got[0].ID != open[1].ID || got[1].ID != open[2].ID {
		t.Errorf("after one was ended: %+v", got)
	}
	alive := 0
	for _, session := range sessions[:3] {
		if w.isSignedIn(session) {
			alive++
		}
	}
	if alive != 2 {
		t.Errorf("%d sessions live", alive)
	}
	if got := w.ok("POST", "/users/alice/sessions/end", "").body; !strings.Contains(got, `{"ended":2}`) {
		t.Errorf("ended all: %s", got)
	}
	if len(list()) != 0 || w.isSignedIn(sessions[0]) || w.isSignedIn(sessions[2]) || !w.isSignedIn(sessions[3]) {
		t.Error("another number of sessions lives than should")
	}
	if !strings.Contains(w.everything(), "user.end_sessions") {
		t.Error("no line in the audit trail")
	}
}
