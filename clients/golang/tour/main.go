// Command tour is golang.org/x/oauth2 through a token's life: its sources renew
// by themselves. It stops at the first thing that is not as it must be.
package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

var (
	issuer, api  = os.Getenv("ISSUER"), os.Getenv("API")
	clientID     = os.Getenv("CLIENT_ID")
	clientSecret = os.Getenv("CLIENT_SECRET")
	endpoint     = oauth2.Endpoint{TokenURL: issuer + "/oauth2/token", AuthURL: issuer + "/oauth2/authorize"}
)

func main() {
	ctx := context.Background()
	config := clientcredentials.Config{
		ClientID: clientID, ClientSecret: clientSecret, TokenURL: endpoint.TokenURL, Scopes: []string{"read:accounts"},
	}
	first := must(config.Token(ctx))
	check(first.Extra("scope") == "read:accounts", "scope", first.Extra("scope"))
	check(first.Type() == "Bearer", "type", first.Type())
	step("get")

	// It would renew ten seconds before a token ends, which is at once here.
	own := oauth2.ReuseTokenSourceWithExpiry(first, source(config), time.Nanosecond)
	client := oauth2.NewClient(ctx, own)
	check(get(client) == 200, "the API refuses the token")
	step("call")

	expired(first)
	check(get(client) == 200, "the API refuses the renewed token")
	check(must(own.Token()).AccessToken != first.AccessToken, "nothing was renewed")
	step("expire")

	session := oauth2.Config{
		ClientID: clientID, ClientSecret: clientSecret, Endpoint: endpoint,
		RedirectURL: os.Getenv("REDIRECT_URI"), Scopes: []string{"read:accounts"},
	}
	allowed := exchange(&session)
	check(status(allowed.AccessToken) == 200, "the API refuses the token")
	nomad := session
	nomad.ClientID, nomad.ClientSecret = os.Getenv("PUBLIC_CLIENT_ID"), ""
	check(status(exchange(&nomad).AccessToken) == 200, "the API refuses the token of a client without a secret")
	step("code")

	renewed := must(session.TokenSource(ctx, &oauth2.Token{RefreshToken: allowed.RefreshToken}).Token())
	check(renewed.RefreshToken != allowed.RefreshToken, "the refresh token is the old one")
	check(status(renewed.AccessToken) == 200, "the API refuses the token")
	step("renew")

	revoke(renewed.RefreshToken)
	check(status(renewed.AccessToken) == 401, "the token outlives its revocation")
	last := must(own.Token()).AccessToken
	revoke(last)
	check(status(last) == 401, "the token outlives its revocation")
	step("revoke")

	_, err := session.TokenSource(ctx, &oauth2.Token{RefreshToken: renewed.RefreshToken}).Token()
	refused(err, "invalid_grant")
	config.Scopes = []string{"read:nothing"}
	_, err = config.Token(ctx)
	refused(err, "invalid_scope")
	config.ClientSecret = "wrong"
	_, err = config.Token(ctx)
	refused(err, "invalid_client")
	step("errors")
}

// source asks for a token of the client's own each time.
type source clientcredentials.Config

func (s source) Token() (*oauth2.Token, error) {
	config := clientcredentials.Config(s)
	return config.Token(context.Background())
}

// exchange has a person open an address, reads where the app gets the answer, and
// exchanges the code.
func exchange(config *oauth2.Config) *oauth2.Token {
	verifier, state := oauth2.GenerateVerifier(), rand.Text()
	fmt.Println("authorize", config.AuthCodeURL(state, oauth2.S256ChallengeOption(verifier)))
	var back string
	must(fmt.Scanln(&back))
	query := must(url.Parse(back)).Query()
	check(query.Get("state") == state, "the state is another one")
	return must(config.Exchange(context.Background(), query.Get("code"), oauth2.VerifierOption(verifier)))
}

func get(client *http.Client) int {
	answer, err := client.Get(api + "/accounts")
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	return answer.StatusCode
}

// status is what the API says to a token.
func status(token string) int {
	return get(oauth2.NewClient(context.Background(), oauth2.StaticTokenSource(&oauth2.Token{AccessToken: token})))
}

// revoke calls by hand: the library has no RFC 7009.
func revoke(token string) {
	form := url.Values{"token": {token}, "client_id": {clientID}, "client_secret": {clientSecret}}
	answer, err := http.PostForm(issuer+"/oauth2/revoke", form)
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	check(answer.StatusCode == 200, "revocation:", answer.Status)
}

// expired waits until the API no longer takes a token, and the library sees that
// it expired, which may be up to a second later.
func expired(token *oauth2.Token) {
	for deadline := time.Now().Add(20 * time.Second); status(token.AccessToken) != 401 || time.Now().Before(token.Expiry); time.Sleep(100 * time.Millisecond) {
		check(time.Now().Before(deadline), "the token does not expire")
	}
}

func refused(err error, code string) {
	var refusal *oauth2.RetrieveError
	check(errors.As(err, &refusal) && refusal.ErrorCode == code, "want", code, "got", err)
}

// step says that a step of the tour was taken: the test counts them.
func step(name string) { fmt.Println("step", name) }

func must[T any](v T, err error) T {
	if err != nil {
		log.Fatal(err)
	}
	return v
}

func check(holds bool, complaint ...any) {
	if !holds {
		log.Fatal(complaint...)
	}
}
