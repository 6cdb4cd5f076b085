package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// MetaGeneration is where a store remembers its generation.
const MetaGeneration = "generation"

const (
	generationEvery = time.Minute
	retryEvery      = time.Second

	// slack is how much a journal may grow beyond twice what it was when it was
	// last written anew, in bytes.
	slack = 1 << 20
)

// Options say which store a journal is for and where it is.
type Options struct {
	Store store.Store
	Path  string
	Log   *zap.Logger      // never nil
	Now   func() time.Time // the wall clock
}

// Journal is the file of a store that is open. Append is for the store's hook
// alone; the other methods are safe for concurrent use.
type Journal struct {
	store store.Store
	log   *zap.Logger
	now   func() time.Time
	name  string        // of the store
	wake  chan struct{} // told when the file could not be written

	// rewriting is held by who writes the file anew or raises the generation.
	// It comes before mu.
	rewriting sync.Mutex

	mu         sync.Mutex
	path       string
	file       *draft
	closed     bool
	compact    int64 // its size when it was written anew
	generation int64
	began      time.Time // the generation
	notes      map[noteKey]Note
	behind     bool // the file lacks what the database has
	gathering  bool
	gathered   []line // since gathering began, for the file that is being written
}

// noteKey: of what was done to a record the latest counts.
type noteKey struct {
	env    store.Environment
	target string
}

// Append writes revocations and brings them to the disk. It never fails: when
// the file can't be written, Keep catches up from the database.
func (j *Journal) Append(revs []store.Revocation) {
	lines := make([]line, len(revs))
	for i := range revs {
		lines[i] = revocationLine(&revs[i])
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.append(lines...)
}

// Note writes that an operator changed a record. It is called after the change
// was committed and before the operator is answered.
func (j *Journal) Note(env store.Environment, action, target string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	n := Note{env, action, target, j.now().UTC(), j.generation}
	j.notes[noteKey{env, target}] = n
	j.append(noteLine(&n))
}

// append needs mu.
func (j *Journal) append(lines ...line) {
	if j.gathering {
		j.gathered = append(j.gathered, lines...)
	}
	if j.closed || j.behind {
		return
	}
	err := j.file.write(lines)
	if err == nil {
		err = j.file.file.Sync()
	}
	if err == nil {
		return
	}
	j.fall(err) // the file may end in half a line: nothing more may come after it
}

// fall says that the file lacks something, once until it is complete again.
// It needs mu.
func (j *Journal) fall(err error) {
	if j.behind {
		return
	}
	j.behind = true
	j.log.Error("the revocation journal cannot be written; what is revoked is in the database alone until it can be again",
		zap.String("journal", j.path), zap.Error(err))
	select {
	case j.wake <- struct{}{}:
	default:
	}
}

// Keep raises the generation once a minute, keeps the file small and catches up
// when it could not be written, until ctx ends.
func (j *Journal) Keep(ctx context.Context) {
	minute := time.NewTicker(generationEvery)
	defer minute.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-j.wake:
			j.catchUp(ctx)
		case <-minute.C:
			if err := j.Raise(ctx); err != nil && ctx.Err() == nil {
				j.log.Warn("the generation of the store could not be raised; it is tried again in a minute", zap.Error(err))
			}
		}
	}
}

// catchUp tries to write the file anew until it works.
func (j *Journal) catchUp(ctx context.Context) {
	retry := time.NewTicker(retryEvery)
	defer retry.Stop()
	for {
		if err := j.rewrite(ctx, ""); err == nil {
			j.log.Info("the revocation journal is complete again", zap.String("journal", j.Path()))
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-retry.C:
		}
	}
}

// Raise begins a new generation, in the database first. Before a copy is made,
// it parts what operators did before from what they did after.
func (j *Journal) Raise(ctx context.Context) error {
	j.rewriting.Lock()
	defer j.rewriting.Unlock()
	next := j.generation + 1 // nobody else changes it
	if err := setGeneration(ctx, j.store, next); err != nil {
		return err
	}
	j.mu.Lock()
	j.generation, j.began = next, j.now().UTC()
	j.append(line{Generation: next, At: j.began})
	grown := j.file.size > 2*j.compact+slack
	j.mu.Unlock()
	if !grown {
		return nil
	}
	return j.write(ctx, j.path)
}

func setGeneration(ctx context.Context, st store.Store, generation int64) error {
	return st.Update(ctx, func(tx store.Writer) error {
		return tx.SetMeta(MetaGeneration, strconv.FormatInt(generation, 10))
	})
}

// rewrite writes the file anew from what the database has; at path, or where it
// is if that is empty.
func (j *Journal) rewrite(ctx context.Context, path string) error {
	j.rewriting.Lock()
	defer j.rewriting.Unlock()
	if path == "" {
		path = j.path // changed under rewriting alone
	}
	return j.write(ctx, path)
}

// write needs rewriting. What is revoked before the snapshot is in it; what is
// revoked from now on is gathered, and some is in both, which does no harm.
func (j *Journal) write(ctx context.Context, path string) error {
	j.mu.Lock()
	j.gathering, j.gathered = true, nil
	c := &Content{Store: j.name, Generation: j.generation, At: j.began}
	for _, n := range j.notes {
		c.Notes = append(c.Notes, n)
	}
	j.mu.Unlock()

	var fresh *draft
	revs, _, err := j.store.Snapshot(ctx)
	if err == nil {
		c.Revocations = latest(revs)
		fresh, err = create(path, c)
	}

	j.mu.Lock()
	defer j.mu.Unlock()
	gathered := j.gathered
	j.gathering, j.gathered = false, nil
	if err != nil {
		return err
	}
	if j.closed {
		return fresh.discard(os.ErrClosed)
	}
	compact := fresh.size
	if err := fresh.write(gathered); err != nil {
		return fresh.discard(err)
	}
	if err := fresh.install(path); err != nil {
		j.fall(err) // nobody knows which file a crash would leave in place
		return err
	}
	if j.file != nil {
		_ = j.file.file.Close() // replaced: what it holds is in the new one
	}
	j.file, j.path, j.compact, j.behind = fresh, path, compact, false
	return nil
}

// latest leaves out what a higher number has overtaken. What is over is not
// looked for: the store deletes it, and a clock that is wrong for a moment must
// not empty the journal.
func latest(revs []store.Revocation) []store.Revocation {
	highest := map[target]int64{}
	for i := range revs {
		t := targetOf(&revs[i])
		highest[t] = max(highest[t], revs[i].Number)
	}
	var kept []store.Revocation
	for i := range revs {
		if revs[i].Number == highest[targetOf(&revs[i])] {
			kept = append(kept, revs[i])
		}
	}
	return kept
}

type target struct {
	env  store.Environment
	kind store.Kind
	id   string
}

func targetOf(rev *store.Revocation) target { return target{rev.Environment, rev.Kind, rev.Target} }

func over(rev *store.Revocation, now time.Time) bool {
	return !rev.Expires.IsZero() && !rev.Expires.After(now)
}

// Move goes on in another file, which gets all that is revoked. The file that
// was left stays as it is. One that is there already must be of this store.
func (j *Journal) Move(ctx context.Context, path string) error {
	if path == j.Path() {
		return nil
	}
	there, err := read(path)
	if err != nil {
		return err
	}
	if there != nil && there.Store != j.name {
		return fmt.Errorf("%w: %s", ErrOtherStore, path)
	}
	return j.rewrite(ctx, path)
}

// Behind reports whether the file lacks what the database has, because it can't
// be written.
func (j *Journal) Behind() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.behind
}

// Path returns where the file is.
func (j *Journal) Path() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.path
}

// Close closes the file. The store must be closed before.
func (j *Journal) Close() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return nil
	}
	j.closed = true
	if err := j.file.file.Close(); err != nil {
		return fmt.Errorf("revocation journal: %w", err)
	}
	return nil
}

var errNoGeneration = errors.New("the store's generation is not a number")
