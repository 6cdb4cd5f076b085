package main

import (
	"crypto/rand"
	"encoding/hex"
	"math"
	"net/http"
	"slices"
	"sync"
	"time"
)

// maxRecords bounds orders per account and payments in total, so that a
// demo left running can't eat the machine's memory.
const maxRecords = 10_000

// account is what an owner sees. All money is in minor units (cents): a
// float can't hold 0.10.
type account struct {
	ID       string `json:"id"`
	Owner    string `json:"owner"`
	Currency string `json:"currency"`
	Balance  int64  `json:"balance"`
}

// balance is an account's money; Reserved is held by open buy orders.
type balance struct {
	Account   string `json:"account"`
	Currency  string `json:"currency"`
	Balance   int64  `json:"balance"`
	Reserved  int64  `json:"reserved"`
	Available int64  `json:"available"`
}

// order is an open order. Price is in minor units per whole unit of quantity.
type order struct {
	ID       string    `json:"id"`
	Account  string    `json:"account"`
	Side     string    `json:"side"`
	Symbol   string    `json:"symbol"`
	Quantity int64     `json:"quantity"`
	Price    int64     `json:"price"`
	Status   string    `json:"status"`
	Created  time.Time `json:"created_at"`
}

// payment is a payment that was made; Kind is eft or remittance.
type payment struct {
	ID       string    `json:"id"`
	Kind     string    `json:"kind"`
	From     string    `json:"from"`
	To       string    `json:"to"`
	Amount   int64     `json:"amount"`
	Currency string    `json:"currency"`
	Note     string    `json:"note,omitempty"`
	Status   string    `json:"status"`
	Created  time.Time `json:"created_at"`
}

// ledger is the bank's and the exchange's books. Its methods are safe for
// concurrent use; each is one step that happens wholly or not at all.
type ledger struct {
	mu       sync.Mutex
	accounts map[string]account
	orders   map[string][]order // by account, oldest first
	payments []payment          // oldest first
}

func newLedger() *ledger {
	return &ledger{
		accounts: map[string]account{
			"1":      {ID: "1", Owner: "Ada Lovelace", Currency: "USD", Balance: 10_000_000_00},
			"2":      {ID: "2", Owner: "Grace Hopper", Currency: "EUR", Balance: 250_000_00},
			"3":      {ID: "3", Owner: "Cahit Arf", Currency: "TRY", Balance: 75_000_00},
			"100001": {ID: "100001", Owner: "Emmy Noether", Currency: "EUR", Balance: 1_500_000_00},
		},
		orders: make(map[string][]order),
	}
}

var errNoAccount = errorf(http.StatusNotFound, "no such account")

// account returns one account.
func (l *ledger) account(id string) (account, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, ok := l.accounts[id]
	if !ok {
		return account{}, errNoAccount
	}
	return found, nil
}

// balance returns one account's money.
func (l *ledger) balance(id string) (balance, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	found, ok := l.accounts[id]
	if !ok {
		return balance{}, errNoAccount
	}
	reserved := l.reserved(id)
	return balance{
		Account: id, Currency: found.Currency,
		Balance: found.Balance, Reserved: reserved, Available: found.Balance - reserved,
	}, nil
}

// reserved is the money that an account's open buy orders hold. l.mu is held.
func (l *ledger) reserved(id string) int64 {
	var sum int64
	for _, o := range l.orders[id] {
		if o.Side == "buy" {
			sum += o.Quantity * o.Price // place checked that this fits
		}
	}
	return sum
}

// openOrders returns an account's open orders, oldest first.
func (l *ledger) openOrders(id string) ([]order, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.accounts[id]; !ok {
		return nil, errNoAccount
	}
	return slices.Clone(l.orders[id]), nil
}

// place opens an order whose side, symbol, quantity and price were checked;
// quote is the currency that the symbol is priced in.
func (l *ledger) place(o order, quote string) (order, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	owner, ok := l.accounts[o.Account]
	switch {
	case !ok:
		return order{}, errNoAccount
	case owner.Currency != quote:
		return order{}, errorf(http.StatusUnprocessableEntity, "%s is priced in %s, the account holds %s", o.Symbol, quote, owner.Currency)
	case len(l.orders[o.Account]) >= maxRecords:
		return order{}, errorf(http.StatusConflict, "too many open orders")
	case o.Quantity > math.MaxInt64/o.Price:
		return order{}, errorf(http.StatusUnprocessableEntity, "quantity times price is too large")
	case o.Side == "buy" && o.Quantity*o.Price > owner.Balance-l.reserved(o.Account):
		return order{}, errorf(http.StatusConflict, "insufficient funds")
	}
	o.ID, o.Status, o.Created = newID(), "open", time.Now().UTC()
	l.orders[o.Account] = append(l.orders[o.Account], o)
	return o, nil
}

// cancel removes an account's order and so frees what it held.
func (l *ledger) cancel(accountID, orderID string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	open := l.orders[accountID]
	at := slices.IndexFunc(open, func(o order) bool { return o.ID == orderID })
	if at < 0 {
		return errorf(http.StatusNotFound, "no such order")
	}
	l.orders[accountID] = slices.Delete(open, at, at+1)
	return nil
}

// pay moves a checked payment's amount out of its account.
func (l *ledger) pay(p payment) (payment, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	from, ok := l.accounts[p.From]
	switch {
	case !ok:
		return payment{}, errNoAccount
	case p.Amount > from.Balance-l.reserved(p.From):
		return payment{}, errorf(http.StatusConflict, "insufficient funds")
	case len(l.payments) >= maxRecords:
		return payment{}, errorf(http.StatusConflict, "too many payments; restart the demo")
	}
	from.Balance -= p.Amount
	l.accounts[p.From] = from
	p.ID, p.Currency, p.Status, p.Created = newID(), from.Currency, "completed", time.Now().UTC()
	l.payments = append(l.payments, p)
	return p, nil
}

// paymentsFrom returns the payments of one kind that left the given
// accounts, oldest first.
func (l *ledger) paymentsFrom(kind string, accounts []string) []payment {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []payment
	for _, p := range l.payments {
		if p.Kind == kind && slices.Contains(accounts, p.From) {
			found = append(found, p)
		}
	}
	return found
}

// totals counts what the books hold.
func (l *ledger) totals() (accounts, orders, payments int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, open := range l.orders {
		orders += len(open)
	}
	return len(l.accounts), orders, len(l.payments)
}

// newID is random: a sequence would tell every customer the day's volume.
func newID() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // never fails: Go ends the program instead
	return hex.EncodeToString(id[:])
}
