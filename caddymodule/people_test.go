package caddymodule

import (
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"strings"
	"testing"
)

// browser is who fills in forms of the issuer: it keeps cookies and follows no
// redirect.
func (s *server) browser() *http.Client {
	s.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		s.t.Fatal(err)
	}
	return &http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// signIn fills in the sign-in form and returns the status.
func (s *server) signIn(browser *http.Client, id, password string) int {
	s.t.Helper()
	form := url.Values{"user": {id}, "password": {password}}.Encode()
	request := s.request("POST", s.issuer+"/login", strings.NewReader(form))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	response, err := browser.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode
}

func (s *server) isSignedIn(browser *http.Client) bool {
	s.t.Helper()
	response, err := browser.Do(s.request("GET", s.issuer+"/login", nil))
	if err != nil {
		s.t.Fatal(err)
	}
	response.Body.Close()
	return response.StatusCode == http.StatusSeeOther
}

// People sign in at the real server; what they type, and what their browsers hold,
// stands in no log, not even in Caddy's most talkative one.
func TestPeopleSignIn(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	bearer := func(stdin string, code int, args ...string) (stdout, stderr string) {
		t.Helper()
		stdout, stderr, got := s.run(stdin, append([]string{"bearer"}, args...)...)
		if got != code {
			t.Fatalf("%v: exit code %d\n%s%s", args, got, stdout, stderr)
		}
		return stdout, stderr
	}
	const first, second, wrong = "canary battery staple", "canary of another kind", "canary that is wrong"
	bearer("", 0, "user", "add", "alice", "--name", "Alice Doe")
	for stdin, says := range map[string]string{
		"":                          "the password is empty",
		"\n":                        "the password is empty",
		"canary":                    "the password has 6 characters; at least 12",
		"canary of two\nlines here": "several lines",
		strings.Repeat("x", 1025):   "longer than 1024 bytes",
	} {
		if _, stderr := bearer(stdin, 1, "user", "password", "alice"); !strings.Contains(stderr, says) {
			t.Errorf("%.20q: %s", stdin, stderr)
		}
	}
	for stdin, says := range map[string]string{"": "the password is empty", "canary": "at least 12", "canary of two\nlines here": "several lines"} {
		if _, stderr := bearer(stdin, 1, "user", "add", "carol", "--password-stdin"); !strings.Contains(stderr, says) {
			t.Errorf("add, %.20q: %s", stdin, stderr)
		}
	}
	if stdout, _ := bearer(first+"\n", 0, "user", "add", "carol", "--password-stdin", "--json"); strings.Contains(stdout, "secret") || s.signIn(s.browser(), "carol", first) != http.StatusSeeOther {
		t.Errorf("a user who is added with a password: %s", stdout)
	}
	if bearer(first, 0, "user", "add", "dave"); s.signIn(s.browser(), "dave", first) != http.StatusForbidden {
		t.Error("a user who is added without a password signs in")
	}
	if _, stderr := bearer(first, 1, "user", "password", "bob"); !strings.Contains(stderr, `there is no user "bob"`) {
		t.Errorf("a user who doesn't exist: %s", stderr)
	}
	if stdout, _ := bearer(first+"\n", 0, "user", "password", "alice"); !strings.Contains(stdout, "set; sessions from before have ended") {
		t.Errorf("password: %s", stdout)
	}

	one, two := s.browser(), s.browser()
	if status := s.signIn(one, "alice", wrong); status != http.StatusForbidden || s.isSignedIn(one) {
		t.Errorf("a wrong password: %d", status)
	}
	for _, browser := range []*http.Client{one, two} {
		if status := s.signIn(browser, "alice", first); status != http.StatusSeeOther || !s.isSignedIn(browser) {
			t.Fatalf("the right password: %d", status)
		}
	}
	cookie := one.Jar.Cookies(s.request("GET", s.issuer+"/", nil).URL)[0].Value

	var listed map[string][]openSession
	stdout, _ := bearer("", 0, "user", "sessions", "alice", "--json")
	s.decode(stdout, &listed)
	if len(listed["sessions"]) != 2 {
		t.Fatalf("sessions: %s", stdout)
	}
	bearer("", 0, "user", "sessions", "alice", "--end", listed["sessions"][0].ID)
	if s.isSignedIn(two) || !s.isSignedIn(one) {
		t.Error("another session ended than the newest")
	}
	if stdout, _ = bearer("", 0, "user", "sessions", "alice"); !strings.Contains(stdout, listed["sessions"][1].ID) || strings.Contains(stdout, listed["sessions"][0].ID) {
		t.Errorf("sessions: %s", stdout)
	}
	if _, stderr := bearer("", 1, "user", "sessions", "alice", "--end", "x"); !strings.Contains(stderr, `has no session "x"`) {
		t.Errorf("a session that doesn't exist: %s", stderr)
	}
	bearer("", 2, "user", "sessions", "alice", "--end", "")
	before := s.output.String()
	s.restart()
	if !s.isSignedIn(one) {
		t.Error("kill -9 signed a person out")
	}
	bearer(second, 0, "user", "password", "alice")
	if s.isSignedIn(one) {
		t.Error("another password signed nobody out")
	}

	trail, _ := bearer("", 0, "audit", "list", "--json", "--actor", "user:alice")
	commands, _ := bearer("", 0, "audit", "list", "--json", "--target", "principal:alice")
	for _, action := range []string{`"user.sign_in"`, `"user.set_password"`, `"user.end_sessions"`} {
		if !strings.Contains(trail+commands, action) {
			t.Errorf("%s is not in the audit trail", action)
		}
	}
	for _, secret := range []string{"canary", cookie, cookie[len(cookie)-27:]} {
		if strings.Contains(before+s.output.String(), secret) || strings.Contains(trail+commands, secret) {
			t.Errorf("%q stands in a log", secret)
		}
	}
}
