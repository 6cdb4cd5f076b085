package main

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// grantedAccounts are the accounts that the caller's token covers, as the
// gate says in X-Auth-Accounts: separated by spaces, each percent-encoded.
// No header, no account: a request that came around the gate gets nothing.
func grantedAccounts(r *http.Request) []string {
	var accounts []string
	for _, field := range strings.Fields(r.Header.Get("X-Auth-Accounts")) {
		if id, err := url.PathUnescape(field); err == nil {
			accounts = append(accounts, id)
		}
	}
	return accounts
}

// listAccounts lists the accounts of the token, those that exist.
func (s *server) listAccounts(w http.ResponseWriter, r *http.Request) {
	var list []account
	for _, id := range grantedAccounts(r) {
		if found, err := s.ledger.account(id); err == nil {
			list = append(list, found)
		}
	}
	writeJSON(w, http.StatusOK, map[string]any{"accounts": list})
}

// readAccount, like every call with {account} in its path, does not look at
// the token's accounts: the policy binds that segment to the token, and the
// gate has refused any other before the request came here.
func (s *server) readAccount(w http.ResponseWriter, r *http.Request) {
	found, err := s.ledger.account(r.PathValue("account"))
	if err != nil {
		fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, found)
}

func (s *server) readBalance(w http.ResponseWriter, r *http.Request) {
	found, err := s.ledger.balance(r.PathValue("account"))
	if err != nil {
		fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, found)
}

func (s *server) listOrders(w http.ResponseWriter, r *http.Request) {
	open, err := s.ledger.openOrders(r.PathValue("account"))
	if err != nil {
		fail(w, err)
		return
	}
	writeJSON(w, http.StatusOK, map[string]any{"orders": open})
}

// orderRequest is the body of a new order.
type orderRequest struct {
	Side     string `json:"side"`
	Symbol   string `json:"symbol"`
	Quantity int64  `json:"quantity"`
	Price    int64  `json:"price"`
}

func (o orderRequest) check() error {
	switch {
	case o.Side != "buy" && o.Side != "sell":
		return errorf(http.StatusUnprocessableEntity, "side must be buy or sell")
	case !slices.Contains(symbols, o.Symbol):
		return errorf(http.StatusUnprocessableEntity, "symbol must be one of %s", strings.Join(symbols, ", "))
	case o.Quantity < 1:
		return errorf(http.StatusUnprocessableEntity, "quantity must be at least 1")
	case o.Price < 1:
		return errorf(http.StatusUnprocessableEntity, "price must be at least 1, in minor units")
	}
	return nil
}

func (s *server) placeOrder(w http.ResponseWriter, r *http.Request) {
	var request orderRequest
	if err := readJSON(w, r, &request); err != nil {
		fail(w, err)
		return
	}
	if err := request.check(); err != nil {
		fail(w, err)
		return
	}
	_, quote, _ := strings.Cut(request.Symbol, "-")
	placed, err := s.ledger.place(order{
		Account:  r.PathValue("account"),
		Side:     request.Side,
		Symbol:   request.Symbol,
		Quantity: request.Quantity,
		Price:    request.Price,
	}, quote)
	if err != nil {
		fail(w, err)
		return
	}
	w.Header().Set("Location", r.URL.EscapedPath()+"/"+placed.ID)
	writeJSON(w, http.StatusCreated, placed)
}

func (s *server) cancelOrder(w http.ResponseWriter, r *http.Request) {
	if err := s.ledger.cancel(r.PathValue("account"), r.PathValue("order")); err != nil {
		fail(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
