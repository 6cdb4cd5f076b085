// Package sqlite keeps the records in one SQLite file, for one process.
//
// There is one writer: the committer, a goroutine that owns the only connection
// which changes anything. Callers queue jobs; the committer takes all that wait,
// runs them in one transaction with a savepoint each, commits (WAL,
// synchronous=FULL: one fsync for all of them), reports the revocations and
// wakes the callers. Readers have connections of their own and wait for nobody.
//
// What a reader of this package should know first:
//
//   - committer.go  the queue, the batch, and what an error does to it
//   - standing.go   what a grant stands on, read by every flow
//   - issue.go, redeem.go, renew.go, revoke.go  one flow each
//   - log.go        the record of what is revoked
//   - collect.go    what is deleted, and when
//   - reader.go, writer.go  the cold paths
//   - backup.go, restore.go  copies, and what is done to one before it is served
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Options say where the database is and who is told what it does.
type Options struct {
	// Path is the database file. Its folder must exist and be writable; the file
	// is made if it is missing, and so are PATH-wal, PATH-shm and PATH.lock.
	Path string

	// Committed is told the revocations of each transaction, in the order in
	// which they were committed: after COMMIT returned, before any of its callers
	// is woken, never concurrently. It must not call the Store. A panic in it ends
	// the process: going on would mean to serve what is revoked.
	Committed func([]store.Revocation)

	// Settled is told of each transaction how long its COMMIT took, or why it was rolled
	// back. Callers wait for it. By default nobody is told.
	Settled func(commit time.Duration, err error)

	// Fatal is called when nobody knows whether a transaction was committed (an
	// I/O error at COMMIT). It must end the process; the next one reads what the
	// disk holds. No caller of that transaction has had an answer by then. By
	// default the error is logged and the exit code is 70.
	Fatal func(error)

	// Log is told what operators should know. By default nobody is.
	Log *zap.Logger

	// LockWait is how long to wait for another process to let go of the
	// database; 5 s by default.
	LockWait time.Duration
}

const (
	defaultLockWait = 5 * time.Second

	// leastVersion is the first SQLite that does not lose committed transactions
	// when a WAL is reset while a reader checkpoints.
	leastVersion = "3.51.3"

	// exitUnknown is EX_SOFTWARE of sysexits.h.
	exitUnknown = 70
)

// Store implements store.Store.
type Store struct {
	lock      *lock
	write     *sql.DB
	read      *sql.DB
	readers   chan *session // those that are free
	queue     chan *job
	identity  string
	directory directory
	ended     chan struct{} // closed when the committer has come to its end

	mu     sync.Mutex
	closed bool
	inside sync.WaitGroup // calls under way

	path    string
	closing context.Context // ends when Close is called
	ending  context.CancelFunc

	shutting sync.Once
	shut     error // of Close
}

var _ store.Store = (*Store)(nil)

// Open opens the database, makes it if there is none, and brings its schema up
// to date. Only one Store at a time can have a database open; the second gets
// ErrLocked after Options.LockWait. The context is for opening alone.
func Open(ctx context.Context, o Options) (*Store, error) {
	path, err := resolve(o.Path)
	if err != nil {
		return nil, fmt.Errorf("sqlite: %s: %w", o.Path, err)
	}
	o.defaults()
	s := &Store{queue: make(chan *job, batchMax), ended: make(chan struct{})}
	s.path = path
	s.closing, s.ending = context.WithCancel(context.Background())
	if err := s.open(ctx, path, o); err != nil {
		return nil, fmt.Errorf("sqlite: %s: %w", path, errors.Join(err, s.release()))
	}
	return s, nil
}

func (o *Options) defaults() {
	if o.LockWait <= 0 {
		o.LockWait = defaultLockWait
	}
	if o.Log == nil {
		o.Log = zap.NewNop()
	}
	if o.Fatal == nil {
		log := o.Log
		o.Fatal = func(err error) {
			log.Error("outcome of a transaction unknown, ending the process", zap.Error(err))
			_ = log.Sync()
			fmt.Fprintln(os.Stderr, err) // last words, also where there is no log
			os.Exit(exitUnknown)
		}
	}
}

// open takes the steps in the order in which they depend on each other; what it
// has opened when it fails is given back by release.
func (s *Store) open(ctx context.Context, path string, o Options) (err error) {
	if err = create(path); err != nil {
		return err
	}
	if s.lock, err = acquire(ctx, path, o.LockWait); err != nil {
		return err
	}
	if err = sweep(path); err != nil {
		return err
	}
	if s.write, err = openWriter(ctx, path, o.LockWait); err != nil {
		return err
	}
	if err = migrate(ctx, s.write); err != nil {
		return err
	}
	writer, err := connect(ctx, s.write)
	if err != nil {
		return err
	}
	if s.identity, err = identify(writer); err != nil {
		return errors.Join(err, writer.close())
	}
	if err = s.openReaders(ctx, path, o.LockWait); err != nil {
		return errors.Join(err, writer.close())
	}
	files, err := remember(path)
	if err != nil {
		return errors.Join(err, writer.close())
	}
	c := &committer{tx: tx{session: writer}, files: files, queue: s.queue, ended: s.ended, directory: &s.directory, committed: o.Committed, settled: o.Settled, fatal: o.Fatal, log: o.Log}
	go c.run()
	return nil
}

func openWriter(ctx context.Context, path string, wait time.Duration) (*sql.DB, error) {
	db, err := sql.Open("sqlite", address(path, "mode=rw", patience(wait),
		"_pragma=journal_mode(WAL)", "_pragma=synchronous(FULL)", "_pragma=foreign_keys(1)",
		"_pragma=cache_size(-16000)", "_pragma=journal_size_limit(67108864)",
		"_pragma=temp_store(MEMORY)",  // what savepoints need to roll back
		"_pragma=secure_delete(FAST)", // overwrites what is deleted in pages that are written anyhow: it costs nothing
		"_txlock=immediate"))
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(1)
	var version, journal string
	err = db.QueryRowContext(ctx, "SELECT sqlite_version(), journal_mode FROM pragma_journal_mode").Scan(&version, &journal)
	switch {
	case err != nil:
	case older(version, leastVersion):
		err = fmt.Errorf("SQLite %s can lose committed transactions: %s or newer is needed", version, leastVersion)
	case journal != "wal":
		err = fmt.Errorf("this file system does not allow SQLite's WAL (journal mode is %s)", journal)
	}
	if err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

func (s *Store) openReaders(ctx context.Context, path string, wait time.Duration) error {
	db, err := sql.Open("sqlite", address(path, "mode=ro", patience(wait), "_pragma=query_only(1)"))
	if err != nil {
		return err
	}
	s.read = db
	count := max(4, runtime.GOMAXPROCS(0))
	s.readers = make(chan *session, count)
	for range count {
		r, err := connect(ctx, db)
		if err != nil {
			return err
		}
		s.readers <- r
		// A connection opens the WAL when it first reads: now, while it is there.
		if _, err := (reader{r}).Meta("identity"); err != nil {
			return err
		}
	}
	return nil
}

func patience(wait time.Duration) string {
	return "_pragma=busy_timeout(" + strconv.FormatInt(wait.Milliseconds(), 10) + ")"
}

// older reports whether a dotted version comes before another.
func older(version, than string) bool {
	a, b := strings.Split(version, "."), strings.Split(than, ".")
	for i := range b {
		if i >= len(a) {
			return true
		}
		m, _ := strconv.Atoi(a[i])
		n, _ := strconv.Atoi(b[i])
		if m != n {
			return m < n
		}
	}
	return false
}

// enter admits a call unless the store is closed; leave must follow.
func (s *Store) enter() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return fmt.Errorf("%w: it is closed", store.ErrUnavailable)
	}
	s.inside.Add(1)
	return nil
}

func (s *Store) leave() { s.inside.Done() }

// Close lets the calls under way finish, refuses further ones and gives the
// database back. Closing again waits for the same and answers the same.
func (s *Store) Close() error {
	s.shutting.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		s.ending()
		s.inside.Wait()
		close(s.queue)
		<-s.ended
		s.shut = s.release()
	})
	return s.shut
}

// release closes what is open: the writer last, so that it is the one that
// takes the WAL back into the database, and then the lock.
func (s *Store) release() error {
	var errs []error
	for range len(s.readers) {
		errs = append(errs, (<-s.readers).close())
	}
	if s.read != nil {
		errs = append(errs, s.read.Close())
	}
	if s.write != nil {
		errs = append(errs, s.write.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	return errors.Join(errs...)
}
