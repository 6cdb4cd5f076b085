package caddymodule

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-bearer/caddy-bearer/internal/openidtest"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// openID is an OpenID provider at which Alice has signed in.
type openID struct {
	*openidtest.Provider
	asked url.Values // by the last who was sent there
}

const openIDSecret = "what the provider gave"

func newOpenID(t *testing.T) *openID {
	o := new(openID)
	o.Provider = openidtest.New(t, func(r *http.Request) jwt.MapClaims {
		id, secret, _ := r.BasicAuth()
		if secret, err := url.QueryUnescape(secret); err != nil || secret != openIDSecret || id != o.asked.Get("client_id") {
			return nil
		}
		return jwt.MapClaims{"aud": id, "sub": "alice", "preferred_username": "bob", "nonce": o.asked.Get("nonce")}
	})
	return o
}

// parseLogin reads the option login as it stands in a Caddyfile.
func parseLogin(t *testing.T, lines string) *Login {
	t.Helper()
	parsed := new(Environment)
	d := caddyfile.NewTestDispenser("sandbox {\n" + lines + "\n}")
	d.Next()
	must(t, readBlock(d, "sandbox", parsed.options()))
	return parsed.Login
}

// secretFile makes a file that its owner alone may read.
func secretFile(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "provider.secret")
	must(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// leave presses the button of the sign-in page, and returns where that leads and
// the cookies that it sets.
func (w *adminWorld) leave() (*httptest.ResponseRecorder, *url.URL) {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), "POST", "https://auth.test/login", nil)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	answer := httptest.NewRecorder()
	w.app.runtime.worlds[store.Sandbox].issuer.Load().ServeHTTP(answer, r)
	at, err := url.Parse(answer.Header().Get("Location"))
	must(w.t, err)
	return answer, at
}

// through goes to the provider and back, and returns who is signed in then.
func (w *adminWorld) through(o *openID) string {
	w.t.Helper()
	left, at := w.leave()
	o.asked = at.Query()
	back := "https://auth.test/login/callback?code=x&state=" + o.asked.Get("state")
	r := httptest.NewRequestWithContext(w.t.Context(), "GET", back, nil)
	for _, cookie := range left.Result().Cookies() {
		r.AddCookie(cookie)
	}
	answer := httptest.NewRecorder()
	w.app.runtime.worlds[store.Sandbox].issuer.Load().ServeHTTP(answer, r)
	if answer.Code != http.StatusSeeOther {
		return fmt.Sprint(answer.Code)
	}
	for _, id := range []string{"alice", "bob"} {
		if strings.Contains(w.ok("GET", "/users/"+id+"/sessions", "").body, `"since"`) {
			return id
		}
	}
	return "nobody"
}

// withLogin starts an app whose people sign in as these lines say.
func withLogin(t *testing.T, lines string) *adminWorld {
	t.Helper()
	w := newAdminWorld(t, func(app *App) { app.Environments[store.Sandbox].Login = parseLogin(t, lines) })
	for _, id := range []string{"alice", "bob"} {
		w.ok("POST", "/users", `{"id":"`+id+`"}`)
	}
	return w
}

func TestLoginThatIsRefused(t *testing.T) {
	open := secretFile(t, "x")
	must(t, os.Chmod(open, 0o644))
	good := Login{Issuer: "https://id.example.com", ClientID: "gateway", ClientSecretFile: secretFile(t, openIDSecret+"\n")}
	for name, test := range map[string]struct {
		change func(*Login)
		says   string // empty: nothing is wrong
	}{
		"good":                 {func(*Login) {}, ""},
		"at a loopback":        {func(l *Login) { l.Issuer = "http://127.0.0.1:1" }, ""},
		"plain http":           {func(l *Login) { l.Issuer = "http://id.example.com" }, "needs https://"},
		"no URL":               {func(l *Login) { l.Issuer = "id.example.com" }, "is not the URL"},
		"a query":              {func(l *Login) { l.Issuer += "?a=b" }, "is not the URL"},
		"a password in it":     {func(l *Login) { l.Issuer = "https://a:b@id.example.com" }, "is not the URL"},
		"no client_id":         {func(l *Login) { l.ClientID = "" }, "client_id is missing"},
		"no secret":            {func(l *Login) { l.ClientSecretFile = "" }, "client_secret_file is missing"},
		"no such file":         {func(l *Login) { l.ClientSecretFile = "/nowhere/x" }, "/nowhere/x"},
		"open to others":       {func(l *Login) { l.ClientSecretFile = open }, "has mode 0644 and is open to others; run: chmod 600"},
		"an empty file":        {func(l *Login) { l.ClientSecretFile = secretFile(t, "\n") }, "expected one line with the secret"},
		"a file of two lines":  {func(l *Login) { l.ClientSecretFile = secretFile(t, "a\nb\n") }, "expected one line with the secret"},
		"a claim of their own": {func(l *Login) { l.Claim = "upn" }, `claim "upn" is unknown; known: email, preferred_username, sub`},
	} {
		l := good
		test.change(&l)
		e := &Environment{Login: &l}
		err := e.provisionLogin()
		if (err == nil) != (test.says == "") || err != nil && !strings.Contains(err.Error(), test.says) {
			t.Errorf("%s: %v, want %q", name, err, test.says)
		}
	}
	for claim, want := range map[string]string{"": "[]", "sub": "[]", "email": "[email]", "preferred_username": "[profile]"} {
		l := good
		l.Claim = claim
		must(t, (&Environment{Login: &l}).provisionLogin())
		if fmt.Sprint(l.Scopes) != want || l.secret != openIDSecret {
			t.Errorf("claim %q: scopes %v, want %s", claim, l.Scopes, want)
		}
	}
}

// A start does not ask the provider, and takes it over when it is there.
func TestLoginAtAProviderThatIsAway(t *testing.T) {
	o := newOpenID(t)
	o.Close()
	w := withLogin(t, "login oidc "+o.URL+" {\nclient_id gateway\nclient_secret_file "+secretFile(t, openIDSecret)+"\n}")
	if answer, _ := w.leave(); answer.Code != http.StatusServiceUnavailable || !strings.Contains(answer.Body.String(), "does not answer at the moment") {
		t.Errorf("%d %s", answer.Code, answer.Body)
	}
	for _, entry := range w.logged.All() {
		if strings.Contains(fmt.Sprint(entry.ContextMap()), openIDSecret) {
			t.Errorf("the log holds the secret: %s", entry.Message)
		}
	}
}
