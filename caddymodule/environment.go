package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-bearer/caddy-bearer/issuer"
	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// Lifetimes that the bank's protocol documents (S4.3, S4.6).
const (
	defaultCodeLifetime    = caddy.Duration(60 * time.Second)
	defaultAccessLifetime  = caddy.Duration(1095 * time.Second)
	defaultRefreshLifetime = caddy.Duration(2682000 * time.Second)
)

// Environment is one world of clients, accounts and tokens.
type Environment struct {
	// The issuer identifier (RFC 8414 §2): the public URL of the issuer, written
	// into every token; in production with https. Required.
	Issuer string `json:"issuer,omitempty"`

	// The audience of access tokens: the public URL of the gated API. Required.
	Audience string `json:"audience,omitempty"`

	// The policy whose scopes are this environment's vocabulary. Default: the
	// only policy.
	Policy string `json:"policy,omitempty"`

	// How long an authorization code lives. Default: 60s.
	CodeLifetime caddy.Duration `json:"code_lifetime,omitempty"`

	// How long an access token lives. A token that claims to live longer is
	// refused. Default: 1095s.
	AccessTokenLifetime caddy.Duration `json:"access_token_lifetime,omitempty"`

	// How long a refresh token lives. Default: 2682000s (31 days and an hour).
	RefreshTokenLifetime caddy.Duration `json:"refresh_token_lifetime,omitempty"`

	// What access tokens are signed with: ES256, EdDSA, PS256 or RS256. A change
	// makes a new key; what older ones signed stays valid. Default: ES256.
	SigningAlgorithm string `json:"signing_algorithm,omitempty"`

	// How long a signing key signs before the next one takes over, at least 24h.
	// The next is published ten minutes ahead. Negative: until it is rotated by
	// command. Default: 90d.
	SigningKeyRotation caddy.Duration `json:"signing_key_rotation,omitempty"`

	// A PEM file with the private key that signs, in the place of keys that are
	// made and rotated here: P-256 (ES256), Ed25519 (EdDSA) or RSA (PS256, or RS256
	// by signing_algorithm). Only its public half enters the store. A file that
	// changes is taken over by a reload.
	SigningKeyFile string `json:"signing_key_file,omitempty"`

	// The OpenID provider that signs people in. Default: they have passwords here.
	Login *Login `json:"login,omitempty"`
	// What trading tokens carry at most: refresh tokens of trading accounts, which the
	// developers of an account share. Without it there are none, and those that there
	// were are revoked. Default: none.
	TradingTokens []string `json:"trading_tokens,omitempty"`

	// Where the webhooks of users may lead beside the public internet, by which they are
	// told what happens to their tokens. Default: nowhere.
	Webhooks *Webhooks `json:"webhooks,omitempty"`

	// Accounts, service accounts and clients that the configuration declares.
	// Commands refuse to edit them. One that disappears from here is disabled,
	// and everything issued under it is revoked.
	Accounts []*Account `json:"accounts,omitempty"`

	// Service accounts, of which the same is true.
	ServiceAccounts []*ServiceAccount `json:"service_accounts,omitempty"`

	// Clients, of which the same is true.
	Clients []*Client `json:"clients,omitempty"`

	// Apps of the access code exchange, of which the same is true.
	Apps []*ExchangeApp `json:"apps,omitempty"`

	signingKey *token.KeyFile // what SigningKeyFile holds
}

// Account is a trading or bank account.
type Account struct {
	// The number by which the gated API knows the account.
	ID string `json:"id"`

	// What it holds: "bank" or "trading". Default: bank.
	Kind store.AccountKind `json:"kind,omitempty"`

	// A name for people.
	Name string `json:"name,omitempty"`
}

// ServiceAccount is a program that owns accounts (S4.1).
type ServiceAccount struct {
	// The id that callers present.
	ID string `json:"id"`

	// A name for people.
	Name string `json:"name,omitempty"`

	// The hash of its secret, as made by `caddy bearer hash-secret`.
	SecretHash string `json:"secret_hash"`

	// The most that it may grant.
	Scopes []string `json:"scopes,omitempty"`

	// The accounts that it owns, by id.
	Accounts []string `json:"accounts,omitempty"`
}

// Client is an OAuth 2.0 client (RFC 6749 §2).
type Client struct {
	// The client_id that callers present.
	ID string `json:"id"`

	// A name for people.
	Name string `json:"name,omitempty"`

	// What it is for, for people who are asked to trust it.
	Description string `json:"description,omitempty"`

	// Whether it is public: a program that runs where everybody can read it, so that
	// it has no secret and must use PKCE (RFC 6749 §2.1). It cannot act for itself.
	Public bool `json:"public,omitempty"`

	// The hash of its secret, as made by `caddy bearer hash-secret`. Required, but
	// refused for a public client.
	SecretHash string `json:"secret_hash,omitempty"`

	// Where people are sent back to with a code (RFC 6749 §3.1.2): https, http to
	// 127.0.0.1, [::1] or localhost, or a private-use scheme with a dot. Compared as
	// strings. A public client needs one. What it obtained ends when one is removed.
	RedirectURIs []string `json:"redirect_uris,omitempty"`

	// "optional" for a confidential client that cannot do PKCE (RFC 7636). Default:
	// required.
	PKCE string `json:"pkce,omitempty"`

	// The most that it may ever carry.
	Scopes []string `json:"scopes,omitempty"`

	// The accounts, by id, that are open to it when it acts for itself
	// (client_credentials). Default: none.
	Accounts []string `json:"accounts,omitempty"`
}

// pkceOptional is the value of Client.PKCE that lets it be left out.
const pkceOptional = "optional"

// provision fills in defaults and checks the whole declaration.
func (e *Environment) provision(name store.Environment, vocabulary *policy.Policy) error {
	e.CodeLifetime = cmp.Or(e.CodeLifetime, defaultCodeLifetime)
	e.AccessTokenLifetime = cmp.Or(e.AccessTokenLifetime, defaultAccessLifetime)
	e.RefreshTokenLifetime = cmp.Or(e.RefreshTokenLifetime, defaultRefreshLifetime)
	switch {
	case e.Issuer == "":
		return errors.New("issuer is missing: the public URL of the issuer, for example https://auth.example.com")
	case e.Audience == "":
		return errors.New("audience is missing: the public URL of the gated API, for example https://api.example.com")
	case vocabulary == nil && e.Policy == "":
		return errors.New("no policy is configured; add to the global options, for example: bearer { policy api policies/api.yaml }")
	case vocabulary == nil:
		return fmt.Errorf("policy %q is not configured; add to the global options, for example: bearer { policy %s policies/%s.yaml }",
			e.Policy, e.Policy, e.Policy)
	case slices.Contains(e.Accounts, nil) || slices.Contains(e.ServiceAccounts, nil) || slices.Contains(e.Clients, nil) || slices.Contains(e.Apps, nil):
		return errors.New("accounts, service_accounts, clients and apps must not hold null")
	}
	if err := e.checkURLs(name); err != nil {
		return err
	}
	if err := errors.Join(e.provisionSigningKey(), e.provisionLogin(), e.provisionWebhooks()); err != nil {
		return err
	}
	for what, life := range map[string]caddy.Duration{
		"code_lifetime": e.CodeLifetime, "access_token_lifetime": e.AccessTokenLifetime, "refresh_token_lifetime": e.RefreshTokenLifetime,
	} {
		if time.Duration(life) < time.Second {
			return fmt.Errorf("%s is %s; the least is 1s", what, time.Duration(life))
		}
	}
	return errors.Join(e.checkAccounts(), e.checkServiceAccounts(name), e.checkClients(name), e.checkApps(name), e.checkScopes(vocabulary))
}

func (e *Environment) checkURLs(name store.Environment) error {
	if err := issuer.CheckURL(e.Issuer); err != nil {
		return fmt.Errorf("issuer %s: %w", e.Issuer, err)
	}
	if at, err := url.Parse(e.Issuer); name == store.Production && (err != nil || at.Scheme != "https" && !isLoopback(at.Hostname())) {
		return fmt.Errorf("issuer %s: production needs https://, because secrets are sent there (RFC 8414 §2)", e.Issuer)
	}
	if at, err := url.Parse(e.Audience); err != nil || !at.IsAbs() || strings.ContainsAny(e.Audience, " \t\"") {
		return fmt.Errorf("audience %q is not a URL; write for example https://api.example.com", e.Audience)
	}
	return nil
}

func (e *Environment) checkAccounts() error {
	seen := map[string]bool{}
	for _, a := range e.Accounts {
		a.Kind = cmp.Or(a.Kind, store.Bank)
		if err := checkID("account", a.ID, seen); err != nil {
			return err
		}
		if err := checkText("name", a.Name); err != nil {
			return fmt.Errorf("account %s: %w", a.ID, err)
		}
		if a.Kind != store.Bank && a.Kind != store.Trading {
			return fmt.Errorf("account %s: kind %q is unknown; known: %s, %s", a.ID, a.Kind, store.Bank, store.Trading)
		}
	}
	return nil
}

func (e *Environment) checkServiceAccounts(env store.Environment) error {
	seen := map[string]bool{}
	for _, sa := range e.ServiceAccounts {
		if err := checkID("service_account", sa.ID, seen); err != nil {
			return err
		}
		if err := checkText("name", sa.Name); err != nil {
			return fmt.Errorf("service_account %s: %w", sa.ID, err)
		}
		if err := checkParty(env, sa.ID, sa.SecretHash); err != nil {
			return fmt.Errorf("service_account %s: %w", sa.ID, err)
		}
		if err := e.checkOwned(sa.Accounts); err != nil {
			return fmt.Errorf("service_account %s: %w", sa.ID, err)
		}
	}
	return nil
}

// checkOwned checks the accounts of a party.
func (e *Environment) checkOwned(accounts []string) error {
	for _, id := range accounts {
		if !slices.ContainsFunc(e.Accounts, func(a *Account) bool { return a.ID == id }) {
			return fmt.Errorf("account %s is not declared; add: account %s", id, id)
		}
	}
	return nil
}

func (e *Environment) checkClients(env store.Environment) error {
	seen := map[string]bool{}
	for _, c := range e.Clients {
		if err := checkID("client", c.ID, seen); err != nil {
			return err
		}
		if err := checkText("name", c.Name); err != nil {
			return fmt.Errorf("client %s: %w", c.ID, err)
		}
		if err := c.check(env); err != nil {
			return fmt.Errorf("client %s: %w", c.ID, err)
		}
		if err := e.checkOwned(c.Accounts); err != nil {
			return fmt.Errorf("client %s: %w", c.ID, err)
		}
		if slices.ContainsFunc(e.ServiceAccounts, func(sa *ServiceAccount) bool { return sa.ID == c.ID }) {
			return fmt.Errorf("client %s: a service_account has the same id; choose another", c.ID)
		}
	}
	return nil
}

// check checks what a client says of itself.
func (c *Client) check(env store.Environment) error {
	switch {
	case c.PKCE != "" && c.PKCE != pkceOptional && c.PKCE != "required":
		return fmt.Errorf("pkce %q is unknown; known: optional, required", c.PKCE)
	case c.Public && c.SecretHash != "":
		return errors.New("it is public and has a secret_hash; remove one of the two, because a public client has no secret (RFC 6749 §2.1)")
	case c.Public && len(c.Accounts) > 0:
		return errors.New("it is public and has accounts; remove one of the two, because a public client cannot act for itself")
	}
	if err := checkClient(&store.Client{
		Public: c.Public, Description: c.Description, RedirectURIs: c.RedirectURIs, PKCEOptional: c.PKCE == pkceOptional,
	}); err != nil {
		return err
	}
	if !c.Public {
		return checkParty(env, c.ID, c.SecretHash)
	}
	if env == store.Production {
		return errors.Join(refuseBuiltIn(c.ID), refusePublishedID(c.ID))
	}
	return refuseBuiltIn(c.ID)
}

// checkParty checks what service accounts and clients have in common.
func checkParty(env store.Environment, id, secretHash string) error {
	if err := refuseBuiltIn(id); err != nil {
		return err
	}
	err := token.CheckHash(secretHash)
	if err == nil && !strings.HasPrefix(secretHash, "$argon2id$") {
		err = errors.New("only argon2id hashes can be declared")
	}
	if secretHash == "" {
		err = errors.New("it is missing")
	}
	if err != nil {
		return fmt.Errorf("secret_hash: %w; make one with: caddy bearer hash-secret", err)
	}
	if env == store.Production {
		return refusePublished(id, secretHash)
	}
	return nil
}

// checkScopes refuses a configuration that names scopes which the policy does
// not define.
func (e *Environment) checkScopes(vocabulary *policy.Policy) error {
	var errs []error
	if err := checkScopes(vocabulary, e.TradingTokens); err != nil {
		errs = append(errs, fmt.Errorf("trading_tokens: %w", err))
	}
	for _, sa := range e.ServiceAccounts {
		if err := checkScopes(vocabulary, sa.Scopes); err != nil {
			errs = append(errs, fmt.Errorf("service_account %s: %w", sa.ID, err))
		}
	}
	for _, c := range e.Clients {
		if err := checkScopes(vocabulary, c.Scopes); err != nil {
			errs = append(errs, fmt.Errorf("client %s: %w", c.ID, err))
		}
	}
	for _, a := range e.Apps {
		if err := checkScopes(vocabulary, a.Scopes); err != nil {
			errs = append(errs, fmt.Errorf("app %s: %w", a.ID, err))
		}
	}
	return errors.Join(errs...)
}

// checkScopes refuses scopes that the policy does not define.
func checkScopes(vocabulary *policy.Policy, scopes []string) error {
	for _, scope := range scopes {
		if _, known := vocabulary.Scope(scope); known {
			continue
		}
		if near := vocabulary.Nearest(scope); near != "" {
			return fmt.Errorf("scope %q is not in the policy; did you mean %q?", scope, near)
		}
		return fmt.Errorf("scope %q is not in the policy", scope)
	}
	return nil
}

// checkID refuses ids that could not stand in a header, a log line or a list.
func checkID(what, id string, seen map[string]bool) error {
	if id == "" {
		return fmt.Errorf("%s without an id", what)
	}
	if len(id) > 200 {
		return fmt.Errorf("%s id of %d bytes; at most 200", what, len(id))
	}
	for _, c := range []byte(id) {
		if c <= ' ' || c >= 0x7f || c == ':' || c == '"' || c == '\\' {
			return fmt.Errorf("%s id %q: only printable ASCII without blanks, colon, quote and backslash", what, id)
		}
	}
	if seen[id] {
		return fmt.Errorf("%s %s is declared twice", what, id)
	}
	seen[id] = true
	return nil
}
