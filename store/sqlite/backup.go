package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	sqlite3 "modernc.org/sqlite/lib"
)

// metaBackup is where a copy says when it was made; the database itself has no
// such mark. A copy that is put in the place of the database is known by it.
const metaBackup = "backup"

// backupSuffix is what the name of a backup under way begins with, behind the
// name of the database.
const backupSuffix = ".backup-"

// spare is what a backup leaves of the disk to the database, in bytes: a full
// disk would stop the issuing of tokens.
const spare = 64 << 20

// ErrNoRoom is wrapped by Backup's error when the disk could not hold the copy.
var ErrNoRoom = errors.New("there is no room for a copy of the database")

// Backup makes a copy of the database in a new file beside it and returns its
// path; the caller removes it. The copy is of one instant: it has all that was
// committed before Backup was called, and of each transaction all or nothing.
// Writers don't wait for it. It has a mark that says that it is a copy, made at
// the given instant. When ctx ends or the Store is closed, the copying ends.
// ErrNoRoom.
func (s *Store) Backup(ctx context.Context, at time.Time) (string, error) {
	if err := s.enter(); err != nil {
		return "", err
	}
	defer s.leave()
	if err := ctx.Err(); err != nil {
		return "", err
	}
	// Closing waits for the calls under way, and copying may take minutes: it ends
	// with the store as well as with its caller.
	copying, cancel := context.WithCancel(s.closing)
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	path, err := s.backup(copying, at)
	switch {
	case err == nil:
		return path, nil
	case s.closing.Err() != nil:
		err = unavailable(errors.New("it is closing"))
	case code(err) == sqlite3.SQLITE_FULL:
		err = fmt.Errorf("%w: %w", ErrNoRoom, err)
	}
	return "", fmt.Errorf("backup: %w", err)
}

func (s *Store) backup(ctx context.Context, at time.Time) (string, error) {
	if err := s.checkRoom(ctx); err != nil {
		return "", err
	}
	// SQLite takes an empty file for none, and keeps its mode.
	f, err := os.CreateTemp(filepath.Dir(s.path), filepath.Base(s.path)+backupSuffix+"*")
	if err != nil {
		return "", err
	}
	path := f.Name()
	err = f.Close()
	if err == nil {
		err = copyDatabase(ctx, address(s.path, "mode=ro", patience(defaultLockWait)), path)
	}
	if err == nil {
		err = mark(ctx, path, at)
	}
	if err != nil {
		return "", errors.Join(err, os.Remove(path))
	}
	return path, nil
}

// checkRoom refuses a copy that would fill the disk of the database.
func (s *Store) checkRoom(ctx context.Context) error {
	free, known, err := freeSpace(filepath.Dir(s.path))
	if err != nil || !known {
		return err
	}
	var need int64
	err = s.snapshot(ctx, func(r *session) error {
		return r.get([]any{&need}, `SELECT page_count * page_size FROM pragma_page_count, pragma_page_size`)
	})
	if err == nil && free < need+spare {
		err = fmt.Errorf("%w: %d MiB are free in %s, and %d MiB are needed", ErrNoRoom, free>>20, filepath.Dir(s.path), (need+spare)>>20)
	}
	return err
}

// copyDatabase copies the database at an address into an empty file.
func copyDatabase(ctx context.Context, from, to string) (err error) {
	db, err := sql.Open("sqlite", from)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	_, err = db.ExecContext(ctx, "VACUUM INTO ?", to)
	return err
}

// mark says in a copy what it is. SQLite copies without syncing; the commit of
// the mark brings all of the file to the disk.
func mark(ctx context.Context, path string, at time.Time) error {
	db, err := sql.Open("sqlite", address(path, "mode=rw", "_pragma=journal_mode(MEMORY)", "_pragma=synchronous(FULL)"))
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `INSERT INTO meta (key, value) VALUES (?, ?)
		ON CONFLICT DO UPDATE SET value = excluded.value`, metaBackup, at.UTC().Format(time.RFC3339))
	return errors.Join(err, db.Close())
}

// sweep removes backups that a killed process left unfinished.
func sweep(path string) error {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !strings.HasPrefix(entry.Name(), filepath.Base(path)+backupSuffix) {
			continue
		}
		err := os.Remove(filepath.Join(filepath.Dir(path), entry.Name()))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}
