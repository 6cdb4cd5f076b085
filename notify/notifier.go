package notify

import (
	"context"
	"crypto/x509"
	"math/rand/v2"
	"net/netip"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-bearer/caddy-bearer/store"
)

const (
	// lookEvery is how often the audit trail is read, and what waits is looked at.
	lookEvery = time.Second

	// atOnce is how many attempts may be under way to receivers that are well, and
	// beside them to those that are not: who lets us wait costs no place among the
	// others.
	atOnce = 32
)

// Settings are what the notifier needs to know of an environment.
type Settings struct {
	Rules Rules
	Roots *x509.CertPool // nil: the system's
	// Secret opens the secret of a webhook.
	Secret func(*store.Webhook) ([]byte, error)
	// Lookup finds the addresses of a host. Nil: the system's resolver.
	Lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

// Notifier makes messages of what happens and delivers them, for all environments of
// a store. It is safe for concurrent use.
type Notifier struct {
	store  store.Store
	now    func() time.Time
	log    func() *zap.Logger
	jitter func(time.Duration) time.Duration

	mu       sync.Mutex // guards what follows
	served   map[store.Environment]*served
	flying   map[receiver]bool                        // receivers with an attempt under way
	tested   map[receiver][]time.Time                 // when users sent test messages
	outcomes map[store.Environment]map[Outcome]uint64 // of attempts
	flights  sync.WaitGroup

	well, ill chan struct{} // a place for each attempt

	// Of the goroutine that looks alone.
	cursor  int64                  // the audit trail was read up to there; 0: it was not yet
	written int64                  // what the store has of it
	read    time.Time              // when the audit trail was read last with all that follows
	checked map[receiver]time.Time // when tokens were looked at that expire
	failing bool
}

// served is an environment that is served now.
type served struct {
	Settings

	sender *sender
}

// receiver names a webhook.
type receiver struct {
	environment store.Environment
	user        string
}

// New returns a Notifier that serves no environment yet.
func New(st store.Store, now func() time.Time, log func() *zap.Logger) *Notifier {
	return &Notifier{
		store: st, now: now, log: log,
		// So that many who wait for the same receiver don't come back in one moment.
		jitter: func(d time.Duration) time.Duration {
			return d - d/5 + rand.N(2*d/5+1) //nolint:gosec // nobody gains by guessing it
		},
		served: map[store.Environment]*served{}, flying: map[receiver]bool{}, tested: map[receiver][]time.Time{},
		well: make(chan struct{}, atOnce), ill: make(chan struct{}, atOnce), checked: map[receiver]time.Time{},
		outcomes: map[store.Environment]map[Outcome]uint64{},
	}
}

// Configure makes settings those of an environment from now on. Nil: it is not
// served any more, and what waits there goes on waiting.
func (n *Notifier) Configure(env store.Environment, s *Settings) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if s == nil {
		delete(n.served, env)
		return
	}
	n.served[env] = &served{*s, newSender(s.Rules, s.Roots, s.Lookup)}
}

// CheckURL reports what is wrong with the address of a receiver (Rules.CheckURL).
func (n *Notifier) CheckURL(env store.Environment, raw string) error {
	at := n.at(env)
	if at == nil {
		return ErrURL
	}
	return at.Rules.CheckURL(raw)
}

// at is an environment that is served, or nil.
func (n *Notifier) at(env store.Environment) *served {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.served[env]
}

func (n *Notifier) environments() (list []store.Environment) {
	for _, env := range []store.Environment{store.Production, store.Sandbox} {
		if n.at(env) != nil {
			list = append(list, env)
		}
	}
	return list
}

// Run looks each second for what happened and for what waits, until ctx ends and
// nothing is under way any more.
func (n *Notifier) Run(ctx context.Context) {
	ticker := time.NewTicker(lookEvery)
	defer ticker.Stop()
	defer n.flights.Wait()
	for {
		n.look(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// look makes one round. What fails is logged once and tried again in the next one.
func (n *Notifier) look(ctx context.Context) {
	err := n.write(ctx)
	if err == nil {
		err = n.deliver(ctx)
	}
	if err != nil && ctx.Err() == nil && !n.failing {
		n.log().Error("notifications can't be made or sent; it is tried again each second", zap.Error(err))
	}
	n.failing = err != nil
}
