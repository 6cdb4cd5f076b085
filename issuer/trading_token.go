package issuer

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// oneMarket are parameters that ask for a token for less than the whole account.
// There is no such token, and whoever asked for one must not get a larger one.
var oneMarket = []string{"market", "markets", "symbol", "symbols", "contract", "contracts", "instrument", "instruments"}

// tradingToken renews with a trading token (RFC 6749 §6), and with nothing else: no
// client authenticates, because the token belongs to an account and not to a client.
// The answer has no refresh token: the one presented stays what it is, however
// often it is used, and by how many at once.
func (i *Issuer) tradingToken(x *exchange) (response, error) {
	f, err := readForm(x.Request)
	if err != nil {
		return response{}, err
	}
	if err := i.checkTradingCall(x.Request, f); err != nil {
		return response{}, err
	}
	var names []string
	if f["scope"] != "" {
		// What no trading token carries is refused before the audit trail says that one
		// was used.
		if names, err = parseScopes(f["scope"]); err != nil {
			return response{}, err
		}
		if err := checkScopes(i.policy(), names, i.tradingScopes); err != nil {
			return response{}, err
		}
	}
	standing, err := i.presentTrading(x, f["refresh_token"])
	if err != nil {
		return response{}, err
	}
	if names != nil {
		if err := checkScopes(i.policy(), names, standing.Grant.Scopes); err != nil {
			return response{}, err
		}
		standing.Grant.Scopes = names
	}
	x.issued = GrantTrading
	return i.tokenAnswer(x, &standing, "")
}

// checkTradingCall refuses what is no renewal by a trading token alone.
func (i *Issuer) checkTradingCall(r *http.Request, f form) error {
	switch f["grant_type"] {
	case "refresh_token":
	case "":
		return invalidRequest("grant_type is missing")
	default:
		return oauthRefusal(codeUnsupportedGrantType, "grant_type must be refresh_token")
	}
	switch {
	case len(r.Header.Values("Authorization")) > 0, f["client_secret"] != "", f["client_assertion"] != "":
		return invalidRequest("no client authenticates here: send the refresh token alone")
	case f["client_id"] != "" && f["client_id"] != store.TradingClient:
		return invalidRequest("client_id must be left out, or be %s", store.TradingClient)
	case f["refresh_token"] == "":
		return invalidRequest("refresh_token is missing")
	}
	if err := checkResource(f, i.authority.Settings().Audience); err != nil {
		return err
	}
	query := r.URL.Query()
	for _, name := range oneMarket {
		if _, given := f[name]; given || query.Has(name) {
			return invalidRequest("a trading token covers the whole account: there is none for a single %s", strings.TrimSuffix(name, "s"))
		}
	}
	return nil
}

// presentTrading finds what a trading token stands for.
//
// Whoever presents what was never a token of ours is slowed down. It counts against
// the address, and against what is presented there: a program that goes on with a
// misspelt one doesn't shut out its neighbours. One that was revoked or has expired
// is no guess.
func (i *Issuer) presentTrading(x *exchange, raw string) (store.Standing, error) {
	from, who := throttledAddress(x.ip), []party{{"trading token", raw}}
	if err := i.throttle.admit(x.now, from, who...); err != nil {
		return store.Standing{}, err
	}
	opaque, err := i.keyring.ParseOpaque(raw)
	ours := err == nil && opaque.Class == store.SharedRefresh
	var row store.Token
	var standing store.Standing
	if ours {
		row, standing, err = i.store.Present(x.Context(), store.Present{
			Environment: i.environment, Token: opaque.Hash, Now: x.now,
			Event: store.Event{Address: address(x.ip), RequestID: x.requestID},
		})
		ours = !errors.Is(err, store.ErrNotFound)
	}
	wrong := who
	if ours {
		wrong, x.client = nil, store.TradingClient
	}
	if err := i.throttle.settle(x.now, from, who, wrong); err != nil {
		return store.Standing{}, err
	}
	switch {
	case !ours:
		return store.Standing{}, invalidGrant("the refresh token is not valid", err)
	case err == nil && row.Expires.Sub(x.now) < time.Second:
		err = store.ErrExpired // there is no access token as short as that
	}
	if err != nil {
		return store.Standing{}, refreshError(fmt.Errorf("trading token: %w", err))
	}
	return standing, nil
}
