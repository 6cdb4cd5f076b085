package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// session is one connection with its prepared statements, used by one goroutine
// at a time. It holds a *sql.Conn, which is never replaced behind its back in
// the middle of a transaction. Its statements run without a context: they take
// microseconds, and an interrupted one could roll back other callers' jobs.
type session struct {
	conn  *sql.Conn
	stmts map[string]*sql.Stmt

	// broken is the first error that casts doubt on the transaction. It is kept
	// here because a callback may drop the error that it was given.
	broken error
}

func connect(ctx context.Context, db *sql.DB) (*session, error) {
	conn, err := db.Conn(ctx)
	if err != nil {
		return nil, err
	}
	return &session{conn: conn, stmts: make(map[string]*sql.Stmt)}, nil
}

func (s *session) close() error {
	var errs []error
	for _, stmt := range s.stmts {
		errs = append(errs, stmt.Close())
	}
	return errors.Join(append(errs, s.conn.Close())...)
}

// prepare returns the statement of a query. Queries are constants, or made of a
// few, so that the map stays small.
func (s *session) prepare(query string) (*sql.Stmt, error) {
	if stmt, ok := s.stmts[query]; ok {
		return stmt, nil
	}
	stmt, err := s.conn.PrepareContext(context.Background(), query)
	if err != nil {
		return nil, err
	}
	s.stmts[query] = stmt
	return stmt, nil
}

// exec runs a query and returns how many rows it changed.
func (s *session) exec(query string, args ...any) (int64, error) {
	stmt, err := s.prepare(query) //nolint:sqlclosecheck // the session keeps its statements and closes them all
	if err != nil {
		return 0, s.judge(err)
	}
	result, err := stmt.ExecContext(context.Background(), args...)
	if err != nil {
		return 0, s.judge(err)
	}
	changed, err := result.RowsAffected()
	return changed, s.judge(err)
}

// each calls row for every row of a query's result, with the function that
// scans it.
func (s *session) each(row func(scan func(...any) error) error, query string, args ...any) error {
	stmt, err := s.prepare(query) //nolint:sqlclosecheck // the session keeps its statements and closes them all
	if err != nil {
		return s.judge(err)
	}
	rows, err := stmt.QueryContext(context.Background(), args...)
	if err != nil {
		return s.judge(err)
	}
	defer func() { _ = rows.Close() }() // rows.Err has told what went wrong
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return s.judge(rows.Err())
}

// get scans the only row of a query's result. No row is store.ErrNotFound.
func (s *session) get(dest []any, query string, args ...any) error {
	found := false
	err := s.each(func(scan func(...any) error) error {
		found = true
		return scan(dest...)
	}, query, args...)
	if err == nil && !found {
		return store.ErrNotFound
	}
	return err
}

// judge translates an error of the database into the words of the contract, and
// tells those that concern one job (it broke a constraint, or is malformed)
// from those that concern the transaction.
func (s *session) judge(err error) error {
	if err == nil {
		return nil
	}
	switch code(err) {
	case sqlite3.SQLITE_CONSTRAINT:
		return constraint(err)
	case sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_RANGE:
		return err
	}
	if s.broken == nil {
		s.broken = err
	}
	return unavailable(err)
}

func constraint(err error) error {
	switch extended(err) {
	case sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY, sqlite3.SQLITE_CONSTRAINT_UNIQUE:
		return fmt.Errorf("%w: %w", store.ErrExists, err)
	case sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY:
		return fmt.Errorf("%w: it refers to what does not exist: %w", store.ErrNotFound, err)
	}
	return err
}

func unavailable(err error) error {
	if errors.Is(err, store.ErrUnavailable) {
		return err
	}
	return fmt.Errorf("%w: %w", store.ErrUnavailable, err)
}

// code returns SQLite's primary result code, or 0 if the error is not SQLite's.
func code(err error) int { return extended(err) & 0xff }

func extended(err error) int {
	if e, ok := errors.AsType[*sqlite.Error](err); ok {
		return e.Code()
	}
	return 0
}
