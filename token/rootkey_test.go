package token

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// fixedRoot is a root key that is the same in every run.
func fixedRoot() *RootKey {
	var secret [rootKeySize]byte
	for i := range secret {
		secret[i] = byte(i)
	}
	return &RootKey{secret: hide(secret)}
}

func TestRootKeyComesBackFromItsFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "folders", "root.key")
	made, err := CreateRootKey(path)
	if err != nil {
		t.Fatal(err)
	}
	loaded, err := LoadRootKey(path)
	if err != nil {
		t.Fatal(err)
	}
	if made.secret() != loaded.secret() || made.ID() != loaded.ID() {
		t.Error("another key came back")
	}
	for name, want := range map[string]os.FileMode{path: 0o600, filepath.Dir(path): 0o700, filepath.Dir(filepath.Dir(path)): 0o700} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", name, got, want)
		}
	}
}

func TestRootKeysDiffer(t *testing.T) {
	one, err := CreateRootKey(filepath.Join(t.TempDir(), "k"))
	if err != nil {
		t.Fatal(err)
	}
	two, err := CreateRootKey(filepath.Join(t.TempDir(), "k"))
	if err != nil {
		t.Fatal(err)
	}
	if one.ID() == two.ID() {
		t.Error("two new keys have the same id")
	}
}

func TestCreateRootKeyTouchesNothingThatExists(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "root.key")
	if err := os.WriteFile(path, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := CreateRootKey(path); !errors.Is(err, os.ErrExist) {
		t.Errorf("got %v, want os.ErrExist", err)
	}
	if content, _ := os.ReadFile(path); string(content) != "mine" {
		t.Errorf("the file now holds %q", content)
	}
	onlyFile(t, folder, "root.key")
}

func TestCreateRootKeyLeavesOneFile(t *testing.T) {
	folder := t.TempDir()
	if _, err := CreateRootKey(filepath.Join(folder, "root.key")); err != nil {
		t.Fatal(err)
	}
	onlyFile(t, folder, "root.key")
}

func TestCreateRootKeyWhereAFileIsInTheWay(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := CreateRootKey(filepath.Join(file, "root.key")); err == nil {
		t.Error("made a key below a file")
	}
}

func onlyFile(t *testing.T, folder, name string) {
	t.Helper()
	entries, err := os.ReadDir(folder)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 1 || entries[0].Name() != name {
		t.Errorf("the folder holds %v, want %s alone", entries, name)
	}
}

func TestLoadRootKeyRefuses(t *testing.T) {
	good := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	for name, tc := range map[string]struct {
		content string
		mode    os.FileMode
		want    string // part of the error
	}{
		"readable by the group":       {good + "\n", 0o640, "0640"},
		"writable by the group":       {good + "\n", 0o620, "0620"},
		"readable by others":          {good + "\n", 0o604, "0604"},
		"writable by others":          {good + "\n", 0o602, "0602"},
		"empty":                       {"", 0o600, "length"},
		"truncated":                   {good[:20] + "\n", 0o600, "length"},
		"longer":                      {good + good, 0o600, "length"},
		"a whole disk":                {strings.Repeat("A", 1<<20), 0o600, "length"},
		"two line ends":               {good + "\n\n", 0o600, "length"},
		"blank in front":              {" " + good + "\n", 0o600, "length"},
		"garbage":                     {strings.Repeat("!", rootKeyText), 0o600, "base64"},
		"base64url alphabet":          {strings.Repeat("-", rootKeyText-1) + "=", 0o600, "base64"},
		"33 bytes":                    {base64.StdEncoding.EncodeToString(make([]byte, 33)), 0o600, "base64"},
		"non-canonical trailing bits": {good[:42] + "5=", 0o600, "base64"},
		"line end inside":             {good[:20] + "\n" + good[20:43], 0o600, "length"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "root.key")
			if err := os.WriteFile(path, []byte(tc.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tc.mode); err != nil {
				t.Fatal(err)
			}
			_, err := LoadRootKey(path)
			if err == nil {
				t.Fatal("accepted")
			}
			if errors.Is(err, ErrNoRootKey) {
				t.Errorf("%v is ErrNoRootKey, so that a new key would be made", err)
			}
			text := err.Error()
			if !strings.Contains(text, tc.want) || !strings.Contains(text, path) {
				t.Errorf("error %q does not name %q and the file", text, tc.want)
			}
			if len(tc.content) > 10 && strings.Contains(text, tc.content[:10]) {
				t.Errorf("error %q shows what the file holds", text)
			}
		})
	}
}

func TestLoadRootKeyAcceptsAnyOneLineEnd(t *testing.T) {
	for _, end := range []string{"", "\n", "\r\n"} {
		path := filepath.Join(t.TempDir(), "root.key")
		secret := fixedRoot().secret()
		content := base64.StdEncoding.EncodeToString(secret[:]) + end
		if err := os.WriteFile(path, []byte(content), 0o400); err != nil {
			t.Fatal(err)
		}
		key, err := LoadRootKey(path)
		if err != nil {
			t.Errorf("line end %q: %v", end, err)
		} else if key.ID() != fixedRoot().ID() {
			t.Errorf("line end %q: another key", end)
		}
	}
}

func TestLoadRootKeyMissing(t *testing.T) {
	path := filepath.Join(t.TempDir(), "root.key")
	_, err := LoadRootKey(path)
	if !errors.Is(err, ErrNoRootKey) || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v, want ErrNoRootKey with the file's name", err)
	}
}

func TestLoadRootKeyFolder(t *testing.T) {
	if _, err := LoadRootKey(t.TempDir()); err == nil || errors.Is(err, ErrNoRootKey) {
		t.Errorf("a folder gives %v", err)
	}
}

// Whatever prints a key, or a struct that holds one, must show nothing of it.
func TestPrintingKeysRevealsNothing(t *testing.T) {
	root := fixedRoot()
	keyring := NewKeyring(root, store.Production)
	record, err := GenerateSigningKey(keyring, ES256, instant)
	if err != nil {
		t.Fatal(err)
	}
	signing, err := OpenSigningKeys(keyring, []store.SigningKey{record}, nil)
	if err != nil {
		t.Fatal(err)
	}
	secrets := NewSecrets(keyring)
	root.older = []*RootKey{{secret: hide([rootKeySize]byte{1, 2, 3})}}
	type around struct {
		Root     *RootKey
		byValue  RootKey
		pointers []any
	}
	wrapped := around{root, *root, []any{root, keyring}}
	var texts []string
	for _, v := range []any{root, *root, keyring, signing, *signing, secrets, wrapped, &wrapped} {
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%08b", "%c"} {
			texts = append(texts, fmt.Sprintf(verb, v))
		}
	}
	marshalled, err := json.Marshal(map[string]any{"root": root, "keyring": keyring})
	if err != nil {
		t.Fatal(err)
	}
	texts = append(texts, string(marshalled), root.String(), root.GoString(), keyring.String(), keyring.GoString())
	secret := root.secret()
	for use, key := range map[string][]byte{
		"root": secret[:],
		"seal": root.derive("production\x00seal", 32), // its AES schedule begins with it
		"hash": root.derive("production\x00token hash", 32),
	} {
		for _, text := range texts {
			for _, shown := range spellings(key[:8]) {
				if strings.Contains(text, shown) {
					t.Errorf("%s key: %.200q shows %q", use, text, shown)
				}
			}
		}
	}
	if got := fmt.Sprintf("%v %s", root, keyring); !strings.Contains(got, root.ID()) || !strings.Contains(got, keyring.KeyID()) {
		t.Errorf("%q does not name the keys", got)
	}
}

// spellings are ways in which package fmt may show the first bytes of a key.
func spellings(b []byte) []string {
	verbs := []string{"%d", "%v", "%#v", "%08b", "%x", "%X", "%s", "%c", "%#x"}
	var shown []string
	for _, verb := range verbs {
		for _, v := range []any{b, [8]byte(b), binary.BigEndian.Uint32(b), binary.LittleEndian.Uint32(b)} {
			text := fmt.Sprintf(verb, v)
			text = strings.TrimPrefix(strings.TrimPrefix(text, "[]byte{"), "[8]uint8{")
			text = strings.Trim(text, "[]{}")
			if len(text) >= 8 && !strings.Contains(text, "%!") {
				shown = append(shown, text)
			}
		}
	}
	return append(shown, base64.StdEncoding.EncodeToString(b)[:10])
}
