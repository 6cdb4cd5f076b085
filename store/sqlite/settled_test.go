package sqlite

import (
	"os"
	"testing"
	"time"
)

// Whoever watches is told of each transaction how long its COMMIT took, or that it was
// rolled back, before the caller has its answer.
func TestSettledIsToldOfEachTransaction(t *testing.T) {
	path := inside(t)
	var commits, failures int
	s := opened(t, Options{Path: path, Settled: func(commit time.Duration, err error) {
		switch {
		case err != nil:
			failures++
		case commit > 0:
			commits++
		}
	}})
	before := commits
	if err := issue(s, "one"); err != nil || commits != before+1 || failures != 0 {
		t.Errorf("%v; %d commits, %d failures", err, commits-before, failures)
	}
	if err := os.Rename(path, path+".away"); err != nil {
		t.Fatal(err)
	}
	if err := issue(s, "two"); err == nil || commits != before+1 || failures != 1 {
		t.Errorf("%v; %d commits, %d failures", err, commits-before, failures)
	}
	if err := os.Rename(path+".away", path); err != nil {
		t.Fatal(err)
	}
	if err := issue(s, "three"); err != nil || commits != before+2 || failures != 1 {
		t.Errorf("%v; %d commits, %d failures", err, commits-before, failures)
	}
}
