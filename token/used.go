package token

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// usesPerUpdate bounds a transaction that marks tokens as used: whoever comes
// while it runs waits for some 10 ms.
const usesPerUpdate = 500

// uses are the personal tokens that were used since the store was told last.
type uses struct {
	recording sync.Mutex // held by RecordUses: who comes second finds what the first could not write

	mu   sync.Mutex
	last map[string]time.Time // by token id
}

// add notes a use, unless a later one is known.
func (u *uses) add(token string, at time.Time) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		u.last = make(map[string]time.Time)
	}
	if at.After(u.last[token]) {
		u.last[token] = at
	}
}

// take hands at most so many uses over; they are no longer known here.
func (u *uses) take(most int) map[string]time.Time {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.last) <= most {
		all := u.last
		u.last = nil
		return all
	}
	some := make(map[string]time.Time, most)
	for token, at := range u.last {
		if len(some) == most {
			break
		}
		some[token] = at
		delete(u.last, token)
	}
	return some
}

// NoteUse remembers that a personal token was used. Once in a minute it takes a
// lock; otherwise it is one comparison.
func (a *Authority) NoteUse(lease *Lease, now time.Time) {
	if lease.Personal == nil {
		return
	}
	minute := now.Unix() / 60
	if lease.used.Load() != minute && lease.used.Swap(minute) != minute {
		a.uses.add(lease.ID, now)
	}
}

// RecordUses writes down which personal tokens were used since the last call.
// What could not be written is kept for the next. A crash loses what was not
// written yet.
func (a *Authority) RecordUses(ctx context.Context) error {
	a.uses.recording.Lock()
	defer a.uses.recording.Unlock()
	for {
		used := a.uses.take(usesPerUpdate)
		if len(used) == 0 {
			return nil
		}
		err := a.store.Update(ctx, func(tx store.Writer) error {
			for token, at := range used {
				if err := tx.MarkUsed(a.environment, token, at); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			for token, at := range used {
				a.uses.add(token, at)
			}
			return fmt.Errorf("record the use of tokens in %s: %w", a.environment, err)
		}
	}
}
