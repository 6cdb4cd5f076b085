package issuer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

// Provider is the OpenID provider that signs people in, instead of passwords of
// ours (OpenID Connect Core 1.0, authorization code flow).
type Provider struct {
	Issuer       string // issuer identifier, from which all else is discovered
	ClientID     string
	ClientSecret string
	// Claim of the ID token whose value is the id of a user here: sub, email (of
	// which the provider says that it is verified) or preferred_username.
	Claim string
	// Scopes asked for beside openid.
	Scopes []string
}

const (
	providerTimeout = 10 * time.Second // for one answer of the provider
	providerPause   = 5 * time.Second  // before one that was away is asked again
	maxProviderBody = 1 << 20          // bytes of an answer
)

// upstream is the Provider with what is known of it. Nothing is, until the first
// who wants to sign in: a provider that is away must not stop a start.
type upstream struct {
	Provider
	callback string // where it sends people back to
	now      func() time.Time
	client   *http.Client

	mu     sync.Mutex
	known  *discovered
	failed error // why it is not known
	again  time.Time
}

// discovered is what the provider says of itself.
type discovered struct {
	oauth2    oauth2.Config
	verifier  *oidc.IDTokenVerifier
	origin    string // of the page that people are sent to
	namesSelf bool   // its answers say who it is (RFC 9207)
}

func newUpstream(p Provider, callback string, now func() time.Time) *upstream {
	return &upstream{Provider: p, callback: callback, now: now, client: &http.Client{
		Timeout:   providerTimeout,
		Transport: limited{http.DefaultTransport},
		// A secret goes where the provider's metadata says, and nowhere else.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// limited cuts answers that are longer than any should be.
type limited struct{ http.RoundTripper }

func (l limited) RoundTrip(r *http.Request) (*http.Response, error) {
	answer, err := l.RoundTripper.RoundTrip(r)
	if err == nil {
		answer.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(answer.Body, maxProviderBody), answer.Body}
	}
	return answer, err
}

// errProviderAway is for a provider that cannot be asked.
func errProviderAway(cause error) error {
	e := pageError(http.StatusServiceUnavailable, codeUnavailable, "error.provider.away").because(cause)
	e.retryAfter = providerPause
	return e
}

// discover returns what is known of the provider. One asks while others wait;
// one that was away is left alone for a moment.
func (u *upstream) discover(ctx context.Context) (*discovered, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	switch {
	case u.known != nil:
		return u.known, nil
	case u.now().Before(u.again):
		return nil, errProviderAway(u.failed)
	}
	// Who asks first may hang up, and the others want the answer too.
	known, err := u.ask(context.WithoutCancel(ctx))
	if err != nil {
		u.failed, u.again = err, u.now().Add(providerPause)
		return nil, errProviderAway(err)
	}
	u.known = known
	return known, nil
}

func (u *upstream) ask(ctx context.Context) (*discovered, error) {
	provider, err := oidc.NewProvider(u.with(ctx), u.Issuer)
	if err != nil {
		return nil, fmt.Errorf("discover the OpenID provider: %w", err)
	}
	var more struct {
		Methods   []string `json:"token_endpoint_auth_methods_supported"`
		NamesSelf bool     `json:"authorization_response_iss_parameter_supported"`
	}
	if err := provider.Claims(&more); err != nil {
		return nil, fmt.Errorf("read the metadata of the OpenID provider: %w", err)
	}
	endpoint := provider.Endpoint()
	// Said, and not tried out: a code can be presented once.
	endpoint.AuthStyle = oauth2.AuthStyleInHeader
	if len(more.Methods) > 0 && !slices.Contains(more.Methods, "client_secret_basic") {
		endpoint.AuthStyle = oauth2.AuthStyleInParams
	}
	page, err := url.Parse(endpoint.AuthURL)
	if err != nil || page.Host == "" || page.Scheme != "https" && page.Scheme != "http" {
		return nil, errors.New("the OpenID provider has no authorization endpoint")
	}
	return &discovered{
		oauth2: oauth2.Config{
			ClientID: u.ClientID, ClientSecret: u.ClientSecret, Endpoint: endpoint,
			RedirectURL: u.callback, Scopes: append([]string{oidc.ScopeOpenID}, u.Scopes...),
		},
		verifier:  provider.Verifier(&oidc.Config{ClientID: u.ClientID, Now: u.now}),
		origin:    page.Scheme + "://" + page.Host,
		namesSelf: more.NamesSelf,
	}, nil
}

// with makes the libraries use our HTTP client.
func (u *upstream) with(ctx context.Context) context.Context {
	return oidc.ClientContext(ctx, u.client)
}

// identity is what the provider says of who signed in.
type identity struct {
	user          string    // the claim's value
	authenticated time.Time // when the password was given there; zero: it does not say
}

// errNotProven is for whatever comes from the provider and proves nothing.
func errNotProven(cause error) error {
	return pageError(http.StatusForbidden, codeInvalidUser, "error.provider.not_proven").because(cause)
}

// identify exchanges a code for what the provider says of who signed in.
func (u *upstream) identify(ctx context.Context, known *discovered, code string, f *signInFlow) (identity, error) {
	answer, err := known.oauth2.Exchange(u.with(ctx), code, oauth2.VerifierOption(f.Verifier))
	if refused, ok := errors.AsType[*oauth2.RetrieveError](err); ok && refused.Response.StatusCode < 500 {
		// Its text might hold anything.
		return identity{}, errNotProven(fmt.Errorf("the OpenID provider refused the code with status %d", refused.Response.StatusCode))
	}
	if err != nil {
		return identity{}, errProviderAway(errors.New("the OpenID provider did not exchange the code"))
	}
	raw, ok := answer.Extra("id_token").(string)
	if !ok {
		return identity{}, errNotProven(errors.New("the OpenID provider gave no ID token"))
	}
	proven, err := known.verifier.Verify(u.with(ctx), raw)
	if err != nil {
		return identity{}, errNotProven(fmt.Errorf("ID token: %w", err))
	}
	return u.read(proven, f)
}

// idClaims are those of an ID token that are looked at here; the verifier has
// looked at iss, aud, exp and the signature.
type idClaims struct {
	Azp      string `json:"azp"`
	AuthTime int64  `json:"auth_time"`
	Email    string `json:"email"`
	Verified bool   `json:"email_verified"`
	Name     string `json:"preferred_username"`
}

// read checks what is left to check of an ID token (OpenID Connect Core 1.0,
// §3.1.3.7).
func (u *upstream) read(proven *oidc.IDToken, f *signInFlow) (identity, error) {
	var c idClaims
	if err := proven.Claims(&c); err != nil {
		return identity{}, errNotProven(errors.New("claims of the ID token are not of the types that they should be"))
	}
	switch {
	case !sameSecret(proven.Nonce, f.Nonce):
		return identity{}, errNotProven(errors.New("ID token of another sign-in: wrong nonce"))
	case len(proven.Audience) > 1 && c.Azp == "", c.Azp != "" && c.Azp != u.ClientID:
		return identity{}, errNotProven(errors.New("ID token for another client: wrong azp"))
	}
	found := identity{user: map[string]string{"sub": proven.Subject, "email": c.Email, "preferred_username": c.Name}[u.Claim]}
	if u.Claim == "email" && !c.Verified {
		return identity{}, errNotProven(errors.New("email is not verified"))
	}
	if found.user == "" {
		return identity{}, errNotProven(fmt.Errorf("ID token without %s", u.Claim))
	}
	if c.AuthTime > 0 {
		found.authenticated = time.Unix(c.AuthTime, 0)
	}
	return found, nil
}
