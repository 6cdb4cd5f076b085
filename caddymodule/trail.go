package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-bearer/caddy-bearer/audit"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

const (
	// sealEvery is how often what was gathered is written, and sealed with what
	// the flows have written. A head so reaches its sinks within two seconds.
	sealEvery = time.Second

	// trailEndTimeout bounds what is still done for the trail when the server ends.
	trailEndTimeout = 3 * time.Second

	// batchesPerRound bounds one round, so that a long backlog does not keep what
	// is gathered waiting.
	batchesPerRound = 100
)

// trail looks after the audit trail at run time: it writes what is refused,
// seals what is written and has the heads delivered.
type trail struct {
	gathered *audit.Gatherer
	log      func() *zap.Logger

	sealer atomic.Pointer[audit.Sealer] // nil: not opened yet
	keys   atomic.Pointer[audit.Keys]   // that seals may be signed with

	// verifying is held by the one verification that may be under way.
	verifying sync.Mutex

	mu       sync.Mutex // guards what follows
	couriers map[string]*audit.Courier
	head     audit.Head // newest; zero: there is none yet
	stop     context.CancelFunc
	ended    chan struct{}

	failing atomic.Pointer[error] // why the last round failed; nil: it did not
}

func newTrail(log func() *zap.Logger) *trail {
	return &trail{gathered: audit.NewGatherer(), log: log, couriers: map[string]*audit.Courier{}}
}

// open makes a configuration's key and sinks those of the trail, and begins to
// seal if that was not done yet.
func (t *trail) open(ctx context.Context, st store.Store, root *token.RootKey, sinks []audit.Sink) error {
	var identity string
	err := st.View(ctx, func(r store.Reader) (err error) {
		identity, err = r.Meta("identity")
		return err
	})
	if err != nil {
		return fmt.Errorf("audit trail: %w", err)
	}
	t.sealWith(root, audit.Sealer{Store: st, Identity: identity})
	t.useSinks(sinks)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.stop == nil {
		var running context.Context
		running, t.stop = context.WithCancel(context.WithoutCancel(ctx))
		t.ended = make(chan struct{})
		go t.run(running)
	}
	return nil
}

// useRoot has seals signed with the key of another root key, once the trail is
// open. What older ones of its file signed stays good.
func (t *trail) useRoot(root *token.RootKey) {
	if present := t.sealer.Load(); present != nil {
		t.sealWith(root, *present)
	}
}

// sealWith gives a sealer the key of a root key. Its public half is known first.
func (t *trail) sealWith(root *token.RootKey, sealer audit.Sealer) {
	known := audit.NewKeys(root.AuditKeys()...)
	t.keys.Store(&known)
	sealer.Key = root.AuditKey()
	t.sealer.Store(&sealer)
}

// useSinks has heads delivered to these sinks from now on. One that is new gets
// the present head at once.
func (t *trail) useSinks(sinks []audit.Sink) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := make(map[string]*audit.Courier, len(sinks))
	for _, sink := range sinks {
		name := sink.String()
		courier := t.couriers[name]
		if courier == nil {
			courier = audit.NewCourier(sink, t.reportSink)
			if t.head.Last > 0 {
				courier.Send(t.head)
			}
		}
		next[name] = courier
		delete(t.couriers, name)
	}
	gone := t.couriers
	go func() {
		ctx, cancel := context.WithTimeout(context.Background(), trailEndTimeout)
		defer cancel()
		closeCouriers(ctx, gone)
	}()
	t.couriers = next
}

func closeCouriers(ctx context.Context, couriers map[string]*audit.Courier) {
	var all sync.WaitGroup
	for _, courier := range couriers {
		all.Go(func() { courier.Close(ctx) })
	}
	all.Wait()
}

func (t *trail) reportSink(sink string, err error) {
	if err == nil {
		t.log().Info("the sink of the audit trail works again", zap.String("sink", sink))
		return
	}
	t.log().Error("a head of the audit trail could not be delivered; it is tried again each second",
		zap.String("sink", sink), zap.Error(err))
}

// run makes a round each second, until ctx ends.
func (t *trail) run(ctx context.Context) {
	defer close(t.ended)
	ticker := time.NewTicker(sealEvery)
	defer ticker.Stop()
	for {
		t.round(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// round writes what was gathered, seals what is not sealed and has the head
// delivered if it is a new one. What fails is logged once and tried again in the
// next round.
func (t *trail) round(ctx context.Context) {
	sealer := t.sealer.Load()
	err := t.writeGathered(ctx, sealer.Store)
	for range batchesPerRound {
		if err != nil {
			break
		}
		var sealed audit.Sealed
		if sealed, err = sealer.Seal(ctx, time.Now()); err != nil {
			break
		}
		if sealed.Missing > 0 {
			t.log().Error("rows of the audit trail are missing: somebody removed them from the database", zap.Int64("first", sealed.Missing))
		}
		t.publish(sealed.Head)
		if !sealed.More {
			break
		}
	}
	if err == nil {
		t.failing.Store(nil)
		return
	}
	if t.failing.Swap(&err) == nil && ctx.Err() == nil {
		t.log().Error("the audit trail can't be written or sealed; it is tried again each second", zap.Error(err))
	}
}

// writeGathered writes in one transaction what was gathered. An event that the
// store can't take is left out: it would keep the others waiting for ever.
func (t *trail) writeGathered(ctx context.Context, st store.Directory) error {
	events := t.gathered.Take()
	if len(events) == 0 {
		return nil
	}
	var unfit error
	err := st.Update(ctx, func(w store.Writer) error {
		for i := range events {
			err := w.Record(events[i])
			if errors.Is(err, store.ErrUnavailable) {
				return err
			}
			unfit = errors.Join(unfit, err)
		}
		return nil
	})
	if err != nil {
		t.gathered.Restore(events)
		return err
	}
	if unfit != nil {
		t.log().Error("the store can't take an event of the audit trail, which is lost", zap.Error(unfit))
	}
	return nil
}

// publish has a head delivered unless it is the one that was delivered before.
func (t *trail) publish(head audit.Head) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if head.Last == t.head.Last {
		return
	}
	t.head = head
	for _, courier := range t.couriers {
		courier.Send(head)
	}
}

// record writes an event at once. If that fails it is written with what was
// gathered.
func (t *trail) record(ctx context.Context, e store.Event) {
	err := t.sealer.Load().Store.Update(ctx, func(w store.Writer) error { return w.Record(e) })
	if err != nil {
		t.gathered.Add(e)
	}
}

// close writes and seals what is left and ends the couriers.
func (t *trail) close() {
	if t.stop == nil {
		return
	}
	t.stop()
	<-t.ended
	ctx, cancel := context.WithTimeout(context.Background(), trailEndTimeout)
	defer cancel()
	t.gathered.Add(serverEvent("server.stop", ""))
	t.round(ctx)
	t.mu.Lock()
	couriers := t.couriers
	t.couriers = nil
	t.mu.Unlock()
	closeCouriers(ctx, couriers)
}

// serverEvent is what the server itself does.
func serverEvent(action, reason string) store.Event {
	return store.Event{
		Environment: store.Everywhere, At: time.Now().UTC(), Actor: "server", Action: action, Target: "server",
		Outcome: "ok", Reason: reason,
	}
}

// begun records that a configuration has come into force: the first of this
// process or a later one.
func (t *trail) begun(ctx context.Context, first bool) {
	action := "server.reload"
	if first {
		action = "server.start"
	}
	t.record(ctx, serverEvent(action, ""))
}

// policiesChanged records which policies are others than before.
func (t *trail) policiesChanged(ctx context.Context, before, after map[string]string) {
	for _, name := range sortedKeys(after) {
		from, to := before[name], after[name]
		if from == to {
			continue
		}
		e := serverEvent("policy.change", "revision "+to)
		if from != "" {
			e.Reason = "revision " + from + " to " + to
		}
		e.Actor, e.Target = "config", "policy:"+name
		t.record(ctx, e)
	}
}

// revisions are those of the policies that are in force.
func (p *policies) revisions() map[string]string {
	p.mu.Lock()
	defer p.mu.Unlock()
	revisions := make(map[string]string, len(p.slots))
	for name, slot := range p.slots {
		if present := slot.get(); present != nil {
			revisions[name] = present.Revision()
		}
	}
	return revisions
}
