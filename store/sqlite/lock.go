package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// ErrLocked is wrapped by Open's error when another Store holds the database,
// in this process or in another.
var ErrLocked = errors.New("in use by another process")

// lockSlice is how long SQLite waits at a stretch; between two of them the
// context is looked at.
const lockSlice = 100 * time.Millisecond

// lock is the exclusive right to a database: an EXCLUSIVE transaction on a file
// of its own, so that readers of the database are not shut out. SQLite's locks
// work on every platform, hold between connections of one process as well, and
// go away with the process however it dies. The file stays: removing it would
// let two processes lock two files of the same name.
type lock struct {
	db   *sql.DB
	conn *sql.Conn
}

func acquire(ctx context.Context, path string, wait time.Duration) (*lock, error) {
	path += ".lock"
	if err := create(path); err != nil {
		return nil, err
	}
	// A journal on disk would only leave another file behind.
	db, err := sql.Open("sqlite", address(path, "mode=rw", "_pragma=journal_mode(MEMORY)",
		fmt.Sprintf("_pragma=busy_timeout(%d)", min(wait, lockSlice).Milliseconds())))
	if err != nil {
		return nil, err
	}
	l := &lock{db: db}
	if err := l.take(ctx, time.Now().Add(wait)); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, err), l.release())
	}
	return l, nil
}

func (l *lock) take(ctx context.Context, deadline time.Time) error {
	for {
		err := l.try(context.WithoutCancel(ctx))
		switch {
		case err == nil:
			return nil
		case code(err) != sqlite3.SQLITE_BUSY:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case !time.Now().Before(deadline):
			return ErrLocked
		}
	}
}

// try connects, which reads the file and may find it locked already, and locks.
func (l *lock) try(ctx context.Context) (err error) {
	if l.conn == nil {
		if l.conn, err = l.db.Conn(ctx); err != nil {
			return err
		}
	}
	_, err = l.conn.ExecContext(ctx, "BEGIN EXCLUSIVE")
	return err
}

func (l *lock) release() error {
	var err error
	if l.conn != nil {
		err = l.conn.Close()
	}
	return errors.Join(err, l.db.Close())
}
