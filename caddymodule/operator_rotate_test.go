package caddymodule

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// bare performs an operation that belongs to no environment, with an operator
// token.
func (w *adminWorld) bare(base, token, method, path, body string) adminAnswer {
	w.t.Helper()
	request := newAdminRequest(w.t, method, base+"/bearer"+path, body)
	request.Header.Set("Authorization", "Bearer "+token)
	return do(w.t, http.DefaultClient, request)
}

func TestOperatorTokensAreRotatedInTwoSteps(t *testing.T) {
	w := newAdminWorld(t)
	base := w.listenTCP("127.0.0.1")
	file := w.app.OperatorTokenFile
	oldAdmin, oldRead := w.operatorToken(roleAdmin), w.operatorToken(roleRead)

	added := w.bare(base, oldAdmin, "POST", "/operators/rotate", `{"role":"admin"}`)
	if added.status != 200 || !strings.Contains(added.body, `{"role":"admin","tokens":2}`) || !strings.Contains(added.body, file) {
		t.Fatalf("rotate: %d %s", added.status, added.body)
	}
	newAdmin, err := strongestOperator(file)
	must(t, err)
	if newAdmin == oldAdmin {
		t.Fatal("commands would present the old token")
	}
	info, err := os.Stat(file)
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %o", info.Mode().Perm())
	}
	for name, token := range map[string]string{"old": oldAdmin, "new": newAdmin} {
		if got := w.bare(base, token, "GET", "/operators", ""); got.status != 200 {
			t.Errorf("the %s token after the first step: %d %s", name, got.status, got.body)
		}
	}

	dropped := w.bare(base, newAdmin, "POST", "/operators/rotate", `{"role":"admin","drop_old":true}`)
	if dropped.status != 200 || !strings.Contains(dropped.body, `{"role":"admin","tokens":1}`) {
		t.Fatalf("drop: %d %s", dropped.status, dropped.body)
	}
	if got := w.bare(base, oldAdmin, "GET", "/operators", ""); got.status != 401 {
		t.Errorf("the old token after the second step: %d", got.status)
	}
	for name, token := range map[string]string{"new": newAdmin, "other role's": oldRead} {
		if got := w.bare(base, token, "GET", "/operators", ""); got.status != 200 {
			t.Errorf("the %s token after the second step: %d", name, got.status)
		}
	}
	for _, answer := range []adminAnswer{added, dropped} {
		if strings.Contains(answer.body, "cb_operator_") {
			t.Errorf("a token is shown: %s", answer.body)
		}
	}
	// What a restart reads is what is in force.
	again, err := openOperators(file)
	must(t, err)
	if again.role(newAdmin) != roleAdmin || again.role(oldAdmin) != roleNone {
		t.Error("the file says otherwise")
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(file), ".operator*")); len(left) != 0 || err != nil {
		t.Errorf("left behind: %v, %v", left, err)
	}
	must(t, w.app.runtime.store.View(t.Context(), func(tx store.Reader) error {
		events, err := tx.Audit(store.Sandbox, store.AuditFilter{Limit: 2})
		for i, want := range []string{"operator.drop_old", "operator.rotate"} {
			if e := events[i]; e.Action != want || e.Target != "operator:admin" || e.Actor != "operator:admin" || e.Outcome != "ok" {
				t.Errorf("%+v, want %s", e, want)
			}
		}
		return err
	}))
}

func TestOperatorRotationOfAllRoles(t *testing.T) {
	w := newAdminWorld(t)
	file := w.app.OperatorTokenFile
	rotate := func(body string) adminAnswer {
		return do(t, w.socket, newAdminRequest(t, "POST", "http://localhost/bearer/operators/rotate", body))
	}
	before, err := readOperatorFile(file)
	must(t, err)
	// Comments, and a line without an end, are not lost.
	must(t, os.WriteFile(file, []byte("# on call\nread "+before[1].token+"\n\nadmin "+before[0].token), 0o600))
	var list operatorList
	rotate("").decode(t, &list)
	if len(list.Roles) != 3 || list.Roles[0] != (operatorCount{"read", 2}) || list.Roles[1] != (operatorCount{"revoke", 1}) || list.Roles[2] != (operatorCount{"admin", 2}) {
		t.Errorf("%+v", list)
	}
	rotate(`{"drop_old":true}`).decode(t, &list)
	for _, one := range list.Roles {
		if one.Tokens != 1 {
			t.Errorf("%+v", one)
		}
	}
	content, err := os.ReadFile(file)
	must(t, err)
	if !strings.HasPrefix(string(content), "# on call\n\nread cb_operator_") || strings.Contains(string(content), before[0].token) || strings.Contains(string(content), before[1].token) {
		t.Errorf("the file holds\n%s", content)
	}
	if got := rotate(`{"drop_old":true}`); got.status != 409 || !strings.Contains(got.body, "no older token") {
		t.Errorf("nothing to drop: %d %s", got.status, got.body)
	}
}

func TestOperatorRotationsThatAreRefused(t *testing.T) {
	w := newAdminWorld(t)
	base := w.listenTCP("127.0.0.1")
	file := w.app.OperatorTokenFile
	before, err := os.ReadFile(file)
	must(t, err)
	for _, test := range []struct {
		name   string
		role   role
		path   string
		body   string
		status int
		says   string
	}{
		{"by who may only read", roleRead, "/operators/rotate", "", 403, "needs the role admin"},
		{"by who may only revoke", roleRevoke, "/operators/rotate", "", 403, "needs the role admin"},
		{"of an unknown role", roleAdmin, "/operators/rotate", `{"role":"root"}`, 400, "known: read, revoke, admin"},
		{"of no role", roleAdmin, "/operators/rotate", `{"role":"none"}`, 400, "known: read, revoke, admin"},
		{"with a token of one's own", roleAdmin, "/operators/rotate", `{"token":"x"}`, 400, "token"},
		{"dry", roleAdmin, "/operators/rotate?dry_run=true", "", 400, "no dry run"},
		{"of nothing old", roleAdmin, "/operators/rotate", `{"drop_old":true}`, 409, "no older token"},
	} {
		if got := w.bare(base, w.operatorToken(test.role), "POST", test.path, test.body); got.status != test.status || !strings.Contains(got.body, test.says) {
			t.Errorf("%s: %d %s; want %d and %q", test.name, got.status, got.body, test.status, test.says)
		}
	}
	after, err := os.ReadFile(file)
	must(t, err)
	if string(after) != string(before) {
		t.Error("the file was changed")
	}
}

// A file that cannot be changed leaves everything as it was.
func TestOperatorFileThatCannotBeReplaced(t *testing.T) {
	w := newAdminWorld(t)
	file := w.app.OperatorTokenFile
	admin := w.operatorToken(roleAdmin)
	for name, spoil := range map[string]func(){
		"bad line":       func() { must(t, os.WriteFile(file, []byte("admin "+admin+"\nroot x\n"), 0o600)) },
		"open to others": func() { must(t, os.Chmod(file, 0o644)) },
		"gone":           func() { must(t, os.Remove(file)) },
	} {
		t.Run(name, func(t *testing.T) {
			original, err := os.ReadFile(file)
			must(t, err)
			spoil()
			got := do(t, w.socket, newAdminRequest(t, "POST", "http://localhost/bearer/operators/rotate", ""))
			if got.status != 409 || !strings.Contains(got.body, file) || strings.Contains(got.body, admin) {
				t.Errorf("%d %s", got.status, got.body)
			}
			if w.app.runtime.operators.Load().role(admin) != roleAdmin {
				t.Error("the token in force is good no more")
			}
			must(t, errorsOnly(os.Chmod(file, 0o600)))
			must(t, os.WriteFile(file, original, 0o600))
		})
	}
}

// errorsOnly passes over that a file is gone.
func errorsOnly(err error) error {
	if os.IsNotExist(err) {
		return nil
	}
	return err
}

// A link to the file stays a link: where the tokens are is the operator's choice.
func TestOperatorFileBehindALink(t *testing.T) {
	dir := shortDir(t)
	w := newAdminWorld(t, func(app *App) {
		must(t, os.Mkdir(filepath.Join(dir, "secret"), 0o700))
		app.OperatorTokenFile = filepath.Join(dir, "operator.token")
		must(t, os.Symlink(filepath.Join("secret", "tokens"), app.OperatorTokenFile))
		must(t, os.WriteFile(filepath.Join(dir, "secret", "tokens"), []byte("admin "+newOperatorToken()+"\n"), 0o600))
	})
	got := do(t, w.socket, newAdminRequest(t, "POST", "http://localhost/bearer/operators/rotate", ""))
	if got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	if target, err := os.Readlink(w.app.OperatorTokenFile); err != nil || target != filepath.Join("secret", "tokens") {
		t.Errorf("%s, %v", target, err)
	}
	var list operatorList
	must(t, json.Unmarshal([]byte(got.body), &list))
	if list.Roles[2].Tokens != 2 {
		t.Errorf("%+v", list)
	}
}
