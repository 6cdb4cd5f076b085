package main

import (
	"net/http"
	"slices"
	"strings"
)

// paymentRequest is the body of a new EFT or remittance.
type paymentRequest struct {
	From   string `json:"from"`
	To     string `json:"to"`
	Amount int64  `json:"amount"`
	Note   string `json:"note"`
}

func (p paymentRequest) check() error {
	switch {
	case p.From == "":
		return errorf(http.StatusUnprocessableEntity, "from must name an account")
	case !validIBAN(p.To):
		return errorf(http.StatusUnprocessableEntity, "to must be a valid IBAN")
	case p.Amount < 1:
		return errorf(http.StatusUnprocessableEntity, "amount must be at least 1, in minor units")
	case len(p.Note) > 140:
		return errorf(http.StatusUnprocessableEntity, "note must not be longer than 140 bytes")
	}
	return nil
}

// listPayments lists what left the accounts of the token.
func (s *server) listPayments(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		list := s.ledger.paymentsFrom(kind, grantedAccounts(r))
		writeJSON(w, http.StatusOK, map[string]any{"payments": list})
	}
}

// readPayment finds one payment among those of the token's accounts. Another
// customer's is not found, the same as one that never was.
func (s *server) readPayment(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		id := r.PathValue("payment")
		list := s.ledger.paymentsFrom(kind, grantedAccounts(r))
		at := slices.IndexFunc(list, func(p payment) bool { return p.ID == id })
		if at < 0 {
			fail(w, errorf(http.StatusNotFound, "no such payment"))
			return
		}
		writeJSON(w, http.StatusOK, list[at])
	}
}

// sendPayment makes a payment. The gate judges method, path and headers and
// binds path segments to the token's accounts, but it does not read bodies:
// whether the token covers the account named in one is for the upstream to
// check, with the list that the gate vouches for.
func (s *server) sendPayment(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var request paymentRequest
		if err := readJSON(w, r, &request); err != nil {
			fail(w, err)
			return
		}
		if err := request.check(); err != nil {
			fail(w, err)
			return
		}
		if !slices.Contains(grantedAccounts(r), request.From) {
			fail(w, errorf(http.StatusForbidden, "the token does not cover the account in from"))
			return
		}
		paid, err := s.ledger.pay(payment{
			Kind: kind, From: request.From, To: compactIBAN(request.To),
			Amount: request.Amount, Note: request.Note,
		})
		if err != nil {
			fail(w, err)
			return
		}
		w.Header().Set("Location", r.URL.EscapedPath()+"/"+paid.ID)
		writeJSON(w, http.StatusCreated, paid)
	}
}

// compactIBAN is the form without the spaces that people type.
func compactIBAN(s string) string { return strings.ReplaceAll(s, " ", "") }

// validIBAN checks length, alphabet and the two check digits (ISO 13616):
// with the first four characters moved to the end and letters counted from
// A = 10, the number is 1 modulo 97.
func validIBAN(s string) bool {
	s = compactIBAN(s)
	if len(s) < 15 || len(s) > 34 {
		return false
	}
	remainder := 0
	for i, c := range []byte(s[4:] + s[:4]) {
		country, digits := i == len(s)-4 || i == len(s)-3, i >= len(s)-2
		switch {
		case c >= '0' && c <= '9' && !country:
			remainder = (remainder*10 + int(c-'0')) % 97
		case c >= 'A' && c <= 'Z' && !digits:
			remainder = (remainder*100 + int(c-'A') + 10) % 97
		default:
			return false
		}
	}
	return remainder == 1
}
