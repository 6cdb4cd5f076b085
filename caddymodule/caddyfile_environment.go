package caddymodule

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// options is the block of an environment, in the global option bearer:
//
//	environment production|sandbox {
//		issuer                 <url>
//		audience               <url>
//		policy                 <name>
//		code_lifetime          <duration>
//		access_token_lifetime  <duration>
//		refresh_token_lifetime <duration>
//		signing_algorithm      ES256|EdDSA|PS256|RS256
//		signing_key_rotation   <duration>|off
//		signing_key            file <path>
//		login                  local
//		login                  oidc <url> { … }
//		trading_tokens         <scope> [<scope>…]
//		webhooks               { … }
//		account <id> {
//			kind bank|trading
//			name <text>
//		}
//		service_account <id> {
//			name        <text>
//			secret_hash <hash>
//			scopes      <scope> [<scope>…]
//			accounts    <id> [<id>…]
//		}
//		client <id> {
//			name         <text>
//			description  <text>
//			public
//			secret_hash  <hash>
//			redirect_uri <uri> [<uri>…]
//			pkce         optional|required
//			scopes       <scope> [<scope>…]
//			accounts     <id> [<id>…]
//		}
//		app <id> {
//			name         <text>
//			description  <text>
//			secret_hash  <hash>
//			redirect_uri <uri> [<uri>…]
//			state        optional|required
//			scopes       <scope> [<scope>…]
//		}
//	}
//
// What they mean:
//
//   - issuer: the public URL of the issuer (RFC 8414 §2), written into every
//     token; in production with https. Required.
//   - audience: the public URL of the gated API. Required.
//   - policy: the policy whose scopes the environment knows. Default: the only one.
//   - code_lifetime, access_token_lifetime, refresh_token_lifetime: how long each
//     lives, at least 1s. Defaults: 60s, 1095s, 2682000s.
//   - signing_algorithm: what access tokens are signed with. A change makes a new
//     key at once; what older keys signed stays valid. Default: ES256.
//   - signing_key_rotation: how long a signing key signs, at least 24h. The next
//     one is published ten minutes before it takes over, and the old one until
//     nothing that it signed can live. off: until it is rotated by command.
//     Default: 90d.
//   - signing_key: a PEM file with the private key that signs, in the place of keys
//     that are made here: P-256 (ES256), Ed25519 (EdDSA) or RSA from 2048 bits
//     (PS256, or RS256 by signing_algorithm). Its owner alone may read it. Another
//     file, or another key in it, is taken over by a reload and signs at once.
//     Not together with signing_key_rotation.
//   - login: how people sign in: with passwords (local, the default), or at an
//     OpenID provider, whose block is described there (Login.options).
//   - trading_tokens: developers of a trading account may make refresh tokens of the
//     account, which they share and which carry these scopes at most. Without it
//     there are none: who takes it away revokes all that there were.
//   - webhooks: where the webhooks of users may lead beside the public internet, in a
//     block that is described there (Webhooks.options).
//   - account: an account that the gated API knows by this id. Its kind is bank
//     if it is not given.
//   - service_account: a program that owns accounts. scopes is the most that it
//     may grant, accounts are those that it owns; each must be declared here.
//   - client: an OAuth 2.0 client. scopes is the most that it may ever carry,
//     accounts are those that are open to it when it acts for itself
//     (client_credentials); each must be declared here. A client and a service
//     account must not have the same id.
//   - public: the client runs where everybody can read it. It has no secret, must
//     use PKCE and cannot act for itself. A client that becomes public loses all
//     that it obtained before.
//   - redirect_uri: where people are sent back to with a code. https, or http to
//     127.0.0.1, [::1] or localhost, or a private-use scheme with a dot, as
//     com.example.app:/callback; without fragment, user and wildcard. Compared as
//     strings. A public client needs one. When one is removed, all that the client
//     obtained ends: nobody knows which token came by way of it.
//   - pkce: optional for a confidential client that cannot do PKCE (RFC 7636).
//     Default: required.
//   - app: an app of the access code exchange, whose users connect it. Its id is the
//     app key, its secret the app secret. Its redirect_uri, of which it needs one, is
//     where the browser posts the access code, so that it is https, or http as above;
//     one without a path is an origin, whose pages may get the code by postMessage.
//     No client and no service account has the same id.
//   - state: optional for an app from before state, which it cannot send. Whoever makes
//     a user's browser open an address can connect it to accounts of his own. Default:
//     required.
//   - name, description: for people. Default: none.
//   - secret_hash: the hash of the secret, made with `caddy bearer hash-secret`.
//     Required, but refused for a public client.
//
// redirect_uri, scopes and accounts may stand more than once and add up. Without
// scopes, or without accounts, there are none. Who is removed from the configuration is
// disabled, and everything issued under that id is revoked.
func (e *Environment) options() []option {
	return []option{
		text("issuer", "<url>", &e.Issuer),
		text("audience", "<url>", &e.Audience),
		text("policy", "<name>", &e.Policy),
		lifetime("code_lifetime", &e.CodeLifetime),
		lifetime("access_token_lifetime", &e.AccessTokenLifetime),
		lifetime("refresh_token_lifetime", &e.RefreshTokenLifetime),
		text("signing_algorithm", "ES256|EdDSA|PS256|RS256", &e.SigningAlgorithm),
		{name: "signing_key_rotation", args: "<duration>|off", read: e.readKeyRotation},
		text("signing_key", "file <path>", &e.SigningKeyFile),
		{name: "login", args: "oidc|local [<url>]", read: e.readLogin},
		list("trading_tokens", "<scope> [<scope>…]", &e.TradingTokens),
		{name: "webhooks", read: e.readWebhooks},
		{name: "account", args: "<id>", repeat: onceEach, read: e.readAccount},
		{name: "service_account", args: "<id>", repeat: onceEach, read: e.readServiceAccount},
		{name: "client", args: "<id>", repeat: onceEach, read: e.readClient},
		{name: "app", args: "<id>", repeat: onceEach, read: e.readApp},
	}
}

func (e *Environment) readKeyRotation(d *caddyfile.Dispenser, args []string) error {
	if args[0] == "off" {
		e.SigningKeyRotation = -1
		return nil
	}
	every, err := caddy.ParseDuration(args[0])
	if err != nil {
		return d.Errf("signing_key_rotation %q is neither a duration nor off; write for example: signing_key_rotation 90d", args[0])
	}
	if every < token.MinKeyRotation {
		return d.Errf("signing_key_rotation is %s; the least is 24h", every)
	}
	e.SigningKeyRotation = caddy.Duration(every)
	return nil
}

func (e *Environment) readAccount(d *caddyfile.Dispenser, args []string) error {
	a := &Account{ID: args[0]}
	e.Accounts = append(e.Accounts, a)
	return readBlock(d, "account", []option{
		text("kind", "bank|trading", &a.Kind),
		text("name", "<text>", &a.Name),
	})
}

func (e *Environment) readServiceAccount(d *caddyfile.Dispenser, args []string) error {
	sa := &ServiceAccount{ID: args[0]}
	e.ServiceAccounts = append(e.ServiceAccounts, sa)
	return readBlock(d, "service_account", []option{
		text("name", "<text>", &sa.Name),
		text("secret_hash", "<hash>", &sa.SecretHash),
		list("scopes", "<scope> [<scope>…]", &sa.Scopes),
		list("accounts", "<id> [<id>…]", &sa.Accounts),
	})
}

func (e *Environment) readClient(d *caddyfile.Dispenser, args []string) error {
	c := &Client{ID: args[0]}
	e.Clients = append(e.Clients, c)
	return readBlock(d, "client", []option{
		text("name", "<text>", &c.Name),
		text("description", "<text>", &c.Description),
		{name: "public", read: func(*caddyfile.Dispenser, []string) error {
			c.Public = true
			return nil
		}},
		text("secret_hash", "<hash>", &c.SecretHash),
		list("redirect_uri", "<uri> [<uri>…]", &c.RedirectURIs),
		text("pkce", "optional|required", &c.PKCE),
		list("scopes", "<scope> [<scope>…]", &c.Scopes),
		list("accounts", "<id> [<id>…]", &c.Accounts),
	})
}
