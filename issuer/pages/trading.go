package pages

import (
	"io"
	"iter"
	"time"
)

var (
	tradingPage         = page("trading.html")
	tradingTokenPage    = page("trading_token.html")
	tradingAccountsPage = page("trading_accounts.html")
	tradingRevokePage   = page("trading_revoke.html")
)

// TradingData is the page with the tokens of a trading account.
type TradingData struct {
	Layout

	Account, Name        string
	Create, Show, Revoke string // where the forms go
	// Read reads the tokens, when all that stands above them is written.
	Read func() (TradingList, error)
}

// TradingList is the tokens of an account.
type TradingList struct {
	Failed bool // they can't be read
	Any    bool // there are some
	Live   int  // how many live
	Rows   iter.Seq[TradingRow]
}

// TradingRow is one of them. Its value is not among what a list knows.
type TradingRow struct {
	ID               string
	Created, Expires time.Time
	Live             bool // neither expired nor revoked
}

// Trading writes the page as its rows are made. The error is that of the writer or of
// Read.
func Trading(w io.Writer, d TradingData) error {
	d.Layout = d.titled("trading.title")
	return tradingPage.Execute(w, d)
}

// TradingTokenData is a token with its value.
type TradingTokenData struct {
	Layout

	Account, Value   string
	Created, Expires time.Time
	Back             string // the list
}

// TradingToken shows the value of a token.
func TradingToken(d TradingTokenData) []byte {
	d.Layout = d.titled("trading.title")
	return write(tradingTokenPage, d)
}

// TradingRevokeData asks whether a token shall be revoked.
type TradingRevokeData struct {
	Layout

	ID, Account, Creator string
	Created, Expires     time.Time
	Uses                 Uses
	Revoke, Back         string // where the form goes, and the list
}

// TradingRevoke asks before the end.
func TradingRevoke(d TradingRevokeData) []byte {
	d.Layout = d.titled("trading.revoke")
	return write(tradingRevokePage, d)
}

// TradingAccountsData is the choice of accounts.
type TradingAccountsData struct {
	Layout

	Accounts []TradingAccount
}

// TradingAccount is an account and the page with its tokens.
type TradingAccount struct{ ID, Name, Page string }

// TradingAccounts lists accounts.
func TradingAccounts(d TradingAccountsData) []byte {
	d.Layout = d.titled("trading.title")
	return write(tradingAccountsPage, d)
}
