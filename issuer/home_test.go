package issuer

import (
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

func TestFirstPage(t *testing.T) {
	b := newMatrix(t, nil)
	b.visitor().get("/").wantRedirect(t, "/login?next=%2F")
	alice := b.sessionOf("alice")
	b.do(alice.get("/")).wantPage(t, 200, "Overview").wantSays(t, 200, ">0 in use<", ">0 applications<", ">0 apps<", ">1 browser signed in<", "This is the sandbox", "/settings/apps")
	alice.registered()
	alice.connected(appKey)
	b.do(alice.consent(query(appID)))
	b.sessionOf("alice")
	b.do(alice.get("/")).wantSays(t, 200, ">1 application<", ">2 browsers signed in<")
	b.do(alice.form("/")).wantPage(t, 405, "")
	bob := b.sessionOf("bob")
	b.do(bob.get("/")).wantSays(t, 200, ">0 applications<", ">0 apps<", ">1 browser signed in<")
}

// Tokens that end are told of a week before, and until they have ended.
func TestFirstPageTellsOfTokensThatEndSoon(t *testing.T) {
	b := newMatrix(t, nil)
	labels := map[string]time.Duration{"ends-tomorrow": 24 * time.Hour, "ends-in-a-month": 30 * 24 * time.Hour, "never-ends": 0}
	for label, life := range labels {
		b.personalToken("alice", label, life)
	}
	b.personalToken("bob", "of somebody else", 24*time.Hour)
	gone := b.personalToken("alice", "revoked", 24*time.Hour)
	b.end(gone)
	says := func(count string, ending ...string) {
		t.Helper()
		page := b.do(b.sessionOf("alice").get("/")).wantSays(t, 200, count)
		_, notice, _ := strings.Cut(page.body, `<div class="notice warn"`)
		notice, _, _ = strings.Cut(notice, "</div>")
		for label := range labels {
			if strings.Contains(notice, label) != strings.Contains(strings.Join(ending, " "), label) {
				t.Errorf("the notice says %q, want %q", notice, ending)
			}
		}
		if strings.Contains(notice, "somebody") || strings.Contains(notice, "revoked") {
			t.Errorf("the notice says %q", notice)
		}
	}
	says(">3 in use<", "ends-tomorrow")
	b.clock.advance(24*time.Hour + time.Second)
	says(">2 in use<")
	b.clock.advance(24 * 24 * time.Hour)
	says(">2 in use<", "ends-in-a-month")
	b.revokePrincipal("alice")
	says(">0 in use<")
}

// end revokes a token.
func (b *bank) end(id string) {
	b.Helper()
	_, err := b.authority.Revoke(b.Context(), store.Revocation{Kind: store.KindToken, Target: id, Reason: "test"},
		store.Event{Environment: b.env, At: b.clock.Now(), Actor: "test", Action: "token.revoke"})
	if err != nil {
		b.Fatal(err)
	}
}

// personalToken puts a token of a user, which lives so long; 0: for ever.
func (b *bank) personalToken(user, label string, life time.Duration) (id string) {
	b.Helper()
	raw, hash := b.authority.Keyring().NewOpaque(store.Personal)
	grant := store.Grant{Environment: b.env, ID: token.NewID(), Principal: user, Client: store.PersonalClient, Scopes: []string{"read:accounts"}, Created: b.clock.Now()}
	row := store.Token{Environment: b.env, ID: token.NewID(), Hash: hash, Class: store.Personal, KeyID: token.KeyIDOf(raw), Created: b.clock.Now(), Label: label}
	if life > 0 {
		row.Expires = b.clock.Now().Add(life)
	}
	if _, err := b.store.Issue(b.Context(), store.Issue{Grant: grant, Tokens: []store.Token{row}, Event: store.Event{Environment: b.env, At: b.clock.Now(), Actor: "test", Action: "personal_token.issue"}}); err != nil {
		b.Fatal(err)
	}
	return row.ID
}

// What is shared is told of to who made it or saw it, as long as it is theirs to see.
func TestFirstPageTellsOfSharedTokensThatEndSoon(t *testing.T) {
	b := newMatrix(t, nil)
	made := b.trader("alice").newShared("T1")
	b.clock.advance(360 * 24 * time.Hour)
	const notice = "Ends within 7 days"
	alice := b.trader("alice").get("/").wantPage(t, 200, notice).wantSays(t, 200, "<bdi>T1</bdi>", ">2 accounts<")
	if strings.Contains(alice.body, made.id) {
		t.Errorf("the page names the token: %s", alice.body)
	}
	if page := b.trader("bob").get("/").ok(t); strings.Contains(page.body, notice) {
		t.Error("bob is told of a token that he never saw")
	}
	b.end(made.id)
	if page := b.trader("alice").get("/").ok(t); strings.Contains(page.body, notice) {
		t.Error("the token is revoked")
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
	page := v.get("/bank").wantPage(t, 200, "Overview")
	for _, link := range []string{`href="/bank"`, `href="/bank/applications"`, `href="/bank/settings"`, `action="/bank/logout"`} {
		if !strings.Contains(page.body, link) {
			t.Errorf("no %s in %s", link, page.body)
		}
	}
	page = v.get("/bank/settings").wantPage(t, 200, "Security")
	if !strings.Contains(page.body, `action="/bank/settings/password"`) {
		t.Errorf("page %s", page.body)
	}
	v.post("/bank/settings/sessions/end", "csrf", v.csrf()).wantRedirect(t, "/bank/settings")
	v.post("/bank/settings/password", "csrf", v.csrf(), "old", alicePassword, "new", newPassword, "again", newPassword).wantRedirect(t, "/bank/settings?changed=password")
	for _, path := range []string{"/", "/settings", "/bankrobber"} {
		if got := v.get(path); got.status != http.StatusNotFound {
			t.Errorf("%s: %d", path, got.status)
		}
	}
}

// Streams count that a person's own tokens keep open, and no requests.
func TestFirstPageCountsStreamsUnderWay(t *testing.T) {
	b := newMatrix(t, nil)
	alice, bob := b.sessionOf("alice"), b.sessionOf("bob")
	if page := b.do(alice.get("/")).ok(t); strings.Contains(page.body, "under way") {
		t.Error("a stream is under way before there is one")
	}
	raw := personalValue.FindString(b.do(alice.form(pathStaticTokens, "label", "Reports")).wantPage(t, 201, "").body)
	lease, err := b.authority.Check(raw)
	if err != nil {
		t.Fatal(err)
	}
	var rides [3]token.Ride
	for k := range rides {
		b.authority.Join(&rides[k], passenger{streaming: k > 0}, lease)
		defer b.authority.Leave(&rides[k])
	}
	b.do(alice.get("/")).wantSays(t, 200, ">2 streams under way<")
	if page := b.do(bob.get("/")).ok(t); strings.Contains(page.body, "under way") {
		t.Error("bob is told of streams of alice's")
	}
}

var personalValue = regexp.MustCompile(`cb_test_personal_\w+`)

// passenger is an exchange at a gate.
type passenger struct{ streaming bool }

func (p passenger) Permitted() bool { return true }
func (p passenger) Streaming() bool { return p.streaming }
func (p passenger) Cut(token.Cause) {}
func (p passenger) Describe() (token.Description, bool) {
	return token.Description{Streaming: p.streaming}, true
}
