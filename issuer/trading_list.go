package issuer

import (
	"io"
	"net/http"
	"net/url"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// askedAccount is the account that the query names, "" if it names none.
func askedAccount(r *http.Request) (string, error) {
	if err := refuseQuery(r.URL.RawQuery); err != nil {
		return "", err
	}
	asked := r.URL.Query()["account"]
	if len(asked) > 1 {
		return "", invalidRequest("account is repeated")
	}
	return append(asked, "")[0], nil
}

// tradingPage is the address of the page with the tokens of an account.
func (i *Issuer) tradingPage(account string) string {
	return i.base + tradingPath(pathTradingTokens, account)
}

func tradingPath(path, account string) string {
	if account == "" {
		return path
	}
	return path + "?" + url.Values{"account": {account}}.Encode()
}

// listTrading shows all trading tokens of an account, whoever made them; without
// an account, the accounts that there are to choose from.
func (i *Issuer) listTrading(x *exchange, p *person) (response, error) {
	account, err := askedAccount(x.Request)
	if err != nil {
		return response{}, err
	}
	if account == "" {
		return i.listTradingAccounts(x, p)
	}
	var d developer
	var tokens []token.Shared
	err = i.store.View(x.Context(), func(tx store.Reader) (err error) {
		if d, err = i.developerOf(tx, p, account); err != nil {
			return err
		}
		tokens, err = token.SharedTokens(tx, i.environment, account, x.now)
		return err
	})
	if err != nil {
		return response{}, err
	}
	layout := i.layoutIn(p, pages.SectionAccessTokens)
	layout.Wide = true
	data := pages.TradingData{
		Layout: layout, Account: account, Name: d.account.Name,
		Create: i.tradingPage(account), Show: i.base + tradingPath(pathTradingShow, account),
		Revoke: i.base + tradingPath(pathTradingRevoke, account),
		Any:    len(tokens) > 0, Live: countLive(tokens), Tokens: tradingRows(tokens),
	}
	// There may be thousands: what is ready is sent while the rest is made.
	answer := pageResponse(http.StatusOK, nil)
	answer.stream = func(w io.Writer) error { return pages.Trading(w, data) }
	return answer, nil
}

func countLive(tokens []token.Shared) (n int) {
	for k := range tokens {
		if tokens[k].Status == token.SharedLive {
			n++
		}
	}
	return n
}

// tradingRows are the rows of the table, made one by one.
func tradingRows(tokens []token.Shared) func(yield func(pages.TradingRow) bool) {
	return func(yield func(pages.TradingRow) bool) {
		for k := range tokens {
			t := &tokens[k]
			if !yield(pages.TradingRow{ID: t.ID, Created: t.Created, Expires: t.Expires, Live: t.Status == token.SharedLive}) {
				return
			}
		}
	}
}

// listTradingAccounts lists the accounts whose tokens p may handle.
func (i *Issuer) listTradingAccounts(x *exchange, p *person) (response, error) {
	data := pages.TradingAccountsData{Layout: i.layoutIn(p, pages.SectionAccessTokens)}
	err := i.store.View(x.Context(), func(tx store.Reader) error {
		bindings, err := tx.Bindings(i.environment, p.user.ID)
		if err != nil {
			return err
		}
		for _, b := range bindings {
			account, err := tx.Account(i.environment, b.Account)
			if err != nil {
				return err
			}
			if b.Access == store.Full && account.Kind == store.Trading {
				data.Accounts = append(data.Accounts, pages.TradingAccount{ID: account.ID, Name: account.Name, Page: i.tradingPage(account.ID)})
			}
		}
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return pageResponse(http.StatusOK, pages.TradingAccounts(data)), nil
}
