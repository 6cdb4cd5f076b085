package issuer

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// newDesk is a bank with trading tokens. Alice and bob are developers of the
// trading accounts T1 and T2, carol of T3; dave has T1 in part, and bank account TR01.
func newDesk(t testing.TB, adjust func(*bank)) *bank {
	t.Helper()
	b := newBank(t, func(b *bank) {
		b.trading = []string{"read:accounts", "all:eft"}
		if adjust != nil {
			adjust(b)
		}
	})
	b.update(func(tx store.Writer) error {
		var errs []error
		add := func(err error) { errs = append(errs, err) }
		add(tx.PutClient(store.Client{
			Environment: b.env, ID: store.TradingClient, Public: true, MaxScopes: b.trading,
			Status: store.Active, Source: store.FromConfig, Created: b.clock.Now(),
		}))
		for _, id := range []string{"alice", "bob", "carol", "dave"} {
			add(tx.PutPrincipal(b.principal(id, id+"'s password", store.User, "read:accounts", "all:eft", "all:remittance")))
		}
		for _, id := range []string{"T1", "T2", "T3"} {
			add(tx.PutAccount(store.Account{Environment: b.env, ID: id, Kind: store.Trading, Name: "Desk " + id, Status: store.Active, Source: store.FromConfig, Created: b.clock.Now()}))
		}
		return errors.Join(errs...)
	})
	for _, pair := range [][2]string{{"alice", "T1"}, {"alice", "T2"}, {"bob", "T1"}, {"bob", "T2"}, {"carol", "T3"}, {"dave", "TR01"}} {
		b.bind(pair[0], pair[1], store.Full)
	}
	b.bind("dave", "T1", store.Partial, "read:accounts")
	return b
}

func (b *bank) bind(user, account string, access store.Access, scopes ...string) {
	b.Helper()
	b.update(func(tx store.Writer) error {
		return tx.PutBinding(store.Binding{Environment: b.env, Principal: user, Account: account, Access: access, Scopes: scopes, Source: store.FromCommand})
	})
}

// trader is a browser in which somebody is signed in.
type trader struct {
	*bank

	cookie, csrf string
}

// trader signs a user in, as of this moment.
func (b *bank) trader(user string) trader {
	b.Helper()
	found, err := b.store.Party(context.Background(), b.env, user)
	if err != nil {
		b.Fatal(err)
	}
	x := &exchange{Request: httptest.NewRequest("POST", "/login", nil), now: b.clock.Now(), ip: "192.0.2.1"}
	line, err := b.issuer.startSession(x, &found.Principal, x.now)
	if err != nil {
		b.Fatal(err)
	}
	cookie, _, _ := strings.Cut(line, ";")
	_, raw, _ := strings.Cut(cookie, "=")
	return trader{b, cookie, csrfOf(raw)}
}

func (w trader) get(path string) *answer {
	w.Helper()
	return w.do(call{method: "GET", path: path, header: http.Header{"Cookie": {w.cookie}}})
}

// form is a form of this session.
func (w trader) form(path string, pairs ...string) call {
	return formCall(path, "", append([]string{"csrf", w.csrf}, pairs...)...).with("Cookie", w.cookie)
}

func (w trader) create(account string) *answer {
	w.Helper()
	return w.do(w.form(pathTradingTokens, "account", account))
}

func (w trader) show(id string) *answer {
	w.Helper()
	return w.do(w.form(pathTradingShow, "token", id))
}

func (w trader) revokeToken(id string) *answer {
	w.Helper()
	return w.do(w.form(pathTradingRevoke, "token", id, "confirmed", "yes"))
}

var (
	sharedValue = regexp.MustCompile(`cb_(?:test|live)_trading_\w{40}`)
	liveRow     = regexp.MustCompile(`<button name="token" value="(\w+)">Show</button>`)
)

// listed are the ids of the live tokens that the page of an account shows.
func (w trader) listed(account string) (ids []string) {
	w.Helper()
	for _, m := range liveRow.FindAllStringSubmatch(w.get(pathTradingTokens+"?account="+account).ok(w).body, -1) {
		ids = append(ids, m[1])
	}
	return ids
}

// shared is a trading token with its value.
type shared struct{ id, raw string }

// newShared creates a trading token and shows it.
func (w trader) newShared(account string) shared {
	w.Helper()
	if got := w.create(account); got.status != 303 || got.header.Get("Location") != pathTradingTokens+"?account="+account {
		w.Fatalf("created: %d %v %s", got.status, got.header, got.body)
	}
	s := shared{id: w.listed(account)[0]}
	s.raw = sharedValue.FindString(w.show(s.id).ok(w).body)
	if s.raw == "" {
		w.Fatal("the page shows no token")
	}
	return s
}

func tradingCall(raw string, pairs ...string) call {
	return formCall(pathTradingToken, "", append([]string{"grant_type", "refresh_token", "refresh_token", raw}, pairs...)...)
}

// mint gets an access token with a trading token.
func (b *bank) mint(raw string) string {
	b.Helper()
	return b.do(tradingCall(raw)).ok(b).field(b, "access_token")
}

// wantTold checks that a person is told what is wrong by a page.
func (a *answer) wantTold(t testing.TB, status int, says string) {
	t.Helper()
	if a.status != status || !strings.Contains(a.body, says) || !strings.HasPrefix(a.header.Get("Content-Type"), "text/html") {
		t.Fatalf("got %d %s, want a page with %d and %q", a.status, a.body, status, says)
	}
	if a.header.Get("Cache-Control") != "no-store" || sharedValue.MatchString(a.body) {
		t.Errorf("%v %s", a.header, a.body)
	}
}

// wantSignIn checks that a person is sent to the sign-in page, and from there to next.
func (a *answer) wantSignIn(t testing.TB, next string, confirm bool) {
	t.Helper()
	at, err := url.Parse(a.header.Get("Location"))
	if err != nil || a.status != 303 || at.Path != "/login" || at.Query().Get("next") != next || (at.Query().Get("confirm") == "1") != confirm {
		t.Fatalf("got %d, Location %q; want the sign-in page, then %s", a.status, at, next)
	}
}

// events are the rows of the audit trail with an action, newest first.
func (b *bank) events(action string) (rows []store.AuditRow) {
	b.Helper()
	err := b.store.View(context.Background(), func(tx store.Reader) (err error) {
		rows, err = tx.Audit(b.env, store.AuditFilter{Action: action})
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return rows
}

// sharedRow is the record of a trading token.
func (b *bank) sharedRow(id string) (row token.Shared) {
	b.Helper()
	err := b.store.View(context.Background(), func(tx store.Reader) (err error) {
		row, _, err = token.SharedToken(tx, b.env, id, b.clock.Now())
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return row
}
