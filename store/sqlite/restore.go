package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/caddy-bearer/caddy-bearer/internal/durable"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// Choice is what becomes of all that was revoked after a copy was made.
type Choice string

// The choices. None brings anything back that was revoked.
const (
	// Replay puts the revocations of a journal into the copy.
	Replay Choice = "replay"
	// EndAll ends everything that the copy could bring back, where there is no
	// journal.
	EndAll Choice = "end-all"
	// AsIs changes nothing: the operator knows that the copy is the newest state.
	AsIs Choice = "as-is"
)

// Restoration says which copy is to be the database, and how.
type Restoration struct {
	From   string // the copy; it is not changed. It may be Path itself
	Path   string // the database. What is there is kept under another name
	Choice Choice
	At     time.Time

	// Of the journal.
	Generation  int64              // the latest; the database's will be above
	Revocations []store.Revocation // for Replay
	Changed     []Changed          // for Replay: records that were changed since the copy was made

	// KeepRefresh lets refresh tokens live when revocations are replayed. Those
	// that were renewed since the copy was made come back with it.
	KeepRefresh bool

	// LockWait is how long to wait for another process to let go of the
	// database; 5 s by default.
	LockWait time.Duration
}

// Changed names a record that an operator changed, as in the audit trail:
// client:ID, principal:ID, account:ID, binding:PRINCIPAL/ACCOUNT, webhook:PRINCIPAL;
// or a personal token that was rotated, as token:ID.
type Changed struct {
	Environment store.Environment
	Target      string
}

// Restored says what was done.
type Restored struct {
	Identity    string             `json:"identity"`
	Lineage     string             `json:"lineage,omitzero"`
	Generation  int64              `json:"generation"`
	Aside       string             `json:"kept_aside,omitzero"` // where the database that was there is now
	Replayed    int                `json:"replayed"`            // revocations that the copy did not know
	Grants      int64              `json:"grants_ended"`
	Parties     int                `json:"parties_ended"` // principals, clients and accounts under which everything ended
	Keys        int64              `json:"signing_keys_retired"`
	Refresh     int64              `json:"refresh_tokens_ended"`
	Shared      int                `json:"shared_tokens_ended"`  // of accounts that were unbound
	Rotated     int                `json:"rotated_tokens_ended"` // personal ones that got a successor since
	Codes       int64              `json:"codes_ended"`
	Sessions    int64              `json:"sessions_ended"`
	Disabled    []string           `json:"disabled,omitempty"` // records, as environment target
	Unbound     []string           `json:"unbound,omitempty"`  // bindings, as environment target
	Unknown     []string           `json:"unknown,omitempty"`  // records and bindings that were changed and that the copy doesn't have
	Revocations []store.Revocation `json:"-"`                  // all that the log has now
}

// restoreSuffix is where a copy is made ready, behind the name of the database.
const restoreSuffix = ".restoring"

// Restore makes a copy the database. Nothing is in its place before all of it
// is ready and on the disk; until then an error leaves everything as it was.
// ErrLocked: a server is running on the database.
func Restore(ctx context.Context, r Restoration) (Restored, error) {
	path, err := resolve(r.Path)
	if err != nil {
		return Restored{}, fmt.Errorf("restore: %s: %w", r.Path, err)
	}
	if r.LockWait <= 0 {
		r.LockWait = defaultLockWait
	}
	held, err := acquire(ctx, path, r.LockWait)
	if err != nil {
		return Restored{}, fmt.Errorf("restore: %s: %w", path, err)
	}
	done, err := r.run(ctx, path)
	if err = errors.Join(err, held.release()); err != nil {
		return done, fmt.Errorf("restore: %s: %w", path, err)
	}
	return done, nil
}

func (r *Restoration) run(ctx context.Context, path string) (done Restored, err error) {
	ready := path + restoreSuffix
	if err := remove(ready); err != nil { // of one that was interrupted
		return done, err
	}
	if err := create(ready); err != nil {
		return done, err
	}
	from, err := still(r.From)
	if err == nil {
		err = copyDatabase(ctx, from, ready)
	}
	if err == nil {
		done, err = r.prepare(ctx, ready)
	}
	if err == nil {
		_, err = Inspect(ctx, ready)
	}
	if err != nil {
		return done, errors.Join(err, remove(ready))
	}
	if done.Aside, err = exchange(ready, path, r.At); err != nil {
		return done, errors.Join(err, remove(ready))
	}
	return done, nil
}

// remove removes what may be there of a database that nobody has open.
func remove(path string) error {
	for _, suffix := range []string{"-wal", "-shm", ""} {
		if err := os.Remove(path + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// exchange puts a database in the place of another, which is kept under another
// name with its write-ahead log: that belongs to it, and would spoil the new one.
func exchange(ready, path string, at time.Time) (aside string, err error) {
	name, err := Aside(path, at)
	if err != nil {
		return "", err
	}
	for _, suffix := range []string{"-wal", "-shm", ""} {
		err := os.Rename(path+suffix, name+suffix)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		if err == nil && suffix == "" {
			aside = name
		}
	}
	if err := os.Rename(ready, path); err != nil {
		return aside, fmt.Errorf("%w; the database that was there is %s now", err, name)
	}
	return aside, durable.SyncFolder(filepath.Dir(path))
}

// Aside is a free name for what is at path, when something else takes its place
// at an instant.
func Aside(path string, at time.Time) (string, error) {
	name := path + ".before-" + at.UTC().Format("20060102T150405Z")
	for free, n := name, 2; ; n++ {
		_, err := os.Lstat(free)
		if errors.Is(err, fs.ErrNotExist) {
			return free, nil
		}
		if err != nil {
			return "", err
		}
		free = name + "-" + strconv.Itoa(n)
	}
}

// prepare does to a copy what the choice asks for, in one transaction.
func (r *Restoration) prepare(ctx context.Context, path string) (done Restored, err error) {
	db, err := openWriter(ctx, path, r.LockWait)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := migrate(ctx, db); err != nil {
		return done, err
	}
	s, err := connect(ctx, db)
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	t := &tx{session: s}
	if _, err := t.exec("BEGIN IMMEDIATE"); err != nil {
		return done, err
	}
	if done, err = r.apply(t); err != nil {
		return done, err // what is not committed goes away with the file
	}
	if _, err := t.exec("COMMIT"); err != nil {
		return done, err
	}
	// So that the file alone is all of it.
	return done, checkpoint(ctx, s.conn)
}

func checkpoint(ctx context.Context, conn *sql.Conn) error {
	var busy, log, done int
	err := conn.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &log, &done)
	if err == nil && busy != 0 {
		err = errors.New("somebody else reads the copy that is made ready")
	}
	return err
}

func (r *Restoration) apply(t *tx) (done Restored, err error) {
	switch r.Choice {
	case Replay:
		err = r.replay(t, &done)
	case EndAll:
		err = r.endAll(t, &done)
	case AsIs:
	default:
		err = fmt.Errorf("no such choice: %q", r.Choice)
	}
	if err != nil {
		return done, err
	}
	if err := r.sign(t, &done); err != nil {
		return done, err
	}
	done.Revocations, err = list(t.session, revocationInto, `SELECT `+revocationColumns+` FROM revocation r ORDER BY r.sequence`)
	return done, err
}

// leap is added to the counter of epochs and rights: nobody knows which numbers
// were drawn after the copy was made, and a token that carries one must not
// outlive a kill that draws it again. 2^21 such leaps fit into the integers that
// JSON can carry.
const leap = 1 << 32

// leapAhead makes the next number higher than any that was ever drawn.
func leapAhead(t *tx, highest int64) error {
	_, err := t.exec(`UPDATE counter SET value = max(value, ?) + ? WHERE name = 'number'`, highest, int64(leap))
	return err
}

// replay puts the journal's revocations into the copy. What it can't know of is
// ended: refresh tokens that were renewed since would be good again in the hands
// of whoever kept an old one, codes that were used could be used again, and who
// signed out would be signed in.
func (r *Restoration) replay(t *tx, done *Restored) error {
	highest := int64(0)
	for i := range r.Revocations {
		fresh, err := t.replay(r.Revocations[i])
		if err != nil {
			return err
		}
		if fresh {
			done.Replayed++
		}
		highest = max(highest, r.Revocations[i].Number)
	}
	if err := leapAhead(t, highest); err != nil {
		return err
	}
	if err := r.presumeShown(t); err != nil {
		return err
	}
	for _, changed := range r.Changed {
		if err := changed.disable(t, done, r.At); err != nil {
			return err
		}
	}
	if _, err := t.exec(destroyDead); err != nil {
		return err
	}
	// Whether they have expired is not asked: the clock of this moment may be wrong.
	var err error
	if done.Sessions, err = t.exec(deleteSessions); err != nil {
		return err
	}
	done.Codes, err = t.exec(`UPDATE code SET used = ?, used_by = '' WHERE used = 0`, micros(r.At))
	if err != nil || r.KeepRefresh {
		return err
	}
	done.Refresh, err = t.exec(`UPDATE token SET revoked = ? WHERE class = ? AND revoked = 0 AND successor IS NULL`,
		micros(r.At), store.Refresh)
	return err
}

// replay enters one revocation as it was, whether its target is known or not:
// signed tokens have no row, and other things were made after the copy.
func (t *tx) replay(rev store.Revocation) (fresh bool, err error) {
	switch {
	case rev.Kind == store.KindGrant:
		_, err = t.exec(`UPDATE grants SET revoked = ?, reason = ? WHERE environment = ? AND id = ? AND revoked = 0`,
			micros(rev.At), rev.Reason, rev.Environment, rev.Target)
	case rev.Kind == store.KindToken:
		_, err = t.exec(`UPDATE token SET revoked = ? WHERE environment = ? AND id = ? AND revoked = 0`,
			micros(rev.At), rev.Environment, rev.Target)
	case numbered[rev.Kind] != "":
		_, err = t.exec(numbered[rev.Kind], rev.Number, rev.Environment, rev.Target)
	default:
		err = fmt.Errorf("no such kind of revocation: %q", rev.Kind)
	}
	if err != nil {
		return false, err
	}
	var same int
	err = t.get([]any{&same}, `SELECT count(*) FROM revocation WHERE environment = ? AND kind = ? AND target = ? AND number >= ?`,
		rev.Environment, rev.Kind, rev.Target, rev.Number)
	if err != nil || same > 0 {
		return false, err
	}
	return true, t.log(rev)
}

// endAll ends all that could be revoked: nobody knows what was. The counter
// leaps first, so that every number drawn here is above those in any token.
func (r *Restoration) endAll(t *tx, done *Restored) (err error) {
	if err := leapAhead(t, 0); err != nil {
		return err
	}
	// At once, and not below one party after the other.
	if _, err := t.exec(destroyAll); err != nil {
		return err
	}
	if _, err := t.exec(endOldSecrets); err != nil {
		return err
	}
	if done.Sessions, err = t.exec(deleteSessions); err != nil {
		return err
	}
	if err := switchAllOff(t, r.At); err != nil {
		return err
	}
	if done.Grants, err = t.exec(`UPDATE grants SET revoked = ?, reason = ? WHERE revoked = 0`, micros(r.At), restoredReason); err != nil {
		return err
	}
	for _, kind := range []store.Kind{store.KindPrincipal, store.KindClient, store.KindAccount} {
		ended, err := t.raiseAll(kind, string(kind), r.At) // these are named after their tables
		if err != nil {
			return err
		}
		done.Parties += ended
	}
	// Tokens of parties that the copy doesn't know carry no number that could be
	// ended, but they were signed. The next start makes new keys.
	if _, err := t.raiseAll(store.KindKey, "signing_key", r.At); err != nil {
		return err
	}
	if done.Keys, err = t.exec(`UPDATE signing_key SET retired = ? WHERE retired = 0 OR retired > ?`, micros(r.At), micros(r.At)); err != nil {
		return err
	}
	// Other copies of the old store, later ones too, must not pass for this one.
	return writer{reader{t.session}, t}.SetMeta(metaLineage, newIdentity())
}

const deleteSessions = `DELETE FROM session`

// endOldSecrets ends secrets that the copy knows as replaced, and that may have been
// ended before their time since.
const endOldSecrets = `UPDATE client SET old_secret_hash = '', old_secret_until = 0 WHERE old_secret_hash <> ''`

const restoredReason = "restored"

// raiseAll ends everything under all that a table has.
func (t *tx) raiseAll(kind store.Kind, table string, at time.Time) (ended int, err error) {
	revs, err := list(t.session, func(rev *store.Revocation) []any {
		rev.Kind, rev.At, rev.Reason = kind, at, restoredReason
		return []any{(*string)(&rev.Environment), &rev.Target}
	}, `SELECT environment, id FROM `+table+` ORDER BY environment, id`)
	for _, rev := range revs {
		if _, _, err := t.revoke(rev); err != nil {
			return ended, err
		}
		ended++
	}
	return ended, err
}

// sign makes the copy the database again, and says in the audit trail of each
// environment what was done.
func (r *Restoration) sign(t *tx, done *Restored) (err error) {
	if _, err := t.exec(`DELETE FROM meta WHERE key = ?`, metaBackup); err != nil {
		return err
	}
	if done.Identity, err = (reader{t.session}).Meta(metaIdentity); err != nil {
		return err
	}
	if done.Lineage, err = (reader{t.session}).Meta(metaLineage); err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	generation, err := (reader{t.session}).Meta(metaGeneration)
	if err == nil {
		done.Generation, err = strconv.ParseInt(generation, 10, 64)
	}
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return err
	}
	done.Generation = max(done.Generation, r.Generation) + 1
	err = writer{reader{t.session}, t}.SetMeta(metaGeneration, strconv.FormatInt(done.Generation, 10))
	if err != nil {
		return err
	}
	environments, err := list(t.session, func(name *string) []any { return []any{name} },
		`SELECT environment FROM principal UNION SELECT environment FROM client
		UNION SELECT environment FROM account UNION SELECT environment FROM signing_key`)
	for _, env := range environments {
		if err := t.record(store.Event{
			Environment: store.Environment(env), At: r.At, Actor: "operator:restore", Action: "store.restore",
			Target: "store:" + done.Identity, Outcome: outcomeOK, Reason: string(r.Choice),
		}); err != nil {
			return err
		}
	}
	return err
}
