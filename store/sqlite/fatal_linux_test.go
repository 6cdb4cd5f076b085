package sqlite

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

func init() {
	children["fatal"] = func(path string) error { return childLosesItsDisk(path, nil) }
	children["survive"] = func(path string) error {
		return childLosesItsDisk(path, func(err error) { fmt.Println("fatal:", err) })
	}
}

// childLosesItsDisk makes COMMIT fail for real: the kernel refuses to let the
// WAL grow, with an error that is not "disk full".
func childLosesItsDisk(path string, fatal func(error)) error {
	s, err := Open(context.Background(), Options{Path: path, Fatal: fatal})
	if err != nil {
		return err
	}
	if err := errors.Join(populate(s), issue(s, "before")); err != nil {
		return err
	}
	info, err := os.Stat(path + "-wal")
	if err != nil {
		return err
	}
	size := uint64(info.Size())
	if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &syscall.Rlimit{Cur: size, Max: size}); err != nil {
		return err
	}
	for _, id := range []string{"lost", "later"} {
		if err := issue(s, id); !errors.Is(err, store.ErrUnavailable) {
			return fmt.Errorf("issuing %s: %w", id, err)
		}
		fmt.Println(id, "is unavailable")
	}
	_, _, err = s.Snapshot(context.Background())
	return err
}

func TestUnknownOutcomeEndsTheProcess(t *testing.T) {
	path := inside(t)
	out, err := child(t, "fatal", path).Output()
	exit, ok := errors.AsType[*exec.ExitError](err)
	if !ok || exit.ExitCode() != exitUnknown || !strings.Contains(string(exit.Stderr), "outcome of COMMIT unknown") {
		t.Errorf("the child ended with %v", err)
	}
	if len(out) != 0 {
		t.Errorf("a caller was answered: %s", out)
	}
	survey(t, path, map[string][]string{"issued": {"before"}})
}

// A Fatal that returns breaks its promise; even then nobody is told that
// something was done, and nothing is written any more.
func TestUnknownOutcomeIsNeverAnswered(t *testing.T) {
	path := inside(t)
	out, err := child(t, "survive", path).Output()
	if err != nil {
		t.Errorf("the child ended with %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 3 || !strings.HasPrefix(lines[0], "fatal: sqlite: outcome of COMMIT unknown") ||
		lines[1] != "lost is unavailable" || lines[2] != "later is unavailable" {
		t.Errorf("the child said %q", lines)
	}
	survey(t, path, map[string][]string{"issued": {"before"}})
}
