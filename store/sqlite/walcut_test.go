package sqlite

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// Of the WAL's file format (SQLite's fileformat2.html §4.1): a header, then
// frames of a header and a page each.
const (
	walHeader = 32
	walFrame  = 24 + 4096
)

// The machine loses power: of the WAL only a part has reached the disk. Wherever
// it ends, at a frame or within one, the database opens, is whole, and holds all
// that was acknowledged before the cut; nothing is there by halves.
func TestWALCutAnywhere(t *testing.T) {
	path := inside(t)
	if err := opened(t, Options{Path: path}).Close(); err != nil { // leaves an empty WAL
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	clean, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	facts := writeFacts(t, s, path+"-wal")
	wal, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	frames := (len(wal) - walHeader) / walFrame
	if frames != facts[len(facts)-1].frames || frames < len(facts) {
		t.Fatalf("%d frames in the WAL, %d acknowledged: the test doesn't know the format", frames, facts[len(facts)-1].frames)
	}
	folder := t.TempDir()
	for cut := range frames + 1 {
		end := walHeader + cut*walFrame
		surveyCut(t, filepath.Join(folder, fmt.Sprint(cut, ".db")), clean, wal[:end], acknowledgedBy(facts, cut))
		if end += walFrame / 2; cut%8 == 0 && end <= len(wal) {
			surveyCut(t, filepath.Join(folder, fmt.Sprint(cut, "-torn.db")), clean, wal[:end], acknowledgedBy(facts, cut))
		}
	}
}

// walFact is an acknowledgement, and how long the WAL was when it came.
type walFact struct {
	what, id string
	frames   int
}

// writeFacts runs every flow a few times.
func writeFacts(t *testing.T, s *Store, wal string) (facts []walFact) {
	t.Helper()
	for i := range 2 {
		id := fmt.Sprint("g", i)
		for _, step := range []struct {
			what string
			run  func() error
		}{
			{"issued", func() error { return issue(s, id) }},
			{"redeemed", func() error { return redeem(s, id, id+" 1") }},
			{"renewed", func() error { return renew(s, id+" 1", id+" 2") }},
			{"revoked", func() error { return revokeGrant(s, id) }},
		} {
			info, err := os.Stat(wal)
			if err := errors.Join(step.run(), err); err != nil {
				t.Fatal(err)
			}
			before := info.Size()
			if info, err = os.Stat(wal); err != nil || info.Size() <= before {
				t.Fatalf("%s %s: acknowledged, and the WAL has not grown: %v", step.what, id, err)
			}
			facts = append(facts, walFact{step.what, id, int(info.Size()-walHeader) / walFrame})
		}
	}
	return facts
}

func acknowledgedBy(facts []walFact, frames int) map[string][]string {
	acknowledged := map[string][]string{}
	for _, f := range facts {
		if f.frames <= frames {
			acknowledged[f.what] = append(acknowledged[f.what], f.id)
		}
	}
	return acknowledged
}

// surveyCut opens a database with what is left of its WAL.
func surveyCut(t *testing.T, path string, database, wal []byte, acknowledged map[string][]string) {
	t.Helper()
	if err := errors.Join(os.WriteFile(path, database, 0o600), os.WriteFile(path+"-wal", wal, 0o600)); err != nil {
		t.Fatal(err)
	}
	survey(t, path, acknowledged)
	if t.Failed() {
		t.Fatalf("the WAL was cut after %d of its bytes", len(wal))
	}
}
