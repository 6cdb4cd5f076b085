package caddymodule

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/gate"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// rightsWorld is an admin world with a gate before an API.
type rightsWorld struct {
	*adminWorld
	api string
}

func newRightsWorld(t *testing.T) *rightsWorld {
	t.Helper()
	w := newAdminWorld(t)
	g, err := gate.New(gate.Options{Authority: w.authority(), Policy: w.app.runtime.policies.slot("test").get})
	must(t, err)
	next := handlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if r.URL.Path == "/api/v1/events" && r.URL.RawQuery == "" {
			serveEvents(w, r)
		}
		return nil
	})
	server := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		var refusal *gate.Refusal
		if errors.As(g.ServeHTTP(rw, r, next), &refusal) {
			rw.Header().Set("X-Reason", refusal.Reason)
			refusal.Respond(rw, r)
		}
	}))
	t.Cleanup(server.Close)
	t.Cleanup(func() { w.authority().CutAll(token.CauseShutdown) }) // before Close, which waits for streams
	return &rightsWorld{w, server.URL}
}

type handlerFunc func(http.ResponseWriter, *http.Request) error

func (f handlerFunc) ServeHTTP(w http.ResponseWriter, r *http.Request) error { return f(w, r) }

// ask asks the gate and returns the status with the reason for it, if it is a
// refusal.
func (w *rightsWorld) ask(raw, path string) string {
	w.t.Helper()
	request := newAdminRequest(w.t, "GET", w.api+path, "")
	request.Header.Set("Authorization", "Bearer "+raw)
	response, err := http.DefaultClient.Do(request)
	must(w.t, err)
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return strings.TrimSpace(response.Status[:3] + " " + response.Header.Get("X-Reason"))
}

// events is a live event stream.
type events struct {
	t     *testing.T
	lines *bufio.Scanner
}

func (w *rightsWorld) stream(raw string) events {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), patience)
	w.t.Cleanup(cancel)
	request := newAdminRequest(w.t, "GET", w.api+"/api/v1/events", "").WithContext(ctx)
	request.Header.Set("Authorization", "Bearer "+raw)
	response, err := http.DefaultClient.Do(request)
	must(w.t, err)
	w.t.Cleanup(func() { response.Body.Close() })
	if response.StatusCode != 200 {
		w.t.Fatalf("no stream: %s", response.Status)
	}
	return events{w.t, bufio.NewScanner(response.Body)}
}

// alive reads some events more.
func (e events) alive() bool {
	for range 4 {
		if !e.lines.Scan() || strings.HasPrefix(e.lines.Text(), "event: ") {
			return false
		}
	}
	return true
}

// end returns the name of the last event.
func (e events) end() (name string) {
	for e.lines.Scan() {
		if after, ok := strings.CutPrefix(e.lines.Text(), "event: "); ok {
			name = after
		}
	}
	return name
}

// holder is somebody with one token of each kind, all for the same.
type holder struct {
	client, user, account, other string // account is the one that things happen to
	signed                       issued
	personal                     string
}

// grantOf is what a holder's tokens were granted; more than he may do.
var grantOf = []string{"read:eft", "read:market", "read:accounts"}

// newHolder makes a user with two accounts and a client, who may read payments
// and the market, and issues to them.
func (w *rightsWorld) newHolder() *holder {
	w.t.Helper()
	h := &holder{
		client:  w.ok("POST", "/clients", `{"scopes":["read:eft","read:market"]}`).record(w.t).ID,
		user:    w.ok("POST", "/users", `{"scopes":["read:eft","read:market"]}`).record(w.t).ID,
		account: w.ok("POST", "/accounts", `{"id":"`+token.NewID()+`"}`).record(w.t).ID,
		other:   w.ok("POST", "/accounts", `{"id":"`+token.NewID()+`"}`).record(w.t).ID,
	}
	w.ok("PUT", "/bindings/"+h.user+"/"+h.account, "")
	w.ok("PUT", "/bindings/"+h.user+"/"+h.other, "")
	w.equip(h)
	return h
}

// equip issues tokens to a holder.
func (w *rightsWorld) equip(h *holder) {
	w.t.Helper()
	h.signed = w.issueScopes(grantOf, h.client, h.user, h.account, h.other)
	h.personal = w.personal(h.client, h.user, h.account, h.other)
}

// personal issues an opaque access token.
func (w *rightsWorld) personal(client, principal string, accounts ...string) string {
	w.t.Helper()
	now := time.Now()
	keyring := w.authority().Keyring()
	raw, hash := keyring.NewOpaque(store.Personal)
	_, err := w.app.runtime.store.Issue(w.t.Context(), store.Issue{
		Grant: store.Grant{
			Environment: store.Sandbox, ID: token.NewID(), Principal: principal, Client: client,
			Scopes: grantOf, Accounts: accounts, Created: now,
		},
		Tokens: []store.Token{{
			Environment: store.Sandbox, ID: token.NewID(), Hash: hash, Class: store.Personal,
			KeyID: keyring.KeyID(), Created: now, Expires: now.Add(time.Hour),
		}},
	})
	must(w.t, err)
	return raw
}

// renew renews the refresh token as the issuer does, and mints what is left.
func (w *rightsWorld) renew(i *issued, client string) (token.Minted, error) {
	w.t.Helper()
	a, st := w.authority(), w.app.runtime.store
	opaque, err := a.Keyring().ParseOpaque(i.refresh)
	must(w.t, err)
	row, _, err := st.TokenByHash(w.t.Context(), store.Sandbox, opaque.Hash)
	must(w.t, err)
	raw, hash, err := a.Keyring().Successor(i.refresh, row.KeyID, row.Nonce, store.Refresh, a.Keyring().KeyID())
	must(w.t, err)
	now := time.Now()
	renewed, err := st.Renew(w.t.Context(), store.Renew{
		Environment: store.Sandbox, Token: opaque.Hash, Client: client, Now: now, Retain: time.Hour,
		Successor: store.Token{
			Environment: store.Sandbox, ID: token.NewID(), Hash: hash, Class: store.Refresh,
			KeyID: a.Keyring().KeyID(), Nonce: token.NewNonce(), Created: now, Expires: now.Add(time.Hour),
		},
	})
	if err != nil {
		return token.Minted{}, err
	}
	i.refresh = raw
	return a.Mint(&renewed.Standing, time.Time{})
}

// What the gate says of the two routes that a holder may use at first, and of the
// one that nobody has given him yet.
const (
	allOfIt = "200, 200, 403 insufficient_scope"
	less    = "200, 403 insufficient_scope, 403 insufficient_scope"
	more    = "200, 200, 200"
	dead    = "401 revoked, 401 revoked, 401 revoked"
	renewIt = "401 rights_changed, 401 rights_changed, 401 rights_changed"
	onward  = "goes on"
)

func (w *rightsWorld) verdicts(raw string) string {
	w.t.Helper()
	return w.ask(raw, "/api/v1/eft") + ", " + w.ask(raw, "/api/v1/events?once") + ", " + w.ask(raw, "/api/v1/accounts")
}

// rightsCase is a change and what is left of a holder's tokens after it.
type rightsCase struct {
	name             string
	prepare, change  func(*rightsWorld, *holder)
	signed, personal string // verdicts
	signedStream     string // the last event, or that it goes on
	personalStream   string
	renewed          string // what the refresh token still gives
}

// call makes a change of one operation. In the path and the body, CLIENT, USER,
// ACCOUNT and OTHER stand for the holder's.
func call(method, path, body string) func(*rightsWorld, *holder) {
	return func(w *rightsWorld, h *holder) {
		w.t.Helper()
		fill := strings.NewReplacer("CLIENT", h.client, "USER", h.user, "ACCOUNT", h.account, "OTHER", h.other).Replace
		w.ok(method, fill(path), body)
	}
}

// anew has a holder equipped again after something was prepared.
func anew(prepare func(*rightsWorld, *holder)) func(*rightsWorld, *holder) {
	return func(w *rightsWorld, h *holder) {
		prepare(w, h)
		w.equip(h)
	}
}

const (
	both    = "read:eft read:market"
	eftOnly = "read:eft"
)

// Every change of rights, and every killing, against every kind of token.
func TestRightsMatrix(t *testing.T) {
	w := newRightsWorld(t)
	for _, test := range slices.Concat(takings, killings, givings) {
		t.Run(test.name, func(t *testing.T) {
			w.t = t
			h := w.newHolder()
			if test.prepare != nil {
				test.prepare(w, h)
			}
			signedStream, personalStream := w.stream(h.signed.access), w.stream(h.personal)
			bystander := w.issueScopes(grantOf, clientID, serviceID, "1")
			if got := w.verdicts(h.signed.access); got != allOfIt {
				t.Fatalf("before, the signed token: %s", got)
			}
			if got := w.verdicts(h.personal); got != allOfIt {
				t.Fatalf("before, the personal token: %s", got)
			}

			test.change(w, h)
			if got := w.verdicts(h.signed.access); got != test.signed {
				t.Errorf("signed token: %s; want %s", got, test.signed)
			}
			if got := w.verdicts(h.personal); got != test.personal {
				t.Errorf("personal token: %s; want %s", got, test.personal)
			}
			signedStream.check("on the signed token", test.signedStream)
			personalStream.check("on the personal token", test.personalStream)
			minted, err := w.renew(&h.signed, h.client)
			got := strings.Join(minted.Scopes, " ")
			if err != nil {
				got = err.Error()
			}
			if !strings.Contains(got, test.renewed) || err == nil && got != test.renewed {
				t.Errorf("renewed: %s; want %s", got, test.renewed)
			}
			if got := w.verdict(bystander); got != token.Live && !strings.Contains(test.name, "key") {
				t.Errorf("somebody else's token is %s", got)
			}
		})
	}
}

func (e events) check(what, want string) {
	e.t.Helper()
	if want == onward {
		if !e.alive() {
			e.t.Errorf("the stream %s was cut", what)
		}
		return
	}
	if got := e.end(); got != want {
		e.t.Errorf("the stream %s ended with %q, want %q", what, got, want)
	}
}

// What is taken away is gone at once, and what is left can be had at once.
var takings = []rightsCase{
	{
		name:   "full access becomes partial",
		change: call("PUT", "/bindings/USER/ACCOUNT", `{"scopes":["read:eft"]}`),
		signed: renewIt, personal: less, signedStream: "rights_changed", personalStream: "rights_changed", renewed: eftOnly,
	},
	{
		name:    "partial access loses a scope",
		prepare: anew(call("PUT", "/bindings/USER/ACCOUNT", `{"scopes":["read:eft","read:market"]}`)),
		change:  call("PUT", "/bindings/USER/ACCOUNT", `{"scopes":["read:eft"]}`),
		signed:  renewIt, personal: less, signedStream: "rights_changed", personalStream: "rights_changed", renewed: eftOnly,
	},
	{
		name:    "partial access has other scopes",
		prepare: anew(call("PUT", "/bindings/USER/ACCOUNT", `{"scopes":["read:eft","read:market"]}`)),
		change:  call("PUT", "/bindings/USER/ACCOUNT", `{"scopes":["read:accounts","read:eft"]}`),
		signed:  renewIt, personal: less, signedStream: "rights_changed", personalStream: "rights_changed", renewed: eftOnly,
	},
	{
		name:   "scopes of the user are cut",
		change: call("PATCH", "/users/USER", `{"scopes":["read:eft"]}`),
		signed: renewIt, personal: less, signedStream: "rights_changed", personalStream: "rights_changed", renewed: eftOnly,
	},
	{
		name:   "scopes of the client are cut",
		change: call("PATCH", "/clients/CLIENT", `{"scopes":["read:eft"]}`),
		signed: renewIt, personal: less, signedStream: "rights_changed", personalStream: "rights_changed", renewed: eftOnly,
	},
}

// What is killed is dead, with all that comes from it.
var killings = []rightsCase{
	killing("account is unbound", call("DELETE", "/bindings/USER/ACCOUNT", "")),
	killing("account is disabled", call("POST", "/accounts/ACCOUNT/disable", "")),
	killing("account is killed", call("POST", "/accounts/ACCOUNT/revoke", "")),
	killing("user is disabled", call("POST", "/users/USER/disable", "")),
	killing("user is killed", call("POST", "/users/USER/revoke", "")),
	killing("client is disabled", call("POST", "/clients/CLIENT/disable", "")),
	killing("client is killed", call("POST", "/clients/CLIENT/revoke", "")),
}

func killing(name string, change func(*rightsWorld, *holder)) rightsCase {
	return rightsCase{
		name: name, change: change, signed: dead, personal: dead,
		signedStream: "revoked", personalStream: "revoked", renewed: store.ErrRevoked.Error(),
	}
}

// What is given kills nothing and cuts nothing. Opaque tokens have it at once,
// signed ones when they are renewed.
var givings = []rightsCase{
	giving("partial access becomes full",
		call("PUT", "/bindings/USER/ACCOUNT", `{"scopes":["read:eft","read:market"]}`),
		call("PUT", "/bindings/USER/ACCOUNT", "")),
	giving("partial access gets a scope",
		call("PUT", "/bindings/USER/ACCOUNT", `{"scopes":["read:eft","read:market"]}`),
		call("PUT", "/bindings/USER/ACCOUNT", `{"scopes":["read:accounts","read:eft","read:market"]}`)),
	giving("user gets a scope", nil, nil),
	giving("client gets a scope",
		call("PATCH", "/clients/CLIENT", `{"scopes":["read:eft","read:market"]}`),
		call("PATCH", "/clients/CLIENT", `{"scopes":["read:eft","read:market","read:accounts"]}`)),
	{
		name:   "same again",
		change: call("PUT", "/bindings/USER/ACCOUNT", ""),
		signed: allOfIt, personal: allOfIt, signedStream: onward, personalStream: onward, renewed: both,
	},
	{
		name: "another account",
		change: func(w *rightsWorld, h *holder) {
			w.ok("PUT", "/bindings/"+h.user+"/1", `{"scopes":["read:eft"]}`)
		},
		signed: allOfIt, personal: allOfIt, signedStream: onward, personalStream: onward, renewed: both,
	},
}

// giving is a case in which everything but what narrow leaves out is given to a
// holder first; by default that is the user's scope.
func giving(name string, narrow, widen func(*rightsWorld, *holder)) rightsCase {
	three := `{"scopes":["read:eft","read:market","read:accounts"]}`
	if narrow == nil {
		narrow = call("PATCH", "/users/USER", `{"scopes":["read:eft","read:market"]}`)
		widen = call("PATCH", "/users/USER", three)
	}
	return rightsCase{
		name: name, change: widen,
		prepare: anew(func(w *rightsWorld, h *holder) {
			call("PATCH", "/users/USER", three)(w, h)
			call("PATCH", "/clients/CLIENT", three)(w, h)
			narrow(w, h)
		}),
		signed: allOfIt, personal: more, signedStream: onward, personalStream: onward, renewed: both + " read:accounts",
	}
}

// A signing key that is killed takes what it signed along, and nothing else.
func TestKilledKeyAgainstEveryKindOfToken(t *testing.T) {
	w := newRightsWorld(t)
	h := w.newHolder()
	signed, personal := w.stream(h.signed.access), w.stream(h.personal)
	_, err := w.authority().Revoke(t.Context(), store.Revocation{Kind: store.KindKey, Target: h.signed.lease.KeyID}, store.Event{})
	must(t, err)
	if got := w.verdicts(h.signed.access); got != dead {
		t.Errorf("signed token: %s", got)
	}
	if got := w.verdicts(h.personal); got != allOfIt {
		t.Errorf("personal token: %s", got)
	}
	signed.check("on the signed token", "revoked")
	personal.check("on the personal token", onward)
}

// What was taken away and is given back comes with the next token, and at once
// with an opaque one. The signed token of before stays refused, and the one in
// between stays good for what it says.
func TestRightThatIsGivenBack(t *testing.T) {
	w := newRightsWorld(t)
	for name, changes := range map[string][2]func(*rightsWorld, *holder){
		"access": {
			call("PUT", "/bindings/USER/ACCOUNT", `{"scopes":["read:eft"]}`), call("PUT", "/bindings/USER/ACCOUNT", ""),
		},
		"scopes of the user": {
			call("PATCH", "/users/USER", `{"scopes":["read:eft"]}`), call("PATCH", "/users/USER", `{"scopes":["read:market","read:eft"]}`),
		},
		"scopes of the client": {
			call("PATCH", "/clients/CLIENT", `{"scopes":["read:eft"]}`), call("PATCH", "/clients/CLIENT", `{"scopes":["read:eft","read:market"]}`),
		},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			h := w.newHolder()
			changes[0](w, h)
			between, err := w.renew(&h.signed, h.client)
			must(t, err)
			if got := w.verdicts(h.personal); got != less {
				t.Errorf("personal token, while it was taken: %s", got)
			}
			changes[1](w, h)
			after, err := w.renew(&h.signed, h.client)
			must(t, err)
			for what, check := range map[string][2]string{
				"from before": {h.signed.access, renewIt}, "from between": {between.Raw, less},
				"from after": {after.Raw, allOfIt}, "personal": {h.personal, allOfIt},
			} {
				if got := w.verdicts(check[0]); got != check[1] {
					t.Errorf("token %s: %s; want %s", what, got, check[1])
				}
			}
		})
	}
}

// An account that is bound again does not bring back what was granted for it.
func TestAccountThatIsBoundAgain(t *testing.T) {
	w := newRightsWorld(t)
	h := w.newHolder()
	forOther := w.personal(h.client, h.user, h.other)
	call("DELETE", "/bindings/USER/ACCOUNT", "")(w, h)
	call("PUT", "/bindings/USER/ACCOUNT", "")(w, h)
	if got := w.verdicts(h.signed.access); got != dead {
		t.Errorf("signed token: %s", got)
	}
	if got := w.verdicts(h.personal); got != dead {
		t.Errorf("personal token: %s", got)
	}
	if got := w.verdicts(forOther); got != allOfIt {
		t.Errorf("personal token for the other account: %s", got)
	}
	w.equip(h)
	if got := w.verdicts(h.signed.access); got != allOfIt {
		t.Errorf("signed token of a new grant: %s", got)
	}
}

// What was granted while an account was disabled covers it as soon as it is
// enabled; what was granted before stays dead.
func TestAccountThatIsEnabledAgain(t *testing.T) {
	w := newRightsWorld(t)
	for name, change := range map[string][2]func(*rightsWorld, *holder){
		"by command": {call("POST", "/accounts/ACCOUNT/disable", ""), call("POST", "/accounts/ACCOUNT/enable", "")},
		"in the configuration": {
			func(w *rightsWorld, h *holder) {
				env := w.app.Environments[store.Sandbox]
				env.Accounts = append(env.Accounts, &Account{ID: "declared", Kind: store.Bank})
				must(w.t, w.declare())
				h.account = "declared"
				call("PUT", "/bindings/USER/ACCOUNT", "")(w, h)
				w.equip(h)
				env.Accounts = env.Accounts[:1]
				must(w.t, w.declare())
			},
			func(w *rightsWorld, h *holder) {
				env := w.app.Environments[store.Sandbox]
				env.Accounts = append(env.Accounts, &Account{ID: "declared", Kind: store.Bank})
				must(w.t, w.declare())
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			h := w.newHolder()
			change[0](w, h)
			meanwhile := w.personal(h.client, h.user, h.account, h.other)
			accounts := func(want ...string) {
				t.Helper()
				w.ask(meanwhile, "/api/v1/eft") // has the gate look it up if it must
				lease, err := w.authority().Check(meanwhile)
				must(t, err)
				if !slices.Equal(lease.Accounts, want) {
					t.Errorf("accounts %v, want %v", lease.Accounts, want)
				}
			}
			accounts(h.other)
			change[1](w, h)
			accounts(h.account, h.other)
			if got := w.verdicts(h.personal); got != dead {
				t.Errorf("a token from before: %s", got)
			}
			if got := w.verdicts(h.signed.access); got != dead {
				t.Errorf("a signed token from before: %s", got)
			}
		})
	}
}

// Who asked for a grant before the account was taken away may get it after. When
// the account is bound again, it must not come to life.
func TestGrantForAnAccountThatWasNotBound(t *testing.T) {
	w := newRightsWorld(t)
	for name, bind := range map[string]func(*rightsWorld, *holder){
		"by command": call("PUT", "/bindings/USER/ACCOUNT", ""),
		"in the configuration": func(w *rightsWorld, h *holder) {
			w.update(func(tx store.Writer) error {
				d := &change{Writer: tx, env: store.Sandbox, now: time.Now(), retention: time.Hour}
				return d.declareBindings(h.user, []string{h.account})
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			w.t = t
			h := w.newHolder()
			call("DELETE", "/bindings/USER/ACCOUNT", "")(w, h)
			late, forOther := w.personal(h.client, h.user, h.account, h.other), w.personal(h.client, h.user, h.other)
			if got := w.verdicts(late); got != allOfIt {
				t.Errorf("before: %s", got)
			}
			bind(w, h)
			if got := w.verdicts(late); got != dead {
				t.Errorf("the late grant: %s", got)
			}
			if got := w.verdicts(forOther); got != allOfIt {
				t.Errorf("a grant for the other account: %s", got)
			}
		})
	}
}

// One list of scopes stands for all accounts of a token, so that partial access
// to one of them is all the access that the token has.
func TestFullAccessToOneAccountAndPartialToAnother(t *testing.T) {
	w := newRightsWorld(t)
	h := w.newHolder()
	call("PUT", "/bindings/USER/OTHER", `{"scopes":["read:eft"]}`)(w, h)
	for name, test := range map[string]struct {
		accounts []string
		want     string
	}{
		"full alone":    {[]string{h.account}, allOfIt},
		"partial alone": {[]string{h.other}, less},
		"both":          {[]string{h.account, h.other}, less},
		"none":          {nil, allOfIt},
	} {
		signed := w.issueScopes(grantOf, h.client, h.user, test.accounts...)
		if got := w.verdicts(signed.access); got != test.want {
			t.Errorf("%s, signed: %s; want %s", name, got, test.want)
		}
		if !slices.Equal(signed.lease.Accounts, test.accounts) {
			t.Errorf("%s: for accounts %v", name, signed.lease.Accounts)
		}
		if got := w.verdicts(w.personal(h.client, h.user, test.accounts...)); got != test.want {
			t.Errorf("%s, personal: %s; want %s", name, got, test.want)
		}
	}
}
