package issuer

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// resendGrace is how long a code that comes back from the client that redeemed
// it is taken for a GET that a transport sent twice (RFC 9110 §9.2.2 lets it).
const resendGrace = 5 * time.Second

// s4Token answers the token call: a form, also in a GET.
func (i *Issuer) s4Token(x *exchange) (response, error) {
	f, err := readForm(x.Request)
	if err != nil {
		return response{}, err
	}
	readings, err := s4Readings(x.Header, f)
	if err != nil {
		return response{}, err
	}
	exchangeGrant, err := i.s4Grant(f)
	if err != nil {
		return response{}, err
	}
	if _, err := i.authenticateClient(x, readings...); err != nil {
		return response{}, err
	}
	if id := f["client_id"]; id != "" && id != x.client {
		return response{}, invalidRequest("client_id is not the client that authenticated")
	}
	return exchangeGrant(x, f)
}

// s4Readings reads the Basic header as it stands, and a second time without the
// blanks around the colon if there are any: the bank's page prints them. Nothing
// is form-decoded.
func s4Readings(h http.Header, f form) ([]credentials, error) {
	if f["client_secret"] != "" || f["client_assertion"] != "" {
		return nil, invalidRequest("clients authenticate by Authorization: Basic here, and by nothing else")
	}
	strict, given, err := basicCredentials(h)
	switch {
	case err != nil:
		return nil, err
	case !given:
		return nil, invalidRequest("the header Authorization is missing")
	}
	trimmed := strict.trimmed()
	if trimmed == strict || !trimmed.readable() {
		return []credentials{strict}, nil
	}
	return []credentials{strict, trimmed}, nil
}

// s4Grant finds what the grant type asks for, and that its parameter is there.
func (i *Issuer) s4Grant(f form) (func(*exchange, form) (response, error), error) {
	switch f["grant_type"] {
	case "":
		return nil, invalidRequest("grant_type is missing")
	case "authorization_code":
		if f["code"] == "" {
			return nil, invalidRequest("code is missing")
		}
		return i.s4Redeem, nil
	case "refresh_token":
		if f["refresh_token"] == "" {
			return nil, invalidRequest("refresh_token is missing")
		}
		return i.s4Refresh, nil
	}
	return nil, oauthRefusal(codeUnsupportedGrantType, "grant_type must be authorization_code or refresh_token")
}

// s4Redeem exchanges a code (RFC 6749 §4.1.3).
func (i *Issuer) s4Redeem(x *exchange, f form) (response, error) {
	code, err := i.keyring.ParseOpaque(f["code"])
	if err != nil || code.Class != token.ClassCode {
		return response{}, invalidGrant("the code is not valid", err)
	}
	raw, hash := i.keyring.NewOpaque(store.Refresh)
	refresh := i.refreshToken(raw, hash, x.now)
	standing, err := i.store.RedeemCode(x.Context(), store.Redeem{
		Environment: i.environment, Code: code.Hash, Client: x.client,
		Now: x.now, ResendGrace: resendGrace,
		Token: refresh, Retain: i.authority.Retention(),
		Event: x.event(i.environment, "code.redeem", ""),
	})
	if err != nil {
		return response{}, codeError(err)
	}
	x.issued = GrantServiceAccountCode
	return i.s4Answer(x, &standing, raw, refresh.Expires)
}

// codeError says in words why a code is refused, but not whether a code that
// belongs to somebody else exists.
func codeError(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrOtherClient):
		return invalidGrant("the code is not valid", err)
	case errors.Is(err, store.ErrMismatch):
		return invalidGrant("the code was issued for another redirect_uri or code_verifier; it is used up", err)
	case errors.Is(err, store.ErrExpired):
		return invalidGrant("the code has expired", err)
	case errors.Is(err, store.ErrRevoked):
		return invalidGrant("what the code stands for was revoked", err)
	case errors.Is(err, store.ErrResent):
		return invalidGrant("the code was redeemed a moment ago", err)
	case errors.Is(err, store.ErrReplayed):
		return invalidGrant("the code was redeemed before; what was issued for it is revoked", err)
	}
	return fmt.Errorf("redeem code: %w", err)
}

// s4Refresh renews, as refresh.go has it, and answers as the bank does.
func (i *Issuer) s4Refresh(x *exchange, f form) (response, error) {
	renewed, err := i.renew(x, f, confidentialRetry)
	if err != nil {
		return response{}, err
	}
	x.issued = GrantRefreshToken
	return i.s4Answer(x, &renewed.standing, renewed.refresh, renewed.until)
}

// refreshToken is the record of a refresh token that is being made.
func (i *Issuer) refreshToken(raw string, hash store.Hash, now time.Time) store.Token {
	return store.Token{
		Environment: i.environment, ID: token.NewID(), Hash: hash, Class: store.Refresh,
		KeyID: token.KeyIDOf(raw), Nonce: token.NewNonce(),
		Created: now, Expires: now.Add(i.refreshLifetime),
	}
}

// s4Answer mints the access token and writes exactly these members, in the
// order of the bank's page. The scope is what the token carries: as asked, or
// less if the parties may do less now.
func (i *Issuer) s4Answer(x *exchange, standing *store.Standing, refresh string, refreshUntil time.Time) (response, error) {
	x.grant = standing.Grant.ID
	minted, err := i.authority.Mint(standing, standing.Grant.Expires)
	if err != nil {
		return response{}, fmt.Errorf("mint access token: %w", err)
	}
	return jsonResponse(http.StatusOK, struct {
		TokenType        string `json:"token_type"`
		AccessToken      string `json:"access_token"`
		ExpiresIn        int64  `json:"expires_in"`
		ConsentedOn      int64  `json:"consented_on"`
		Scope            string `json:"scope"`
		RefreshToken     string `json:"refresh_token"`
		RefreshExpiresIn int64  `json:"refresh_token_expires_in"`
	}{
		TokenType: "bearer", AccessToken: minted.Raw,
		ExpiresIn:    int64(minted.Lifetime / time.Second),
		ConsentedOn:  standing.Grant.Created.Unix(),
		Scope:        strings.Join(minted.Scopes, " "),
		RefreshToken: refresh, RefreshExpiresIn: int64(refreshUntil.Sub(x.now) / time.Second),
	})
}
