//go:build proof

package proof

import (
	"math/rand/v2"
	"path/filepath"
	"testing"
)

// breaksOnPurpose is what a binary that is broken on purpose asks for in its
// environment.
const breaksOnPurpose = "BEARER_BREAKS_ON_PURPOSE"

// A store that acknowledges before COMMIT loses what it acknowledged, and the
// crash proof sees it. (If it did not, it would prove nothing.)
func TestAcknowledgingBeforeCommitIsNoticed(t *testing.T) {
	broken := filepath.Join(t.TempDir(), "caddy")
	if err := build(broken, tags+",bearer_acknowledge_early"); err != nil {
		t.Fatal(err)
	}
	p := newCrashProof(t, broken, rand.Uint64(), breaksOnPurpose+"=1")
	const most = 20
	for round := 1; round <= most && p.gone.count() == 0; round++ {
		p.crash(round, true)
	}
	p.finish()
	if p.gone.count() == 0 {
		t.Fatalf("%d kills, and nothing that was acknowledged is missing", most)
	}
	t.Logf("noticed after %d kills: %d findings, the first: %s", p.kills, p.gone.count(), p.gone.list[0])
}
