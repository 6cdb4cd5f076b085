package caddymodule

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// kid is the key that a token says it was signed with.
func kid(t testing.TB, raw string) string {
	t.Helper()
	var header struct{ Kid string }
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[0])
	if err == nil {
		err = json.Unmarshal(text, &header)
	}
	if err != nil {
		t.Fatal(err)
	}
	return header.Kid
}

// published are the ids of the keys in the JWK Set.
func (s *server) published() (ids []string) {
	s.t.Helper()
	var set struct{ Keys []struct{ Kid string } }
	s.answer(s.request("GET", s.issuer+"/oauth2/jwks", nil), 200, &set)
	for _, key := range set.Keys {
		ids = append(ids, key.Kid)
	}
	return ids
}

// keyStates are the states of the signing keys, by id.
func (s *server) keyStates() map[string]token.KeyState {
	s.t.Helper()
	var listed struct{ Keys []shownKey }
	s.decode(s.ok("", "bearer", "key", "list", "--json"), &listed)
	states := map[string]token.KeyState{}
	for _, key := range listed.Keys {
		states[key.ID] = key.State
	}
	return states
}

func (s *server) areGood(tokens ...tokens) {
	s.t.Helper()
	for _, one := range tokens {
		s.answer(s.call("GET", "/api/v1/accounts", one.Access), 200, nil)
	}
}

func (s *server) isDead(one tokens) {
	s.t.Helper()
	if status := s.answerStatus(s.call("GET", "/api/v1/accounts", one.Access)); status != 401 {
		s.t.Errorf("a dead token: %d", status)
	}
}

// renew uses a refresh token.
func (s *server) renew(one tokens) (next tokens) {
	s.t.Helper()
	s.answer(s.form("/api/v1/s2s-oauth2/token", "grant_type=refresh_token&refresh_token="+one.Refresh), 200, &next)
	return next
}

// The life of signing keys by commands, over a restart without warning.
func TestKeyCommandsRotateAndRevoke(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	first := s.obtain("read:accounts")
	old := kid(t, first.Access)

	var next shownKey
	s.decode(s.ok("", "bearer", "key", "rotate", "--json"), &next)
	if next.State != token.KeyFuture || !slices.Contains(s.published(), next.ID) || !slices.Contains(s.published(), old) {
		t.Errorf("the next key is %s, published are %v", next.State, s.published())
	}
	if got := kid(t, s.obtain("read:accounts").Access); got != old {
		t.Errorf("%s signs before its time", got)
	}
	if _, complaint, code := s.run("", "bearer", "key", "rotate"); code != 1 || !strings.Contains(complaint, next.ID) {
		t.Errorf("rotated twice: %d %s", code, complaint)
	}
	s.restart()
	if states := s.keyStates(); states[old] != token.KeySigning || states[next.ID] != token.KeyFuture {
		t.Errorf("after the restart: %v", states)
	}

	s.ok("", "bearer", "key", "rotate", "--now")
	second := s.obtain("read:accounts")
	if got := kid(t, second.Access); got != next.ID || s.keyStates()[old] != token.KeyVerifying {
		t.Errorf("%s signs, want %s; %v", got, next.ID, s.keyStates())
	}
	s.areGood(first, second)

	shown := s.ok("", "bearer", "key", "show", next.ID)
	if !strings.Contains(shown, `"kid":"`+next.ID+`"`) || strings.Contains(shown, `"d"`) {
		t.Errorf("key show printed\n%s", shown)
	}
	s.ok("", "bearer", "key", "revoke", next.ID, "--reason", "stolen")
	s.areGood(first)
	s.isDead(second)
	third := s.renew(second) // what is not signed lives on
	s.areGood(third)
	if got := kid(t, third.Access); got == next.ID || got == old || slices.Contains(s.published(), next.ID) {
		t.Errorf("%s signs, published are %v", got, s.published())
	}
	s.restart()
	s.areGood(first, third)
	s.isDead(second)
	if states := s.keyStates(); states[next.ID] != token.KeyRevoked || states[kid(t, third.Access)] != token.KeySigning || len(states) != 3 {
		t.Errorf("after the restart: %v", states)
	}
}

// A new root key by command: what was made before stays good, over restarts too,
// until the old key is forgotten.
func TestRootKeyIsRotatedByCommand(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	var bot, desk record
	s.decode(s.ok("", "bearer", "client", "add", "bot", "--scopes", "read:accounts", "--json"), &bot)
	s.decode(s.ok("", "bearer", "service-account", "add", "desk", "--scopes", "read:accounts", "--json"), &desk)
	before := s.obtain("read:accounts")

	var made shownRootKey
	s.decode(s.ok("", "bearer", "key", "rotate-root", "--json"), &made)
	root, err := token.LoadRootKey(s.path("root.key"))
	if err != nil || root.ID() != made.ID || len(root.IDs()) != 2 {
		t.Fatalf("the file holds %v, %v; the command said %s", root, err, made.ID)
	}
	for range 2 {
		s.areGood(before, s.obtainAs("desk", desk.Secret, "bot", bot.Secret, "read:accounts"))
		before = s.renew(before)
		s.restart()
	}
	if complaint := s.reload(s.config); complaint != "" {
		t.Errorf("reload: %s", complaint)
	}

	old := root.IDs()[1]
	_, complaint, code := s.run("", "bearer", "key", "forget-root", old)
	if code != 1 || !strings.Contains(complaint, "is still needed by") || !strings.Contains(complaint, "and 2 secrets") {
		t.Errorf("forget-root: %d %s", code, complaint)
	}
	s.areGood(s.obtainAs("desk", desk.Secret, "bot", bot.Secret, "read:accounts"))
	if list := s.ok("", "bearer", "key", "list-roots"); !strings.Contains(list, old+"  old") || !strings.Contains(list, made.ID+"  current") {
		t.Errorf("list-roots printed\n%s", list)
	}
	if _, complaint, code := s.run("", "bearer", "key", "forget-root", made.ID, "--force"); code != 1 || !strings.Contains(complaint, "is the current one") {
		t.Errorf("forgetting the current key: %d %s", code, complaint)
	}
	s.ok("", "bearer", "key", "forget-root", old, "--force")
	for range 2 {
		s.areGood(before, s.renew(before)) // of the new key
		request := s.form("/oauth2/token", "grant_type=client_credentials")
		request.SetBasicAuth("bot", bot.Secret)
		if status := s.answerStatus(request); status != 401 {
			t.Errorf("with a secret of the old root key: %d", status)
		}
		before = s.obtain("read:accounts")
		s.restart()
	}
	for _, line := range root.All() {
		if strings.Contains(s.output.String(), line.ID()+"=") {
			t.Error("the log shows a key")
		}
	}
}

// Killed after the new key was written and before the database knew of it.
func TestRotationOfTheRootKeyOutlivesKill9(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	before := s.obtain("read:accounts")
	s.signal(os.Kill)
	s.await("the process ends", s.exited)
	inUse, err := token.LoadRootKey(s.path("root.key"))
	if err != nil {
		t.Fatal(err)
	}
	next, err := token.RotateRootKey(s.path("root.key"), inUse)
	if err != nil {
		t.Fatal(err)
	}
	s.start()
	s.areGood(before, s.renew(before))
	if list := s.ok("", "bearer", "key", "list-roots"); !strings.Contains(list, next.ID()+"  current") {
		t.Errorf("list-roots printed\n%s", list)
	}
	// The database belongs to the new key now.
	s.signal(os.Kill)
	s.await("the process ends", s.exited)
	text, err := os.ReadFile(s.path("root.key"))
	if err != nil {
		t.Fatal(err)
	}
	newer, older, _ := strings.Cut(string(text), "\n")
	s.write("root.key", older)
	if complaint := s.startAndFail(); !strings.Contains(complaint, "made with key "+next.ID()) {
		t.Errorf("with the old key alone: %s", complaint)
	}
	s.write("root.key", newer+"\n")
	s.start()
	s.areGood(before)
}

// The running process has one current root key; a file that begins with another
// is refused by a reload, which changes nothing.
func TestReloadBringsNoOtherRootKey(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	before := s.obtain("read:accounts")
	text, err := os.ReadFile(s.path("root.key"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := token.CreateRootKey(s.path("other.key")); err != nil {
		t.Fatal(err)
	}
	other, err := os.ReadFile(s.path("other.key"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("both.key", string(other)+string(text))
	complaint := s.reload(strings.Replace(s.config, s.path("root.key"), s.path("both.key"), 1))
	if !strings.Contains(complaint, "must begin with key") || !strings.Contains(complaint, "rotate-root") {
		t.Errorf("reload: %s", complaint)
	}
	s.areGood(before, s.renew(before))
	s.config = strings.Replace(s.config, s.path("both.key"), s.path("root.key"), 1)
	s.restart()
	s.areGood(before)
}

func asPEM(t testing.TB, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}

func p256PEM(t testing.TB) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return asPEM(t, key)
}

// A key of each type from a file, one after the other, then none.
func TestSigningKeyFromAFile(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	s.write("p256.pem", p256PEM(t))
	s.write("ed25519.pem", asPEM(t, edwards))
	s.write("rsa.pem", asPEM(t, rsaKey))
	s.start()
	got := []tokens{s.obtain("read:accounts")}
	var ids []string
	for _, options := range []string{
		"signing_key file " + s.path("p256.pem"),
		"signing_key file " + s.path("ed25519.pem"),
		"signing_algorithm RS256\nsigning_key file " + s.path("rsa.pem"),
		"",
	} {
		if complaint := s.reload(s.caddyfile(siteOptions{environment: options + "\n"})); complaint != "" {
			t.Fatal(complaint)
		}
		one := s.obtain("read:accounts")
		got = append(got, one)
		if id := kid(t, one.Access); slices.Contains(ids, id) || !slices.Contains(s.published(), id) {
			t.Errorf("%s: signed by %s, published are %v", options, id, s.published())
		} else {
			ids = append(ids, id)
		}
		s.areGood(got...)
	}
	if _, _, code := s.run("", "bearer", "key", "rotate", "--now"); code != 0 {
		t.Error("without a file, keys can be rotated")
	}
	s.config = s.caddyfile(siteOptions{environment: "signing_key file " + s.path("ed25519.pem") + "\n"})
	s.restart()
	s.areGood(got...)
	if id := kid(t, s.obtain("read:accounts").Access); id != ids[1] {
		t.Errorf("%s signs, want the id that the key had before", id)
	}
	if _, complaint, code := s.run("", "bearer", "key", "rotate", "--now"); code != 1 || !strings.Contains(complaint, s.path("ed25519.pem")) {
		t.Errorf("rotated: %d %s", code, complaint)
	}
	// The key in the file is stolen: another signs, also after a restart with that
	// file, which is warned of.
	stolen := s.obtain("read:accounts")
	s.ok("", "bearer", "key", "revoke", "--reason", "stolen", "--", ids[1]) // a thumbprint may begin with -
	s.restart()
	s.isDead(stolen)
	after := s.obtain("read:accounts")
	s.areGood(after)
	if slices.Contains(s.published(), ids[1]) || !strings.Contains(s.output.String(), "the key in the signing key file was revoked") {
		t.Errorf("published are %v", s.published())
	}
	got = []tokens{got[0], after}

	if err := os.Chmod(s.path("p256.pem"), 0o644); err != nil {
		t.Fatal(err)
	}
	complaint := s.reload(s.caddyfile(siteOptions{environment: "signing_key file " + s.path("p256.pem") + "\n"}))
	if !strings.Contains(complaint, s.path("p256.pem")) || !strings.Contains(complaint, "has mode 0644") {
		t.Errorf("a key that others may read: %s", complaint)
	}
	s.areGood(got...)
}
