package sqlite

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Tests of what a process leaves behind run this very binary again as a child.
const (
	childRole = "BEARER_SQLITE_CHILD"
	childPath = "BEARER_SQLITE_PATH"
)

// children are what a child can be told to do; its arguments are in the
// environment, its answers go to standard output.
var children = map[string]func(path string) error{
	"write": childWrites,
	"hold":  childHolds,
	"panic": childPanics,
}

func TestMain(m *testing.M) {
	role := os.Getenv(childRole)
	if role == "" {
		os.Exit(m.Run())
	}
	if err := children[role](os.Getenv(childPath)); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func child(t *testing.T, role, path string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childRole+"="+role, childPath+"="+path)
	return cmd
}

// childWrites runs every flow from eight goroutines and says what was
// acknowledged. A line that was written to a pipe outlives its writer.
func childWrites(path string) error {
	s, err := Open(context.Background(), Options{Path: path})
	if err != nil {
		return err
	}
	if err := populate(s); err != nil {
		return err
	}
	errs := make(chan error)
	for range 8 {
		go func() {
			for {
				if err := acknowledge(s, fmt.Sprintf("%016x", rand.Uint64())); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	return <-errs
}

func acknowledge(s *Store, id string) error {
	for _, step := range []struct {
		name string
		run  func() error
	}{
		{"issued", func() error { return issue(s, id) }},
		{"redeemed", func() error { return redeem(s, id, id+" 1") }},
		{"renewed", func() error { return renew(s, id+" 1", id+" 2") }},
		{"revoked", func() error { return revokeGrant(s, id) }},
	} {
		if err := step.run(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		if _, err := os.Stdout.WriteString(step.name + " " + id + "\n"); err != nil {
			return err
		}
	}
	return nil
}

// Whatever was acknowledged before kill -9 is there afterwards, and nothing is
// there by halves.
func TestKilledAtAnyMoment(t *testing.T) {
	path := inside(t)
	acknowledged := map[string][]string{}
	for range 5 {
		for _, line := range killedAfter(t, path, 1+rand.IntN(800)) {
			what, id, _ := strings.Cut(line, " ")
			acknowledged[what] = append(acknowledged[what], id)
		}
		survey(t, path, acknowledged)
	}
	t.Logf("%d issued, %d redeemed, %d renewed, %d revoked", len(acknowledged["issued"]), len(acknowledged["redeemed"]),
		len(acknowledged["renewed"]), len(acknowledged["revoked"]))
}

// killedAfter lets a child write, kills it after some acknowledgements were
// read, and returns all that it made until then.
func killedAfter(t *testing.T, path string, some int) (lines []string) {
	t.Helper()
	cmd := child(t, "write", path)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	scanner := bufio.NewScanner(out)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
		if len(lines) == some {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || len(lines) < some {
		t.Fatalf("the child ended by itself after %d acknowledgements: %v %s", len(lines), err, &complaints)
	}
	return lines
}

// facts name the grants for which each acknowledgement is kept, once if it is.
var facts = map[string]string{
	"issued": `SELECT g.id FROM grants g JOIN code o ON o.grant_id = g.id JOIN grant_account s ON s.grant_id = g.id
		JOIN audit e ON e.target = 'grant:' || g.id AND e.action = 'grant.issue'`,
	"redeemed": `SELECT o.grant_id FROM code o JOIN token t ON t.grant_id = o.grant_id AND t.id = o.grant_id || ' 1'
		JOIN audit e ON e.target = 'grant:' || o.grant_id AND e.action = 'code.redeem' WHERE o.used <> 0`,
	"renewed": `SELECT t.grant_id FROM token t JOIN token n ON n.hash = t.successor
		JOIN audit e ON e.target = 'grant:' || t.grant_id AND e.action = 'token.renew'`,
	"revoked": `SELECT g.id FROM grants g JOIN revocation r ON r.target = g.id AND r.kind = 'grant'
		JOIN audit e ON e.target = 'grant:' || g.id AND e.action = 'grant.revoke' WHERE g.revoked <> 0`,
}

// survey opens what a killed process left behind.
func survey(t *testing.T, path string, acknowledged map[string][]string) {
	t.Helper()
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var verdict string
	err = s.snapshot(t.Context(), func(r *session) error { return r.get([]any{&verdict}, `PRAGMA integrity_check`) })
	if err != nil || verdict != "ok" {
		t.Errorf("integrity: %s, %v", verdict, err)
	}
	for name, halves := range map[string]string{
		"dangling rows":          `SELECT count(*) FROM pragma_foreign_key_check`,
		"grants without a code":  `SELECT count(*) FROM grants g LEFT JOIN code o ON o.grant_id = g.id WHERE o.hash IS NULL`,
		"codes used for nothing": `SELECT count(*) FROM code o LEFT JOIN token t ON t.id = o.grant_id || ' 1' WHERE o.used <> 0 AND t.id IS NULL`,
		"lost successors":        `SELECT count(*) FROM token t LEFT JOIN token n ON n.hash = t.successor WHERE t.successor IS NOT NULL AND n.id IS NULL`,
		"unlogged revocations":   `SELECT count(*) FROM grants g LEFT JOIN revocation r ON r.target = g.id WHERE g.revoked <> 0 AND r.target IS NULL`,
		"kills without effect":   `SELECT count(*) FROM revocation r JOIN grants g ON g.id = r.target WHERE g.revoked = 0`,
	} {
		if n := count(t, s, halves); n != 0 {
			t.Errorf("%d %s", n, name)
		}
	}
	for what, ids := range acknowledged {
		there := tally(t, s, facts[what])
		for _, id := range ids {
			if there[id] != 1 {
				t.Errorf("%s was acknowledged as %s, and is there %d times", id, what, there[id])
			}
		}
	}
}

// tally counts how often each text comes in a query's result.
func tally(t *testing.T, s *Store, query string) map[string]int {
	t.Helper()
	counts := map[string]int{}
	err := s.snapshot(t.Context(), func(r *session) error {
		return r.each(func(scan func(...any) error) error {
			var text string
			err := scan(&text)
			counts[text]++
			return err
		}, query)
	})
	if err != nil {
		t.Fatal(err)
	}
	return counts
}

// childHolds keeps the database until standard input ends.
func childHolds(path string) error {
	s, err := Open(context.Background(), Options{Path: path})
	if err != nil {
		return err
	}
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return s.Close()
}

func TestSecondProcessIsRefused(t *testing.T) {
	path := inside(t)
	cmd := child(t, "hold", path)
	in, err1 := cmd.StdinPipe()
	out, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "open\n" {
		t.Fatalf("%q, %v", line, err)
	}
	_, err := Open(t.Context(), Options{Path: path, LockWait: 20 * time.Millisecond})
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), path) {
		t.Errorf("while another process holds it: %v", err)
	}
	if err := errors.Join(in.Close(), cmd.Wait()); err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), Options{Path: path})
	if err != nil {
		t.Fatalf("after it let go: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// childPanics fails to put a committed revocation into effect.
func childPanics(path string) error {
	s, err := Open(context.Background(), Options{Path: path, Committed: func([]store.Revocation) { panic("cannot apply") }})
	if err != nil {
		return err
	}
	if err := errors.Join(populate(s), issue(s, "g")); err != nil {
		return err
	}
	err = revokeGrant(s, "g")
	fmt.Println("answered:", err)
	return nil
}

func TestPanicInTheHookEndsTheProcess(t *testing.T) {
	path := inside(t)
	var out, complaints strings.Builder
	cmd := child(t, "panic", path)
	cmd.Stdout, cmd.Stderr = &out, &complaints
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.ExitCode() != 2 || !strings.Contains(complaints.String(), "cannot apply") {
		t.Errorf("the child ended with %v: %s", err, &complaints)
	}
	if out.Len() != 0 {
		t.Errorf("the caller was answered: %s", &out)
	}
	survey(t, path, map[string][]string{"revoked": {"g"}})
}
