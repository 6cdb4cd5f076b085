package issuer

import (
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

func TestFirstPage(t *testing.T) {
	b := newTown(t, nil)
	b.putUser("bob", alicePassword)
	b.visitor().get("/").wantRedirect(t, "/login?next=%2F")
	v, other, bob := b.signedIn(aliceID, alicePassword), b.signedIn(aliceID, alicePassword), b.signedIn("bob", alicePassword)
	page := v.get("/").wantPage(t, 200, "Where you are signed in")
	if strings.Count(page.body, "Test/1.0") != 2 || strings.Count(page.body, ">here<") != 1 || !strings.Contains(page.body, "alice Doe") {
		t.Errorf("page %s", page.body)
	}
	v.post("/").wantPage(t, 403, "not of your present session")
	v.post("/", "csrf", bob.csrf()).wantPage(t, 403, "not of your present session")
	v.strange = true
	v.post("/", "csrf", v.csrf()).wantPage(t, 403, "sent by another site")
	v.strange = false
	if !other.isSignedIn() {
		t.Fatal("signed out by a form of nobody")
	}
	v.post("/", "csrf", v.csrf()).wantRedirect(t, "/")
	if other.isSignedIn() || !v.isSignedIn() || !bob.isSignedIn() {
		t.Error("other sessions ended than those that should")
	}
	if page := v.get("/").wantPage(t, 200, "Where you are signed in"); strings.Contains(page.body, "everywhere else") {
		t.Errorf("page %s", page.body)
	}
	if err := b.store.View(t.Context(), func(tx store.Reader) error {
		rows, err := tx.Audit(b.env, store.AuditFilter{Limit: 1})
		if err == nil && (len(rows) != 1 || rows[0].Action != "user.sign_out" || rows[0].Actor != "user:alice") {
			t.Errorf("rows %v", rows)
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	// A browser may say anything of itself.
	evil := b.visitor()
	c := formCall(pathLogin, "", "user", aliceID, "password", alicePassword).with("User-Agent", "<script>alert(1)</script>")
	evil.send(c).wantRedirect(t, "/")
	if page := v.get("/"); strings.Contains(withoutOwnScript(page.body), "<script") {
		t.Errorf("page %s", page.body)
	}
}

func TestFirstPageBelowAPath(t *testing.T) {
	b := newTown(t, nil)
	o := b.options
	o.URL += "/bank"
	is, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	b.issuer, b.server.Config.Handler = is, is
	v := b.visitor()
	v.get("/bank").wantRedirect(t, "/bank/login?next=%2Fbank")
	v.post("/bank/login", "user", aliceID, "password", alicePassword).wantRedirect(t, "/bank")
	page := v.get("/bank").wantPage(t, 200, "Where you are signed in")
	for _, link := range []string{`href="/bank"`, `href="/bank/applications"`, `action="/bank/logout"`} {
		if !strings.Contains(page.body, link) {
			t.Errorf("no %s in %s", link, page.body)
		}
	}
	for _, path := range []string{"/", "/bankrobber"} {
		if got := v.get(path); got.status != 404 {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}
