package storetest

import (
	"context"
	"crypto/sha256"
	"errors"
	"reflect"
	"sync"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// The parties of every case. ann has opened 1001 fully and 1002 in part.
const (
	env    = store.Sandbox
	ann    = "ann"
	app    = "app"
	thief  = "thief" // a client as well
	full   = "1001"
	part   = "1002"
	hidden = "1003" // bound to nobody
)

// now is when everything happens that has no other time.
var now = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

const retain = 24 * time.Hour

// world is a store with the parties in it, and what its hook was told.
type world struct {
	*testing.T
	store.Store
	ctx context.Context

	// hook, if set before a call, runs inside the committed hook.
	hook func([]store.Revocation)

	mu        sync.Mutex
	delivered []store.Revocation
}

func newWorld(t *testing.T, open func(*testing.T, func([]store.Revocation)) store.Store) *world {
	t.Helper()
	w := &world{T: t, ctx: context.Background()}
	w.Store = open(t, func(revs []store.Revocation) {
		w.mu.Lock()
		w.delivered = append(w.delivered, revs...)
		w.mu.Unlock()
		if w.hook != nil {
			w.hook(revs)
		}
	})
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	w.populate(env)
	return w
}

// populate puts the parties into an environment.
func (w *world) populate(env store.Environment) {
	w.Helper()
	w.update(func(x store.Writer) error {
		return errors.Join(
			x.PutPrincipal(principal(env)), x.PutClient(client(env, app)), x.PutClient(client(env, thief)),
			x.PutAccount(account(env, full)), x.PutAccount(account(env, part)), x.PutAccount(account(env, hidden)),
			x.PutBinding(store.Binding{Environment: env, Principal: ann, Account: full, Access: store.Full, Source: store.FromConfig}),
			x.PutBinding(store.Binding{Environment: env, Principal: ann, Account: part, Access: store.Partial,
				Scopes: []string{"read"}, Source: store.FromCommand}),
		)
	})
}

func principal(env store.Environment) store.Principal {
	return store.Principal{
		Environment: env, ID: ann, Kind: store.User, Name: "Ann", SecretHash: "s1", MaxScopes: []string{"read", "trade"},
		Status: store.Active, Source: store.FromConfig, Created: now,
	}
}

func client(env store.Environment, id string) store.Client {
	return store.Client{
		Environment: env, ID: id, Name: "The " + id, SecretHash: "s2", MaxScopes: []string{"read"},
		Status: store.Active, Source: store.FromCommand, Created: now,
	}
}

func account(env store.Environment, id string) store.Account {
	return store.Account{
		Environment: env, ID: id, Kind: store.Trading, Name: "No. " + id,
		Status: store.Active, Source: store.FromConfig, Created: now,
	}
}

// hash is the keyed hash of a secret, as far as a store can tell.
func hash(secret string) store.Hash { return sha256.Sum256([]byte(secret)) }

// grant is what ann allows app.
func grant(id string, accounts ...string) store.Grant {
	return store.Grant{
		Environment: env, ID: id, Principal: ann, Client: app,
		Scopes: []string{"trade", "read"}, Accounts: accounts, Created: now,
	}
}

// refresh is a rotating token that lives for an hour.
func refresh(secret string) store.Token {
	return store.Token{
		Environment: env, ID: "id-" + secret, Hash: hash(secret), Class: store.Refresh, KeyID: "k1",
		Nonce: []byte("nonce of " + secret), Created: now, Expires: now.Add(time.Hour),
	}
}

// issue makes a grant with one code and one refresh token, named after it.
func (w *world) issue(id string, accounts ...string) store.Standing {
	w.Helper()
	return w.issueTo(grant(id, accounts...))
}

func (w *world) issueTo(g store.Grant) store.Standing {
	w.Helper()
	st, err := w.Issue(w.ctx, store.Issue{
		Grant: g, Code: &store.Code{Hash: hash("code " + g.ID), KeyID: "k1", Expires: now.Add(time.Minute)},
		Tokens: []store.Token{refresh("token " + g.ID)},
	})
	w.must(err)
	return st
}

// redeem presents the code of a grant.
func (w *world) redeem(id string, change ...func(*store.Redeem)) (store.Standing, error) {
	req := store.Redeem{
		Environment: env, Code: hash("code " + id), Client: app, Now: now,
		ResendGrace: 5 * time.Second, Token: refresh("redeemed " + id), Retain: retain,
	}
	for _, c := range change {
		c(&req)
	}
	return w.RedeemCode(w.ctx, req)
}

// renew presents a refresh token for the successor of that name.
func (w *world) renew(secret, successor string, change ...func(*store.Renew)) (store.Renewed, error) {
	req := store.Renew{
		Environment: env, Token: hash(secret), Client: app, Successor: refresh(successor), Now: now, Retain: retain,
		Retry: store.RetryRule{Window: 30 * time.Second, UnusedWindow: 10 * time.Minute, UnusedMax: 3},
	}
	for _, c := range change {
		c(&req)
	}
	return w.Renew(w.ctx, req)
}

func renewAfter(d time.Duration) func(*store.Renew) {
	return func(r *store.Renew) { r.Now = now.Add(d) }
}
func redeemAfter(d time.Duration) func(*store.Redeem) {
	return func(r *store.Redeem) { r.Now = now.Add(d) }
}

// kill revokes a target.
func (w *world) kill(kind store.Kind, target string) store.Revocation {
	w.Helper()
	rev, err := w.Revoke(w.ctx, store.Revocation{Environment: env, Kind: kind, Target: target, At: now, Reason: "test"}, store.Event{})
	w.must(err)
	return rev
}

func (w *world) update(change func(store.Writer) error) {
	w.Helper()
	w.must(w.Update(w.ctx, change))
}

func (w *world) view(read func(store.Reader) error) {
	w.Helper()
	w.must(w.View(w.ctx, read))
}

// disable takes a client out of service without killing it.
func (w *world) disable(id string, status store.Status) {
	w.Helper()
	c := client(env, id)
	c.Status = status
	w.update(func(x store.Writer) error { return x.PutClient(c) })
}

func (w *world) grant(id string) (g store.Grant) {
	w.Helper()
	w.view(func(r store.Reader) (err error) {
		g, err = r.Grant(env, id)
		return err
	})
	return g
}

func (w *world) token(secret string) store.Token {
	w.Helper()
	token, _, err := w.TokenByHash(w.ctx, env, hash(secret))
	w.must(err)
	return token
}

// audit is the whole trail of the environment, newest first.
func (w *world) audit() (events []store.Event) {
	w.Helper()
	for _, row := range w.filtered(store.AuditFilter{}) {
		events = append(events, row.Event)
	}
	return events
}

func (w *world) filtered(filter store.AuditFilter) (rows []store.AuditRow) {
	w.Helper()
	w.view(func(r store.Reader) (err error) {
		rows, err = r.Audit(env, filter)
		return err
	})
	return rows
}

func (w *world) snapshot() ([]store.Revocation, store.Cursor) {
	w.Helper()
	revs, cursor, err := w.Snapshot(w.ctx)
	w.must(err)
	return revs, cursor
}

func (w *world) told() []store.Revocation {
	w.mu.Lock()
	defer w.mu.Unlock()
	return append([]store.Revocation(nil), w.delivered...)
}

// logged asserts that the log and the hook know the same revocations.
func (w *world) logged(want ...store.Revocation) {
	w.Helper()
	revs, _ := w.snapshot()
	w.equal("the log", revs, want)
	w.equal("the hook", w.told(), want)
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// fails asserts that an error is the one that the contract names.
func (w *world) fails(err, want error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Fatalf("got error %v, want %v", err, want)
	}
}

func (w *world) equal(what string, got, want any) {
	w.Helper()
	if g, s := reflect.ValueOf(got), reflect.ValueOf(want); g.Kind() == reflect.Slice && g.Len() == 0 && s.Len() == 0 {
		return
	}
	if !reflect.DeepEqual(got, want) {
		w.Fatalf("%s:\n got %+v\nwant %+v", what, got, want)
	}
}

// race calls one function from n goroutines at once.
func race(n int, call func(i int) error) []error {
	errs := make([]error, n)
	start := make(chan struct{})
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() {
			<-start
			errs[i] = call(i)
		})
	}
	close(start)
	wg.Wait()
	return errs
}
