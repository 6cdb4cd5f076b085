package caddymodule

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/store/journal"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite"
	"github.com/caddy-bearer/caddy-bearer/token"
)

const (
	// leastFree is the room that a disk should have, in bytes, beside a second copy
	// of what is on it.
	leastFree = 256 << 20

	// muchWAL is a write-ahead log that is not taken back into the database.
	muchWAL = 512 << 20

	// oldKey is when a signing key that nothing rotates should be.
	oldKey = 400 * 24 * time.Hour
)

// checkPolicies loads each policy, and has it linted.
func (x *examination) checkPolicies() {
	if x.app == nil {
		return
	}
	for _, name := range sortedKeys(x.app.Policies) {
		file := x.app.Policies[name]
		loaded, err := loadPolicyFile(file)
		if findings, ok := errors.AsType[policy.Findings](err); ok {
			x.lint(findings)
			continue
		}
		if err != nil {
			x.unreadable("policy", x.at("policy", name), file, "put it there; a start without it fails", err)
			continue
		}
		x.lint(loaded.policy.Lint())
	}
}

func (x *examination) lint(findings policy.Findings) {
	for _, f := range findings {
		l, do := levelWarning, "see caddy bearer policy lint"
		if f.Severity == policy.SeverityError {
			l, do = levelError, "mend it: a start with it fails; see caddy bearer policy lint"
		}
		where := f.File
		if f.Line > 0 {
			where = fmt.Sprintf("%s:%d:%d", f.File, f.Line, f.Column)
		}
		x.find(l, "policy", where, do, "%s", f.Message)
	}
}

// unreadable tells of a file that can't be read: by anybody, or by who runs the
// doctor.
func (x *examination) unreadable(check, where, file, do string, err error) {
	if errors.Is(err, fs.ErrPermission) {
		x.find(levelNote, "permission", file, "run the doctor as Caddy's user to have it looked at", "this user may not read what belongs to the check %s", check)
		return
	}
	x.find(levelError, check, where, do, "%s", err)
}

// begun reports whether there was a first start, which makes all files.
func (x *examination) begun() bool {
	if x.app == nil {
		return false
	}
	_, err := os.Stat(x.app.Store.Path)
	return !errors.Is(err, fs.ErrNotExist)
}

func (x *examination) checkRootKey() {
	if x.app == nil {
		return
	}
	_, err := token.LoadRootKey(x.app.RootKeyFile)
	switch {
	case errors.Is(err, token.ErrNoRootKey) && !x.begun():
	case errors.Is(err, token.ErrNoRootKey):
		x.find(levelError, "root-key", x.at("root_key"), "put the copy back; never remove the database to have a new key made",
			"there is a database and no root key: %s", x.app.RootKeyFile)
	case err != nil:
		x.unreadable("root-key", x.at("root_key"), x.app.RootKeyFile, "mend it, and ask who has read it: chmod 600, or put the copy back", err)
	}
	if filepath.Dir(x.app.RootKeyFile) == filepath.Dir(x.app.Store.Path) {
		x.find(x.inEarnest(), "root-key-place", x.at("root_key"), "move the key to another folder, and name it with root_key",
			"the root key lies in the folder of the database, so a copy of the folder holds both: who has it can sign tokens")
	}
	x.checkFolder(x.app.RootKeyFile)
}

// checkFolder refuses folders in which others can put another file in the place of
// a key.
func (x *examination) checkFolder(file string) {
	folder := filepath.Dir(file)
	info, err := os.Stat(folder)
	if err == nil && info.Mode().Perm()&0o022 != 0 && info.Mode()&os.ModeSticky == 0 {
		x.find(levelError, "folder", folder, "chmod go-w "+folder, "others than its owner may exchange files in it (mode %04o)", info.Mode().Perm())
	}
}

func (x *examination) checkOperatorTokens() {
	if x.app == nil {
		return
	}
	if _, err := readOperatorFile(x.app.OperatorTokenFile); err != nil && !errors.Is(err, fs.ErrNotExist) {
		x.unreadable("operator-token", x.at("operator_token"), x.app.OperatorTokenFile,
			"mend it; or remove it, and the next start makes another", err)
	}
}

func (x *examination) checkJournal() {
	if x.app == nil {
		return
	}
	content, err := journal.Read(x.app.RevocationJournalFile)
	switch {
	case errors.Is(err, fs.ErrNotExist) && !x.begun():
	case errors.Is(err, fs.ErrNotExist):
		x.find(levelError, "journal", x.at("revocation_journal"), "put it back; see \"Backup and restore\" in docs/operators.md",
			"there is a database and no revocation journal: %s", x.app.RevocationJournalFile)
	case err != nil:
		x.unreadable("journal", x.at("revocation_journal"), x.app.RevocationJournalFile, "put a copy back; see \"Backup and restore\" in docs/operators.md", err)
	case content.At.After(x.machine.now().Add(clockTolerance)):
		x.clockBehind("the revocation journal", content.At)
	}
	if filepath.Dir(x.app.RevocationJournalFile) == filepath.Dir(x.app.Store.Path) {
		x.find(levelNote, "journal-place", x.at("revocation_journal"), "name a file on another disk with revocation_journal",
			"the revocation journal lies beside the database: who puts an old copy of the folder back puts back both, and nobody notices")
	}
}

// checkDatabase looks at the database as it is, also while it is served.
func (x *examination) checkDatabase() {
	if !x.begun() {
		return
	}
	where := x.at("store")
	if err := readable(x.app.Store.Path); err != nil {
		x.unreadable("database", where, x.app.Store.Path, "see \"When something fails\" in docs/operators.md", err)
		return
	}
	keys := map[store.Environment][]store.SigningKey{}
	sight, err := sqlite.Look(x.ctx, x.app.Store.Path, func(r store.Reader) (err error) {
		for env := range x.app.Environments {
			if keys[env], err = r.SigningKeys(env); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		x.unreadable("database", where, x.app.Store.Path, "see \"When something fails\" in docs/operators.md", err)
		return
	}
	if info, err := os.Stat(x.app.Store.Path); err == nil && info.Mode().Perm()&0o077 != 0 {
		x.find(levelError, "database", x.app.Store.Path, "chmod 600 "+x.app.Store.Path, "others may read who owns what (mode %04o); the next start is refused", info.Mode().Perm())
	}
	switch {
	case sight.Schema > sight.Known:
		x.find(levelError, "schema", x.app.Store.Path, "use the newer program; to go back see docs/upgrading.md",
			"the schema is version %d, and this program knows versions up to %d", sight.Schema, sight.Known)
	case sight.Schema < sight.Known:
		x.find(levelNote, "schema", x.app.Store.Path, "make a backup first; see docs/upgrading.md",
			"the schema is version %d: the next start of this program brings it to %d, and there is no way back", sight.Schema, sight.Known)
	}
	if sight.WAL > muchWAL {
		x.find(levelWarning, "wal", x.app.Store.Path+"-wal", "look for a program that has the database open and reads without end",
			"the write-ahead log is %d MiB long: something keeps it from being taken back into the database", sight.WAL>>20)
	}
	if sight.LastAudit.After(x.machine.now().Add(clockTolerance)) {
		x.clockBehind("the audit trail", sight.LastAudit)
	}
	for _, env := range sortedKeys(x.app.Environments) {
		x.checkSigningKeys(env, keys[env])
	}
}

// readable tells why this user can't read a file: SQLite itself doesn't say.
func readable(path string) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	return file.Close()
}

// checkSigningKeys looks at the newest key that may sign.
func (x *examination) checkSigningKeys(env store.Environment, keys []store.SigningKey) {
	var newest *store.SigningKey
	for i := range keys {
		k := &keys[i]
		if k.Retired.IsZero() && k.Epoch == 0 && (newest == nil || k.SignFrom.After(newest.SignFrom)) {
			newest = k
		}
	}
	if newest == nil || x.app.Environments[env] == nil {
		return
	}
	settings := x.app.Environments[env]
	age, every := x.machine.now().Sub(newest.SignFrom), settings.keyRotation()
	switch {
	case settings.SigningKeyFile != "" && age > oldKey:
		x.find(levelWarning, "signing-key", x.at("signing_key"), "put a new key into the file, and reload",
			"environment %s: the key in %s signs since %s", env, settings.SigningKeyFile, newest.SignFrom.Format(time.DateOnly))
	case settings.SigningKeyFile == "" && every == 0 && age > oldKey:
		x.find(levelWarning, "signing-key", x.at("signing_key_rotation"), "caddy bearer key rotate",
			"environment %s: nothing rotates its signing key, which signs since %s", env, newest.SignFrom.Format(time.DateOnly))
	case settings.SigningKeyFile == "" && every > 0 && age > every+24*time.Hour:
		x.find(levelWarning, "signing-key", x.app.Store.Path, "start Caddy, and look for \"signing keys\" in its log",
			"environment %s: its signing key should have been followed by another on %s", env, newest.SignFrom.Add(every).Format(time.DateOnly))
	}
}

// checkDisk looks at the disk under the database.
func (x *examination) checkDisk() {
	if !x.begun() {
		return
	}
	disk, err := x.machine.disk(filepath.Dir(x.app.Store.Path))
	if err != nil {
		return // a folder that is not there was told of already
	}
	where := x.at("store")
	info, err := os.Stat(x.app.Store.Path)
	if err == nil && disk.known && disk.free < leastFree+info.Size() {
		x.find(levelWarning, "disk-space", where, "make room: on a full disk nothing is issued or revoked",
			"%d MiB are free under %s, and the database has %d MiB", disk.free>>20, filepath.Dir(x.app.Store.Path), info.Size()>>20)
	}
	switch disk.kind {
	case diskNetwork:
		x.find(levelError, "file-system", where, "move the database to a local disk", "%s is on a network file system, which loses what was acknowledged", x.app.Store.Path)
	case diskMemory:
		x.find(x.inEarnest(), "file-system", where, "move the database to a disk", "%s is in memory: it is gone when the machine starts anew", x.app.Store.Path)
	}
}
