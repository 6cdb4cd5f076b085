package storetest

import (
	"fmt"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// hook is a webhook in which no field is zero.
func hook(principal string) store.Webhook {
	return store.Webhook{
		Environment: env, Principal: principal, URL: "https://hooks.example.com/in?x=1", Kinds: []string{"one", "two"},
		Sealed: []byte("sealed"), KeyID: "k1", Created: now, Off: store.WebhookGone,
		After: 7, Announced: now.Add(time.Hour), Failures: 3, Failing: now.Add(-time.Hour), Retry: now.Add(time.Minute),
		Window: now.Add(-time.Minute), Sent: 4, LeftOut: 5,
	}
}

// message is a delivery that waits.
func message(id, principal string) store.Delivery {
	return store.Delivery{Environment: env, ID: id, Principal: principal, Type: "one", Body: []byte(`{"ä":1}`), Created: now}
}

func (w *world) putHook(h store.Webhook) {
	w.Helper()
	w.update(func(x store.Writer) error { return x.PutWebhook(h) })
}

func (w *world) putMessages(all ...store.Delivery) {
	w.Helper()
	w.update(func(x store.Writer) error {
		for i := range all {
			if err := x.PutDelivery(all[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// messages are the ids of a list of deliveries.
func (w *world) messages(principal string, limit int) string {
	w.Helper()
	ids := []string{}
	w.view(func(r store.Reader) error {
		all, err := r.Deliveries(env, principal, limit)
		for i := range all {
			ids = append(ids, all[i].ID)
		}
		return err
	})
	return fmt.Sprint(ids)
}

func (w *world) next(principal string) (id string) {
	w.Helper()
	w.view(func(r store.Reader) error {
		d, err := r.NextDelivery(env, principal)
		id = d.ID
		return err
	})
	return id
}

var webhookCases = []testCase{
	{"what was put is read, and putting again replaces all of it", func(w *world) {
		w.putHook(hook(ann))
		other := store.Webhook{Environment: env, Principal: ann, URL: "https://other.example.com", Sealed: []byte("s"), KeyID: "k2", Created: now.Add(time.Second)}
		for _, want := range []store.Webhook{hook(ann), other} {
			w.putHook(want)
			w.view(func(r store.Reader) error {
				got, err := r.Webhook(env, ann)
				w.equal("webhook", got, want)
				w.must(err)
				all, err := r.Webhooks(env)
				w.equal("all", all, []store.Webhook{want})
				return err
			})
		}
		w.view(func(r store.Reader) error {
			_, err := r.Webhook(store.Production, ann)
			w.fails(err, store.ErrNotFound)
			all, err := r.Webhooks(store.Production)
			w.equal("in the other environment", len(all), 0)
			return err
		})
	}},
	{"of nobody", func(w *world) {
		w.fails(w.Update(w.ctx, func(x store.Writer) error { return x.PutWebhook(hook("nobody")) }), store.ErrNotFound)
		w.fails(w.Update(w.ctx, func(x store.Writer) error { return x.PutDelivery(message("m", ann)) }), store.ErrNotFound)
		w.fails(w.Update(w.ctx, func(x store.Writer) error { return x.DeleteWebhook(env, ann) }), store.ErrNotFound)
	}},
	{"deliveries go with their webhook", func(w *world) {
		w.putHook(hook(ann))
		w.putMessages(message("m", ann))
		w.update(func(x store.Writer) error { return x.DeleteWebhook(env, ann) })
		w.equal("left", w.messages(ann, 9), "[]")
		w.putHook(hook(ann))
		w.equal("nor come they back", w.messages(ann, 9), "[]")
	}},
	{"the oldest is next until it was tried four times", func(w *world) {
		bob := principal(env)
		bob.ID = "bob"
		w.update(func(x store.Writer) error { return x.PutPrincipal(bob) })
		w.putHook(hook(ann))
		w.putHook(hook("bob"))
		w.putMessages(message("b", ann), message("other", "bob"), message("a", ann), message("c", ann))
		w.equal("newest first", w.messages(ann, 2), "[c a]")
		w.equal("next", w.next(ann), "b")
		tried := message("b", ann)
		tried.Attempts, tried.Last, tried.Outcome, tried.Status = 3, now, "status", 500
		w.putMessages(tried)
		w.equal("tried three times", w.next(ann), "b")
		tried.Attempts = 4
		w.putMessages(tried)
		w.equal("four times", w.next(ann), "a")
		w.view(func(r store.Reader) error {
			all, err := r.Deliveries(env, ann, 9)
			w.equal("as it was put", all[2], tried)
			w.must(err)
			waiting, err := r.WaitingFor(env)
			w.equal("waiting", waiting, []string{ann, "bob"})
			return err
		})
		for _, id := range []string{"a", "c"} {
			done := message(id, ann)
			done.Done = now
			w.putMessages(done)
		}
		w.equal("the last", w.next(ann), "b")
		w.update(func(x store.Writer) error { return x.EndDeliveries(env, ann, "off", now.Add(time.Minute)) })
		w.view(func(r store.Reader) error {
			_, err := r.NextDelivery(env, ann)
			w.fails(err, store.ErrNotFound)
			all, err := r.Deliveries(env, ann, 9)
			w.equal("ended before", all[0].Outcome, "")
			w.equal("ended", all[2].Outcome+all[2].Done.String(), "off"+now.Add(time.Minute).String())
			w.must(err)
			waiting, err := r.WaitingFor(env)
			w.equal("waiting", waiting, []string{"bob"})
			return err
		})
	}},
	{"deliveries are collected a week after their end", func(w *world) {
		w.putHook(hook(ann))
		for i := range 5 {
			m := message(fmt.Sprint(i), ann)
			if i < 4 {
				m.Done = now.Add(time.Duration(i) * time.Minute)
			}
			w.putMessages(m)
		}
		w.equal("too early", w.collect(store.DeliveryKeep-time.Millisecond), store.Collected{})
		w.equal("two", w.collect(store.DeliveryKeep+time.Minute), store.Collected{Deliveries: 2})
		w.equal("left", w.messages(ann, 9), "[4 3 2]")
		w.equal("but never one that waits", w.collect(year), store.Collected{Deliveries: 2})
		w.equal("left", w.messages(ann, 9), "[4]")
	}},
	{"tokens that expire", func(w *world) {
		w.update(func(x store.Writer) error {
			personal := client(env, app)
			personal.ID = store.PersonalClient
			return x.PutClient(personal)
		})
		issue := func(id string, class store.Class, client string, expires time.Duration) {
			t := limited(id)
			t.Class, t.Expires = class, now.Add(expires)
			g := grant("grant "+id, full)
			g.Client = client
			_, err := w.Issue(w.ctx, store.Issue{Grant: g, Tokens: []store.Token{t}})
			w.must(err)
		}
		issue("late", store.Personal, store.PersonalClient, 3*time.Hour)
		issue("first", store.Personal, store.PersonalClient, time.Hour)
		issue("revoked", store.Personal, store.PersonalClient, 2*time.Hour)
		issue("ended", store.Personal, store.PersonalClient, 2*time.Hour)
		issue("second", store.Personal, store.PersonalClient, 2*time.Hour)
		issue("refresh", store.Refresh, app, 2*time.Hour)
		w.issuePersonal("permanent", limited("permanent"))
		w.kill(store.KindToken, "id-revoked")
		w.kill(store.KindGrant, "grant ended")
		expiring := func(principal string, after, until time.Duration) (ids []string) {
			w.view(func(r store.Reader) error {
				all, err := r.Expiring(env, principal, now.Add(after), now.Add(until))
				for i := range all {
					ids = append(ids, all[i].ID)
				}
				return err
			})
			return ids
		}
		w.equal("all", expiring(ann, 0, 3*time.Hour), []string{"id-first", "id-second", "id-late"})
		w.equal("after it and not at it", expiring(ann, time.Hour, 3*time.Hour-time.Millisecond), []string{"id-second"})
		w.equal("of another", expiring("bob", 0, 3*time.Hour), []string(nil))
	}},
}
