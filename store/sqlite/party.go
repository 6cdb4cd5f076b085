package sqlite

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// directory remembers what was read of parties. Every call of a client asks for
// its secret's hash, and almost none comes after a change.
//
// An entry counts while the version is the one that was loaded before it was
// read. The committer raises the version when a change is committed and before
// anybody is told of it.
type directory struct {
	version atomic.Uint64

	mu    sync.RWMutex
	known map[party]knownParty
}

type knownParty struct {
	version uint64
	store.Party
}

func (d *directory) recall(who party) (store.Party, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	found, ok := d.known[who]
	return found.Party, ok && found.version == d.version.Load()
}

func (d *directory) remember(who party, version uint64, p store.Party) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.known == nil || len(d.known) >= maxParties {
		d.known = make(map[party]knownParty)
	}
	d.known[who] = knownParty{version, p}
}

// Party implements store.Flows. Unknown ids are not remembered: strangers could
// fill the memory with them.
func (s *Store) Party(ctx context.Context, env store.Environment, id string) (store.Party, error) {
	who := party{env, id}
	if found, ok := s.directory.recall(who); ok {
		return found, nil
	}
	version := s.directory.version.Load()
	var found store.Party
	err := s.snapshot(ctx, func(r *session) (err error) {
		found, err = r.party(env, id)
		return err
	})
	if err != nil {
		return store.Party{}, err
	}
	if found.Client.ID != "" || found.Principal.ID != "" {
		s.directory.remember(who, version, found)
	}
	return found, nil
}

func (s *session) party(env store.Environment, id string) (p store.Party, err error) {
	r := reader{s}
	if p.Client, err = r.Client(env, id); err != nil && !errors.Is(err, store.ErrNotFound) {
		return p, err
	}
	if p.Principal, err = r.Principal(env, id); err != nil && !errors.Is(err, store.ErrNotFound) {
		return p, err
	}
	bindings, err := r.Bindings(env, id)
	for i := range bindings {
		p.Accounts = append(p.Accounts, bindings[i].Account)
	}
	return p, err
}
