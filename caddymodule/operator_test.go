package caddymodule

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestOperatorFileIsMadeOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "operator.token")
	made, err := openOperators(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatalf("mode %v, %v; want 0600", info.Mode(), err)
	}
	tokens, err := readOperatorFile(path)
	if err != nil || len(tokens) != 3 {
		t.Fatalf("%d tokens, %v; want one for each role", len(tokens), err)
	}
	again, err := openOperators(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, one := range tokens {
		if made.role(one.token) != one.role || again.role(one.token) != one.role {
			t.Errorf("the token of role %s opens %s and, read again, %s", one.role, made.role(one.token), again.role(one.token))
		}
	}
	if strongest, err := strongestOperator(path); err != nil || made.role(strongest) != roleAdmin {
		t.Errorf("the strongest token opens %s, %v", made.role(strongest), err)
	}
}

func TestOperatorTokensThatOpenNothing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "operator.token")
	ops, err := openOperators(path)
	if err != nil {
		t.Fatal(err)
	}
	good, err := strongestOperator(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, presented := range map[string]string{
		"empty": "", "blank": " ", "cut short": good[:len(good)-1], "continued": good + "x",
		"other case": strings.ToLower(good), "role alone": "admin", "whole line": "admin " + good, "blank before": " " + good,
	} {
		if got := ops.role(presented); got != roleNone {
			t.Errorf("%s: opens %s", name, got)
		}
	}
	if got := new(operators).role(""); got != roleNone {
		t.Errorf("without any token, nothing opens %s", got)
	}
}

func TestOperatorFileIsAFolder(t *testing.T) {
	folder := t.TempDir()
	if _, err := readOperatorFile(folder); err == nil || err.Error() != folder+" is not a regular file" {
		t.Errorf("error %v", err)
	}
}

func TestOperatorFiles(t *testing.T) {
	long, other := strings.Repeat("a", minOperatorToken), strings.Repeat("b", minOperatorToken)
	tests := []struct {
		name, content string
		mode          os.FileMode
		want          string // part of the error; empty: it is read
	}{
		{"one role", "read " + long + "\n", 0o600, ""},
		{"comment, empty line, no newline", "# on call\n\nrevoke " + long, 0o400, ""},
		{"two tokens of a role", "admin " + long + "\nadmin " + other + "\n", 0o600, ""},
		{"carriage returns", "admin " + long + "\r\n", 0o600, ""},
		{"empty", "", 0o600, "is empty"},
		{"comments alone", "# nothing\n", 0o600, "is empty"},
		{"unknown role", "root " + long, 0o600, ":1: expected a role"},
		{"no role", long, 0o600, ":1: expected a role"},
		{"short token", "read " + long + "\nadmin secret", 0o600, ":2: expected a role"},
		{"open to the group", "read " + long, 0o640, "chmod 600"},
		{"open to all", "read " + long, 0o604, "chmod 600"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "operator.token")
			if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, test.mode); err != nil {
				t.Fatal(err)
			}
			_, err := openOperators(path)
			if test.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("got %v; want it to name the file and say %q", err, test.want)
			}
			if strings.Contains(err.Error(), long) || strings.Contains(err.Error(), "secret") {
				t.Errorf("the error shows a token: %v", err)
			}
		})
	}
}

func TestSeveralTokensOfOneRole(t *testing.T) {
	long, other := strings.Repeat("a", minOperatorToken), strings.Repeat("b", minOperatorToken)
	path := filepath.Join(t.TempDir(), "operator.token")
	if err := os.WriteFile(path, []byte("revoke "+long+"\nrevoke "+other+"\nread "+other+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ops, err := openOperators(path)
	if err != nil {
		t.Fatal(err)
	}
	if ops.role(long) != roleRevoke || ops.role(other) != roleRevoke {
		t.Errorf("opens %s and %s; want revoke for both", ops.role(long), ops.role(other))
	}
}
