package caddymodule

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/internal/durable"
)

// operatorChange makes another content of that of an operator token file.
type operatorChange func(content string, roles []role) (string, error)

// changeOperators changes the operator token file and takes it over at once. The
// change is recorded when nothing but the renaming can fail any more.
func (rt *runtime) changeOperators(path string, roles []role, change operatorChange, record func(outcome string) error) (*operators, error) {
	rt.applying.Lock() // a reload reads the file
	defer rt.applying.Unlock()
	// The link stays, and what it names is replaced.
	path, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, err
	}
	content, err := readOwnersFile(path)
	if err != nil {
		return nil, err
	}
	if content, err = change(content, roles); err != nil {
		return nil, err
	}
	tokens, err := parseOperators(path, content)
	if err != nil {
		return nil, err
	}
	draft, err := durable.Draft(path, content)
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(draft) }() // if it still has that name
	if err := record("ok"); err != nil {
		return nil, err
	}
	if err := os.Rename(draft, path); err != nil {
		return nil, errors.Join(err, record("failed"))
	}
	ops := hashOperators(tokens)
	rt.operators.Store(ops)
	return ops, durable.SyncFolder(filepath.Dir(path))
}

// errNoOldOperator: there is but one token for each role that was named.
var errNoOldOperator = errors.New("there is no older token to drop")

// addOperatorLines adds a new token for each role behind the others, so that the
// last of a role is its newest.
func addOperatorLines(content string, roles []role) (string, error) {
	if content != "" && !strings.HasSuffix(content, "\n") {
		content += "\n"
	}
	for _, r := range roles {
		content += r.String() + " " + newOperatorToken() + "\n"
	}
	return content, nil
}

// dropOldOperatorLines drops all lines of the roles but the last of each.
func dropOldOperatorLines(content string, roles []role) (string, error) {
	kept, seen, dropped := "", map[role]bool{}, false
	for _, line := range slices.Backward(slices.Collect(strings.Lines(content))) {
		one, _ := parseOperatorLine(line)
		if slices.Contains(roles, one.role) && seen[one.role] {
			dropped = true
			continue
		}
		seen[one.role] = true
		kept = line + kept
	}
	if !dropped {
		return "", errNoOldOperator
	}
	return kept, nil
}
