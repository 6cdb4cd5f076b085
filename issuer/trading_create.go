package issuer

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// createTrading makes a trading token of an account. Nobody sees its value by that:
// that is for showTrading, which asks for everything once more. So it does
// no harm if the account is taken from its creator between the two transactions.
func (i *Issuer) createTrading(x *exchange, p *person, f form) (response, error) {
	if away, err := i.mustStepUp(x, p); err != nil || away != nil {
		return orEmpty(away), err
	}
	account := f["account"]
	if account == "" {
		return response{}, invalidRequest("account is missing")
	}
	var scopes []string
	err := i.store.Update(x.Context(), func(tx store.Writer) (err error) {
		scopes, err = i.prepareTrading(tx, p, account, x.now)
		return err
	})
	if err != nil {
		return response{}, err
	}
	row := i.keyring.NewShared(token.NewID())
	row.Creator, row.Created, row.Expires = p.user.ID, x.now, aYearFrom(x.now)
	grant := store.Grant{
		Environment: i.environment, ID: token.NewID(), Principal: account, Client: store.TradingClient,
		Scopes: scopes, Accounts: []string{account}, Created: row.Created, Expires: row.Expires,
	}
	x.grant = grant.ID
	_, err = i.store.Issue(x.Context(), store.Issue{
		Grant: grant, Tokens: []store.Token{row}, Event: i.personEvent(x, "token.create", "token:"+row.ID),
	})
	switch {
	case errors.Is(err, store.ErrRevoked), errors.Is(err, store.ErrNotFound):
		return response{}, conflict("the account was changed in this moment; nothing was created")
	case err != nil:
		return response{}, fmt.Errorf("create trading token: %w", err)
	}
	return seeOther(i.tradingPage(account)), nil
}

// prepareTrading returns what a token that p makes for an account will carry, and
// makes the account one that acts for itself. Nobody gets more by a token than he
// may do himself.
func (i *Issuer) prepareTrading(tx store.Writer, p *person, account string, now time.Time) ([]string, error) {
	d, err := i.developerOf(tx, p, account)
	if err != nil {
		return nil, err
	}
	if d.account.Status != store.Active {
		return nil, conflict("the account is disabled")
	}
	scopes := i.policy().Cut(i.tradingScopes, d.user.MaxScopes)
	if len(scopes) == 0 {
		return nil, &oauthError{
			status: http.StatusForbidden, code: codeInvalidRequest,
			description: "you may do nothing yourself of what trading tokens are for",
		}
	}
	return scopes, i.putAccountPrincipal(tx, &d.account, now)
}

// putAccountPrincipal makes the principal that an account is when it acts for
// itself: of the account's id, and bound to it alone. It has no ceiling of its own
// (token.Entitlement): that of store.TradingClient is for all of them.
func (i *Issuer) putAccountPrincipal(tx store.Writer, account *store.Account, now time.Time) error {
	present, err := tx.Principal(i.environment, account.ID)
	switch {
	case err == nil && present.Kind == store.AccountPrincipal:
		return nil
	case err == nil, account.ID == store.TradingClient, account.ID == store.PersonalClient:
		return conflict("the account has the id of somebody else, and what it does could not be told apart")
	case !errors.Is(err, store.ErrNotFound):
		return err
	}
	if err := i.refuseClientsID(tx, account.ID); err != nil {
		return err
	}
	return errors.Join(
		tx.PutPrincipal(store.Principal{
			Environment: i.environment, ID: account.ID, Kind: store.AccountPrincipal, Name: account.Name,
			Status: store.Active, Source: store.BuiltIn, Created: now,
		}),
		tx.PutBinding(store.Binding{
			Environment: i.environment, Principal: account.ID, Account: account.ID, Access: store.Full, Source: store.BuiltIn,
		}))
}

// refuseClientsID refuses the id of a client, which may have no principal.
func (i *Issuer) refuseClientsID(tx store.Reader, id string) error {
	_, err := tx.Client(i.environment, id)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil
	case err != nil:
		return err
	}
	return conflict("the account has the id of a client, and what it does could not be told apart")
}

func conflict(description string) error {
	return &oauthError{status: http.StatusConflict, code: codeInvalidRequest, description: description}
}

// aYearFrom is one calendar year later, at the same time of day in UTC. Of a 29
// February it is the 28th: the year after has no other last day of that month.
func aYearFrom(t time.Time) time.Time {
	t = t.UTC()
	later := t.AddDate(1, 0, 0)
	if later.Month() != t.Month() {
		later = later.AddDate(0, 0, -1)
	}
	return later
}

// orEmpty is the response, if there is one.
func orEmpty(r *response) response {
	if r == nil {
		return response{}
	}
	return *r
}
