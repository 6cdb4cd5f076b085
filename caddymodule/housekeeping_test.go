package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"go.uber.org/zap/zapcore"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// A round deletes what is over, in more than one batch, and what lives stays.
func TestHousekeepingDeletesWhatIsOver(t *testing.T) {
	w := newAdminWorld(t)
	rt, now, ctx := w.app.runtime, time.Now(), context.Background()
	for id, life := range map[string]time.Duration{"over": time.Hour, "alive": 1000 * time.Hour} {
		_, err := rt.store.Issue(ctx, store.Issue{
			Grant: store.Grant{Environment: store.Sandbox, ID: id, Principal: serviceID, Client: clientID, Created: now},
			Tokens: []store.Token{{ID: id, Hash: store.Hash{byte(len(id))}, Class: store.Refresh, KeyID: "k",
				Created: now, Expires: now.Add(life)}},
		})
		must(t, err)
	}
	const dead = 2*collectLimit + 1
	must(t, rt.store.Update(ctx, func(tx store.Writer) error {
		for i := range dead {
			if _, err := tx.Revoke(store.Revocation{Environment: store.Sandbox, Kind: store.KindToken, Target: fmt.Sprint("jti ", i),
				At: now, Expires: now.Add(time.Hour)}); err != nil {
				return err
			}
		}
		return nil
	}))

	rt.collect(ctx, now.Add(100*time.Hour))

	must(t, rt.store.View(ctx, func(r store.Reader) error {
		if _, err := r.Grant(store.Sandbox, "over"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("the grant that is over: %v", err)
		}
		_, err := r.Grant(store.Sandbox, "alive")
		return err
	}))
	said := w.logged.FilterMessage("deleted what is over").All()
	if len(said) != 1 || said[0].Level != zapcore.DebugLevel {
		t.Fatalf("the log has %v", said)
	}
	told := said[0].ContextMap()
	if told["revocations"] != int64(dead) || told["tokens"] != int64(1) || told["grants"] != int64(1) || told["more"] != false {
		t.Errorf("the log says %v", told)
	}
}

// collector answers every batch with the same.
type collector struct {
	store.Store
	done  store.Collected
	err   error
	asked int
}

func (c *collector) Collect(context.Context, store.Collect) (store.Collected, error) {
	c.asked++
	return c.done, c.err
}

func TestHousekeepingRoundHasAnEnd(t *testing.T) {
	endless := &collector{done: store.Collected{Revocations: 1, Tokens: collectLimit, Grants: 2, Sessions: 3, Copies: 4, Deliveries: 5, More: true}}
	sum, err := collectAll(context.Background(), endless, store.Collect{})
	must(t, err)
	want := store.Collected{
		Revocations: collectBatches, Tokens: collectBatches * collectLimit, Grants: 2 * collectBatches,
		Sessions: 3 * collectBatches, Copies: 4 * collectBatches, Deliveries: 5 * collectBatches, More: true,
	}
	if endless.asked != collectBatches || sum != want {
		t.Errorf("%d batches, %+v", endless.asked, sum)
	}
}

func TestHousekeepingComplainsUnlessItIsStopped(t *testing.T) {
	w := newAdminWorld(t)
	// A runtime of its own: the live one's store must not change under it.
	rt := &runtime{worlds: w.app.runtime.worlds, store: &collector{err: store.ErrUnavailable}}
	rt.log.Store(w.app.log)
	rt.applied.Store(w.app)
	complaints := func() int { return w.logged.FilterLevelExact(zapcore.WarnLevel).FilterMessageSnippet("deleting").Len() }

	stopped, stop := context.WithCancel(context.Background())
	stop()
	rt.collect(stopped, time.Now())
	if n := complaints(); n != 0 {
		t.Errorf("%d complaints when stopped", n)
	}
	rt.collect(context.Background(), time.Now())
	if n := complaints(); n != 1 {
		t.Errorf("%d complaints when the store is away", n)
	}
}

func TestClockThatJumpsAheadEndsNothing(t *testing.T) {
	start := time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct{ wall, want time.Duration }{
		"both agree":        {time.Hour, time.Hour},
		"wall jumped ahead": {1000 * time.Hour, time.Hour},
		"wall was set back": {-time.Minute, -time.Minute},
	} {
		if got := unhurried(start, start.Add(c.wall), time.Hour); !got.Equal(start.Add(c.want)) {
			t.Errorf("%s: %v", name, got)
		}
	}
}
