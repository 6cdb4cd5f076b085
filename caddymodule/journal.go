package caddymodule

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/store/journal"
)

// openJournal holds the database against the journal of what is revoked, which
// is apart from it. A database that is an older copy of itself is not served.
func (rt *runtime) openJournal(ctx context.Context, st store.Store, path string) error {
	path, err := filepath.Abs(path)
	if err != nil {
		return fmt.Errorf("revocation journal: %w", err)
	}
	j, err := journal.Open(ctx, journal.Options{Store: st, Path: path, Log: rt.log.Load(), Now: time.Now})
	if err != nil {
		return rt.wayOut(err, path)
	}
	rt.journal.Store(j)
	return nil
}

// moveJournal follows a configuration that names another file.
func (rt *runtime) moveJournal(ctx context.Context, app *App) error {
	path, err := filepath.Abs(app.RevocationJournalFile)
	if err != nil {
		return fmt.Errorf("revocation journal: %w", err)
	}
	return rt.journal.Load().Move(ctx, path)
}

// note puts into the journal that an operator changed a record: an older copy of
// the database has it as it was before. What else is changed is not noted, so
// that the journal doesn't grow with what was ever done.
func (rt *runtime) note(env store.Environment, action, target string) {
	kind, _, _ := strings.Cut(target, ":")
	switch store.Kind(kind) {
	case store.KindClient, store.KindPrincipal, store.KindAccount, store.KindToken, "binding", "webhook":
		rt.journal.Load().Note(env, action, target)
	}
}

// wayOut tells operators what to do with a database that is not served.
func (rt *runtime) wayOut(err error, path string) error {
	command := fmt.Sprintf("caddy bearer restore %s --database %s --revocation-journal %s", rt.path, rt.path, path)
	var choices string
	switch {
	case errors.Is(err, journal.ErrOlder) && exists(path):
		choices = "To put what was revoked since into it, run: " + command + " --replay ; to end all tokens and grants: the same with --end-all"
	case errors.Is(err, journal.ErrOlder):
		choices = "Put its revocation journal back at " + path + " and start again; or, to end all tokens and grants, run: " + command + " --end-all"
	case errors.Is(err, journal.ErrMissing):
		choices = "Without it nobody knows whether the database is an older copy. Put the file back, or name it with revocation_journal; or, to end all tokens and grants, run: " +
			command + " --end-all ; only if nothing newer than this database ever existed: the same with --as-is"
	case errors.Is(err, journal.ErrOtherStore):
		choices = "Name the journal of this database with revocation_journal; if the database is a new one, move that file away; or, to end all tokens and grants, run: " + command + " --end-all"
	case errors.Is(err, journal.ErrDamaged):
		choices = "Put a copy of the journal back; or, to end all tokens and grants, run: " + command +
			" --end-all ; only if nothing newer than this database ever existed: the same with --as-is"
	default:
		return err
	}
	return fmt.Errorf("store %s: %w. %s", rt.path, err, choices)
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
