package issuer

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// shortLived makes access tokens live for a second more than golang.org/x/oauth2
// takes off: it renews when less than ten are left.
func shortLived(t *testing.T) *bank {
	t.Helper()
	b := newBank(t, nil)
	err := b.authority.Configure(token.Settings{
		Issuer: b.options.URL, Audience: "https://api.test", AccessLifetime: 11 * time.Second,
		CacheBytes: 1 << 20, Policy: b.options.Policy,
	})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// api is a server that lets live tokens of the bank in and answers with their
// ids.
func (b *bank) api() (url string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		lease, err := b.authority.Check(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		if err != nil || b.authority.Judge(lease, b.clock.Now()) != token.Live {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = io.WriteString(w, lease.ID)
	}))
	b.Cleanup(server.Close)
	return server.URL
}

// callUntilRenewed calls the API until the client has renewed its token twice.
func (b *bank) callUntilRenewed(client *http.Client) {
	b.Helper()
	url, seen := b.api(), map[string]bool{}
	for deadline := time.Now().Add(20 * time.Second); len(seen) < 3; {
		res, err := client.Get(url)
		if err != nil {
			b.Fatal(err)
		}
		id, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil || res.StatusCode != http.StatusOK {
			b.Fatalf("status %d, %v", res.StatusCode, err)
		}
		seen[string(id)] = true
		if time.Now().After(deadline) {
			b.Fatalf("%d tokens in 20 s, want 3", len(seen))
		}
		time.Sleep(20 * time.Millisecond) // between two calls, not for correctness
	}
}

func TestGolangClientCredentialsGetsCallsAndRenews(t *testing.T) {
	t.Parallel()
	b := shortLived(t)
	for name, style := range map[string]oauth2.AuthStyle{
		"it finds out": oauth2.AuthStyleAutoDetect, "Basic": oauth2.AuthStyleInHeader, "post": oauth2.AuthStyleInParams,
	} {
		t.Run(name, func(t *testing.T) {
			config := clientcredentials.Config{
				ClientID: botID, ClientSecret: botSecret, TokenURL: b.options.URL + pathToken,
				Scopes: []string{"read:eft", "read:accounts"}, AuthStyle: style,
			}
			got, err := config.Token(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if got.TokenType != "Bearer" || got.RefreshToken != "" || got.Extra("expires_in") != 11.0 || got.Extra("scope") != "read:eft read:accounts" {
				t.Errorf("type %q, expires_in %v, scope %v, refresh token %q", got.TokenType, got.Extra("expires_in"), got.Extra("scope"), got.RefreshToken)
			}
			if style == oauth2.AuthStyleAutoDetect {
				b.callUntilRenewed(config.Client(t.Context()))
			}
		})
	}
}

func TestGolangOAuth2RenewsARefreshToken(t *testing.T) {
	t.Parallel()
	b := shortLived(t)
	config := oauth2.Config{
		ClientID: botID, ClientSecret: botSecret, Endpoint: oauth2.Endpoint{TokenURL: b.options.URL + pathToken},
	}
	first := b.tokens()
	source := config.TokenSource(t.Context(), &oauth2.Token{RefreshToken: first.refresh})
	b.callUntilRenewed(oauth2.NewClient(t.Context(), source))
	last, err := source.Token()
	if err != nil {
		t.Fatal(err)
	}
	if last.RefreshToken == first.refresh || last.RefreshToken == "" {
		t.Errorf("refresh token %q", last.RefreshToken)
	}
}
