package token

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// rotateRoot does what the command does, up to a step: the file; the keys in
// use; the store.
func (n *node) rotateRoot(t testing.TB, steps int) *RootKey {
	t.Helper()
	inUse, err := LoadRootKey(n.root)
	if err != nil {
		t.Fatal(err)
	}
	root, err := RotateRootKey(n.root, inUse)
	if err != nil {
		t.Fatal(err)
	}
	if steps > 1 {
		n.UseRootKey(root)
	}
	if steps > 2 {
		if err := AdoptRootKey(context.Background(), n.store, root); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func (n *node) longPersonal(t testing.TB) string {
	t.Helper()
	raw, hash := n.Keyring().NewOpaque(store.Personal)
	n.grant(t, store.Token{
		Environment: store.Sandbox, ID: NewID(), Hash: hash, Class: store.Personal,
		KeyID: KeyIDOf(raw), Created: n.clock.now(), Expires: n.clock.now().Add(1000 * time.Hour),
	})
	return raw
}

func TestRootKeyFileWithOlderKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	first, err := CreateRootKey(path)
	if err != nil {
		t.Fatal(err)
	}
	second, err := RotateRootKey(path, first)
	if err != nil {
		t.Fatal(err)
	}
	third, err := RotateRootKey(path, second)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadRootKey(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{third.ID(), second.ID(), first.ID()}
	if got := loaded.IDs(); !slices.Equal(got, want) || !slices.Equal(third.IDs(), want) {
		t.Errorf("the file holds %v, want %v", got, want)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	onlyFile(t, filepath.Dir(path), "root.key")
}

func TestRootKeyFileRefusesLines(t *testing.T) {
	line := func(b byte) string { return (&RootKey{secret: hide([rootKeySize]byte{b})}).text() }
	var many string
	for b := range maxRootKeys + 1 {
		many += line(byte(b + 1))
	}
	for name, test := range map[string]struct{ content, want string }{
		"the same key twice":     {line(1) + line(2) + line(1), "line 3 holds key"},
		"an empty line":          {line(1) + "\n" + line(2), "line 2 has not the length"},
		"a second line cut":      {line(1) + line(2)[:20], "line 2 has not the length"},
		"a second line damaged":  {line(1) + "!" + line(2)[1:], "line 2 is not base64"},
		"a comment":              {"# current\n" + line(1), "line 1 has not the length"},
		"more keys than allowed": {many, "more than 16 lines"},
	} {
		path := filepath.Join(t.TempDir(), "root.key")
		if err := os.WriteFile(path, []byte(test.content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := LoadRootKey(path); err == nil || !strings.Contains(err.Error(), test.want) || strings.Contains(err.Error(), line(1)[:8]) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// Everything made before a rotation of the root key stays good, at once and after
// a restart; without the old line it is unknown.
func TestWhatWasMadeBeforeOutlivesTheRootKey(t *testing.T) {
	n := openNode(t)
	opaque, signed := n.longPersonal(t), n.access(t).Raw
	secret, _ := n.Keyring().NewOpaque(ClassSecret)
	hash := n.Keyring().HashSecret(secret)
	oldID := n.Keyring().KeyID()
	root := n.rotateRoot(t, 3)

	later := n.longPersonal(t)
	if KeyIDOf(later) == oldID || KeyIDOf(later) != n.Keyring().KeyID() {
		t.Errorf("a new token is made with %s", KeyIDOf(later))
	}
	for range 2 {
		for _, raw := range []string{opaque, signed, later} {
			if got := n.judge(t, raw); got != Live {
				t.Errorf("%.20s… is %s", raw, got)
			}
		}
		secrets := NewSecrets(n.Keyring())
		if fits, err := secrets.Verify(context.Background(), hash, secret); !fits || err != nil {
			t.Errorf("the secret: %v, %v", fits, err)
		}
		if fits, err := secrets.Verify(context.Background(), hash, secret+"x"); fits || err != nil {
			t.Errorf("another secret: %v, %v", fits, err)
		}
		n = n.reopened(t)
	}

	if _, err := ForgetRootKey(n.root, root.All()[1].ID()); err != nil {
		t.Fatal(err)
	}
	n = n.reopened(t)
	refusedAs(t, n, opaque, ReasonUnknownKey)
	for _, raw := range []string{signed, later} { // signed tokens need no root key
		if got := n.judge(t, raw); got != Live {
			t.Errorf("%.20s… is %s", raw, got)
		}
	}
	if fits, err := NewSecrets(n.Keyring()).Verify(context.Background(), hash, secret); fits || err != nil {
		t.Errorf("the secret, without the old key: %v, %v", fits, err)
	}
}

// The process dies at each step of a rotation; the next start finishes it.
func TestRotationOfTheRootKeyInterrupted(t *testing.T) {
	for steps := range 4 {
		n := openNode(t)
		opaque, signed := n.longPersonal(t), n.access(t).Raw
		want, err := LoadRootKey(n.root)
		if err != nil {
			t.Fatal(err)
		}
		if steps > 0 {
			want = n.rotateRoot(t, steps)
		}
		n = n.reopened(t)
		for _, raw := range []string{opaque, signed, n.longPersonal(t)} {
			if got := n.judge(t, raw); got != Live {
				t.Errorf("after %d steps %.20s… is %s", steps, raw, got)
			}
		}
		bound, err := boundRootKey(context.Background(), n.store)
		if err != nil || bound != want.ID() {
			t.Errorf("after %d steps the store belongs to %s, want %s, %v", steps, bound, want.ID(), err)
		}
		records, _, err := n.Keys(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range records {
			if r.SealKeyID != n.Keyring().KeyID() {
				t.Errorf("after %d steps key %s is sealed under %s", steps, r.ID, r.SealKeyID)
			}
		}
	}
}

// The file was replaced, nothing else happened, and the operator tries again: no
// third key is made.
func TestInterruptedRotationIsNotRepeated(t *testing.T) {
	n := openNode(t)
	inUse, err := LoadRootKey(n.root)
	if err != nil {
		t.Fatal(err)
	}
	first, err := RotateRootKey(n.root, inUse)
	if err != nil {
		t.Fatal(err)
	}
	again, err := RotateRootKey(n.root, inUse)
	if err != nil || again.ID() != first.ID() || len(again.All()) != 2 {
		t.Errorf("%v, %v", again, err)
	}
}

// A signing key that is sealed under a root key whose line is gone: the start says
// what is missing.
func TestStartWithoutTheOldRootKey(t *testing.T) {
	n := openNode(t)
	old, err := LoadRootKey(n.root)
	if err != nil {
		t.Fatal(err)
	}
	n.rotateRoot(t, 1)
	if _, err := ForgetRootKey(n.root, old.ID()); err != nil {
		t.Fatal(err)
	}
	if _, err := BindRootKey(context.Background(), n.store, n.root); err == nil || !strings.Contains(err.Error(), "made with key "+old.ID()) {
		t.Errorf("%v, want the id of the missing key", err)
	}
	// The store says that it belongs to the new key, but a key is not sealed anew.
	n.update(t, func(tx store.Writer) error {
		root, err := LoadRootKey(n.root)
		return errors.Join(err, tx.SetMeta(metaRootKey, root.ID()))
	})
	_, err = BindRootKey(context.Background(), n.store, n.root)
	if err == nil || !strings.Contains(err.Error(), n.Keyring().KeyID()) || !strings.Contains(err.Error(), "put the line of the older root key back") {
		t.Errorf("%v", err)
	}
}

func TestRotateRootKeyRefuses(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "root.key")
	root, err := CreateRootKey(path)
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := RotateRootKey(path, foreignRoot(t)); err == nil || !strings.Contains(err.Error(), "no longer holds key") {
		t.Errorf("another key is in use: %v", err)
	}
	if _, err := RotateRootKey(filepath.Join(folder, "none"), root); !errors.Is(err, ErrNoRootKey) {
		t.Errorf("missing: %v", err)
	}
	if _, err := ForgetRootKey(path, root.ID()); err == nil || !strings.Contains(err.Error(), "is the current one") {
		t.Errorf("forgetting the current key: %v", err)
	}
	if _, err := ForgetRootKey(path, "x"); err == nil || !strings.Contains(err.Error(), "does not hold key x") {
		t.Errorf("forgetting an unknown key: %v", err)
	}
	if after, err := os.ReadFile(path); err != nil || string(after) != string(before) {
		t.Errorf("the file was changed, %v", err)
	}
	for range maxRootKeys - 1 {
		if root, err = RotateRootKey(path, root); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := RotateRootKey(path, root); err == nil || !strings.Contains(err.Error(), "16 keys") {
		t.Errorf("one too many: %v", err)
	}
}

// A link stays a link: what it leads to is replaced.
func TestRotateRootKeyThroughALink(t *testing.T) {
	target := filepath.Join(t.TempDir(), "real.key")
	root, err := CreateRootKey(target)
	if err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "root.key")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	next, err := RotateRootKey(link, root)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Lstat(link); err != nil || info.Mode()&os.ModeSymlink == 0 {
		t.Errorf("the link is gone: %v, %v", info, err)
	}
	if loaded, err := LoadRootKey(target); err != nil || loaded.ID() != next.ID() {
		t.Errorf("%v, %v", loaded, err)
	}
}

// The chain of a family spans root keys: each link is derived with the subkeys of
// its own record and spelled with those of the next.
func TestSuccessorAcrossRootKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	root, err := CreateRootKey(path)
	if err != nil {
		t.Fatal(err)
	}
	k := NewKeyring(root, store.Production)
	type link struct {
		raw, keyID string
		nonce      []byte
	}
	raw, _ := k.NewOpaque(store.Refresh)
	chain := []link{{raw, KeyIDOf(raw), NewNonce()}}
	for range 3 {
		if root, err = RotateRootKey(path, root); err != nil {
			t.Fatal(err)
		}
		k.Adopt(root)
		last := chain[len(chain)-1]
		raw, _, err := k.Successor(last.raw, last.keyID, last.nonce, store.Refresh, k.KeyID())
		if err != nil {
			t.Fatal(err)
		}
		chain = append(chain, link{raw, KeyIDOf(raw), NewNonce()})
	}
	for i, one := range chain[1:] {
		again, _, err := k.Successor(chain[i].raw, chain[i].keyID, chain[i].nonce, store.Refresh, one.keyID)
		if err != nil || again != one.raw {
			t.Errorf("link %d: %s, %v; want %s", i, again, err, one.raw)
		}
		if parsed, err := k.ParseOpaque(one.raw); err != nil || parsed.KeyID != one.keyID {
			t.Errorf("link %d: %+v, %v", i, parsed, err)
		}
	}
	fewer, err := ForgetRootKey(path, root.All()[3].ID())
	if err != nil {
		t.Fatal(err)
	}
	k.Adopt(fewer)
	if _, _, err := k.Successor(chain[0].raw, chain[0].keyID, chain[0].nonce, store.Refresh, k.KeyID()); err == nil {
		t.Error("derived with a key that was forgotten")
	}
}

// A check made with one key must not pass for another's, though both are known.
func TestTokenRelabelledToAnotherRootKey(t *testing.T) {
	n := openNode(t)
	raw := n.longPersonal(t)
	oldID := n.Keyring().KeyID()
	n.rotateRoot(t, 3)
	refusedAs(t, n, strings.Replace(raw, oldID, n.Keyring().KeyID(), 1), ReasonCheck)
	refusedAs(t, n, strings.Replace(raw, oldID, "0000", 1), ReasonUnknownKey)
}

func TestKeyIDOf(t *testing.T) {
	k := fixedKeyring()
	for _, class := range opaqueClasses {
		raw, _ := k.NewOpaque(class)
		if got := KeyIDOf(raw); got != k.KeyID() {
			t.Errorf("%s: %q", raw, got)
		}
	}
	for _, raw := range []string{"", "cb_", "cb_live_refresh_abcd", "eyJhbGciOiJFUzI1NiJ9.e30.AA"} {
		if got := KeyIDOf(raw); got != "" {
			t.Errorf("%q: %q", raw, got)
		}
	}
}
