package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-bearer/caddy-bearer/issuer"
)

// Login is the OpenID provider that signs people in (OpenID Connect Core 1.0).
type Login struct {
	// The issuer identifier of the OpenID provider, with https unless it is at a
	// loopback address. What else is to know of it is discovered when the first
	// person signs in. Required.
	Issuer string `json:"issuer"`

	// The id by which the provider knows this issuer. Its redirect URI there is the
	// issuer's URL with /login/callback behind it. Required.
	ClientID string `json:"client_id"`

	// A file with the secret that the provider gave for that id, which its owner
	// alone may read. Required.
	ClientSecretFile string `json:"client_secret_file"`

	// The claim of the ID token whose value is the id of a user here: sub, email
	// (which counts if the provider has verified it) or preferred_username.
	// Default: sub.
	Claim string `json:"claim,omitempty"`

	// The scopes to ask for beside openid. Default: what the claim needs: email,
	// profile or none.
	Scopes []string `json:"scopes,omitempty"`

	secret string // what the file holds
}

// claimScopes are the claims that may name a user, with the scope that each needs
// (OpenID Connect Core 1.0, §5.4).
var claimScopes = map[string][]string{"sub": nil, "email": {"email"}, "preferred_username": {"profile"}}

// options is the block of the option login, in that of an environment:
//
//	login local
//	login oidc <url> {
//		client_id          <id>
//		client_secret_file <path>
//		claim              sub|email|preferred_username
//		scopes             <scope> [<scope>…]
//	}
//
// It says how people sign in. local: by a password that `caddy bearer user
// password` gave them; so it is without the option, too. oidc: at the OpenID
// provider with this issuer identifier, by the authorization code flow with PKCE.
//
//   - client_id: the id by which the provider knows this issuer. Register there
//     the redirect URI: the environment's issuer URL and /login/callback. Required.
//   - client_secret_file: a file with the secret for it. Its owner alone may read
//     it. Required.
//   - claim: the claim whose value is the id of a user here. Users are not made
//     by signing in. An email counts if the provider says that it is verified.
//     Default: sub.
//   - scopes: what to ask for beside openid. Default: what the claim needs.
func (l *Login) options() []option {
	return []option{
		text("client_id", "<id>", &l.ClientID),
		text("client_secret_file", "<path>", &l.ClientSecretFile),
		text("claim", "sub|email|preferred_username", &l.Claim),
		list("scopes", "<scope> [<scope>…]", &l.Scopes),
	}
}

// readLogin reads the option login.
func (e *Environment) readLogin(d *caddyfile.Dispenser, args []string) error {
	if args[0] == "local" {
		if len(args) > 1 {
			return d.Errf("login local takes no URL; an OpenID provider is: login oidc %s", args[1])
		}
		return nil
	}
	e.Login = new(Login)
	if err := readBlock(d, "login", e.Login.options()); err != nil {
		return err
	}
	if len(args) < 2 {
		return d.Errf("login oidc has no URL; write for example: login oidc https://id.example.com { … }")
	}
	e.Login.Issuer = args[1]
	return nil
}

// provisionLogin checks how people sign in, and reads the secret.
func (e *Environment) provisionLogin() (err error) {
	if e.Login == nil {
		return nil
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("login: %w", err)
		}
	}()
	l := e.Login
	at, err := url.Parse(l.Issuer)
	switch {
	case err != nil || at.Host == "" || at.User != nil || strings.ContainsAny(l.Issuer, "?# "):
		return fmt.Errorf("issuer %q is not the URL of an OpenID provider; write for example https://id.example.com", l.Issuer)
	case at.Scheme != "https" && (at.Scheme != "http" || !isLoopback(at.Hostname())):
		return fmt.Errorf("issuer %s: an OpenID provider needs https://", l.Issuer)
	case l.ClientID == "":
		return errors.New("client_id is missing: the id by which the provider knows this issuer")
	case l.ClientSecretFile == "":
		return errors.New("client_secret_file is missing: a file with the secret that the provider gave")
	}
	l.Claim = cmp.Or(l.Claim, "sub")
	needed, known := claimScopes[l.Claim]
	if !known {
		return fmt.Errorf("claim %q is unknown; known: %s", l.Claim, strings.Join(sortedKeys(claimScopes), ", "))
	}
	if len(l.Scopes) == 0 {
		l.Scopes = needed
	}
	l.Scopes = slices.DeleteFunc(slices.Clone(l.Scopes), func(s string) bool { return s == "openid" }) // is asked for anyway
	content, err := readOwnersFile(l.ClientSecretFile)
	if err != nil {
		return fmt.Errorf("client_secret_file: %w", err)
	}
	l.secret = strings.TrimRight(content, "\r\n")
	if l.secret == "" || strings.ContainsAny(l.secret, "\r\n") {
		return fmt.Errorf("client_secret_file: %s: expected one line with the secret", l.ClientSecretFile)
	}
	return nil
}

// provider is what the issuer needs to know; nil: people have passwords.
func (l *Login) provider() *issuer.Provider {
	if l == nil {
		return nil
	}
	return &issuer.Provider{Issuer: l.Issuer, ClientID: l.ClientID, ClientSecret: l.secret, Claim: l.Claim, Scopes: l.Scopes}
}
