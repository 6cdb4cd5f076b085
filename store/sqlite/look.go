package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Sight is what can be seen of a database at a glance.
type Sight struct {
	Info
	Schema int64 // its version
	Known  int64 // the version that this program knows
	WAL    int64 // size of the write-ahead log, in bytes
}

// Look reads a database without checking it and without disturbing whoever has it
// open. more may read further records; it may be nil. A missing file is
// os.ErrNotExist.
func Look(ctx context.Context, path string, more func(store.Reader) error) (sight Sight, err error) {
	stat, err := os.Stat(path)
	if err != nil {
		return sight, err
	}
	db, err := openStill(path)
	if err != nil {
		return sight, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err = sight.read(ctx, db); err != nil {
		return sight, fmt.Errorf("%s is no database of caddy-bearer: %w", path, err)
	}
	sight.Size = stat.Size()
	if wal, err := os.Stat(path + "-wal"); err == nil {
		sight.WAL = wal.Size()
	}
	if more == nil {
		return sight, nil
	}
	s, err := connect(ctx, db)
	if err != nil {
		return sight, err
	}
	return sight, errors.Join(more(reader{s}), s.close())
}

func (s *Sight) read(ctx context.Context, db *sql.DB) error {
	if err := s.Info.read(ctx, db); err != nil {
		return err
	}
	known, err := newestMigration()
	if err != nil {
		return err
	}
	s.Known = known
	return db.QueryRowContext(ctx, "SELECT max(version_id) FROM goose_db_version WHERE is_applied").Scan(&s.Schema)
}

// newestMigration is the version to which this program brings a schema.
func newestMigration() (newest int64, err error) {
	files, err := fs.ReadDir(migrations, "migrations")
	if err != nil {
		return 0, err
	}
	for _, file := range files {
		number, _, _ := strings.Cut(file.Name(), "_")
		version, err := strconv.ParseInt(number, 10, 64)
		if err != nil {
			return 0, fmt.Errorf("migration %s: %w", file.Name(), err)
		}
		newest = max(newest, version)
	}
	return newest, nil
}
