package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// provider is a little OpenID provider: metadata, keys, and a token endpoint that
// checks client, code and PKCE. Who signs in there, and how it cheats, the test
// says.
type provider struct {
	t      testing.TB
	server *httptest.Server
	key    *ecdsa.PrivateKey
	clock  *clock

	mu     sync.Mutex
	codes  map[string]url.Values // codes that wait, with what was asked for
	claims jwt.MapClaims         // in place of the plain ones; nil removes one
	sign   func(jwt.MapClaims) string
	away   bool
	more   map[string]any // in the metadata
	asked  int            // how often for its metadata
}

const providerSecret = "secret of the client at the provider"

func newProvider(t testing.TB, c *clock) *provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	p := &provider{t: t, key: key, clock: c, codes: map[string]url.Values{}, claims: jwt.MapClaims{}}
	p.sign = func(claims jwt.MapClaims) string { return p.signed(jwt.SigningMethodES256, key, claims) }
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.metadata)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("POST /token", p.token)
	p.server = httptest.NewServer(mux)
	t.Cleanup(p.server.Close)
	return p
}

func (p *provider) signed(method jwt.SigningMethod, key any, claims jwt.MapClaims) string {
	token := jwt.NewWithClaims(method, claims)
	token.Header["kid"] = "one"
	raw, err := token.SignedString(key)
	if err != nil {
		p.t.Error(err)
	}
	return raw
}

func (p *provider) answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		p.t.Error(err)
	}
}

func (p *provider) metadata(w http.ResponseWriter, _ *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	if p.away {
		http.Error(w, "away", http.StatusBadGateway)
		return
	}
	v := map[string]any{
		"issuer": p.server.URL, "authorization_endpoint": p.server.URL + "/authorize", "token_endpoint": p.server.URL + "/token",
		"jwks_uri": p.server.URL + "/keys", "id_token_signing_alg_values_supported": []string{"ES256", "none", "HS256"},
	}
	for name, value := range p.more {
		v[name] = value
	}
	p.answer(w, v)
}

func (p *provider) keys(w http.ResponseWriter, _ *http.Request) {
	point, err := p.key.PublicKey.Bytes()
	if err != nil {
		p.t.Error(err)
		return
	}
	b64 := base64.RawURLEncoding.EncodeToString
	p.answer(w, map[string]any{"keys": []any{map[string]any{
		"kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": "one", "x": b64(point[1:33]), "y": b64(point[33:]),
	}}})
}

// token exchanges a code, once, for a client that proves itself and PKCE.
func (p *provider) token(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	id, secret, _ := r.BasicAuth()
	if id == "" {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	if unescaped, err := url.QueryUnescape(secret); err == nil {
		secret = unescaped
	}
	asked, known := p.codes[r.PostFormValue("code")]
	delete(p.codes, r.PostFormValue("code"))
	challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if !known || id != "gateway" || secret != providerSecret || r.PostFormValue("redirect_uri") != asked.Get("redirect_uri") ||
		base64.RawURLEncoding.EncodeToString(challenge[:]) != asked.Get("code_challenge") {
		w.WriteHeader(http.StatusBadRequest)
		p.answer(w, map[string]string{"error": "invalid_grant", "error_description": "canary"})
		return
	}
	claims := jwt.MapClaims{
		"iss": p.server.URL, "aud": "gateway", "sub": aliceID, "nonce": asked.Get("nonce"),
		"iat": p.clock.Now().Unix(), "exp": p.clock.Now().Add(time.Minute).Unix(),
	}
	if asked.Has("max_age") {
		claims["auth_time"] = p.clock.Now().Unix()
	}
	for name, value := range p.claims {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	p.answer(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": p.sign(claims)})
}

// code is what the provider makes of a request that a browser brings: somebody
// has signed in.
func (p *provider) code(asked url.Values) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	code := rand.Text()
	p.codes[code] = asked
	return code
}

// federation is a town whose people sign in at a provider.
type federation struct {
	*bank
	provider *provider
}

func newFederation(t testing.TB, claim string) *federation {
	t.Helper()
	b := newTown(t, fromHeader)
	f := &federation{b, newProvider(t, b.clock)}
	f.join(Provider{Issuer: f.provider.server.URL, ClientID: "gateway", ClientSecret: providerSecret, Claim: claim, Scopes: []string{"email"}})
	return f
}

// join replaces the issuer by one with this provider.
func (f *federation) join(p Provider) {
	f.Helper()
	o := f.options
	o.Login, o.Throttle, o.ClientIP = &p, f.issuer.throttle, f.clientIP
	is, err := New(o)
	if err != nil {
		f.Fatal(err)
	}
	f.issuer = is
	f.server.Config.Handler = is
}

// leave goes to the provider and returns what it was asked for.
func (f *federation) leave(v *visitor, pairs ...string) url.Values {
	f.Helper()
	got := v.post(pathLogin, pairs...)
	at, err := url.Parse(got.header.Get("Location"))
	if err != nil || got.status != http.StatusSeeOther || at.Scheme+"://"+at.Host+at.Path != f.provider.server.URL+"/authorize" {
		f.Fatalf("got %d to %q\n%s", got.status, got.header.Get("Location"), got.body)
	}
	return at.Query()
}

// back is the answer of the provider to what it was asked for.
func (f *federation) back(v *visitor, asked url.Values, change ...string) *answer {
	f.Helper()
	q := url.Values{"state": {asked.Get("state")}, "code": {f.provider.code(asked)}}
	for k := 0; k < len(change); k += 2 {
		if q.Set(change[k], change[k+1]); change[k+1] == "" {
			q.Del(change[k])
		}
	}
	v.strange = true // it is another site
	defer func() { v.strange = false }()
	return v.get(pathCallback + "?" + q.Encode())
}
