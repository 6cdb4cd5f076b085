// Package openidtest is a little OpenID provider for tests of those who sign in
// at one.
package openidtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Provider serves metadata, keys and the token endpoint. A test that needs a page
// where people sign in adds it to Mux.
type Provider struct {
	*httptest.Server

	Mux *http.ServeMux
}

// New starts a Provider. The claims are those of the ID token that a call of the
// token endpoint gets, beside iss, iat and exp; nil refuses the client.
func New(t testing.TB, claims func(*http.Request) jwt.MapClaims) *Provider {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	point, err := key.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	p := &Provider{Mux: http.NewServeMux()}
	p.Mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{
			"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
			"id_token_signing_alg_values_supported": []string{"ES256"},
		})
	})
	p.Mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		b64 := base64.RawURLEncoding.EncodeToString
		answer(w, map[string]any{"keys": []any{map[string]any{"kty": "EC", "crv": "P-256", "alg": "ES256", "kid": "one", "x": b64(point[1:33]), "y": b64(point[33:])}}})
	})
	p.Mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		said := claims(r)
		if said == nil {
			w.WriteHeader(http.StatusUnauthorized)
			answer(w, map[string]string{"error": "invalid_client"})
			return
		}
		said["iss"], said["iat"], said["exp"] = p.URL, time.Now().Unix(), time.Now().Add(time.Minute).Unix()
		token := jwt.NewWithClaims(jwt.SigningMethodES256, said)
		token.Header["kid"] = "one"
		raw, err := token.SignedString(key)
		if err != nil {
			t.Error(err)
		}
		answer(w, map[string]any{"access_token": "x", "token_type": "Bearer", "id_token": raw})
	})
	p.Server = httptest.NewServer(p.Mux)
	t.Cleanup(p.Close)
	return p
}

func answer(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}
