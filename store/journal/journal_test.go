package journal

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite"
)

const env = store.Production

var start = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// world is a database with its journal, wired as a server does it.
type world struct {
	t       *testing.T
	folder  string
	path    string // of the journal
	store   *sqlite.Store
	journal atomic.Pointer[Journal]
	clock   atomic.Int64 // seconds since start
	logged  *observer.ObservedLogs
	log     *zap.Logger
}

func newWorld(t *testing.T) *world {
	t.Helper()
	core, logged := observer.New(zap.DebugLevel)
	w := &world{t: t, folder: t.TempDir(), logged: logged, log: zap.New(core)}
	w.path = filepath.Join(w.folder, "keys", "revocations.journal")
	w.must(w.open())
	t.Cleanup(w.close)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) now() time.Time { return start.Add(time.Duration(w.clock.Load()) * time.Second) }

func (w *world) database() string { return filepath.Join(w.folder, "bearer.db") }

// open opens the database and, unless that is refused, its journal.
func (w *world) open() error {
	w.t.Helper()
	st, err := sqlite.Open(w.t.Context(), sqlite.Options{Path: w.database(), Committed: func(revs []store.Revocation) {
		if j := w.journal.Load(); j != nil {
			j.Append(revs)
		}
	}})
	w.must(err)
	w.store = st
	j, err := Open(w.t.Context(), Options{Store: st, Path: w.path, Log: w.log, Now: w.now})
	if err != nil {
		w.must(st.Close())
		w.store = nil
		return err
	}
	w.journal.Store(j)
	return nil
}

func (w *world) close() {
	if w.store == nil {
		return
	}
	w.must(w.store.Close())
	w.store = nil
	w.must(w.journal.Swap(nil).Close())
}

func (w *world) reopen() error {
	w.t.Helper()
	w.close()
	return w.open()
}

func (w *world) revoke(id string) {
	w.t.Helper()
	rev := store.Revocation{Environment: env, Kind: store.KindToken, Target: id, At: w.now(), Expires: w.now().Add(time.Hour), Reason: "a \"test\"\n"}
	_, err := w.store.Revoke(context.Background(), rev, store.Event{})
	w.must(err)
}

func (w *world) read() *Content {
	w.t.Helper()
	c, err := Read(w.path)
	w.must(err)
	return c
}

// targets lists what is revoked according to the file.
func (w *world) targets() (list []string) {
	w.t.Helper()
	for _, rev := range w.read().Revocations {
		list = append(list, rev.Target)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func (w *world) equal(what string, got, want any) {
	w.t.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func (w *world) refuses(err, want error) {
	w.t.Helper()
	if !errors.Is(err, want) {
		w.t.Errorf("got %v; want %v", err, want)
	}
}

func (w *world) bytes() []byte {
	w.t.Helper()
	content, err := os.ReadFile(w.path)
	w.must(err)
	return content
}

func (w *world) write(content []byte) {
	w.t.Helper()
	w.must(os.WriteFile(w.path, content, 0o600))
}

func TestWhatIsRevokedIsInTheFileBeforeTheAnswer(t *testing.T) {
	w := newWorld(t)
	w.revoke("a")
	w.equal("after the answer", w.targets(), []string{"a"})
	c := w.read()
	if rev := c.Revocations[0]; rev.Reason != "a \"test\"\n" || !rev.At.Equal(start) || !rev.Expires.Equal(start.Add(time.Hour)) || rev.Environment != env {
		t.Errorf("it came back as %+v", rev)
	}
	info, err := os.Stat(w.path)
	w.must(err)
	w.equal("mode", info.Mode().Perm(), os.FileMode(0o600))
	w.must(w.reopen())
	w.revoke("b")
	w.equal("after a restart", w.targets(), []string{"a", "b"})
}

func TestGenerationRisesWithEachOpeningAndWithTime(t *testing.T) {
	w := newWorld(t)
	w.equal("at first", w.read().Generation, 1)
	w.must(w.reopen())
	w.equal("opened again", w.read().Generation, 2)
	w.must(w.journal.Load().Raise(t.Context()))
	w.equal("a minute later", w.read().Generation, 3)
	st, err := stateOf(t.Context(), w.store)
	w.must(err)
	w.equal("in the database", st.generation, 3)
	w.must(w.reopen())
	w.equal("opened once more", w.read().Generation, 4)
}

// copyDatabase is what people do with cp, while nothing runs.
func (w *world) copyDatabase(from, to string) {
	w.t.Helper()
	content, err := os.ReadFile(from)
	w.must(err)
	w.must(os.WriteFile(to, content, 0o600))
}

func TestOlderDatabaseInThePlaceOfThePresentOne(t *testing.T) {
	for name, since := range map[string]func(*world){
		"a token was revoked": func(w *world) { w.revoke("since") },
		"a minute has passed": func(w *world) { w.must(w.journal.Load().Raise(t.Context())) },
		"it was started once": func(*world) {},
		"a revocation that was raised": func(w *world) {
			_, err := w.store.Revoke(t.Context(), store.Revocation{Environment: env, Kind: store.KindPrincipal, Target: "ann", At: w.now()}, store.Event{})
			w.must(err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.must(w.store.Update(t.Context(), func(tx store.Writer) error {
				return tx.PutPrincipal(store.Principal{Environment: env, ID: "ann", Kind: store.User, Status: store.Active, Source: store.FromConfig})
			}))
			w.revoke("before")
			w.close()
			older := filepath.Join(w.folder, "older.db")
			w.copyDatabase(w.database(), older)
			w.must(w.open())
			since(w)
			w.close()
			w.copyDatabase(older, w.database())
			before := w.bytes()
			w.refuses(w.open(), ErrOlder)
			w.equal("the journal is untouched", string(w.bytes()), string(before))
		})
	}
}

// A snapshot of the disk, taken and put back within one generation, is known by
// what was revoked since.
func TestOlderDatabaseOfTheSameGeneration(t *testing.T) {
	w := newWorld(t)
	w.revoke("before")
	w.close()
	older, journal := filepath.Join(w.folder, "older.db"), w.bytes()
	w.copyDatabase(w.database(), older)
	w.must(w.open())
	w.revoke("since")
	text := w.bytes()
	w.close()
	w.copyDatabase(older, w.database())

	// The journal as it would be had there been no second opening: its first
	// lines, and the revocation.
	var sum chain
	c, _, err := parse(strings.NewReader(string(text)))
	w.must(err)
	c.Generation--
	made, err := sum.encode(nil, c.lines())
	w.must(err)
	w.write(made)
	w.refuses(w.open(), ErrOlder)

	w.write(journal)
	w.must(w.open())
}

func TestBackupInThePlaceOfTheDatabase(t *testing.T) {
	w := newWorld(t)
	copied, err := w.store.Backup(t.Context(), w.now())
	w.must(err)
	w.close()
	w.must(os.Rename(copied, w.database()))
	w.refuses(w.open(), ErrOlder)
}

func TestJournalOfAnotherStore(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	w.close()
	w.write(other.bytes())
	w.refuses(w.open(), ErrOtherStore)
}

func TestJournalMissing(t *testing.T) {
	w := newWorld(t)
	w.close()
	w.must(os.Remove(w.path))
	w.refuses(w.open(), ErrMissing)
	if _, err := os.Stat(w.path); err == nil {
		t.Error("another one was made")
	}
}

func TestDatabaseFromBeforeThereWereJournals(t *testing.T) {
	w := newWorld(t)
	w.revoke("long ago")
	w.close()
	w.must(os.Remove(w.path))
	st, err := sqlite.Open(t.Context(), sqlite.Options{Path: w.database()})
	w.must(err)
	w.must(st.Update(t.Context(), func(tx store.Writer) error { return tx.SetMeta(MetaGeneration, "") }))
	w.must(st.Close())
	w.must(w.open())
	w.equal("what it holds", w.targets(), []string{"long ago"})
}

// The process was killed between COMMIT and the line, or in the middle of it.
func TestJournalCutShort(t *testing.T) {
	w := newWorld(t)
	w.revoke("a")
	w.revoke("b")
	w.close()
	whole := w.bytes()
	first := strings.Index(string(whole), "\n") + 1
	for cut := first; cut < len(whole); cut++ {
		w.write(whole[:cut])
		if c := w.read(); len(c.Revocations) > 1 {
			t.Fatalf("%d of %d bytes hold %v", cut, len(whole), c.Revocations)
		}
		if cut%97 != 0 { // opening takes a while
			continue
		}
		w.must(w.open())
		w.equal("made up for", w.targets(), []string{"a", "b"})
		w.close()
		whole = append(whole[:0:0], whole...)
	}
}

func TestDamagedJournal(t *testing.T) {
	w := newWorld(t)
	w.revoke("a")
	w.revoke("b")
	w.revoke("c")
	w.close()
	whole := string(w.bytes())
	lines := strings.SplitAfter(whole, "\n")
	for name, c := range map[string]struct{ content, says string }{
		"empty":                {"", ":1: "},
		"first line alone cut": {lines[0][:20], ":1: "},
		"a letter changed":     {strings.Replace(whole, `"target":"b"`, `"target":"x"`, 1), ":3: "},
		"a line left out":      {lines[0] + lines[2] + lines[3], ":2: "},
		"a line twice":         {lines[0] + lines[1] + lines[1] + lines[2], ":3: "},
		"lines swapped":        {lines[0] + lines[2] + lines[1], ":2: "},
		"no first line":        {lines[1] + lines[2], ":1: "},
		"an empty line":        {lines[0] + "\n" + lines[1], ":2: "},
		"something else":       {"root:x:0:0\n" + lines[1], ":1: "},
	} {
		t.Run(name, func(t *testing.T) {
			w.write([]byte(c.content))
			err := w.open()
			if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), w.path+c.says) {
				t.Errorf("got %v; want it to name line %q", err, c.says)
			}
		})
	}
	w.write([]byte(whole))
	w.must(os.Chmod(w.path, 0o644))
	if err := w.open(); err == nil || !strings.Contains(err.Error(), "chmod 600") {
		t.Errorf("open to others: %v", err)
	}
}

// What the database deleted, or a higher number has overtaken, is left out when
// the file is written anew; what the database forgot by a clock that ran ahead is no proof
// of anything.
func TestCompaction(t *testing.T) {
	w := newWorld(t)
	w.must(w.store.Update(t.Context(), func(tx store.Writer) error {
		return tx.PutPrincipal(store.Principal{Environment: env, ID: "ann", Kind: store.User, Status: store.Active, Source: store.FromConfig})
	}))
	w.revoke("short")
	for range 3 {
		_, err := w.store.Revoke(t.Context(), store.Revocation{Environment: env, Kind: store.KindPrincipal, Target: "ann", At: w.now()}, store.Event{})
		w.must(err)
	}
	w.equal("before", len(w.read().Revocations), 4)
	w.clock.Add(3600)
	w.must(w.journal.Load().Raise(t.Context()))
	_, err := w.store.Collect(t.Context(), store.Collect{Environment: env, Now: w.now(), Keep: time.Hour, Limit: 100})
	w.must(err)
	w.clock.Add(-7200) // the clock is set right again
	w.must(w.reopen())
	c := w.read()
	if len(c.Revocations) != 1 || c.Revocations[0].Number != 3 {
		t.Errorf("afterwards: %+v", c.Revocations)
	}
}

func TestFileThatHasGrownIsWrittenAnew(t *testing.T) {
	w := newWorld(t)
	j := w.journal.Load()
	w.revoke("a")
	for i := range 40 { // notes about one record replace each other
		j.Note(env, "client.set", "client:"+strings.Repeat("x", 64<<10)+fmt.Sprint(i%2))
	}
	grown := len(w.bytes())
	w.must(j.Raise(t.Context()))
	if now := len(w.bytes()); grown < 2<<20 || now > grown/8 {
		t.Errorf("%d bytes before, %d after", grown, now)
	}
	c := w.read()
	w.equal("notes", len(c.Notes), 2)
	w.equal("revocations", w.targets(), []string{"a"})
	w.equal("generation", c.Generation, 2)
	w.revoke("b")
	w.must(w.reopen())
	w.equal("later", w.targets(), []string{"a", "b"})
	w.equal("notes, after a restart", len(w.read().Notes), 2)
}

// Revocations go on while the file is written anew; none is lost between the
// two files.
func TestRevocationsWhileTheFileIsWrittenAnew(t *testing.T) {
	w := newWorld(t)
	const callers, each = 8, 25
	var wg sync.WaitGroup
	done := make(chan struct{})
	for c := range callers {
		wg.Go(func() {
			for i := range each {
				rev := store.Revocation{Environment: env, Kind: store.KindToken, Target: fmt.Sprintf("%d-%d", c, i), At: start}
				if _, err := w.store.Revoke(context.Background(), rev, store.Event{}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	go func() {
		wg.Wait()
		close(done)
	}()
	rewritten := 0
	for running := true; running; rewritten++ {
		select {
		case <-done:
			running = false
		default:
		}
		w.must(w.journal.Load().rewrite(t.Context(), ""))
	}
	w.equal("in the file", len(w.targets()), callers*each)
	t.Logf("written anew %d times", rewritten)
	w.must(w.reopen())
	w.equal("and later", len(w.targets()), callers*each)
}

// While the file can't be written, revocations stand; it is complete again as
// soon as it can be.
func TestJournalThatCannotBeWritten(t *testing.T) {
	w := newWorld(t)
	w.revoke("before")
	j := w.journal.Load()
	_ = j.file.file.Close()                              // every write fails from here on
	w.must(os.MkdirAll(w.path+".new/in the way", 0o700)) // and nothing can be made
	w.revoke("meanwhile")
	w.revoke("later")
	if n := w.logged.FilterMessageSnippet("cannot be written").Len(); n != 1 {
		t.Errorf("%d errors in the log", n)
	}
	if err := j.rewrite(t.Context(), ""); err == nil {
		t.Fatal("the journal was written where nothing can be")
	}
	ctx, cancel := context.WithCancel(t.Context())
	kept := make(chan struct{})
	go func() {
		j.Keep(ctx)
		close(kept)
	}()
	w.must(os.Remove(w.path + ".new/in the way"))
	for deadline := time.Now().Add(20 * time.Second); w.logged.FilterMessageSnippet("complete again").Len() == 0; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it didn't catch up")
		}
	}
	w.equal("caught up", w.targets(), []string{"before", "later", "meanwhile"})
	w.revoke("after")
	w.equal("and goes on", w.targets(), []string{"after", "before", "later", "meanwhile"})
	cancel()
	<-kept
}

func TestMoveToAnotherFile(t *testing.T) {
	w, other := newWorld(t), newWorld(t)
	w.revoke("a")
	j := w.journal.Load()
	w.refuses(j.Move(t.Context(), other.path), ErrOtherStore)
	w.revoke("b")
	w.equal("still in the first", w.targets(), []string{"a", "b"})

	w.path = filepath.Join(w.folder, "second", "journal")
	w.must(j.Move(t.Context(), w.path))
	w.revoke("c")
	w.equal("in the second", w.targets(), []string{"a", "b", "c"})
	generation := w.read().Generation
	w.must(w.reopen())
	w.equal("moving is no opening", w.read().Generation, generation+1)
}
