package token

import (
	"context"
	"fmt"
	"net/netip"
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
	last map[string]use // by token id
}

// use is when and from where a token was used.
type use struct {
	at   time.Time
	from string
}

// add notes a use, unless a later one is known.
func (u *uses) add(token string, now use) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.last == nil {
		u.last = make(map[string]use)
	}
	if now.at.After(u.last[token].at) {
		u.last[token] = now
	}
}

// take hands at most so many uses over; they are no longer known here.
func (u *uses) take(most int) map[string]use {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.last) <= most {
		all := u.last
		u.last = nil
		return all
	}
	some := make(map[string]use, most)
	for token, one := range u.last {
		if len(some) == most {
			break
		}
		some[token] = one
		delete(u.last, token)
	}
	return some
}

// UseIsNews reports, once in a minute, that the use of a personal token is worth
// to be noted by NoteUse. Otherwise it is one comparison.
func (a *Authority) UseIsNews(lease *Lease, now time.Time) bool {
	if lease.Personal == nil {
		return false
	}
	minute := now.Unix() / 60
	return lease.used.Load() != minute && lease.used.Swap(minute) != minute
}

// NoteUse remembers that a personal token was used, and from where: an address as
// netip.ParseAddr reads it. What is none is not known. It takes a lock.
func (a *Authority) NoteUse(lease *Lease, now time.Time, from string) {
	addr, err := netip.ParseAddr(from)
	if err != nil {
		a.uses.add(lease.ID, use{at: now})
		return
	}
	a.uses.add(lease.ID, use{now, addr.Unmap().WithZone("").String()})
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
			for token, one := range used {
				if err := tx.MarkUsed(a.environment, token, one.at, one.from); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			for token, one := range used {
				a.uses.add(token, one)
			}
			return fmt.Errorf("record the use of tokens in %s: %w", a.environment, err)
		}
	}
}
