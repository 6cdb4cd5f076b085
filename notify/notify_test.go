package notify

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

const week = 7 * 24 * time.Hour

// types are what came, in order.
func types(got []received) string {
	list := []string{}
	for _, one := range got {
		list = append(list, strings.TrimPrefix(one.path, "/")+" "+one.Type)
	}
	return fmt.Sprint(list)
}

// names are the names of the tokens that messages are about.
func names(got []received) string {
	list := []string{}
	for _, one := range got {
		list = append(list, one.Data.Name)
	}
	return fmt.Sprint(list)
}

// The receiver verifies as the specification says (Standard Webhooks 1.0).
func TestSignedAsStandardWebhooks(t *testing.T) {
	w := newTown(t)
	secret := w.hook("alice")
	id := w.issue("alice", "Reports", 30*24*time.Hour)
	w.pass(time.Second)
	got := w.receiver.take()
	if len(got) != 1 {
		t.Fatalf("%d messages", len(got))
	}
	m := got[0]
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) != 32 || !strings.HasPrefix(secret, "whsec_") {
		t.Fatalf("secret %q: %v", secret, err)
	}
	at := m.header.Get("webhook-timestamp")
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%s.%s", m.header.Get("webhook-id"), at, m.body)
	if want := "v1," + base64.StdEncoding.EncodeToString(mac.Sum(nil)); m.header.Get("webhook-signature") != want {
		t.Errorf("signature %s, want %s", m.header.Get("webhook-signature"), want)
	}
	if at != strconv.FormatInt(w.clock().Unix(), 10) || !strings.HasPrefix(m.header.Get("webhook-id"), "msg_") || m.header.Get("Content-Type") != "application/json" {
		t.Errorf("%v", m.header)
	}
	want := Data{
		Environment: env, User: "alice", Subject: SubjectPersonal, Token: id, Name: "Reports", Accounts: []string{"T1"},
		Scopes: []string{"trade:orders"}, Expires: w.clock().Add(30*24*time.Hour - time.Second), By: &Actor{"operator", "admin"},
	}
	if m.Type != TypeIssued || fmt.Sprintf("%+v", *m.Data.By) != "{Kind:operator ID:admin}" {
		t.Errorf("%s", m.body)
	}
	m.Data.By = want.By
	if fmt.Sprintf("%+v", m.Data) != fmt.Sprintf("%+v", want) {
		t.Errorf("%s", m.body)
	}
}

func TestWhoIsToldOfWhat(t *testing.T) {
	operator := store.Event{Actor: "operator:admin", Action: "token.revoke", Reason: "leaked"}
	for _, c := range []struct {
		name string
		do   func(*town)
		want string
	}{
		{"a personal token is issued", func(w *town) { w.issue("alice", "x", 0) }, "[alice token.issued]"},
		{"a trading token, for those who have the account in full", func(w *town) { w.share("alice", 0) }, "[alice token.issued bob token.issued]"},
		{"an app gets access", func(w *town) {
			w.issueFor("alice", "app", store.Token{Class: store.Refresh}, time.Hour, store.Event{Action: "code.issue"})
			g := w.lastGrant("alice")
			w.record(store.Event{Actor: "client:app", Action: "code.redeem", Target: "grant:" + g, Outcome: "ok"})
		}, "[alice token.issued]"},
		{"a code came twice", func(w *town) {
			w.issueFor("alice", "app", store.Token{Class: store.Refresh}, time.Hour, store.Event{Action: "code.issue"})
			w.record(store.Event{Actor: "client:app", Action: "code.redeem", Target: "grant:" + w.lastGrant("alice"), Outcome: "replayed"})
		}, "[alice token.revoked]"},
		{"a refresh token came twice", func(w *town) {
			w.issueFor("bob", "app", store.Token{Class: store.Refresh}, time.Hour, store.Event{Action: "code.issue"})
			w.record(store.Event{Actor: "client:app", Action: "token.renew", Target: "grant:" + w.lastGrant("bob"), Outcome: "reused"})
		}, "[bob token.revoked]"},
		{"a code was refused", func(w *town) {
			w.issueFor("alice", "app", store.Token{Class: store.Refresh}, time.Hour, store.Event{Action: "code.issue"})
			w.record(store.Event{Actor: "client:app", Action: "code.redeem", Target: "grant:" + w.lastGrant("alice"), Outcome: "mismatch"})
		}, "[]"},
		{"a trading token is revoked by one of its developers", func(w *town) {
			id := w.share("carol", 0)
			w.revoke(store.KindGrant, "g"+id, store.Event{Actor: "user:bob", Action: "token.revoke", Target: "token:" + id})
		}, "[alice token.issued bob token.issued alice token.revoked]"},
		{"and by an operator", func(w *town) {
			w.revoke(store.KindGrant, "g"+w.share("alice", 0), store.Event{Actor: "operator:admin", Action: "grant.revoke"})
		}, "[alice token.issued bob token.issued alice token.revoked bob token.revoked]"},
		{"who revokes his own knows", func(w *town) {
			id := w.issue("alice", "x", 0)
			w.revoke(store.KindToken, id, store.Event{Actor: "user:alice", Action: "token.revoke", Target: "token:" + id})
		}, "[alice token.issued]"},
		{"an operator revokes a personal token", func(w *town) {
			w.revoke(store.KindToken, w.issue("alice", "x", 0), operator)
		}, "[alice token.issued alice token.revoked]"},
		{"an operator ends all of a user", func(w *town) {
			w.revoke(store.KindPrincipal, "bob", store.Event{Actor: "operator:admin", Action: "principal.revoke"})
		}, "[bob token.revoked]"},
		{"all of an account, also where it is open in part", func(w *town) {
			w.revoke(store.KindAccount, "T1", store.Event{Actor: "operator:admin", Action: "account.revoke"})
		}, "[alice token.revoked bob token.revoked carol token.revoked]"},
		{"an app is ended, for those who let it in", func(w *town) {
			w.issueFor("carol", "app", store.Token{Class: store.Refresh}, time.Hour, store.Event{Action: "code.issue"})
			w.revoke(store.KindClient, "app", store.Event{Actor: "operator:admin", Action: "client.revoke"})
		}, "[carol token.revoked]"},
		{"an account is taken away", func(w *town) {
			w.record(store.Event{Actor: "operator:admin", Action: "account.unbind", Target: "binding:alice/T1", Outcome: "ok"})
		}, "[alice token.revoked]"},
		{"an app gives back what it has", func(w *town) {
			w.issueFor("alice", "app", store.Token{Class: store.ExchangeAccess}, 0, store.Event{Action: "x"})
			w.revoke(store.KindGrant, w.lastGrant("alice"), store.Event{Actor: "client:app", Action: "connection.delink"})
		}, "[alice token.revoked]"},
		{"signed tokens, keys and rights are no news", func(w *town) {
			w.revoke(store.KindToken, "jti", operator)
			w.record(store.Event{Actor: "operator:admin", Action: "key.revoke", Target: "key:k", Outcome: "ok"})
			w.record(store.Event{Actor: "config", Action: "rights.revoke", Target: "rights:alice", Outcome: "ok"})
			w.record(store.Event{Actor: "user:alice", Action: "token.revoke", Target: "token:nobody's", Outcome: "ok"})
			w.record(store.Event{Actor: "user:alice", Action: "request.refuse", Target: "endpoint:revoke", Outcome: "forbidden"})
		}, "[]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newTown(t)
			for _, user := range []string{"alice", "bob", "carol"} {
				w.hook(user)
			}
			c.do(w)
			w.pass(time.Second)
			got := w.receiver.take()
			byUser(got)
			if types(got) != sorted(c.want) {
				t.Errorf("%s, want %s", types(got), c.want)
			}
		})
	}
}

// byUser sorts by receiver, because each has its own goroutine, and leaves the order
// of each.
func byUser(got []received) {
	for i := range got {
		for k := i; k > 0 && got[k].path < got[k-1].path; k-- {
			got[k], got[k-1] = got[k-1], got[k]
		}
	}
}

// sorted is a list of types by receiver.
func sorted(want string) string {
	words := strings.Fields(strings.Trim(want, "[]"))
	var got []received
	for k := 0; k+1 < len(words); k += 2 {
		got = append(got, received{path: words[k], Message: Message{Type: words[k+1]}})
	}
	byUser(got)
	return types(got)
}

func (w *town) lastGrant(principal string) (id string) {
	w.Helper()
	err := w.store.View(w.Context(), func(tx store.Reader) error {
		grants, err := tx.Grants(env, store.GrantFilter{Principal: principal, Limit: 1})
		if err == nil {
			id = grants[0].ID
		}
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return id
}

func (w *town) record(e store.Event) {
	w.Helper()
	e.Environment, e.At = env, w.clock()
	w.update(func(tx store.Writer) error { return tx.Record(e) })
}

// Who revoked it stands in the message, and why.
func TestRevokedByWhom(t *testing.T) {
	w := newTown(t)
	w.hook("alice", Revoked)
	id := w.share("alice", week*52)
	w.revoke(store.KindGrant, "g"+id, store.Event{Actor: "user:bob", Action: "token.revoke", Target: "token:" + id, Reason: "not needed"})
	w.pass(time.Second)
	got := w.receiver.take()
	if len(got) != 1 || got[0].Data.Subject != SubjectTrading || got[0].Data.Token != id || got[0].Data.Reason != "not needed" || *got[0].Data.By != (Actor{"user", "bob"}) {
		t.Errorf("%+v", got)
	}
}

func TestOnlyWhatWasChosen(t *testing.T) {
	w := newTown(t)
	w.hook("alice", Revoked)
	w.hook("bob", Issued)
	for _, user := range []string{"alice", "bob"} {
		w.revoke(store.KindToken, w.issue(user, "x", 10*24*time.Hour), store.Event{Actor: "operator:admin", Action: "token.revoke"})
	}
	w.pass(time.Second)
	got := w.receiver.take()
	byUser(got)
	if types(got) != "[alice token.revoked bob token.issued]" {
		t.Error(types(got))
	}
}

// What happened before somebody wanted to know is nobody's news, nor what happens in
// the other environment, nor is who may not sign in told anything.
func TestNotTold(t *testing.T) {
	w := newTown(t)
	w.issue("alice", "before", 0)
	w.hook("alice")
	w.hook("bob")
	w.update(func(tx store.Writer) error {
		bob, err := tx.Principal(env, "bob")
		bob.Status = store.Disabled
		return errors.Join(err, tx.PutPrincipal(bob), tx.Record(store.Event{
			Environment: store.Production, At: w.clock(), Actor: "operator:admin", Action: "principal.revoke", Target: "principal:alice", Outcome: "ok",
		}))
	})
	w.record(store.Event{Actor: "operator:admin", Action: "principal.revoke", Target: "principal:bob", Outcome: "ok"})
	w.pass(time.Second)
	if got := w.receiver.take(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	// Who is disabled while messages wait gets none of them.
	w.receiver.answers(500)
	w.issue("alice", "waits", 0)
	w.pass(time.Second)
	w.update(func(tx store.Writer) error {
		alice, err := tx.Principal(env, "alice")
		alice.Status = store.Disabled
		return errors.Join(err, tx.PutPrincipal(alice))
	})
	w.receiver.take()
	w.pass(time.Minute)
	if got := w.receiver.take(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

func TestExpiringIsToldOnceForEachToken(t *testing.T) {
	w := newTown(t)
	day := 24 * time.Hour
	w.issue("alice", "soon", 8*day)
	w.issue("alice", "short", 6*day) // whoever made it knows
	dead := w.issue("alice", "dead", 9*day)
	w.issue("alice", "later", 20*day)
	shared := w.share("bob", 10*day)
	w.issue("bob", "bob's", 10*day)
	w.revoke(store.KindToken, dead, store.Event{Actor: "operator:admin", Action: "x.y"})
	w.pass(2 * day)
	w.hook("alice", Expiring)
	w.hook("carol", Expiring) // the account is open in part
	w.pass(time.Second)
	if got := w.receiver.take(); types(got) != "[alice token.expiring]" || got[0].Data.Name != "soon" || got[0].Data.Subject != SubjectPersonal ||
		!got[0].Data.Expires.Equal(w.clock().Add(6*day-time.Second)) {
		t.Errorf("%+v", got)
	}
	w.pass(time.Hour)
	w.pass(time.Hour)
	if got := w.receiver.take(); len(got) != 0 {
		t.Errorf("again: %+v", got)
	}
	w.restart()
	w.pass(day)
	if got := w.receiver.take(); types(got) != "[alice token.expiring]" || got[0].Data.Token != shared || got[0].Data.Subject != SubjectTrading {
		t.Errorf("%+v", got)
	}
	w.issue("alice", "made late", 6*day)
	for range 12 {
		w.pass(day)
	}
	if got := w.receiver.take(); names(got) != "[later]" {
		t.Errorf("%s", names(got))
	}
	// Of what was ended with all that its user has, nothing can expire.
	w.issue("alice", "ended", 8*day)
	w.revoke(store.KindPrincipal, "alice", store.Event{Actor: "user:alice", Action: "x.y"})
	w.pass(2 * day)
	if got := w.receiver.take(); len(got) != 0 {
		t.Errorf("%+v", got)
	}
}

// restart opens the database again, with a notifier that has forgotten everything.
func (w *town) restart() {
	w.Helper()
	w.close()
	w.open()
}

// The process ends between COMMIT and the message, or between the message and its
// delivery: it comes after the restart, and nothing comes that was delivered.
func TestNothingIsLostByARestart(t *testing.T) {
	w := newTown(t)
	w.hook("alice")
	w.issue("alice", "first", 0)
	w.pass(time.Second)
	w.issue("alice", "committed", 0)
	w.restart()
	w.receiver.answers(503)
	w.pass(time.Second) // the message waits
	if got := w.receiver.take(); names(got) != "[first committed]" {
		t.Fatalf("%s", names(got))
	}
	w.issue("alice", "meanwhile", 0)
	w.restart()
	w.receiver.answers(204)
	w.pass(time.Hour)
	if got := w.receiver.take(); names(got) != "[committed meanwhile]" {
		t.Errorf("%s", names(got))
	}
	w.restart()
	w.pass(time.Hour)
	if got := w.receiver.take(); len(got) != 0 {
		t.Errorf("again: %s", names(got))
	}
}

// The receiver is down for an hour: what it missed comes in order, each message with
// the id of its first attempt, and the waits in between grow.
func TestReceiverDownForAnHour(t *testing.T) {
	w := newTown(t)
	w.hook("alice")
	w.receiver.answers(502)
	w.issue("alice", "1", 0)
	w.pass(time.Second)
	first := w.receiver.take()
	if names(first) != "[1]" {
		t.Fatalf("%s", names(first))
	}
	w.issue("alice", "2", 0)
	w.issue("alice", "3", 0)
	var waits []string
	waited := time.Duration(0)
	for elapsed := time.Duration(0); elapsed < time.Hour; elapsed += time.Second {
		w.pass(time.Second)
		waited += time.Second
		if len(w.receiver.take()) > 0 {
			waits = append(waits, waited.String())
			waited = 0
		}
	}
	if fmt.Sprint(waits) != "[5s 10s 20s 40s 1m20s 2m40s 5m20s 10m40s 21m20s]" {
		t.Errorf("waits %v", waits)
	}
	if h := w.webhook("alice"); h.Failures != 10 || h.Failing.IsZero() || h.Off != "" {
		t.Errorf("%+v", h)
	}
	w.receiver.answers(200)
	w.pass(time.Hour)
	got := w.receiver.take()
	if len(got) != 3 {
		t.Fatalf("%s", names(got))
	}
	for _, one := range got {
		if one.Data.Name == "1" && one.header.Get("webhook-id") != first[0].header.Get("webhook-id") {
			t.Error("another id than at the first attempt")
		}
	}
	if h := w.webhook("alice"); h.Failures != 0 || !h.Failing.IsZero() || !h.Retry.IsZero() {
		t.Errorf("%+v", h)
	}
}

// A message that its receiver never takes lets the others pass, and is given up after
// a day.
func TestMessageThatNobodyTakes(t *testing.T) {
	w := newTown(t)
	w.hook("alice")
	w.receiver.does(func(rw http.ResponseWriter, r *http.Request) {
		w.receiver.mu.Lock()
		defer w.receiver.mu.Unlock()
		if w.receiver.got[len(w.receiver.got)-1].Data.Name == "poison" {
			rw.WriteHeader(400)
		}
	})
	w.issue("alice", "poison", 0)
	w.pass(time.Second)
	w.issue("alice", "good", 0)
	for range 4 {
		w.pass(time.Minute)
	}
	if got := names(w.receiver.take()); !strings.Contains(got, "good") {
		t.Errorf("%s", got)
	}
	for range 24 {
		w.pass(time.Hour)
	}
	w.receiver.take()
	w.pass(time.Hour)
	if got := w.receiver.take(); len(got) != 0 {
		t.Errorf("after a day: %s", names(got))
	}
	all := w.deliveries("alice")
	if all[1].Outcome != string(Old) || all[1].Done.IsZero() || all[0].Outcome != string(Delivered) {
		t.Errorf("%+v", all)
	}
}

func TestSwitchedOffAfterDaysOfFailures(t *testing.T) {
	w := newTown(t)
	w.hook("alice")
	w.receiver.answers(500)
	for day := range 6 {
		w.issue("alice", fmt.Sprint(day), 0)
		for range 24 {
			w.pass(time.Hour)
		}
	}
	if h := w.webhook("alice"); h.Off != store.WebhookFailing {
		t.Errorf("%+v", h)
	}
	for _, d := range w.deliveries("alice") {
		if d.Done.IsZero() {
			t.Errorf("%+v waits", d)
		}
	}
	w.receiver.answers(200)
	w.receiver.take()
	w.issue("alice", "unheard", 0)
	w.pass(time.Hour)
	if got := w.receiver.take(); len(got) != 0 {
		t.Errorf("%s", names(got))
	}
	if event := w.lastEvent(); event.Action != "webhook.off" || event.Actor != "server" || event.Target != "webhook:alice" || event.Reason != "failing" {
		t.Errorf("%+v", event)
	}
}

func (w *town) lastEvent() (row store.AuditRow) {
	w.Helper()
	err := w.store.View(w.Context(), func(tx store.Reader) error {
		rows, err := tx.Audit(env, store.AuditFilter{Action: "webhook.off", Limit: 1})
		if len(rows) > 0 {
			row = rows[0]
		}
		return err
	})
	if err != nil {
		w.Fatal(err)
	}
	return row
}

func TestGoneSwitchesOff(t *testing.T) {
	w := newTown(t)
	w.hook("alice")
	w.receiver.answers(410)
	w.issue("alice", "1", 0)
	w.issue("alice", "2", 0)
	w.pass(time.Second)
	if got, h := w.receiver.take(), w.webhook("alice"); len(got) != 1 || h.Off != store.WebhookGone {
		t.Errorf("%s, %+v", names(got), h)
	}
	if all := w.deliveries("alice"); all[0].Outcome != string(SwitchedOff) || all[0].Done.IsZero() {
		t.Errorf("%+v", all)
	}
}

// One who lets us wait costs the others nothing.
func TestSlowReceiverDelaysNobody(t *testing.T) {
	w := newTown(t)
	w.hook("alice")
	w.hook("bob")
	held, release := make(chan struct{}), make(chan struct{})
	w.receiver.does(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/alice" {
			close(held)
			<-release
		}
	})
	w.issue("alice", "1", 0)
	if err := w.write(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := w.deliver(t.Context()); err != nil {
		t.Fatal(err)
	}
	<-held
	for k := range 3 {
		w.issue("alice", "waits", 0)
		w.issue("bob", fmt.Sprint(k), 0)
		if err := errors.Join(w.write(t.Context()), w.deliver(t.Context())); err != nil {
			t.Fatal(err)
		}
		w.until(func() bool { return len(w.deliveries("bob")) == k+1 && !w.deliveries("bob")[0].Done.IsZero() })
	}
	if d := w.deliveries("alice"); len(d) != 4 || d[3].Attempts != 0 {
		t.Errorf("%+v", d)
	}
	close(release)
	w.flights.Wait()
}

// until waits for an effect of a goroutine.
func (w *town) until(holds func() bool) {
	w.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			w.Fatal("it does not come")
		}
	}
}

// A script issues a thousand tokens: the user gets so many messages, then one that
// says how many were left out.
func TestFlood(t *testing.T) {
	w := newTown(t)
	w.hook("alice")
	for k := range 300 {
		w.issue("alice", fmt.Sprint(k), 0)
	}
	for range 4 {
		w.pass(time.Second)
	}
	if got := w.receiver.take(); len(got) != maxPerWindow {
		t.Fatalf("%d messages", len(got))
	}
	w.pass(window)
	got := w.receiver.take()
	if types(got) != "[alice notifications.limited]" || got[0].Data.LeftOut != 300-maxPerWindow || got[0].Data.Until.Sub(got[0].Data.Since) != window {
		t.Errorf("%+v", got)
	}
	w.issue("alice", "after", 0)
	w.pass(time.Second)
	w.pass(window)
	if got := w.receiver.take(); names(got) != "[after]" {
		t.Errorf("%s", names(got))
	}
}

// What waited for longer than a day while nobody ran, or in a copy that was restored,
// is no news any more.
func TestOldNewsAreNotSent(t *testing.T) {
	w := newTown(t)
	w.hook("alice")
	w.receiver.answers(500)
	w.issue("alice", "waits", 0)
	w.pass(time.Second)
	w.issue("alice", "not read yet", 0)
	w.receiver.take()
	w.receiver.answers(200)
	w.restart()
	w.pass(25 * time.Hour)
	if got := w.receiver.take(); len(got) != 0 {
		t.Errorf("%s", names(got))
	}
	w.issue("alice", "new", 0)
	w.pass(time.Second)
	if got := w.receiver.take(); names(got) != "[new]" {
		t.Errorf("%s", names(got))
	}
}

func TestTestMessages(t *testing.T) {
	w := newTown(t)
	if _, err := w.Try(t.Context(), env, "alice"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("without a webhook: %v", err)
	}
	w.hook("alice", Revoked)
	w.receiver.answers(500)
	w.revoke(store.KindPrincipal, "alice", store.Event{Actor: "operator:admin", Action: "principal.revoke"})
	w.pass(time.Second)
	d, err := w.Try(t.Context(), env, "alice")
	if err != nil || d.Outcome != string(Status) || d.Status != 500 || d.Type != TypeTest || w.deliveries("alice")[0].ID != d.ID {
		t.Errorf("%+v, %v", d, err)
	}
	w.receiver.take()
	w.receiver.answers(200)
	if d, err = w.Try(t.Context(), env, "alice"); err != nil || d.Outcome != string(Delivered) || d.Done.IsZero() {
		t.Errorf("%+v, %v", d, err)
	}
	w.pass(time.Second) // it is back, so that nothing waits any longer
	if got := w.receiver.take(); types(got) != "[alice notifications.test alice token.revoked]" {
		t.Errorf("%s", types(got))
	}
	for range maxTrials - 2 {
		if _, err := w.Try(t.Context(), env, "alice"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Try(t.Context(), env, "alice"); !errors.Is(err, ErrTooMany) {
		t.Errorf("one more: %v", err)
	}
	w.hook("bob")
	if _, err := w.Try(t.Context(), env, "bob"); err != nil {
		t.Errorf("another user: %v", err)
	}
	w.pass(window)
	if _, err := w.Try(t.Context(), env, "alice"); err != nil {
		t.Errorf("an hour later: %v", err)
	}
}

// A webhook is removed, or leads elsewhere, while an attempt is under way.
func TestChangedDuringAnAttempt(t *testing.T) {
	w := newTown(t)
	w.hook("alice")
	w.hook("bob")
	w.receiver.does(func(rw http.ResponseWriter, r *http.Request) {
		w.update(func(tx store.Writer) error {
			if r.URL.Path == "/alice" {
				return tx.DeleteWebhook(env, "alice")
			}
			h, err := tx.Webhook(env, "bob")
			h.URL = w.receiver.server.URL + "/elsewhere"
			return errors.Join(err, tx.PutWebhook(h))
		})
		rw.WriteHeader(410)
	})
	w.issue("alice", "a", 0)
	w.issue("bob", "b", 0)
	w.pass(time.Second)
	if h := w.webhook("bob"); h.Off != "" || h.Failures != 0 || len(w.deliveries("alice")) != 0 {
		t.Errorf("%+v", h)
	}
	w.receiver.take()
	w.receiver.answers(200)
	w.pass(time.Second)
	if got := w.receiver.take(); types(got) != "[elsewhere token.issued]" {
		t.Errorf("%s", types(got))
	}
}

// Nothing that opens anything stands in a message or in the database.
func TestNoSecretInMessages(t *testing.T) {
	w := newTown(t)
	secret := w.hook("alice")
	w.issue("alice", "x", week*2)
	w.share("alice", week*2)
	w.pass(time.Second)
	w.pass(10 * 24 * time.Hour)
	for _, one := range w.receiver.take() {
		if strings.Contains(one.body, "cb_") || strings.Contains(one.body, secret) || strings.Contains(fmt.Sprint(one.header), secret) {
			t.Errorf("%s", one.body)
		}
	}
	if h := w.webhook("alice"); strings.Contains(string(h.Sealed), strings.TrimPrefix(secret, "whsec_")) {
		t.Error("the secret is in the database")
	}
}

// Who isn't served any more is sent nothing, and goes on waiting.
func TestEnvironmentThatIsNotServed(t *testing.T) {
	w := newTown(t)
	w.hook("alice")
	w.receiver.answers(500)
	w.issue("alice", "x", 0)
	w.pass(time.Second)
	w.Configure(env, nil)
	w.receiver.take()
	w.pass(time.Minute)
	if got := w.receiver.take(); len(got) != 0 {
		t.Errorf("%s", names(got))
	}
	w.receiver.answers(200)
	w.configure(Rules{Allow: nil}, nil) // and now loopback is nowhere to go
	w.pass(time.Hour)
	if d := w.deliveries("alice")[0]; d.Outcome != string(Forbidden) || !d.Done.IsZero() {
		t.Errorf("%+v", d)
	}
}
