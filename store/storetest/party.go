package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// party reads one, and once more: what is answered from memory must not differ.
func (w *world) party(id string) store.Party {
	w.Helper()
	first, err := w.Party(w.ctx, env, id)
	w.must(err)
	second, err := w.Party(w.ctx, env, id)
	w.must(err)
	w.equal("asked again", second, first)
	return first
}

var partyCases = []testCase{
	{"client", func(w *world) {
		w.equal("party", w.party(app), store.Party{Client: client(env, app)})
	}},
	{"principal with its accounts", func(w *world) {
		w.equal("party", w.party(ann), store.Party{Principal: principal(env), Accounts: []string{full, part}})
	}},
	{"both of one id", func(w *world) {
		both := principal(env)
		both.ID = app
		w.update(func(x store.Writer) error { return x.PutPrincipal(both) })
		w.equal("party", w.party(app), store.Party{Client: client(env, app), Principal: both})
	}},
	{"nobody", func(w *world) {
		w.equal("party", w.party("nobody"), store.Party{})
		w.equal("of another environment", func() store.Party {
			p, err := w.Party(w.ctx, store.Production, ann)
			w.must(err)
			return p
		}(), store.Party{})
	}},
	{"every change shows at once", func(w *world) {
		w.party(ann)
		w.party(app)
		w.update(func(x store.Writer) error {
			p, c := principal(env), client(env, app)
			p.Status, c.SecretHash = store.Disabled, "another"
			return errors.Join(x.PutPrincipal(p), x.PutClient(c))
		})
		w.equal("status", w.party(ann).Principal.Status, store.Disabled)
		w.equal("secret", w.party(app).Client.SecretHash, "another")
		w.update(func(x store.Writer) error { return x.DeleteBinding(env, ann, full) })
		w.equal("accounts", w.party(ann).Accounts, []string{part})
		number := w.kill(store.KindClient, app).Number
		w.equal("epoch", w.party(app).Client.Epoch, number)
		number = w.kill(store.KindRights, ann).Number
		w.equal("rights", w.party(ann).Principal.Rights, number)
	}},
	{"what was rolled back never shows", func(w *world) {
		failed := errors.New("no")
		err := w.Update(w.ctx, func(x store.Writer) error {
			c := client(env, app)
			c.Status = store.Disabled
			return errors.Join(x.PutClient(c), failed)
		})
		w.fails(err, failed)
		w.equal("status", w.party(app).Client.Status, store.Active)
	}},
	{"never older than what was acknowledged", func(w *world) {
		const changes = 30
		var acknowledged atomic.Int64
		done := make(chan error, 2)
		for range cap(done) {
			go func() {
				for {
					least := acknowledged.Load()
					p, err := w.Party(context.Background(), env, app)
					if err != nil {
						done <- err
						return
					}
					var shown int64
					if _, err := fmt.Sscanf(p.Client.Name, "change %d", &shown); err == nil && shown < least {
						done <- fmt.Errorf("it showed change %d after %d was acknowledged", shown, least)
						return
					}
					if least == changes {
						done <- nil
						return
					}
				}
			}()
		}
		for i := range int64(changes) {
			w.update(func(x store.Writer) error {
				c := client(env, app)
				c.Name = fmt.Sprint("change ", i+1)
				return x.PutClient(c)
			})
			acknowledged.Store(i + 1)
		}
		for range cap(done) {
			w.must(<-done)
		}
	}},
}
