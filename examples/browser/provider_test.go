package browser

import (
	"html/template"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-bearer/caddy-bearer/internal/openidtest"
)

// openID is an OpenID provider with a page of its own, where Alice presses a
// button to sign in.
type openID struct {
	*openidtest.Provider
	mu    sync.Mutex
	asked url.Values // by the last who came
}

func newOpenID(t *testing.T) *openID {
	t.Helper()
	o := new(openID)
	o.Provider = openidtest.New(t, func(*http.Request) jwt.MapClaims {
		o.mu.Lock()
		defer o.mu.Unlock()
		return jwt.MapClaims{"aud": "gateway", "sub": aliceID, "nonce": o.asked.Get("nonce"), "auth_time": time.Now().Unix()}
	})
	o.Mux.HandleFunc("GET /authorize", func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		defer o.mu.Unlock()
		o.asked = r.URL.Query()
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_ = template.Must(template.New("").Parse(`<!doctype html><title>Provider</title><a id="enter" href="{{.}}">I am Alice</a>`)).
			Execute(w, o.asked.Get("redirect_uri")+"?code=x&state="+url.QueryEscape(o.asked.Get("state")))
	})
	o.URL = strings.Replace(o.URL, "127.0.0.1", "localhost", 1) // another site than the issuer's
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
