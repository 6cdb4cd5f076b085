package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"
)

// Info is what a database file is.
type Info struct {
	Identity   string    `json:"identity"`
	Lineage    string    `json:"lineage,omitzero"`    // another one after each restoring without a journal
	Generation int64     `json:"generation"`          // 0: it never had a revocation journal
	Backup     string    `json:"backup,omitzero"`     // when it was made as a backup; empty: it is none
	LastAudit  time.Time `json:"last_audit,omitzero"` // instant of the newest line of the audit trail
	Size       int64     `json:"size"`                // bytes
}

// Inspect checks the whole of a database file that nobody has open, and says
// what it is. It changes nothing, and needs no lock: a backup lies still.
func Inspect(ctx context.Context, path string) (info Info, err error) {
	db, err := openStill(path)
	if err != nil {
		return info, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err = check(ctx, db); err != nil {
		return info, fmt.Errorf("%s: %w", path, err)
	}
	stat, err := os.Stat(path)
	if err != nil {
		return info, err
	}
	info.Size = stat.Size()
	if err = info.read(ctx, db); err != nil {
		return info, fmt.Errorf("%s is no database of caddy-bearer: %w", path, err)
	}
	return info, nil
}

// openStill opens a file for reading and nothing else.
func openStill(path string) (*sql.DB, error) {
	from, err := still(path)
	if err != nil {
		return nil, err
	}
	return sql.Open("sqlite", from)
}

// still is the address of a file that lies still. SQLite may then read it where
// it could make no files beside it, unless a write-ahead log is there, without
// which the file is not whole.
func still(path string) (string, error) {
	path, err := resolve(path)
	if err != nil {
		return "", err
	}
	if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() {
		return "", errors.Join(err, fmt.Errorf("%s is not a file", path))
	}
	_, err = os.Stat(path + "-wal")
	if errors.Is(err, fs.ErrNotExist) {
		return address(path, "mode=ro", "immutable=1"), nil
	}
	return address(path, "mode=ro"), err
}

// check runs SQLite's own checks of a whole database.
func check(ctx context.Context, db *sql.DB) error {
	var verdict string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&verdict); err != nil {
		return err
	}
	if verdict != "ok" {
		return fmt.Errorf("the file is damaged: %s", verdict)
	}
	var dangling int
	if err := db.QueryRowContext(ctx, "SELECT count(*) FROM pragma_foreign_key_check").Scan(&dangling); err != nil {
		return err
	}
	if dangling != 0 {
		return fmt.Errorf("the file is damaged: %d rows refer to what is not there", dangling)
	}
	return nil
}

func (info *Info) read(ctx context.Context, db *sql.DB) error {
	generation, err := meta(ctx, db, metaGeneration)
	if err == nil && generation != "" {
		info.Generation, err = strconv.ParseInt(generation, 10, 64)
	}
	if err == nil {
		info.Backup, err = meta(ctx, db, metaBackup)
	}
	if err == nil {
		info.Lineage, err = meta(ctx, db, metaLineage)
	}
	if err == nil {
		info.Identity, err = meta(ctx, db, metaIdentity)
	}
	if err == nil && info.Identity == "" {
		err = errors.New("it has no identity")
	}
	if err != nil {
		return err
	}
	var last sql.NullInt64
	err = db.QueryRowContext(ctx, "SELECT at FROM audit ORDER BY sequence DESC LIMIT 1").Scan(&last)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	info.LastAudit = time.UnixMicro(last.Int64).UTC()
	return err
}

// meta reads a fact about a database; "" if it has none.
func meta(ctx context.Context, db *sql.DB, key string) (value string, err error) {
	err = db.QueryRowContext(ctx, "SELECT value FROM meta WHERE key = ?", key).Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil
	}
	return value, err
}
