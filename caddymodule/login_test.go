package caddymodule

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// openID is a little OpenID provider at which Alice has signed in.
type openID struct {
	*httptest.Server
	asked url.Values // by the last who was sent there
}

const openIDSecret = "what the provider gave"

func newOpenID(t *testing.T) *openID {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	point, err := key.PublicKey.Bytes()
	must(t, err)
	b64 := base64.RawURLEncoding.EncodeToString
	o := new(openID)
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(v)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer": o.URL, "authorization_endpoint": o.URL + "/authorize", "token_endpoint": o.URL + "/token", "jwks_uri": o.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"ES256"},
		})
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"keys": []any{map[string]any{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "one", "x": b64(point[1:33]), "y": b64(point[33:])}}})
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		if secret, err := url.QueryUnescape(secret); err != nil || secret != openIDSecret || id != o.asked.Get("client_id") {
			w.WriteHeader(http.StatusUnauthorized)
			answer(w, map[string]string{"error": "invalid_client"})
			return
		}
		token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": o.URL, "aud": id, "sub": "alice", "preferred_username": "bob", "nonce": o.asked.Get("nonce"),
			"exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix(),
		})
		token.Header["kid"] = "one"
		raw, err := token.SignedString(key)
		if err != nil {
			t.Error(err)
		}
		answer(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": raw})
	})
	o.Server = httptest.NewServer(mux)
	t.Cleanup(o.Close)
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
