package sqlite

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync/atomic"
	"time"

	"go.uber.org/zap"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// batchMax bounds how many jobs share a transaction, and with it how long the
// first of them waits for the last.
const batchMax = 256

// A job is either begun, by the committer, or given up, by its caller: whoever
// moves the state first.
const (
	waiting int32 = iota
	begun
	givenUp
)

// job is one caller's transaction.
type job struct {
	ctx   context.Context
	run   func(*tx) error
	state atomic.Int32
	err   error
	done  chan struct{} // closed when err is the answer
}

func (j *job) claim(state int32) bool { return j.state.CompareAndSwap(waiting, state) }

// settled is an error that is a fact: what the job did is committed although
// its caller is told the error.
type settled struct{ error }

// do runs a flow in the committer and returns its result once it is durable.
func do[T any](ctx context.Context, s *Store, flow func(*tx) (T, error)) (T, error) {
	var result, none T
	err := s.submit(ctx, func(t *tx) (err error) {
		result, err = flow(t)
		return err
	})
	if err != nil {
		return none, err
	}
	return result, nil
}

// submit queues a job and waits for its outcome. The context counts until the
// job begins.
func (s *Store) submit(ctx context.Context, run func(*tx) error) error {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.leave()
	j := &job{ctx: ctx, run: run, done: make(chan struct{})}
	select {
	case s.queue <- j:
	case <-ctx.Done():
		return ctx.Err()
	}
	select {
	case <-j.done:
	case <-ctx.Done():
		if j.claim(givenUp) {
			return ctx.Err()
		}
		<-j.done
	}
	return j.err
}

// tx is the transaction under way: the writer's session, and the revocations
// that it brings about.
type tx struct {
	*session
	revoked []store.Revocation
	parties parties
	shared  shared
}

// committer owns the writer. It is one goroutine: nothing in it is locked.
type committer struct {
	tx        tx
	files     inPlace
	queue     <-chan *job
	ended     chan<- struct{}
	directory *directory
	committed func([]store.Revocation)
	settled   func(time.Duration, error) // nil: nobody is told
	fatal     func(error)
	log       *zap.Logger
	dead      error // set when an outcome is unknown: nothing may be written after it
}

// run serves batches until the queue is closed and empty. Nothing is deferred
// here: a panic in the hook must end the process before a caller is woken.
func (c *committer) run() {
	batch := make([]*job, 0, batchMax)
	for first := range c.queue {
		batch = c.gather(append(batch[:0], first))
		if err := c.transact(batch); err != nil {
			for _, j := range batch {
				j.err = err
			}
		}
		if acknowledgeEarly == 0 {
			wake(batch)
		}
		clear(batch)
	}
	if err := c.tx.close(); err != nil {
		c.log.Warn("closing the writer", zap.Error(err))
	}
	close(c.ended)
}

func wake(batch []*job) {
	for _, j := range batch {
		close(j.done)
	}
}

// gather adds the jobs that wait already.
func (c *committer) gather(batch []*job) []*job {
	for len(batch) < batchMax {
		select {
		case j, ok := <-c.queue:
			if !ok {
				return batch
			}
			batch = append(batch, j)
		default:
			return batch
		}
	}
	return batch
}

// transact runs a batch in one transaction. An error is for every caller of the
// batch: nothing of it was committed, or nobody knows.
func (c *committer) transact(batch []*job) error {
	if c.dead != nil {
		return unavailable(c.dead)
	}
	c.tx.revoked, c.tx.broken = nil, nil
	if _, err := c.tx.exec("BEGIN IMMEDIATE"); err != nil {
		return c.abandon(err)
	}
	for _, j := range batch {
		if !j.claim(begun) {
			continue
		}
		if j.err = j.ctx.Err(); j.err != nil {
			continue
		}
		if err := c.attempt(j); err != nil {
			return c.abandon(err)
		}
	}
	if acknowledgeEarly != 0 {
		wake(batch)
		time.Sleep(acknowledgeEarly)
	}
	return c.commit()
}

// attempt runs one job between savepoints. The error that it returns is the
// transaction's; the job's own is in j.err.
func (c *committer) attempt(j *job) error {
	if _, err := c.tx.exec("SAVEPOINT job"); err != nil {
		return err
	}
	mark, shared := len(c.tx.revoked), c.tx.shared.made
	j.err = c.protect(j.run)
	if c.tx.broken != nil {
		return c.tx.broken
	}
	if fact, ok := errors.AsType[settled](j.err); ok {
		j.err = fact.error
	} else if j.err != nil {
		c.tx.revoked = c.tx.revoked[:mark]
		c.tx.parties.forget()
		if c.tx.shared.made != shared {
			c.tx.shared.forget()
		}
		// Fails when SQLite has rolled the transaction back by itself.
		if _, err := c.tx.exec("ROLLBACK TO job"); err != nil {
			return err
		}
	}
	_, err := c.tx.exec("RELEASE job")
	return err
}

// protect turns a panic into the error of the job that panicked.
func (c *committer) protect(run func(*tx) error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.log.Error("panic in a transaction", zap.Any("panic", p), zap.ByteString("stack", debug.Stack()))
			err = fmt.Errorf("sqlite: panic in a transaction, which was rolled back: %v", p)
		}
	}()
	return run(&c.tx)
}

// abandon rolls a transaction back before its COMMIT. SQLite may have done so
// by itself, and ROLLBACK fails then.
func (c *committer) abandon(cause error) error {
	c.tx.parties.forget()
	c.tx.shared.forget()
	_, _ = c.tx.exec("ROLLBACK")
	c.settle(0, cause)
	c.log.Error("transaction rolled back", zap.Error(cause))
	return unavailable(cause)
}

// commit ends the transaction and reports its revocations.
//
// When COMMIT fails, two things prove that it did not happen: the transaction
// is still open (ROLLBACK works), or the disk was full, which SQLite finds when
// it writes, before the record that makes the transaction count is complete.
// Any other failure (fsync, a torn write, a lost disk) proves nothing.
func (c *committer) commit() error {
	if err := c.files.check(); err != nil {
		return c.abandon(err)
	}
	begin := time.Now()
	_, err := c.tx.exec("COMMIT")
	if err == nil {
		c.settle(time.Since(begin), nil)
		if c.tx.parties.changed {
			c.directory.version.Add(1)
			c.tx.parties.changed = false
		}
		if len(c.tx.revoked) > 0 && c.committed != nil {
			c.committed(c.tx.revoked)
		}
		return nil
	}
	c.settle(0, err)
	c.tx.parties.forget()
	c.tx.shared.forget()
	if _, open := c.tx.exec("ROLLBACK"); open == nil || code(err) == sqlite3.SQLITE_FULL {
		c.log.Error("transaction rolled back", zap.Error(err))
		return unavailable(err)
	}
	c.dead = fmt.Errorf("sqlite: outcome of COMMIT unknown: %w", err)
	c.fatal(c.dead)
	return unavailable(c.dead)
}

// settle tells how a transaction has ended.
func (c *committer) settle(commit time.Duration, err error) {
	if c.settled != nil {
		c.settled(commit, err)
	}
}
