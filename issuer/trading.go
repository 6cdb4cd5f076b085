package issuer

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// A trading account acts for itself, by refresh tokens that all developers share
// who have the account. Such a token is as good as the account's login and password
// together: programs renew with it and with nothing else, and it never rotates,
// because several of them use the same one.

// Paths of trading tokens, below the issuer's own.
const (
	pathTradingToken  = "/trading/token"
	pathTradingTokens = "/trading/tokens"
	pathTradingShow   = pathTradingTokens + "/show"
	pathTradingRevoke = pathTradingTokens + "/revoke"
)

// tradingRoutes registers the paths of trading tokens, if there are such tokens in
// this environment.
func (i *Issuer) tradingRoutes(mux *http.ServeMux, base string) {
	if len(i.tradingScopes) == 0 {
		return
	}
	pages := []string{http.MethodGet, http.MethodHead, http.MethodPost}
	mux.Handle(base+pathTradingToken, i.handle("trading.token", []string{http.MethodPost}, i.tradingToken))
	mux.Handle(base+pathTradingTokens, i.handlePage("trading.tokens", pages, i.personPage(i.listTrading, i.createTrading)))
	mux.Handle(base+pathTradingShow, i.handlePage("trading.show", pages, i.personPage(backToTrading(i), i.showTrading)))
	mux.Handle(base+pathTradingRevoke, i.handlePage("trading.revoke", pages, i.personPage(backToTrading(i), i.revokeTrading)))
}

// backToTrading answers a GET of what only forms are sent to: whoever had to give
// the password first comes back by one.
func backToTrading(i *Issuer) func(*exchange, *person) (response, error) {
	return func(x *exchange, _ *person) (response, error) {
		account, err := askedAccount(x.Request)
		return seeOther(i.tradingPage(account)), err
	}
}

// errNotDeveloper is the one answer about accounts that are not there and about
// those that somebody else has.
var errNotDeveloper error = &oauthError{
	status: http.StatusForbidden, code: codeInvalidRequest,
	description: "trading tokens of this account are for those to whom it is open in full, and you are none of them",
}

// errNoTradingToken is the one answer about tokens that are not there and about
// those of somebody else's account.
var errNoTradingToken error = &oauthError{
	status: http.StatusNotFound, code: codeInvalidRequest,
	description: "there is no such token among those of your accounts",
}

// developer is who may handle the trading tokens of an account, as things stand in
// one transaction.
type developer struct {
	user    store.Principal
	account store.Account
}

// developerOf finds out whether p is a developer of an account: the trading
// account is bound to the user in full, because its tokens open it in full.
// It fails with errNotDeveloper.
func (i *Issuer) developerOf(tx store.Reader, p *person, account string) (d developer, err error) {
	if d.user, err = tx.Principal(i.environment, p.user.ID); err != nil {
		return d, err
	}
	if d.user.Kind != store.User || d.user.Status != store.Active || p.session.Epoch < d.user.Epoch {
		return d, errNotDeveloper // the session has ended since it was looked up
	}
	bindings, err := tx.Bindings(i.environment, d.user.ID)
	if err != nil {
		return d, err
	}
	if !slices.ContainsFunc(bindings, func(b store.Binding) bool { return b.Account == account && b.Access == store.Full }) {
		return d, errNotDeveloper
	}
	if d.account, err = tx.Account(i.environment, account); err != nil {
		return d, err
	}
	if d.account.Kind != store.Trading {
		return d, errNotDeveloper
	}
	return d, nil
}

// tradingTokenOf finds a token by its id for who is a developer of its account. It
// fails with errNoTradingToken.
func (i *Issuer) tradingTokenOf(tx store.Reader, p *person, id string, now time.Time) (token.Shared, store.Grant, developer, error) {
	shared, grant, err := token.SharedToken(tx, i.environment, id, now)
	if errors.Is(err, store.ErrNotFound) {
		err = errNoTradingToken
	}
	if err != nil {
		return shared, grant, developer{}, err
	}
	d, err := i.developerOf(tx, p, grant.Principal)
	if errors.Is(err, errNotDeveloper) {
		err = errNoTradingToken
	}
	return shared, grant, d, err
}

// carries is what tokens of a grant carry as far as the environment lets them.
func (i *Issuer) carries(grant *store.Grant) []string {
	return i.policy().Cut(grant.Scopes, i.tradingScopes)
}

// covers reports whether a user could do by himself all that scopes allow.
func (i *Issuer) covers(user *store.Principal, scopes []string) bool {
	vocabulary := i.policy()
	return !slices.ContainsFunc(scopes, func(s string) bool { return !vocabulary.Covers(user.MaxScopes, s) })
}
