package issuer

import (
	"context"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// userBank is a bank with users of full, partial and no access.
func userBank(t testing.TB) *bank {
	t.Helper()
	b := newBank(t, nil)
	b.update(func(tx store.Writer) error {
		return tx.PutClient(store.Client{Environment: b.env, ID: store.PersonalClient, Status: store.Active, Source: store.BuiltIn, Created: b.clock.Now()})
	})
	b.user("alice", []string{"read:accounts", "all:eft", "admin:eft"}, "A1", "A2")
	b.user("bob", []string{"all:eft"}, "B1")
	b.user("nobody", []string{"all:eft"})
	b.user("partial", []string{"all:eft"}, "P1", "P2")
	b.demote("partial", "P2", "read:eft")
	return b
}

// demote leaves a user part of an account.
func (b *bank) demote(user, account string, scopes ...string) {
	b.Helper()
	b.update(func(tx store.Writer) error {
		if err := tx.PutBinding(store.Binding{Environment: b.env, Principal: user, Account: account, Access: store.Partial, Scopes: scopes, Source: store.FromCommand}); err != nil {
			return err
		}
		_, err := tx.Revoke(store.Revocation{Environment: b.env, Kind: store.KindRights, Target: user, At: b.clock.Now(), Reason: "demoted"})
		return err
	})
}

func (b *bank) clientOf(id string) store.Client {
	b.Helper()
	var c store.Client
	err := b.store.View(context.Background(), func(tx store.Reader) (err error) {
		c, err = tx.Client(b.env, id)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return c
}

var (
	shownID     = regexp.MustCompile(`<code id="client-id">([^<]+)</code>`)
	shownSecret = regexp.MustCompile(`<code class="secret" id="client-secret">([^<]+)</code>`)
)

// newApplication is the form of an application in which nothing is wrong.
func (v *browser) newApplication(pairs ...string) call {
	return v.form(pathNewApplication, append([]string{
		"name", "My application", "description", "What it does", "redirect_uris", "https://app.test/cb\r\ncom.example.app:/back\r\n", "scope.read:eft", "on",
	}, pairs...)...)
}

func (v *browser) registered() (id, secret string) {
	v.Helper()
	page := v.do(v.newApplication()).wantSays(v, 201, "never shown again")
	return shownID.FindStringSubmatch(page.body)[1], shownSecret.FindStringSubmatch(page.body)[1]
}

func TestS3_5_S3_6_RegisterApplication(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	b.do(alice.get(pathApplications)).wantSays(t, 200, "You have no application yet", `href="/applications/new"`)
	form := b.do(alice.get(pathNewApplication)).wantSays(t, 200, "scope.read:accounts", "scope.all:eft")
	for _, no := range []string{"admin:eft", "write:loans"} {
		if strings.Contains(form.body, no) {
			t.Errorf("the form offers %s", no)
		}
	}
	id, secret := alice.registered()
	c := b.clientOf(id)
	if c.Owner != "alice" || c.Name != "My application" || c.Description != "What it does" || c.Public || c.Exchange || c.PKCEOptional ||
		fmt.Sprint(c.RedirectURIs, c.MaxScopes) != "[https://app.test/cb com.example.app:/back] [read:eft]" {
		t.Errorf("registered is %+v", c)
	}
	fits, err := b.options.Secrets.Verify(context.Background(), c.SecretHash, secret)
	if err != nil || !fits {
		t.Errorf("the secret that was shown does not fit: %v", err)
	}
	page := b.do(alice.get(pathApplications)).wantSays(t, 200, "My application", id)
	if strings.Contains(page.body, secret) {
		t.Error("the secret is shown again")
	}
	event := b.lastEvent("client.add")
	if event.Actor != "user:alice" || event.Target != "client:"+id {
		t.Errorf("the audit trail has %+v", event)
	}
	b.do(alice.newApplication("pkce_optional", "on")).wantSays(t, 201)
}

// lastEvent is the newest row of an action in the audit trail.
func (b *bank) lastEvent(action string) store.AuditRow {
	b.Helper()
	var rows []store.AuditRow
	err := b.store.View(context.Background(), func(tx store.Reader) (err error) {
		rows, err = tx.Audit(b.env, store.AuditFilter{Action: action, Limit: 1})
		return err
	})
	if err != nil || len(rows) == 0 {
		b.Fatalf("audit trail: no %s, %v", action, err)
	}
	return rows[0]
}

// An application acts for users alone: its owner must not get scopes by it that
// no user granted.
func TestS3_4_ApplicationActsForUsersOnly(t *testing.T) {
	b := userBank(t)
	id, secret := b.sessionOf("alice").registered()
	b.do(formCall(pathToken, formBasic(id, secret), "grant_type", "client_credentials")).wantError(t, 400, codeUnauthorizedClient)
	b.do(formCall(pathToken, formBasic(id, "wrong"), "grant_type", "client_credentials")).wantError(t, 401, codeInvalidClient)
}

// Who has partial access can't register an application and may let any have what he
// has: at each moment no more than that.
func TestS3_4_S3_7_S3_8_S3_9_AnyUserAuthorizesAnyApplication(t *testing.T) {
	b := userBank(t)
	id, secret := b.sessionOf("alice").registered()
	user := b.asUser("partial")
	asked := query(id, "redirect_uri", appURI, "scope", "read:eft")
	page := user.send(asked, user.csrf(asked), "decision", "allow", "account:P1", "on", "account:P2", "on", "duration", "month")
	code := page.back(t, appURI).Get("code")
	got := b.pairOf(b.do(redeemAt(id, secret, appURI, code)))
	lease, err := b.authority.Check(got.access)
	if err != nil {
		t.Fatal(err)
	}
	if lease.Subject != "partial" || lease.Client != id || fmt.Sprint(lease.Scopes, lease.Accounts) != "[read:eft] [P1 P2]" {
		t.Errorf("the token is %+v", lease.Facts)
	}
	b.update(func(tx store.Writer) error {
		p, err := tx.Principal(b.env, "partial")
		if err != nil {
			return err
		}
		p.MaxScopes = []string{"read:accounts"}
		if err := tx.PutPrincipal(p); err != nil {
			return err
		}
		_, err = tx.Revoke(store.Revocation{Environment: b.env, Kind: store.KindRights, Target: "partial", At: b.clock.Now(), Reason: "demoted"})
		return err
	})
	b.wantVerdict(got.access, token.RightsChanged)
	renewed := b.do(formCall(pathToken, formBasic(id, secret), "grant_type", "refresh_token", "refresh_token", got.refresh)).ok(t)
	if scope := renewed.field(t, "scope"); scope != "" {
		t.Errorf("after the demotion it still gets %q", scope)
	}
	next := b.pairOf(renewed)
	b.do(b.sessionOf("alice").form(pathApplications+"/"+id+"/disable")).wantRedirect(t, pathApplications)
	b.wantVerdict(next.access, token.Revoked)
}

func TestS3_3_OnlyFullAccessRegisters(t *testing.T) {
	b := userBank(t)
	for id, why := range map[string]string{"nobody": "No account is bound to you", "partial": "One of your accounts is open to you in part only: P2."} {
		v := b.sessionOf(id)
		b.do(v.get(pathApplications)).wantSays(t, 200, "Only users with full access can create applications")
		page := b.do(v.get(pathNewApplication)).wantSays(t, 403, "This takes full access", why, "An operator of this service can change that")
		if strings.Contains(page.body, `name="redirect_uris"`) {
			t.Errorf("%s gets the form", id)
		}
		b.do(v.newApplication()).wantSays(t, 403, "This takes full access", why)
	}
	bob := b.sessionOf("bob")
	bob.registered()
	b.demote("bob", "B1", "read:eft")
	b.do(bob.newApplication()).wantSays(t, 403, "This takes full access")
	b.update(func(tx store.Writer) error { return tx.DeleteBinding(b.env, "bob", "B1") })
	b.do(bob.newApplication()).wantSays(t, 403, "This takes full access")
}

func TestS3_5_ApplicationFormRefuses(t *testing.T) {
	b := userBank(t)
	alice, bob := b.sessionOf("alice"), b.sessionOf("bob")
	for name, test := range map[string]struct {
		call   call
		status int
		says   string
	}{
		"no name":                      {alice.newApplication("name", " "), 422, "Give the application a name"},
		"UI-05 name of 10 kB":          {alice.newApplication("name", strings.Repeat("x", 10_000)), 422, "At most 100 bytes"},
		"UI-05 direction override":     {alice.newApplication("name", "\u202eevil"), 422, "only characters that can be seen"},
		"UI-05 description with NUL":   {alice.newApplication("description", "a\x00"), 400, "UTF-8"},
		"no address":                   {alice.newApplication("redirect_uris", "\r\n"), 422, "at least one address"},
		"51 addresses":                 {alice.newApplication("redirect_uris", manyAddresses(MaxRedirectURIs+1)), 422, "51 redirect URIs; at most 50 are possible"},
		"an address twice":             {alice.newApplication("redirect_uris", "https://a.test/\nhttps://a.test/"), 422, "is named twice"},
		"javascript for an address":    {alice.newApplication("redirect_uris", "javascript:alert(1)"), 422, "expected https"},
		"no scope":                     {alice.newApplication("scope.read:eft", ""), 422, "Tick what"},
		"UI-17 scope above the owner":  {alice.newApplication("scope.write:loans", "on"), 422, "more than you have"},
		"UI-17 hidden scope":           {alice.newApplication("scope.admin:eft", "on"), 422, "more than you have"},
		"UI-17 unknown scope":          {alice.newApplication("scope.x", "on"), 422, "more than you have"},
		"CSRF no field":                {alice.newApplication("csrf", ""), 403, "not of your present session"},
		"CSRF field of another":        {alice.newApplication("csrf", bob.csrf), 403, "not of your present session"},
		"CSRF sent by another site":    {alice.newApplication().with("Sec-Fetch-Site", "cross-site"), 403, "sent by another site"},
		"CSRF sent by another port":    {alice.newApplication().with("Sec-Fetch-Site", "same-site"), 403, "sent by another site"},
		"a method that is none":        {alice.newApplication().by("DELETE"), 405, ""},
		"parameters in the query":      {alice.newApplication().withQuery("client_secret=x"), 400, "not accepted in the query"},
		"a field that is there twice":  {alice.newApplication().withBody("csrf=a&csrf=" + alice.csrf), 400, "repeated"},
		"multipart instead of a form":  {alice.newApplication().with("Content-Type", "multipart/form-data; boundary=x"), 400, "Content-Type"},
		"a body of more than 64 KiB":   {alice.newApplication("description", strings.Repeat("x", 1<<17)), 413, ""},
		"session that nobody has":      {alice.newApplication().with("Cookie", "bearer-sandbox=x"), 303, ""},
		"session cookie with a change": {alice.newApplication().with("Cookie", alice.cookie+"x"), 303, ""},
	} {
		t.Run(name, func(t *testing.T) {
			if a := b.do(test.call); a.status != test.status || !strings.Contains(a.body, test.says) {
				t.Errorf("%d %s, want %d %s", a.status, a.body, test.status, test.says)
			}
		})
	}
	page := b.do(alice.get(pathApplications))
	if !strings.Contains(page.body, "You have no application yet") {
		t.Errorf("one of these was registered:\n%s", page.body)
	}
}

func manyAddresses(n int) string {
	var text strings.Builder
	for k := range n {
		fmt.Fprintf(&text, "https://app.test/%d\n", k)
	}
	return text.String()
}

// What people type is text wherever it is shown.
func TestS3_5_NamesAreShownAsText(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	for _, attack := range []string{`<script>alert(1)</script>`, `"><img src=x onerror=1>`, `{{.CSRF}}`, `</textarea><svg onload=1>`, `=HYPERLINK("x")`} {
		t.Run("UI-05 UI-07 "+attack, func(t *testing.T) {
			made := b.do(alice.newApplication("name", attack, "description", attack)).wantSays(t, 201)
			list := b.do(alice.get(pathApplications)).wantSays(t, 200)
			id := shownID.FindStringSubmatch(made.body)[1]
			own := b.do(alice.get(pathApplications+"/"+id)).wantSays(t, 200)
			end := b.do(alice.get(pathApplications+"/"+id+"/disable")).wantSays(t, 200)
			again := b.do(alice.newApplication("name", attack, "redirect_uris", attack)).wantSays(t, 422)
			for _, page := range []*answer{made, list, own, end, again} {
				for _, raw := range []string{"<script", "<img", "<svg id", "<svg onload", "</textarea><"} {
					if strings.Contains(withoutOwnScript(page.body), raw) {
						t.Errorf("the page holds %s:\n%s", raw, page.body)
					}
				}
			}
		})
	}
}

// An id of somebody else's application is as good as none.
func TestS3_5_OnlyTheOwnerChangesAnApplication(t *testing.T) {
	b := userBank(t)
	alice, bob := b.sessionOf("alice"), b.sessionOf("bob")
	id, secret := alice.registered()
	b.app("exchange-app", "x", "all:eft")
	before := b.clientOf(id)
	for _, what := range []string{"", "/secret", "/old-secret", "/disable"} {
		for _, target := range []string{id, "nobody", botID, "exchange-app", store.PersonalClient, "%2e%2e"} {
			a := b.do(bob.form(pathApplications+"/"+target+what, "name", "Evil", "redirect_uris", "https://evil.test/"))
			if a.status != 404 || target == id && !strings.Contains(a.body, "you have no such application") {
				t.Errorf("IDOR %s of %s: %d %s", what, target, a.status, a.body)
			}
		}
		b.do(alice.form(pathApplications+"/"+id+what, "csrf", bob.csrf, "name", "Evil", "redirect_uris", "https://evil.test/")).wantSays(t, 403)
		b.do(alice.form(pathApplications+"/"+id+what, "name", "Evil", "redirect_uris", "https://evil.test/").with("Sec-Fetch-Site", "cross-site")).wantSays(t, 403)
	}
	for _, what := range []string{"/secret", "/old-secret"} {
		b.do(alice.get(pathApplications+"/"+id+what)).wantRedirect(t, pathApplications+"/"+id)
	}
	for _, what := range []string{"", "/disable"} {
		b.do(bob.get(pathApplications+"/"+id+what)).wantSays(t, 404, "you have no such application")
		b.do(alice.get(pathApplications+"/"+id+what)).wantSays(t, 200, "My application")
	}
	if page := b.do(bob.get(pathApplications)); strings.Contains(page.body, id) {
		t.Error("IDOR: bob sees the application of alice")
	}
	if after := b.clientOf(id); fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("changed: %+v", after)
	}

	b.do(alice.form(pathApplications+"/"+id, "name", "Renamed", "redirect_uris", "https://new.test/cb")).wantRedirect(t, pathApplications+"/"+id)
	if after := b.clientOf(id); fmt.Sprint(after.RedirectURIs) != "[https://new.test/cb]" || after.Epoch == 0 {
		t.Errorf("addresses %v, epoch %d", after.RedirectURIs, after.Epoch)
	}
	b.do(alice.form(pathApplications+"/"+id, "name", "", "redirect_uris", "http://new.test/cb")).wantSays(t, 422, "without encryption", "Give the application a name")

	page := b.do(alice.form(pathApplications+"/"+id+"/secret")).wantSays(t, 200, "never shown again")
	next := shownSecret.FindStringSubmatch(page.body)[1]
	b.do(formCall(pathIntrospect, formBasic(id, secret), "token", "x")).wantError(t, 401, codeInvalidClient)
	b.do(formCall(pathIntrospect, formBasic(id, next), "token", "x")).ok(t)

	b.do(alice.form(pathApplications+"/"+id+"/disable")).wantRedirect(t, pathApplications)
	if c := b.clientOf(id); c.Status != store.Disabled || c.Epoch == 0 {
		t.Errorf("disabled is %+v", c)
	}
	b.do(formCall(pathIntrospect, formBasic(id, next), "token", "x")).wantError(t, 401, codeInvalidClient)
	b.do(alice.form(pathApplications+"/"+id+"/secret")).wantSays(t, 409, "disabled")
}

// Who was demoted may still end what leaked, and may send users nowhere new.
func TestS3_3_DemotedOwner(t *testing.T) {
	b := userBank(t)
	bob := b.sessionOf("bob")
	id, _ := bob.registered()
	b.demote("bob", "B1", "read:eft")
	page := b.do(bob.get(pathApplications+"/"+id)).wantSays(t, 200, "You have no full access any more")
	if strings.Contains(page.body, `name="redirect_uris"`) {
		t.Error("bob gets a form that he may not send")
	}
	b.do(bob.form(pathApplications+"/"+id, "name", "x", "redirect_uris", "https://new.test/cb")).wantSays(t, 403, "this takes full access")
	if c := b.clientOf(id); len(c.RedirectURIs) != 2 {
		t.Errorf("addresses %v", c.RedirectURIs)
	}
	b.do(bob.form(pathApplications+"/"+id+"/secret")).wantSays(t, 200, "never shown again")
	b.do(bob.form(pathApplications+"/"+id+"/disable")).wantRedirect(t, pathApplications)
}

func TestS5_1_FormsGoToTheWebOnly(t *testing.T) {
	for _, bad := range []string{"com.example.app:/back", "http://app.test/cb", "https://app;evil.test/", "https://app.test/cb#f"} {
		if CheckPostURI(bad) == nil || originOf(bad) != "" {
			t.Errorf("%s is let pass", bad)
		}
	}
	if err := CheckPostURI(appAddress); err != nil {
		t.Error(err)
	}
	if got := originOf("https://app.test:8443/cb?x=1"); got != "https://app.test:8443" {
		t.Errorf("origin %s", got)
	}
}

// fullToken issues a token with the full view.
func (v *browser) fullToken() (raw, id string) {
	v.Helper()
	page := v.do(v.form(pathStaticTokens, "label", "Reports")).wantSays(v, 201, "never shown again")
	raw = regexp.MustCompile(`cb_test_personal_\w+`).FindString(page.body)
	lease, err := v.authority.Check(raw)
	if err != nil {
		v.Fatal(err)
	}
	return raw, lease.ID
}

func TestS3_1_S3_10_StaticTokenHasTheFullView(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	b.do(alice.get(pathStaticTokens)).wantSays(t, 200, "You have no token yet", "read:accounts", "on 2 accounts.")
	raw, id := alice.fullToken()
	lease, err := b.authority.Check(raw)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(lease.Scopes, lease.Accounts) != "[read:accounts all:eft] [A1 A2]" || !lease.Expires.IsZero() || lease.Subject != "alice" {
		t.Errorf("the token is %+v", lease.Facts)
	}
	list := b.do(alice.get(pathStaticTokens)).wantSays(t, 200, "Reports", "live")
	if strings.Contains(list.body, raw) {
		t.Error("the token is shown again")
	}
	if event := b.lastEvent("personal_token.issue"); event.Actor != "user:alice" || event.Target != "token:"+id {
		t.Errorf("the audit trail has %+v", event)
	}
	b.do(alice.form(pathStaticTokens+"/"+id+"/revoke")).wantRedirect(t, pathStaticTokens)
	b.wantVerdict(raw, token.Revoked)
	b.do(alice.get(pathStaticTokens)).wantSays(t, 200, `<span class="status">revoked</span>`)
}

// Each decision goes by what the owner has then: the token is cut, not revoked.
func TestS3_9_S3_10_StaticTokenIsCutWithItsOwner(t *testing.T) {
	b := userBank(t)
	raw, _ := b.sessionOf("alice").fullToken()
	carries := func(want string) {
		t.Helper()
		self := b.do(selfCall(raw)).ok(t)
		var got []string
		for _, name := range []string{"scopes", "accounts"} {
			_, rest, _ := strings.Cut(self.body, `"`+name+`":`)
			list, _, _ := strings.Cut(rest, "]")
			got = append(got, list+"]")
		}
		if strings.Join(got, " ") != want {
			t.Errorf("the token carries %s, want %s", got, want)
		}
	}
	carries(`["read:accounts","all:eft"] ["A1","A2"]`)
	b.demote("alice", "A2", "read:eft")
	carries(`["read:eft"] ["A1","A2"]`)
	b.update(func(tx store.Writer) error {
		alice, err := tx.Principal(b.env, "alice")
		if err != nil {
			return err
		}
		alice.MaxScopes = []string{"read:accounts"}
		if err := tx.PutPrincipal(alice); err != nil {
			return err
		}
		_, err = tx.Revoke(store.Revocation{Environment: b.env, Kind: store.KindRights, Target: "alice", At: b.clock.Now(), Reason: "demoted"})
		return err
	})
	carries(`[] ["A1","A2"]`)
}

func TestS3_10_StaticTokenRefusals(t *testing.T) {
	b := userBank(t)
	alice, bob := b.sessionOf("alice"), b.sessionOf("bob")
	raw, id := alice.fullToken()
	for _, user := range []string{"nobody", "partial"} {
		v := b.sessionOf(user)
		b.do(v.get(pathStaticTokens)).wantSays(t, 200, "Only users with full access")
		b.do(v.form(pathStaticTokens, "label", "x")).wantSays(t, 403, "this takes full access")
	}
	b.do(alice.form(pathStaticTokens, "label", "")).wantSays(t, 422, "Give the token a name")
	b.do(alice.form(pathStaticTokens, "label", "\u202eevil")).wantSays(t, 422, "Give the token a name")
	b.do(alice.form(pathStaticTokens, "label", "x", "csrf", bob.csrf)).wantSays(t, 403)
	b.do(alice.form(pathStaticTokens, "label", "x").with("Sec-Fetch-Site", "cross-site")).wantSays(t, 403)
	b.do(bob.form(pathStaticTokens+"/"+id+"/revoke")).wantSays(t, 404, "you have no such token")
	b.do(bob.form(pathStaticTokens+"/nobody/revoke")).wantSays(t, 404)
	b.do(alice.form(pathStaticTokens+"/"+id+"/revoke", "csrf", bob.csrf)).wantSays(t, 403)
	b.do(bob.get(pathStaticTokens+"/"+id+"/revoke")).wantSays(t, 404, "you have no such token")
	b.do(alice.get(pathStaticTokens+"/"+id+"/revoke")).wantSays(t, 200, "Revoke <bdi>Reports</bdi>?")
	b.wantVerdict(raw, token.Live)

	t.Run("UI-07", func(t *testing.T) {
		b.do(alice.form(pathStaticTokens, "label", `"><img src=x onerror=1>`)).wantSays(t, 201)
		if list := b.do(alice.get(pathStaticTokens)); strings.Contains(list.body, "<img") {
			t.Errorf("the name is no text:\n%s", list.body)
		}
	})
	t.Run("password that is not fresh", func(t *testing.T) {
		b.clock.advance(stepUpLife + 1)
		again := "/login?" + url.Values{"next": {pathStaticTokens}, "confirm": {"1"}}.Encode()
		b.do(alice.form(pathStaticTokens, "label", "x")).wantRedirect(t, again)
	})
	t.Run("code of somebody who signed out", func(t *testing.T) {
		b.clock.advance(store.SessionIdle)
		b.do(alice.form(pathStaticTokens, "label", "x")).wantRedirect(t, signInFirst(pathStaticTokens))
	})
}
