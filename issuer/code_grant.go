package issuer

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// authorizationCode exchanges a code that a person let the client have (RFC 6749
// §4.1.3). A code is good for one attempt: whoever presents it with another
// redirect URI or verifier than it was asked for with has burnt it.
func (i *Issuer) authorizationCode(x *exchange, _ *store.Party, f form) (response, error) {
	code, err := i.keyring.ParseOpaque(f["code"])
	if err != nil || code.Class != token.ClassCode {
		return response{}, invalidGrant("the code is not valid", err)
	}
	raw, hash := i.keyring.NewOpaque(store.Refresh)
	standing, err := i.store.RedeemCode(x.Context(), store.Redeem{
		Environment: i.environment, Code: code.Hash, Client: x.client, Now: x.now,
		Challenge: challengeFor(f["code_verifier"]), RedirectURI: f["redirect_uri"],
		Token: i.refreshToken(raw, hash, x.now), Retain: i.authority.Retention(),
		Event: x.event(i.environment, "code.redeem", ""),
	})
	if err != nil {
		return response{}, codeError(err)
	}
	x.issued = GrantAuthorizationCode
	return i.tokenAnswer(x, &standing, raw)
}

// noChallenge is what no code was issued with.
const noChallenge = "-"

// challengeFor is what a verifier proves to know (RFC 7636 §4.6). One that has
// not the form of §4.1, however it came to fit, is a wrong one: it may hold too
// little to be a secret.
func challengeFor(verifier string) string {
	if verifier == "" {
		return ""
	}
	unreserved := func(c rune) bool {
		return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.ContainsRune("-._~", c)
	}
	if len(verifier) < 43 || len(verifier) > 128 || strings.ContainsFunc(verifier, func(c rune) bool { return !unreserved(c) }) {
		return noChallenge
	}
	sum := sha256.Sum256([]byte(verifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}
