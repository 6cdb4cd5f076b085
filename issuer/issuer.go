package issuer

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-bearer/caddy-bearer/notify"
	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// Paths below the issuer's own.
const (
	pathS4Code     = "/api/v1/s2s-oauth2/code"
	pathS4Token    = "/api/v1/s2s-oauth2/token"
	pathAuthorize  = "/oauth2/authorize"
	pathToken      = "/oauth2/token"
	pathRevoke     = "/oauth2/revoke"
	pathIntrospect = "/oauth2/introspect"
	pathJWKS       = "/oauth2/jwks"
	pathSelf       = "/token/self"
	pathProblems   = "/problems/"
	pathAssets     = "/assets/"

	pathConnect       = "/connect"
	pathExchangeToken = "/auth/ExchangeToken"
	pathDelinkUser    = "/users/DelinkUser"
	pathApplications  = "/applications"
	pathStaticTokens  = "/static-tokens"

	pathNewApplication = pathApplications + "/new"
	pathDeveloper      = "/developer"
)

// Options are what an Issuer needs. All fields are required unless they say
// otherwise.
type Options struct {
	// URL is the issuer identifier (RFC 8414 §2), exactly as in iss and in the
	// metadata. It has no trailing slash. Its path, if any, comes before those of
	// all endpoints.
	URL string

	Authority *token.Authority
	Store     store.Store
	Secrets   *token.Secrets
	// Policy is the vocabulary of scopes. It never returns nil.
	Policy func() *policy.Policy

	// CodeLifetime is how long a code may wait for its redemption, and
	// RefreshLifetime how long a refresh token may wait for its renewal. (How
	// long access tokens live is for the Authority to say.)
	CodeLifetime, RefreshLifetime time.Duration

	// TradingScopes are what trading tokens carry at most. Empty: there are none, and
	// their endpoints don't exist.
	TradingScopes []string

	// Throttle counts wrong secrets. Who replaces an Issuer by another hands it
	// on, or a reload would forgive everybody. Nil: one of its own.
	Throttle *Throttle
	// ClientIP tells whose secrets are throttled. Nil: the peer's address.
	ClientIP func(*http.Request) string
	// RequestID joins log lines and audit rows to those of others. Nil: none.
	RequestID func(*http.Request) string
	// Audit is told of sign-ins and refusals, which change nothing in the store.
	// There may be many in a row. Nil: nobody is.
	Audit func(store.Event)
	// Changed is told which records people change by themselves, in the words of the
	// audit trail: an older copy of the database has them as they were. Nil: nobody is.
	Changed func(action, target string)
	// Issued is told of each token that was issued, with one of the words of Grants.
	// Nil: nobody is.
	Issued func(grant string)
	// Notifier tells users what happens to their tokens. Nil: nobody does, and the page on
	// which they ask for it doesn't exist.
	Notifier *notify.Notifier
	// Login is the OpenID provider that signs people in. Nil: they have passwords here.
	Login *Provider
	// Now is the clock. Nil: the Authority's.
	Now func() time.Time
	// Log gets one line for each request. Nil: none.
	Log *zap.Logger
}

// Issuer serves the endpoints of one environment. It is safe for concurrent
// use.
type Issuer struct {
	url         string
	environment store.Environment
	authority   *token.Authority
	keyring     *token.Keyring
	store       store.Store
	secrets     *token.Secrets
	policy      func() *policy.Policy

	codeLifetime    time.Duration
	refreshLifetime time.Duration
	tradingScopes   []string

	clientIP  func(*http.Request) string
	requestID func(*http.Request) string
	audit     func(store.Event)
	changed   func(action, target string)
	issued    func(grant string)
	now       func() time.Time
	log       *zap.Logger

	notifier   *notify.Notifier // nil: users are told nothing
	upstream   *upstream        // nil: people have passwords here
	throttle   *Throttle
	origins    origins
	sameOrigin *http.CrossOriginProtection
	base       string // path of the URL
	mux        *http.ServeMux
}

// New returns an Issuer. The Authority must be open.
func New(o Options) (*Issuer, error) {
	base, err := parseIssuerURL(o.URL)
	if err != nil {
		return nil, fmt.Errorf("issuer URL %q: %w", o.URL, err)
	}
	switch {
	case o.Authority == nil || o.Store == nil || o.Secrets == nil || o.Policy == nil:
		return nil, errors.New("issuer: Authority, Store, Secrets and Policy are required")
	case o.CodeLifetime <= 0 || o.RefreshLifetime <= 0:
		return nil, errors.New("issuer: CodeLifetime and RefreshLifetime must be positive")
	}
	o.setDefaults()
	i := &Issuer{
		url: o.URL, environment: o.Authority.Environment(),
		authority: o.Authority, keyring: o.Authority.Keyring(),
		store: o.Store, secrets: o.Secrets, policy: o.Policy,
		codeLifetime: o.CodeLifetime, refreshLifetime: o.RefreshLifetime,
		clientIP: o.ClientIP, requestID: o.RequestID, audit: o.Audit, changed: o.Changed, issued: o.Issued, now: o.Now, log: o.Log,
		tradingScopes: o.TradingScopes, notifier: o.Notifier,
		throttle: o.Throttle, sameOrigin: http.NewCrossOriginProtection(), base: base.Path,
	}
	if o.Login != nil {
		i.upstream = newUpstream(*o.Login, o.URL+pathCallback, o.Now)
	}
	i.mux = i.routes(base.Path)
	return i, nil
}

func (o *Options) setDefaults() {
	if o.ClientIP == nil {
		o.ClientIP = peerIP
	}
	if o.RequestID == nil {
		o.RequestID = func(*http.Request) string { return "" }
	}
	if o.Audit == nil {
		o.Audit = func(store.Event) {}
	}
	if o.Changed == nil {
		o.Changed = func(string, string) {}
	}
	if o.Issued == nil {
		o.Issued = func(string) {}
	}
	if o.Now == nil {
		o.Now = o.Authority.Now
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Throttle == nil {
		o.Throttle = NewThrottle(o.Now())
	}
}

// CheckURL reports what is wrong with an issuer identifier, if anything is.
func CheckURL(raw string) error {
	_, err := parseIssuerURL(raw)
	return err
}

// parseIssuerURL refuses what could not be compared as a string (RFC 8414 §2)
// or would not be found again below its own path.
func parseIssuerURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	switch {
	case err != nil:
		return nil, errors.New("is not a URL")
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, errors.New("want https:// or http://")
	case u.Host == "" || u.Hostname() == "":
		return nil, errors.New("has no host")
	case u.User != nil:
		return nil, errors.New("must not hold a user or a password")
	case strings.ContainsAny(raw, "?#"):
		return nil, errors.New("must have neither query nor fragment")
	case strings.HasSuffix(u.Path, "/"):
		return nil, errors.New("must not end in a slash")
	case u.Path != "" && path.Clean(u.Path) != u.Path:
		return nil, errors.New("has dot segments or empty ones in its path")
	case u.Path != u.EscapedPath() || strings.ContainsAny(u.Path, "{}"):
		return nil, errors.New("has characters in its path that need escaping")
	}
	return u, nil
}

// routes registers paths only: which methods an endpoint takes is for handle to
// check, because the mux would answer HEAD as if it were GET and so redeem a
// code into the void.
func (i *Issuer) routes(base string) *http.ServeMux {
	get := []string{http.MethodGet, http.MethodHead}
	getOrPost := []string{http.MethodGet, http.MethodPost}
	getHeadOrPost := []string{http.MethodGet, http.MethodHead, http.MethodPost}
	post := []string{http.MethodPost}

	mux := http.NewServeMux()
	mux.Handle(base+pathS4Code, i.handle("s4.code", getOrPost, i.s4Code))
	mux.Handle(base+pathS4Token, i.handle("s4.token", getOrPost, i.s4Token))
	mux.Handle(base+pathAuthorize, i.handlePage("authorize", getOrPost, i.authorize))
	mux.Handle(base+pathToken, i.crossOrigin(i.handle("token", post, i.token)))
	mux.Handle(base+pathIntrospect, i.handle("introspect", post, i.introspect))
	mux.Handle(base+pathSelf, i.handle("self", get, i.self))
	mux.Handle(base+pathRevoke, i.crossOrigin(i.handle("revoke", post, i.revoke)))
	mux.Handle(cmp.Or(base, "/{$}"), i.handlePage("home", get, i.forPerson(i.home)))
	mux.Handle(base+pathLogin, i.handlePage("login", getHeadOrPost, i.login))
	if i.upstream != nil {
		mux.Handle(base+pathCallback, i.handlePage("login.callback", []string{http.MethodGet}, i.callback))
	}
	mux.Handle(base+pathLogout, i.handlePage("logout", post, i.logout))
	mux.Handle(base+pathJWKS, i.handle("jwks", get, i.jwks))
	mux.Handle(base+pathAssets+"{file}", i.handle("assets", get, i.asset))
	mux.Handle(base+pathConnect, i.handlePage("connect", getOrPost, i.connect))
	mux.Handle(base+pathExchangeToken, i.handle("exchange.token", post, i.exchangeToken))
	mux.Handle(base+pathDelinkUser, i.handle("exchange.delink", post, i.delinkUser))
	i.securityRoutes(mux, base)
	i.applicationRoutes(mux, base)
	i.linkedRoutes(mux, base)
	i.integrationRoutes(mux, base)
	mux.Handle(wellKnown+base, i.handle("metadata", get, i.metadata))
	mux.Handle(base+pathProblems+"{code}", i.handle("problems", get, i.problem))
	i.tradingRoutes(mux, base)
	i.notificationRoutes(mux, base)
	return mux
}

// applicationRoutes are the pages on which users register programs, and issue
// tokens to themselves.
func (i *Issuer) applicationRoutes(mux *http.ServeMux, base string) {
	getOrPost := []string{http.MethodGet, http.MethodPost}
	page := func(path, endpoint string, serve func(*exchange) (response, error)) {
		mux.Handle(base+path, i.handlePage(endpoint, getOrPost, serve))
	}
	look := func(path, endpoint string, show func(*exchange, *person) (response, error)) {
		mux.Handle(base+path, i.handlePage(endpoint, []string{http.MethodGet, http.MethodHead}, i.forPerson(show)))
	}
	look(pathDeveloper, "developer", i.developer)
	look(pathApplications, "applications", i.applications)
	page(pathNewApplication, "applications.new", i.personPage(i.newApplication, i.createApplication))
	page(pathApplications+"/{id}", "applications.set", i.personPage(i.ownApplication, i.describeApplication))
	page(pathApplications+"/{id}/secret", "applications.secret", i.personPage(i.toApplication, i.rotateApplicationSecret))
	page(pathApplications+"/{id}/old-secret", "applications.old_secret", i.personPage(i.toApplication, i.endOldSecret))
	page(pathApplications+"/{id}/disable", "applications.disable", i.personPage(i.confirmEnd, i.disableApplication))
	page(pathStaticTokens, "static_tokens", i.personPage(i.staticTokens, i.createStaticToken))
	page(pathStaticTokens+"/{id}/revoke", "static_tokens.revoke", i.personPage(i.confirmStaticRevoke, i.revokeStaticToken))
}

// Handles reports whether the request's path is one of the issuer's, whatever
// the method. A path in any other spelling than the plain one is not.
func (i *Issuer) Handles(r *http.Request) bool {
	if r.URL.Path == "" || path.Clean(r.URL.Path) != r.URL.Path {
		return false // the mux would redirect, credentials and all
	}
	_, pattern := i.mux.Handler(r)
	return pattern != ""
}

// ServeHTTP answers at the endpoints, and with 404 elsewhere.
func (i *Issuer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if !i.Handles(r) {
		i.handle("none", []string{r.Method}, notFound).ServeHTTP(w, r)
		return
	}
	i.mux.ServeHTTP(w, r)
}

func notFound(*exchange) (response, error) {
	return response{}, &oauthError{status: http.StatusNotFound, code: codeInvalidRequest, description: "no such endpoint"}
}

var _ http.Handler = (*Issuer)(nil)
