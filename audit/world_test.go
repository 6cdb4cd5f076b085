package audit

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"database/sql"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite"
)

var now = time.Date(2026, 5, 4, 12, 0, 0, 0, time.UTC)

// world is a store on disk with a trail in it.
type world struct {
	*testing.T
	path   string
	store  *sqlite.Store
	sealer *Sealer
	rows   int
}

func testKey(name string) ed25519.PrivateKey {
	seed := sha256.Sum256([]byte(name))
	return ed25519.NewKeyFromSeed(seed[:])
}

func public(key ed25519.PrivateKey) ed25519.PublicKey { return key.Public().(ed25519.PublicKey) }

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, path: filepath.Join(t.TempDir(), "bearer.db")}
	var err error
	if w.store, err = sqlite.Open(t.Context(), sqlite.Options{Path: w.path}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.store.Close() })
	w.sealer = &Sealer{Store: w.store, Identity: "store-1", Key: testKey("root")}
	return w
}

// trail is the trail that most tests spoil: rows 1 to 5, 6 to 8 and 9 to 10 are
// sealed, row 11 is not.
func newTrail(t *testing.T) (w *world, heads []Head) {
	t.Helper()
	w = newWorld(t)
	for _, n := range []int{5, 3, 2} {
		w.add(n)
		heads = append(heads, w.seal().Head)
	}
	w.add(1)
	return w, heads
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) add(n int) {
	w.Helper()
	w.must(w.store.Update(context.Background(), func(tx store.Writer) error {
		for range n {
			w.rows++
			subject := ""
			if w.rows%2 == 0 {
				subject = "user:ann"
			}
			err := tx.Record(store.Event{
				Environment: store.Sandbox, At: now.Add(time.Duration(w.rows) * time.Second), Subject: subject,
				Actor: "client:bot", Action: "token.renew", Target: fmt.Sprint("grant:", w.rows), Outcome: "ok",
				Reason: "because", Address: "192.0.2.1", RequestID: "r", Count: 1,
			})
			if err != nil {
				return err
			}
		}
		return nil
	}))
}

// bulk adds many rows at once.
func (w *world) bulk(n int) {
	w.Helper()
	w.tamper(fmt.Sprintf(`INSERT INTO audit (environment, at, actor, action, target, outcome, request_id)
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		SELECT 'sandbox', i, 'client:bot', 'token.renew', 'grant:' || i, 'ok', '' FROM n`, n))
}

func (w *world) seal() Sealed {
	w.Helper()
	sealed, err := w.sealer.Seal(w.Context(), now.Add(time.Hour))
	w.must(err)
	return sealed
}

func (w *world) verify(heads ...Head) Report {
	w.Helper()
	report, err := Verify(w.Context(), w.store, w.sealer.Identity, NewKeys(public(w.sealer.Key)), heads)
	w.must(err)
	return report
}

// tamper changes the database as somebody does who can write its file.
func (w *world) tamper(statements ...string) {
	w.Helper()
	db, err := sql.Open("sqlite", w.path)
	w.must(err)
	defer db.Close()
	for _, trigger := range []string{
		"audit_is_never_changed", "audit_is_never_shortened", "audit_seal_is_never_changed", "audit_seal_is_never_shortened",
	} {
		_, err := db.Exec("DROP TRIGGER IF EXISTS " + trigger)
		w.must(err)
	}
	for _, statement := range statements {
		result, err := db.Exec(statement)
		if err != nil {
			w.Fatalf("%s: %v", statement, err)
		}
		if n, _ := result.RowsAffected(); n == 0 && !strings.HasPrefix(statement, "CREATE") {
			w.Fatalf("%s: changed nothing", statement)
		}
	}
}

// wantFirst asserts what the first finding is.
func (w *world) wantFirst(report Report, problem Problem, sequence int64) {
	w.Helper()
	if report.Sound() || report.Findings[0].Problem != problem || report.Findings[0].Sequence != sequence {
		w.Errorf("found %v, want first: row %d: %s", report.Findings, sequence, problem)
	}
}
