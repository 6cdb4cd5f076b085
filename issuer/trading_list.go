package issuer

import (
	"bufio"
	"net/http"
	"net/url"

	"go.uber.org/zap"

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
	err = i.store.View(x.Context(), func(tx store.Reader) (err error) {
		d, err = i.developerOf(tx, p, account)
		return err
	})
	if err != nil {
		return response{}, err
	}
	data := pages.TradingData{
		Layout: i.layoutIn(p, pages.SectionAccessTokens), Account: account, Name: d.account.Name,
		Create: i.tradingPage(account), Show: i.base + tradingPath(pathTradingShow, account),
		Revoke: i.base + tradingPath(pathTradingRevoke, account),
	}
	// There may be thousands: what stands above them is sent before they are read, and
	// the first before the last are written.
	answer := pageResponse(http.StatusOK, nil)
	answer.stream = func(w *bufio.Writer) error {
		data.Read = func() (pages.TradingList, error) {
			if err := w.Flush(); err != nil {
				return pages.TradingList{}, err
			}
			return i.tradingTokens(x, p, account), nil
		}
		return pages.Trading(w, data)
	}
	return answer, nil
}

// tradingTokens are the tokens of an account, if it is still open to p.
func (i *Issuer) tradingTokens(x *exchange, p *person, account string) pages.TradingList {
	var tokens []token.Shared
	err := i.store.View(x.Context(), func(tx store.Reader) (err error) {
		if _, err = i.developerOf(tx, p, account); err != nil {
			return err
		}
		tokens, err = token.SharedTokens(tx, i.environment, account, x.now)
		return err
	})
	if err != nil {
		i.log.Error("the list of trading tokens could not be read", zap.String("account", account), zap.Error(err))
		return pages.TradingList{Failed: true}
	}
	return pages.TradingList{Any: len(tokens) > 0, Live: countLive(tokens), Rows: tradingRows(tokens)}
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
		accounts, err := i.tradingAccounts(tx, p.user.ID)
		for k := range accounts {
			a := &accounts[k]
			data.Accounts = append(data.Accounts, pages.TradingAccount{ID: a.ID, Name: a.Name, Page: i.tradingPage(a.ID)})
		}
		return err
	})
	if err != nil {
		return response{}, err
	}
	return pageResponse(http.StatusOK, pages.TradingAccounts(data)), nil
}

// tradingAccounts are those whose tokens a user may handle.
func (i *Issuer) tradingAccounts(tx store.Reader, user string) (accounts []store.Account, err error) {
	bindings, err := tx.Bindings(i.environment, user)
	if err != nil {
		return nil, err
	}
	for k := range bindings {
		account, err := tx.Account(i.environment, bindings[k].Account)
		if err != nil {
			return nil, err
		}
		if bindings[k].Access == store.Full && account.Kind == store.Trading {
			accounts = append(accounts, account)
		}
	}
	return accounts, nil
}
