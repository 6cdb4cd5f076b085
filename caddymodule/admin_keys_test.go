package caddymodule

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

func TestKeysAskWhoCalls(t *testing.T) {
	w := newAdminWorld(t)
	base := w.listenTCP("127.0.0.1") + "/bearer"
	sandbox := base + "/environments/sandbox"
	id := w.authorityKey()
	for _, test := range []struct {
		role        role
		method, url string
		want        int
	}{
		{roleRead, "GET", sandbox + "/keys", 200},
		{roleRead, "GET", sandbox + "/keys/" + id, 200},
		{roleRead, "GET", base + "/root-keys", 200},
		{roleRead, "POST", sandbox + "/keys", 403},
		{roleRead, "POST", sandbox + "/keys/" + id + "/revoke", 403},
		{roleRevoke, "POST", sandbox + "/keys", 403},
		{roleRevoke, "POST", base + "/root-keys", 403},
		{roleRevoke, "POST", base + "/root-keys/x/forget", 403},
		{roleRevoke, "POST", sandbox + "/keys/" + id + "/revoke", 200},
		{roleAdmin, "POST", sandbox + "/keys", 201},
		{roleAdmin, "POST", base + "/root-keys", 201},
	} {
		request := newAdminRequest(t, test.method, test.url, "")
		request.Header.Set("Authorization", "Bearer "+w.operatorToken(test.role))
		if got := do(t, http.DefaultClient, request); got.status != test.want {
			t.Errorf("%s %s %s: %d %s, want %d", test.role, test.method, test.url, got.status, got.body, test.want)
		}
	}
}

// authorityKey is the id of the key that signs.
func (w *adminWorld) authorityKey() string {
	w.t.Helper()
	var listed struct{ Keys []shownKey }
	w.ok("GET", "/keys", "").decode(w.t, &listed)
	at := slices.IndexFunc(listed.Keys, func(k shownKey) bool { return k.State == token.KeySigning })
	return listed.Keys[at].ID
}

func TestKeyCallsSayWhatIsWrong(t *testing.T) {
	w := newAdminWorld(t)
	for _, test := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"GET", "/keys/x", "", 404, "there is no signing key \\\"x\\\" in sandbox"},
		{"POST", "/keys/x/revoke", "", 404, "there is no signing key \\\"x\\\" in sandbox"},
		{"POST", "/keys", `{"at_once":true}`, 400, "at_once"},
		{"POST", "/keys/x/revoke", `{"reason":"a\nb"}`, 400, "only printable characters"},
		{"DELETE", "/keys", "", 405, "possible: GET, POST"},
		{"POST", "/../../root-keys/x/forget", "", 404, ""},
	} {
		if got := w.try(test.method, test.path, test.body); got.status != test.status && test.want != "" || !strings.Contains(got.body, test.want) {
			t.Errorf("%s %s: %d %s, want %d %s", test.method, test.path, got.status, got.body, test.status, test.want)
		}
	}
}

func TestKeyChangesAreInTheAuditTrail(t *testing.T) {
	w := newAdminWorld(t)
	first := w.authorityKey()
	var next shownKey
	w.ok("POST", "/keys", `{"now":true}`).decode(t, &next)
	w.ok("POST", "/keys/"+first+"/revoke", `{"reason":"stolen"}`)
	var root shownRootKey
	do(t, w.socket, newAdminRequest(t, "POST", "http://localhost/bearer/root-keys", "")).decode(t, &root)

	var got []string
	must(t, w.app.runtime.store.View(t.Context(), func(tx store.Reader) error {
		events, err := tx.Audit(store.Sandbox, store.AuditFilter{Limit: 100})
		for _, e := range slices.Backward(events) {
			if strings.Contains(e.Action, "key.") {
				got = append(got, strings.TrimSpace(e.Actor+" "+e.Action+" "+e.Target+" "+e.Outcome+" "+e.Reason))
			}
		}
		return err
	}))
	want := []string{
		"config key.add key:" + first + " ok",
		"operator:socket key.rotate key:" + next.ID + " ok",
		"operator:socket key.revoke key:" + first + " ok stolen",
		"operator:socket key.destroy key:" + first + " ok",
		"operator:socket root_key.rotate root_key:" + root.ID + " ok",
	}
	if !slices.Equal(got, want) {
		t.Errorf("audit trail\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// Housekeeping publishes the next key when the schedule asks for it, once, and
// ends nothing by a clock that runs ahead of the wall's.
func TestHousekeepingRotatesKeys(t *testing.T) {
	w := newAdminWorld(t, func(app *App) {
		app.Environments[store.Sandbox].SigningKeyRotation = caddy.Duration(48 * time.Hour)
	})
	rt, now := w.app.runtime, time.Now()
	old := w.authorityKey()
	rt.keepKeys(t.Context(), now.Add(47*time.Hour))
	if list := w.ok("GET", "/keys", "").body; strings.Contains(list, "future") {
		t.Errorf("too early: %s", list)
	}
	for _, later := range []time.Duration{48 * time.Hour, 49 * time.Hour, 90 * time.Hour} {
		rt.keepKeys(t.Context(), now.Add(later))
		if list := w.ok("GET", "/keys", "").body; strings.Count(list, `"future"`) != 1 || w.authorityKey() != old {
			t.Errorf("after %s: %s", later, list)
		}
	}
}

// Two commands at once, or one that is repeated because the database could not
// follow, make one root key.
func TestRootKeyIsNotMadeTwice(t *testing.T) {
	w := newAdminWorld(t)
	rt := w.app.runtime
	rotate := func() adminAnswer {
		return do(t, w.socket, newAdminRequest(t, "POST", "http://localhost/bearer/root-keys", ""))
	}
	rt.applying.Lock() // as the first command holds it
	if got := rotate(); got.status != 409 || !strings.Contains(got.body, "at this moment") {
		t.Errorf("the second: %d %s", got.status, got.body)
	}
	rt.applying.Unlock()
	if got := rotate(); got.status != 201 || len(rt.rootKeys()) != 2 {
		t.Errorf("alone: %d %s", got.status, got.body)
	}
	rt.rotatingRoot = true // the first attempt ended after the file was written
	var again shownRootKey
	rotate().decode(t, &again)
	if keys := rt.rootKeys(); len(keys) != 2 || keys[0].ID() != again.ID || rt.rotatingRoot {
		t.Errorf("repeated: %v", keys)
	}
}

func TestProvisionChecksTheSigningKey(t *testing.T) {
	dir := t.TempDir()
	good := filepath.Join(dir, "good.pem")
	must(t, os.WriteFile(good, []byte(p256PEM(t)), 0o600))
	bad := filepath.Join(dir, "bad.pem")
	must(t, os.WriteFile(bad, []byte("no key"), 0o600))
	for name, test := range map[string]struct {
		spoil func(*App, *Environment)
		want  string
	}{
		"a schedule beside a file": {
			func(_ *App, e *Environment) {
				e.SigningKeyFile, e.SigningKeyRotation = good, caddy.Duration(48*time.Hour)
			},
			"environment sandbox: signing_key_rotation stands beside signing_key file",
		},
		"no schedule beside a file": {
			func(_ *App, e *Environment) { e.SigningKeyFile, e.SigningKeyRotation = good, -1 },
			"signing_key_rotation stands beside signing_key file",
		},
		"schedule too short": {
			func(_ *App, e *Environment) { e.SigningKeyRotation = caddy.Duration(time.Hour) },
			"environment sandbox: signing_key_rotation is 1h0m0s; the least is 24h",
		},
		"not a key": {
			func(_ *App, e *Environment) { e.SigningKeyFile = bad },
			"environment sandbox: signing key file " + bad + ": holds no private key",
		},
		"key for another algorithm": {
			func(_ *App, e *Environment) { e.SigningKeyFile, e.SigningAlgorithm = good, token.EdDSA },
			"an EC key on P-256, which is not for signing_algorithm EdDSA",
		},
		"one key for both environments": {
			func(app *App, e *Environment) {
				e.SigningKeyFile = good
				app.Environments[store.Production] = &Environment{Issuer: "https://auth.example.com", Audience: "https://api.example.com", SigningKeyFile: good}
			},
			"environment sandbox: signing key file " + good + " holds the key of environment production; each needs its own",
		},
	} {
		t.Run(name, func(t *testing.T) {
			app, gate := sound(t)
			gate.Environment = store.Sandbox
			test.spoil(app, app.Environments[store.Sandbox])
			if err := validate(app, gate); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("%v, want %q", err, test.want)
			}
		})
	}
	app, gate := sound(t)
	app.Environments[store.Sandbox].SigningKeyFile = good
	if err := validate(app, gate); err != nil {
		t.Error(err)
	}
}

// Sessions, shared tokens with their sealed copies, connections and replaced secrets
// are nothing without the root key that they were made with.
func TestOldRootKeyIsNeededByWhatPeopleHave(t *testing.T) {
	w := newAdminWorld(t)
	rt, ctx, now := w.app.runtime, t.Context(), time.Now()
	old := rt.rootKeys()[0]
	keyID := old.KeyIDs()[store.Sandbox]
	secret := rt.worlds[store.Sandbox].authority.Keyring().HashSecret("the user's")
	replaced := store.Client{
		Environment: store.Sandbox, ID: "replaced", OldSecretHash: secret, OldSecretUntil: now.Add(time.Hour),
		Status: store.Active, Source: store.FromCommand,
	}
	must(t, rt.store.Update(ctx, func(tx store.Writer) error {
		return errors.Join(
			tx.PutClient(replaced),
			tx.PutPrincipal(store.Principal{Environment: store.Sandbox, ID: "ann", Kind: store.User, Status: store.Active, Source: store.FromCommand}),
			tx.PutSession(store.Session{Environment: store.Sandbox, Hash: store.Hash{1}, KeyID: keyID, ID: "s", Principal: "ann", Expires: now.Add(time.Hour)}))
	}))
	for id, made := range map[string]store.Issue{
		"shared": {Tokens: []store.Token{{ID: "t", Hash: store.Hash{2}, Class: store.SharedRefresh, KeyID: keyID,
			Created: now, Expires: now.Add(time.Hour), Sealed: []byte("sealed")}}},
		"connection": {Connection: &store.Connection{Token: "c", UserSecret: secret}},
	} {
		made.Grant = store.Grant{Environment: store.Sandbox, ID: id, Principal: "ann", Client: clientID, Created: now}
		_, err := rt.store.Issue(ctx, made)
		must(t, err)
	}
	post := func(path string) adminAnswer {
		return do(t, w.socket, newAdminRequest(t, "POST", "http://localhost/bearer/root-keys"+path, `{}`))
	}
	if got := post(""); got.status != 201 {
		t.Fatalf("rotate: %d %s", got.status, got.body)
	}
	forget := func() adminAnswer { return post("/" + old.ID() + "/forget") }
	if got := forget(); got.status != 409 || !strings.Contains(got.body, "still needed by 2 tokens and 2 secrets") {
		t.Errorf("with all of them: %d %s", got.status, got.body)
	}
	for _, grant := range []string{"shared", "connection"} {
		_, err := rt.store.Revoke(ctx, store.Revocation{Environment: store.Sandbox, Kind: store.KindGrant, Target: grant, At: now}, store.Event{})
		must(t, err)
	}
	if got := forget(); got.status != 409 || !strings.Contains(got.body, "still needed by 1 tokens and 1 secrets") {
		t.Errorf("with a session and a replaced secret: %d %s", got.status, got.body)
	}
	replaced.OldSecretUntil = now
	must(t, rt.store.Update(ctx, func(tx store.Writer) error { return tx.PutClient(replaced) }))
	if got := forget(); got.status != 409 || !strings.Contains(got.body, "still needed by 1 tokens and 0 secrets") {
		t.Errorf("with a session: %d %s", got.status, got.body)
	}
	must(t, rt.store.Update(ctx, func(tx store.Writer) error { return tx.DeleteSession(store.Sandbox, store.Hash{1}) }))
	if got := forget(); got.status != 200 {
		t.Errorf("with nothing: %d %s", got.status, got.body)
	}
}
