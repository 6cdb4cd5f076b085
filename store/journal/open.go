package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Why a store is not served with a journal. Compare with errors.Is.
var (
	// ErrOlder: the database is an older copy, which lacks revocations.
	ErrOlder = errors.New("the database is an older copy of itself: what was revoked since would live again")
	// ErrOtherStore: the journal belongs to another store.
	ErrOtherStore = errors.New("the revocation journal belongs to another database")
	// ErrDamaged: a line of the journal, other than half a line at its end, is not
	// what was written.
	ErrDamaged = errors.New("the revocation journal is damaged")
	// ErrMissing: the database has had a journal, and there is none.
	ErrMissing = errors.New("the revocation journal of the database is missing")
)

// MetaBackup is where a copy that was made as a backup says when that was. The
// store itself never has it.
const MetaBackup = "backup"

// MetaLineage is where a store says that it was restored without its journal:
// a random text, another one each time. Copies from before don't have it, so
// that none of them passes for the store, whatever its generation.
const MetaLineage = "lineage"

// Name is what a journal calls its store by.
func Name(identity, lineage string) string {
	if lineage == "" {
		return identity
	}
	return identity + "." + lineage
}

// state is what a store says of itself.
type state struct {
	name       string
	generation int64  // 0: it never had a journal
	backup     string // when the copy was made; empty: it is no copy
}

// Open holds the journal against the store, and begins a new generation in
// both. ErrOlder, ErrOtherStore, ErrMissing: the store must not be served. A
// store that never had a journal gets one.
func Open(ctx context.Context, o Options) (*Journal, error) {
	st, err := stateOf(ctx, o.Store)
	if err != nil {
		return nil, err
	}
	content, err := read(o.Path)
	if err != nil {
		return nil, err
	}
	if err := compare(ctx, o, st, content); err != nil {
		return nil, err
	}
	j := &Journal{
		store: o.Store, log: o.Log, now: o.Now, name: st.name,
		path: o.Path, generation: st.generation + 1, began: o.Now().UTC(),
		wake: make(chan struct{}, 1), notes: map[noteKey]Note{},
	}
	if content != nil {
		for _, n := range content.Notes {
			j.notes[noteKey{n.Environment, n.Target}] = n
		}
	}
	if err := setGeneration(ctx, o.Store, j.generation); err != nil {
		return nil, err
	}
	if err := j.rewrite(ctx, ""); err != nil {
		return nil, err
	}
	return j, nil
}

// read reads a journal; nil: there is none.
func read(path string) (*Content, error) {
	content, err := Read(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return content, err
}

func stateOf(ctx context.Context, st store.Store) (s state, err error) {
	err = st.View(ctx, func(tx store.Reader) error {
		meta := func(key string) string {
			value, failed := tx.Meta(key)
			if failed != nil && !errors.Is(failed, store.ErrNotFound) {
				err = failed
			}
			return value
		}
		s.name, s.backup = Name(meta("identity"), meta(MetaLineage)), meta(MetaBackup)
		if generation := meta(MetaGeneration); generation != "" && err == nil {
			if s.generation, err = strconv.ParseInt(generation, 10, 64); err != nil {
				err = fmt.Errorf("%w: %q", errNoGeneration, generation)
			}
		}
		return err
	})
	return s, err
}

// compare refuses a store that the journal proves to be older, and all that
// could be one. A store that is ahead was stopped between COMMIT and the line:
// nobody had an answer, and the line is made up for.
func compare(ctx context.Context, o Options, st state, c *Content) error {
	switch {
	case st.backup != "":
		return fmt.Errorf("%w: it was made as a backup at %s", ErrOlder, st.backup)
	case c == nil && st.generation > 0:
		return fmt.Errorf("%w: %s", ErrMissing, o.Path)
	case c == nil:
		return nil
	case c.Store != st.name:
		return fmt.Errorf("%w: %s is that of %s, the database is %s", ErrOtherStore, o.Path, c.Store, st.name)
	case st.generation < c.Generation:
		return fmt.Errorf("%w: its generation is %d, that of %s is %d", ErrOlder, st.generation, o.Path, c.Generation)
	}
	return knowsAll(ctx, o, c)
}

// knowsAll looks for revocations that the store doesn't have. A revocation is
// deleted from the store when it is over, by a clock that may have been ahead of
// the present one: the journal tells how far it was.
func knowsAll(ctx context.Context, o Options, c *Content) error {
	revs, _, err := o.Store.Snapshot(ctx)
	if err != nil {
		return err
	}
	known := map[target]int64{}
	for i := range revs {
		t := targetOf(&revs[i])
		highest, found := known[t]
		if !found || revs[i].Number > highest {
			known[t] = revs[i].Number
		}
	}
	horizon := later(o.Now(), c.At)
	for i := range c.Revocations {
		rev := &c.Revocations[i]
		if number, found := known[targetOf(rev)]; !over(rev, horizon) && (!found || number < rev.Number) {
			return fmt.Errorf("%w: it does not know that %s %s of %s was revoked at %s, which is in %s",
				ErrOlder, rev.Kind, rev.Target, rev.Environment, rev.At.UTC().Format(time.RFC3339), o.Path)
		}
	}
	return nil
}

func later(a, b time.Time) time.Time {
	if a.Before(b) {
		return b
	}
	return a
}
