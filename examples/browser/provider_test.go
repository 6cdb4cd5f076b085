package browser

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// openID is a little OpenID provider with a page of its own, where Alice presses
// a button to sign in.
type openID struct {
	*httptest.Server
	mu    sync.Mutex
	asked url.Values // by the last who came
}

func newOpenID(t *testing.T) *openID {
	t.Helper()
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
	mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.asked = r.URL.Query()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = template.Must(template.New("").Parse(`<!doctype html><title>Provider</title><a id="enter" href="{{.}}">I am Alice</a>`)).
			Execute(w, o.asked.Get("redirect_uri")+"?code=x&state="+url.QueryEscape(o.asked.Get("state")))
	})
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, _ *http.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		now := time.Now()
		token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{
			"iss": o.URL, "aud": "gateway", "sub": aliceID, "nonce": o.asked.Get("nonce"),
			"exp": now.Add(time.Minute).Unix(), "iat": now.Unix(), "auth_time": now.Unix(),
		})
		token.Header["kid"] = "one"
		raw, err := token.SignedString(key)
		if err != nil {
			t.Error(err)
		}
		answer(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": raw})
	})
	o.Server = httptest.NewServer(mux)
	o.URL = strings.Replace(o.URL, "127.0.0.1", "localhost", 1) // another site than the issuer's
	t.Cleanup(o.Close)
	return o
}

// To a provider and back, through what a browser allows: the policy of the page
// lets its form lead there, and the cookie of the sign-in comes back with a link
// of another site.
func TestSignInAtAProvider(t *testing.T) {
	o := newOpenID(t)
	secret := filepath.Join(t.TempDir(), "provider.secret")
	must(t, os.WriteFile(secret, []byte("a secret"), 0o600))
	s := start(t, "login oidc "+o.URL+" {\nclient_id gateway\nclient_secret_file "+secret+"\n}")
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			b := open(t, l)
			if status := b.visit(s.issuer + "/login"); status != 200 {
				t.Fatalf("status %d", status)
			}
			b.wantText("main", "You sign in at localhost")
			b.check("sign-in-provider", l)
			if b.submit("main form button"); !strings.HasPrefix(b.url(), o.URL+"/authorize?") {
				t.Fatalf("it led to %s", b.url())
			}
			if status := b.submit("#enter"); status != 200 || b.url() != s.issuer+"/" {
				t.Errorf("back: status %d at %s", status, b.url())
			}
		})
	}
}
