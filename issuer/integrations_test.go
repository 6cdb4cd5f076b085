package issuer

import (
	"fmt"
	"html"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

var (
	shownToken = regexp.MustCompile(`<code class="secret" id="value">(cb_test_personal_\w+)</code>`)
	tickBox    = regexp.MustCompile(`<input type="checkbox" name="([^"]+)" value="on"( checked)?>`)
	onceField  = regexp.MustCompile(`name="once" value="([^"]+)"`)
)

// newIntegration is the form of a token in which nothing is wrong. Pairs come in
// place of those that it has.
func (v *browser) newIntegration(pairs ...string) call {
	filled := []string{"once", token.NewID(), "name", "My bot", "scope.read:eft", "on", "account:A1", "on", "expires", "month"}
	for k := 0; k < len(pairs); k += 2 {
		if at := slices.Index(filled, pairs[k]); at >= 0 {
			filled = slices.Delete(filled, at, at+2)
		}
	}
	return v.form(pathIntegrationNew, append(filled, pairs...)...)
}

// integrated is the newest token of that form.
func (v *browser) integrated(pairs ...string) (id, raw string) {
	v.Helper()
	page := v.do(v.newIntegration(pairs...)).wantPage(v, 201, "Your new token")
	found := shownToken.FindStringSubmatch(page.body)
	if found == nil {
		v.Fatalf("no token on %s", page.body)
	}
	lease, err := v.authority.Check(found[1])
	if err != nil {
		v.Fatal(err)
	}
	return lease.ID, found[1]
}

// about is the address of a page about one token.
func about(pattern, id string) string { return strings.Replace(pattern, "{id}", id, 1) }

func (b *bank) lives(raw string) bool {
	b.Helper()
	lease, err := b.authority.Check(raw)
	if err == nil && lease.Renewable(b.authority.Judge(lease, b.clock.Now())) {
		lease, err = b.authority.Recheck(lease)
	}
	return err == nil && b.authority.Judge(lease, b.clock.Now()) == token.Live
}

func TestS1_4_S1_11_SectionWithWarningAdviceAndButton(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	page := b.do(alice.get(pathIntegrations)).wantPage(t, 200, "Server-To-Server Integrations")
	for _, says := range []string{
		"Whoever has a token can do with it", "Choose only the scopes", "Revoke a token as soon as it is not needed", "at once if it may have been stolen",
		`<a class="button" href="/settings/integrations/new">`, `<a href="/settings/integrations" aria-current="page">`, "You have no token yet",
	} {
		if !strings.Contains(page.body, says) {
			t.Errorf("the page lacks %q:\n%s", says, page.body)
		}
	}
	b.do(b.visitor().at0(pathIntegrations)).wantRedirect(t, signInFirst(pathIntegrations))
}

// at0 is a page that somebody asks for who is not signed in.
func (v *visitor) at0(path string) call { return call{method: "GET", path: path} }

func TestS1_5_FormHasOneBoxForEachScopeAndNothingIsTicked(t *testing.T) {
	b := userBank(t)
	form := b.do(b.sessionOf("alice").get(pathIntegrationNew)).wantPage(t, 200, "New token")
	boxes := map[string]bool{}
	for _, box := range tickBox.FindAllStringSubmatch(form.body, -1) {
		if boxes[box[1]] = true; box[2] != "" {
			t.Errorf("%s is ticked", box[1])
		}
	}
	for _, name := range []string{"scope.read:accounts", "scope.read:eft", "scope.write:eft", "scope.all:eft", "account:A1", "account:A2"} {
		if !boxes[name] {
			t.Errorf("there is no box %s", name)
		}
	}
	if len(boxes) != 6 || strings.Contains(form.body, "admin:eft") || strings.Contains(form.body, "write:loans") {
		t.Errorf("the boxes are %v", boxes)
	}
	for _, says := range []string{`<legend class="resource">eft</legend>`, "moves money", "Includes:", `value="month" checked`} {
		if !strings.Contains(form.body, says) {
			t.Errorf("the form lacks %q", says)
		}
	}
	// One account alone is ticked: there is nothing to choose.
	if one := b.do(b.sessionOf("bob").get(pathIntegrationNew)); !strings.Contains(one.body, `name="account:B1" value="on" checked`) {
		t.Error("the only account is not ticked")
	}
}

func TestS1_5_PresetsTickByRisk(t *testing.T) {
	b := userBank(t)
	for preset, want := range map[string]string{
		"read-only": "[scope.read:accounts scope.read:eft]", "trading": "[]", "everything": "[]",
	} {
		var ticked []string
		page := b.do(b.sessionOf("alice").get(pathIntegrationNew+"?preset="+preset)).wantPage(t, 200, "New token")
		for _, box := range tickBox.FindAllStringSubmatch(page.body, -1) {
			if box[2] != "" {
				ticked = append(ticked, box[1])
			}
		}
		if fmt.Sprint(ticked) != want {
			t.Errorf("%s ticks %v, want %s", preset, ticked, want)
		}
	}
}

// Each problem stands beside its field, and what was typed is kept.
func TestS1_5_ProblemsStandBesideTheirFields(t *testing.T) {
	b := userBank(t)
	b.demote("partial", "P2", "read:eft")
	alice, partial := b.sessionOf("alice"), b.sessionOf("partial")
	for name, tt := range map[string]struct {
		who   *browser
		pairs []string
		field string
		says  string
	}{
		"empty name":                   {alice, []string{"name", ""}, "name", "Give the token a name."},
		"blank name":                   {alice, []string{"name", " \t"}, "name", "Give the token a name."},
		"name too long":                {alice, []string{"name", strings.Repeat("x", 201)}, "name", "At most 200 bytes"},
		"name that turns the text":     {alice, []string{"name", "\u202eevil"}, "name", "only characters that can be seen"},
		"no scope":                     {alice, []string{"scope.read:eft", ""}, "scopes", "Tick at least one scope."},
		"unknown scope":                {alice, []string{"scope.read:moon", "on"}, "scopes", "There is no scope “read:moon”."},
		"hidden scope of the own":      {alice, []string{"scope.admin:eft", "on"}, "scopes", "There is no scope “admin:eft”."},
		"scope above one's own rights": {alice, []string{"scope.write:loans", "on"}, "scopes", "“write:loans” is more than you have yourself."},
		"no account":                   {alice, []string{"account:A1", ""}, "accounts", "Tick at least one account."},
		"account of somebody else":     {alice, []string{"account:B1", "on"}, "accounts", "Account B1 is not open to you."},
		"account in part":              {partial, []string{"account:A1", "", "account:P2", "on", "scope.write:eft", "on"}, "accounts", "Account P2 is open to you in part only"},
		"no expiry":                    {alice, []string{"expires", ""}, "expires", "Choose when the token ends."},
		"made-up expiry":               {alice, []string{"expires", "century"}, "expires", "Choose when the token ends."},
		"no date":                      {alice, []string{"expires", "date"}, "expires", "Give the date"},
		"bad date":                     {alice, []string{"expires", "date", "date", "2027-02-30"}, "expires", "Give the date"},
		"date of the past":             {alice, []string{"expires", "date", "date", "2001-01-01"}, "expires", "has come already"},
		"bad CIDR":                     {alice, []string{"networks", "192.0.2.0/24\nhome"}, "networks", "“home” is neither a network nor an address."},
		"CIDR with host bits":          {alice, []string{"networks", "192.0.2.5/24"}, "networks", "“192.0.2.5/24” names an address and the length"},
		"network twice":                {alice, []string{"networks", "192.0.2.7 ::ffff:192.0.2.7"}, "networks", "“192.0.2.7/32” stands twice."},
		"too many networks":            {alice, []string{"networks", strings.Repeat("192.0.2.7 ", 65)}, "networks", "At most 64 networks."},
		"rate of words":                {alice, []string{"requests", "many", "per", "minute"}, "rate", "whole number from 1"},
		"rate of nothing":              {alice, []string{"requests", "0", "per", "minute"}, "rate", "whole number from 1"},
		"rate per week":                {alice, []string{"requests", "5", "per", "week"}, "rate", "per second, minute or hour"},
	} {
		page := b.do(tt.who.newIntegration(tt.pairs...)).wantPage(t, 422, tt.says)
		if !strings.Contains(page.body, `id="problem-`+tt.field+`"`) {
			t.Errorf("%s: not beside the field %s:\n%s", name, tt.field, page.body)
		}
		if strings.Count(page.body, `class="message"`) != 1 {
			t.Errorf("%s: more than one problem", name)
		}
		if tt.field != "name" && !strings.Contains(page.body, `value="My bot"`) || tt.field == "networks" && !strings.Contains(page.body, html.EscapeString(tt.pairs[1])) {
			t.Errorf("%s: what was typed is lost", name)
		}
	}
	if page := b.do(alice.newIntegration("name", "", "scope.read:eft", "", "account:A1", "", "expires", "", "networks", "x", "requests", "x")); strings.Count(page.body, `class="message"`) != 6 {
		t.Errorf("not all problems at once:\n%s", page.body)
	}
	if tokens := b.do(alice.get(pathIntegrations)); !strings.Contains(tokens.body, "You have no token yet") {
		t.Error("a refused form left a token")
	}
}

func TestS1_6_S1_7_TokenIsShownOnceBelowTheForm(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	answer := b.do(alice.newIntegration()).wantPage(t, 201, "You will not be able to see it again")
	at := shownToken.FindStringSubmatchIndex(answer.body)
	form := strings.Index(answer.body, `<fieldset class="stack" disabled>`)
	if at == nil || form < 0 || form > at[0] {
		t.Fatalf("form at %d, token at %v", form, at)
	}
	raw := answer.body[at[2]:at[3]]
	for _, says := range []string{`data-copy="value"`, `<fieldset class="stack" disabled>`, "curl -H @- 'https://api.test/v1/eft'", `action="/settings/integrations/test" target="_blank"`} {
		if !strings.Contains(answer.body, says) {
			t.Errorf("the page lacks %q:\n%s", says, answer.body)
		}
	}
	if n := strings.Count(answer.body, raw); n != 2 { // to be read, and to be tested
		t.Errorf("the page holds the token %d times", n)
	}
	for _, path := range []string{pathIntegrations, pathIntegrationNew, pathStaticTokens, pathIntegrationStatus} {
		if page := b.do(alice.get(path)); strings.Contains(page.body, raw) || page.status != 200 {
			t.Errorf("%s: %d, shows the token again: %s", path, page.status, page.body)
		}
	}
	event := b.lastEvent("personal_token.issue")
	lease, err := b.authority.Check(raw)
	if err != nil || event.Actor != "user:alice" || event.Target != "token:"+lease.ID {
		t.Errorf("the audit trail has %+v, %v", event, err)
	}
	if fmt.Sprint(lease.Scopes, lease.Accounts) != "[read:eft] [A1]" || lease.Subject != "alice" {
		t.Errorf("the gate sees %+v", lease.Facts)
	}
	if life := lease.Expires.Sub(b.clock.Now()); life != 30*24*time.Hour {
		t.Errorf("it lives for %s", life)
	}
}

func TestS1_10_LimitsChosenOnTheForm(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	tomorrow := b.clock.Now().UTC().AddDate(0, 0, 2).Format(time.DateOnly)
	_, raw := alice.integrated("networks", "192.0.2.0/24\r\n127.0.0.1", "requests", "5", "per", "hour", "expires", "date", "date", tomorrow)
	lease, err := b.authority.Check(raw)
	if err != nil || fmt.Sprint(lease.Personal.Networks) != "[192.0.2.0/24 127.0.0.1/32]" || lease.Personal.Rate != (store.Rate{Requests: 5, Per: time.Hour}) ||
		lease.Expires.Format(time.DateOnly) != tomorrow {
		t.Errorf("%+v, %v", lease, err)
	}
	for value, want := range map[string]time.Time{
		"week": b.clock.Now().Add(7 * 24 * time.Hour), "quarter": b.clock.Now().Add(90 * 24 * time.Hour), "year": aYearFrom(b.clock.Now()), "never": {},
	} {
		_, raw := alice.integrated("expires", value)
		if lease, err := b.authority.Check(raw); err != nil || !lease.Expires.Equal(want) {
			t.Errorf("%s: %v, %v, want %s", value, lease, err, want)
		}
	}
}

// Who has partial access may have tokens, too: within what is open.
func TestS1_5_UserWithPartialAccessWithinOwnRights(t *testing.T) {
	b := userBank(t)
	partial := b.sessionOf("partial")
	_, raw := partial.integrated("account:A1", "", "account:P1", "on", "account:P2", "on")
	if lease, err := b.authority.Check(raw); err != nil || fmt.Sprint(lease.Scopes, lease.Accounts) != "[read:eft] [P1 P2]" {
		t.Errorf("%+v, %v", lease, err)
	}
	_, raw = b.sessionOf("nobody").integrated("account:A1", "")
	if lease, err := b.authority.Check(raw); err != nil || len(lease.Accounts) != 0 {
		t.Errorf("%+v, %v", lease, err)
	}
}

func TestS1_8_S1_9_TableListsAllTokensAndRevokes(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	id, raw := alice.integrated()
	other, otherRaw := alice.integrated("name", "Reports", "expires", "never")
	b.do(alice.form(pathStaticTokens, "label", "Full view")).wantPage(t, 201, "")
	lease, err := b.authority.Check(raw)
	if err != nil {
		t.Fatal(err)
	}
	b.authority.NoteUse(lease, b.clock.Now(), "192.0.2.9")
	if err := b.authority.RecordUses(t.Context()); err != nil {
		t.Fatal(err)
	}
	list := b.do(alice.get(pathIntegrations)).wantPage(t, 200, "Full view")
	for _, says := range []string{
		"My bot", "Reports", "<code>read:eft</code>", "<code>A1</code>", b.clock.Now().UTC().Format("2006-01-02"), "from 192.0.2.9", "never",
		`href="/settings/integrations/` + id + `/revoke"`, `href="/settings/integrations/` + other + `/rotate"`, `id="streams-` + id + `">0<`,
		`<span class="status good" id="status-` + id + `">live</span>`, `data-live="/settings/integrations/status"`, `data-filter="tokens"`,
	} {
		if !strings.Contains(list.body, says) {
			t.Errorf("the list lacks %q:\n%s", says, list.body)
		}
	}
	confirm := b.do(alice.get(about(pathIntegrationRevoke, id))).wantPage(t, 200, "The token ends at once and for good.")
	if !strings.Contains(confirm.body, "192.0.2.9") || !strings.Contains(confirm.body, "Nothing is under way") {
		t.Errorf("the confirmation is %s", confirm.body)
	}
	if !b.lives(raw) {
		t.Fatal("looking at the page revoked the token")
	}
	b.do(alice.form(about(pathIntegrationRevoke, id))).wantRedirect(t, pathIntegrations+"?ended="+id)
	if b.lives(raw) || !b.lives(otherRaw) {
		t.Error("the wrong token is dead")
	}
	page := b.do(alice.get(pathIntegrations+"?ended="+id)).wantPage(t, 200, "was revoked")
	if strings.Contains(page.body, `/`+id+`/revoke"`) || !strings.Contains(page.body, `id="status-`+id+`">revoked<`) {
		t.Errorf("the list is %s", page.body)
	}
	if event := b.lastEvent("token.revoke"); event.Actor != "user:alice" || event.Target != "token:"+id {
		t.Errorf("the audit trail has %+v", event)
	}
	b.do(alice.get(about(pathIntegrationRevoke, id))).wantPage(t, 200, "has ended already")
}

// The list has no limit that nobody is told of.
func TestS1_8_ListHasNoLimit(t *testing.T) {
	b := userBank(t)
	const many = 300
	for k := range many {
		_, hash := b.authority.Keyring().NewOpaque(store.Personal)
		_, err := b.store.Issue(t.Context(), store.Issue{
			Grant:  store.Grant{Environment: b.env, ID: token.NewID(), Principal: "alice", Client: store.PersonalClient, Scopes: []string{"read:eft"}, Created: b.clock.Now()},
			Tokens: []store.Token{{ID: token.NewID(), Hash: hash, Class: store.Personal, Created: b.clock.Now(), Label: fmt.Sprintf("bot %d", k)}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	alice := b.sessionOf("alice")
	for _, path := range []string{pathIntegrations, pathStaticTokens} {
		if n := strings.Count(b.do(alice.get(path)).body, "<tr"); n != many+1 {
			t.Errorf("%s: %d rows, want %d", path, n, many+1)
		}
	}
}

func TestIntegrationStatusIsOfTheOwnTokens(t *testing.T) {
	b := userBank(t)
	alice, bob := b.sessionOf("alice"), b.sessionOf("bob")
	id, _ := alice.integrated()
	var live pages.Live
	got := b.do(alice.get(pathIntegrationStatus))
	if err := json.Unmarshal([]byte(got.body), &live); err != nil || got.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("%v in %s", err, got.body)
	}
	if live.Text["status-"+id] != "live" || live.Text["used-"+id] != "never" || live.Text["streams-"+id] != "0" || live.Class["status-"+id] != "status good" {
		t.Errorf("%+v", live)
	}
	if other := b.do(bob.get(pathIntegrationStatus)); strings.Contains(other.body, id) {
		t.Errorf("bob sees %s", other.body)
	}
	b.do(call{method: "GET", path: pathIntegrationStatus}).wantRedirect(t, signInFirst(pathIntegrationStatus))
}

func TestTokenIsTriedAndNeverShown(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	id, raw := alice.integrated()
	_, elsewhere := alice.integrated("networks", "192.0.2.0/24")
	b.do(alice.get(pathIntegrationTry)).wantPage(t, 200, "Test a token")
	for _, tt := range []struct{ token, says string }{
		{raw, "The token “My bot” is good. Scopes: read:eft. Accounts: A1."}, {elsewhere, "not from your address, 127.0.0.1."},
		{raw + "x", "The token is not good."}, {"", "Paste a token first."},
	} {
		page := b.do(alice.form(pathIntegrationTry, "token", tt.token)).wantPage(t, 200, tt.says)
		if tt.token != "" && strings.Contains(page.body, tt.token) {
			t.Errorf("the page holds the token: %s", page.body)
		}
		answer := b.do(alice.form(pathIntegrationTry, "token", tt.token).with("Accept", "application/json"))
		var live pages.Live
		if err := json.Unmarshal([]byte(answer.body), &live); err != nil || !strings.Contains(live.Text["tried"], tt.says) {
			t.Errorf("%v in %s, want %q", err, answer.body, tt.says)
		}
	}
	b.do(alice.form(about(pathIntegrationRevoke, id))).wantRedirect(t, pathIntegrations+"?ended="+id)
	b.do(alice.form(pathIntegrationTry, "token", raw)).wantPage(t, 200, "The token is not good.")
	b.do(alice.form(pathIntegrationTry+"?token="+raw, "token", raw)).wantPage(t, 400, "not accepted in the query")
}

func TestIntegrationIsRotatedOnThePage(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	id, raw := alice.integrated("requests", "9", "per", "minute")
	rotate := about(pathIntegrationRotate, id)
	page := b.do(alice.get(rotate)).wantPage(t, 200, "How long may the old token be used?")
	once := onceField.FindStringSubmatch(page.body)[1]
	b.do(alice.form(rotate, "once", once, "overlap", "ever")).wantPage(t, 422, "Choose one of these.")
	done := b.do(alice.form(rotate, "once", once, "overlap", "hour")).wantPage(t, 201, "The old token ends at")
	next := shownToken.FindStringSubmatch(done.body)[1]
	if next == raw || !b.lives(raw) || !b.lives(next) {
		t.Fatal("both must live")
	}
	lease, err := b.authority.Check(next)
	if err != nil || fmt.Sprint(lease.Scopes, lease.Accounts) != "[read:eft] [A1]" || lease.Personal.Rate.Requests != 9 || lease.Personal.Label != "My bot" {
		t.Errorf("%+v, %v", lease, err)
	}
	b.do(alice.form(rotate, "once", once, "overlap", "hour")).wantPage(t, 409, "has a successor already")
	b.do(alice.form(rotate, "once", token.NewID(), "overlap", "hour")).wantPage(t, 409, "has a successor already")
	b.do(alice.get(rotate)).wantPage(t, 200, "is not rotated")
	b.do(alice.get(pathIntegrations)).wantPage(t, 200, "being replaced")
	b.clock.advance(time.Hour)
	if b.lives(raw) || !b.lives(next) {
		t.Error("after the overlap the old one must be dead, and the new one not")
	}
	event := b.lastEvent("personal_token.rotate")
	if event.Actor != "user:alice" || event.Target != "token:"+id || !strings.Contains(event.Reason, lease.ID) {
		t.Errorf("the audit trail has %+v", event)
	}
	b.clock.advance(-time.Hour)
	again := b.sessionOf("alice")
	b.do(again.form(about(pathIntegrationRotate, lease.ID), "once", token.NewID(), "overlap", "none")).wantPage(t, 201, "The old token has ended")
	if b.lives(next) {
		t.Error("rotated without an overlap, and it lives")
	}
}
