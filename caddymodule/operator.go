package caddymodule

import (
	"bytes"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

// role is what an operator may do. Each includes the ones before it.
type role int

const (
	roleNone   role = iota
	roleRead        // see records
	roleRevoke      // end tokens and grants, disable what they hang on
	roleAdmin       // make and change records
)

var roleNames = map[string]role{"read": roleRead, "revoke": roleRevoke, "admin": roleAdmin}

func (r role) String() string {
	return [...]string{"none", "read", "revoke", "admin"}[r]
}

// minOperatorToken is the least length of an operator's token, in characters.
const minOperatorToken = 32

// defaultOperatorFile is where the operator tokens are unless the configuration
// says otherwise.
func defaultOperatorFile() string {
	return filepath.Join(caddy.AppConfigDir(), appName, "operator.token")
}

// operatorToken is one line of an operator token file.
type operatorToken struct {
	role  role
	token string
}

// operators are the tokens that open the admin API. Caddy's own local admin
// endpoint asks for none.
type operators struct {
	known []operatorHash
}

// operatorHash is what is kept of a token: hashes have one length, so that the
// compare takes constant time whatever is presented.
type operatorHash struct {
	role role
	sum  [sha256.Size]byte
}

// openOperators reads the operator token file. A missing one is made, with a
// token for each role.
func openOperators(path string) (*operators, error) {
	tokens, err := readOperatorFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		tokens, err = createOperatorFile(path)
	}
	if err != nil {
		return nil, fmt.Errorf("operator token file: %w", err)
	}
	return hashOperators(tokens), nil
}

func hashOperators(tokens []operatorToken) *operators {
	ops := new(operators)
	for _, t := range tokens {
		ops.known = append(ops.known, operatorHash{t.role, sha256.Sum256([]byte(t.token))})
	}
	return ops
}

// role returns what a presented token opens.
func (o *operators) role(token string) role {
	presented := sha256.Sum256([]byte(token))
	found := roleNone
	for i := range o.known {
		if subtle.ConstantTimeCompare(o.known[i].sum[:], presented[:]) == 1 {
			found = max(found, o.known[i].role)
		}
	}
	return found
}

// strongestOperator returns the newest token of the highest role in a file, which
// is what a command presents.
func strongestOperator(path string) (string, error) {
	tokens, err := readOperatorFile(path)
	if err != nil {
		return "", err
	}
	best := tokens[0]
	for _, t := range tokens[1:] {
		if t.role >= best.role { // new ones are added at the end
			best = t
		}
	}
	return best.token, nil
}

// readOperatorFile reads a file of lines, each with a role's name, a blank and
// a token. A role may have several tokens, so that a new one can be handed out
// before the old one is removed. There is at least one.
func readOperatorFile(path string) ([]operatorToken, error) {
	content, err := readOwnersFile(path)
	if err != nil {
		return nil, err
	}
	return parseOperators(path, content)
}

// readOwnersFile reads a file that only its owner may read.
func readOwnersFile(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", err
	}
	if !info.Mode().IsRegular() {
		return "", fmt.Errorf("%s is not a regular file", path)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return "", fmt.Errorf("%s has mode %04o and is open to others; run: chmod 600 %s", path, info.Mode().Perm(), path)
	}
	content, err := io.ReadAll(file)
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return string(content), nil
}

func parseOperators(path, content string) ([]operatorToken, error) {
	var tokens []operatorToken
	number := 0
	for line := range strings.Lines(content) {
		number++
		one, ok := parseOperatorLine(line)
		if !ok {
			return nil, fmt.Errorf("%s:%d: expected a role (read, revoke or admin), a blank and a token of at least %d characters", path, number, minOperatorToken)
		}
		if one.role != roleNone {
			tokens = append(tokens, one)
		}
	}
	if len(tokens) == 0 {
		return nil, fmt.Errorf("%s is empty; remove it to have a new one made", path)
	}
	return tokens, nil
}

// parseOperatorLine reads a line. The role of an empty one and of a comment is
// none.
func parseOperatorLine(line string) (operatorToken, bool) {
	line = strings.TrimSpace(line)
	if line == "" || strings.HasPrefix(line, "#") {
		return operatorToken{}, true
	}
	name, token, _ := strings.Cut(line, " ")
	token = strings.TrimSpace(token)
	return operatorToken{roleNames[name], token}, roleNames[name] != roleNone && len(token) >= minOperatorToken
}

func newOperatorToken() string { return "cb_operator_" + rand.Text() + rand.Text() }

func createOperatorFile(path string) ([]operatorToken, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	var tokens []operatorToken
	var content bytes.Buffer
	for _, name := range sortedKeys(roleNames) {
		token := newOperatorToken()
		tokens = append(tokens, operatorToken{roleNames[name], token})
		fmt.Fprintf(&content, "%s %s\n", name, token)
	}
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = file.Write(content.Bytes())
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return nil, errors.Join(err, os.Remove(path))
	}
	return tokens, nil
}
