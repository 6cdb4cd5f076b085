package issuer

import (
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

func disconnectPath(grant string) string {
	return strings.Replace(pathDisconnect, "{grant}", grant, 1)
}

// grantsOf are the grants of a user, newest first.
func (b *bank) grantsOf(user string) (grants []store.Grant) {
	b.Helper()
	err := b.store.View(b.Context(), func(tx store.Reader) (err error) {
		grants, err = tx.Grants(b.env, store.GrantFilter{Principal: user})
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return grants
}

// wantNothingConnected asserts that no app is connected to a user.
func (v *browser) wantNothingConnected(why string) {
	v.Helper()
	if page := v.do(v.get(pathConnectedApps)).ok(v); strings.Contains(page.body, "Disconnect") || !strings.Contains(page.body, "No app is connected.") {
		v.Errorf("%s: an app is listed:\n%s", why, page.body)
	}
}

// What the page of the access code exchange connected, the page of connected apps
// ends, and the token is dead when it answers.
func TestS5_5_DelinkOnThePortal(t *testing.T) {
	b := appBank(t)
	alice := b.sessionOf("alice")
	alice.wantNothingConnected("at first")
	fields, raw := alice.access()
	id := fields["connectionID"]
	b.do(alice.get(pathConnectedApps)).wantSays(t, 200, "Budget &amp; Co", "Registered by an operator", "See accounts", ">reads<",
		"<code>A1</code>", "Until you disconnect it", disconnectPath(id))
	b.do(alice.get(disconnectPath(id))).wantSays(t, 200, "Disconnect <bdi>Budget &amp; Co</bdi>?", "All access of", "<code>A1</code>", "Keep it")
	b.wantVerdict(raw, token.Live)
	b.do(alice.form(disconnectPath(id))).wantRedirect(t, pathConnectedApps)
	b.wantVerdict(raw, token.Revoked)
	alice.wantNothingConnected("disconnected")
	row := b.lastEvent("connection.delink")
	if row.Actor != "user:alice" || row.Target != "grant:"+id || row.Reason != "disconnected by its user" || row.Address == "" || row.Subject != "" {
		t.Errorf("the audit trail has %+v", row)
	}
	// Twice is as good as once, and leaves no second line.
	b.do(alice.form(disconnectPath(id))).wantRedirect(t, pathConnectedApps)
	b.do(alice.get(disconnectPath(id))).wantRedirect(t, pathConnectedApps)
	if rows := b.events("connection.delink"); len(rows) != 1 {
		t.Errorf("%d lines", len(rows))
	}
}

// The same for an app of the authorization-code flow: S1 and S3 know it.
func TestS1_2_S3_8_DisconnectAnOAuthApp(t *testing.T) {
	b := newPeople(t)
	got := b.asUser(adaID).spaTokens()
	ada := b.sessionOf(adaID)
	grant := b.grantsOf(adaID)[0]
	page := b.do(ada.get(pathConnectedApps)).wantSays(t, 200, "The spa", "Registered by <bdi>Ada Lovelace</bdi>", "All of EFT", ">moves money<",
		"<code>A1</code> <bdi>Account A1</bdi>", grant.Expires.Format("2006-01-02 15:04"))
	if strings.Contains(page.body, "Last came back") {
		t.Error("it has not come back yet")
	}
	if strings.Index(page.body, "All of EFT") > strings.Index(page.body, "See accounts") {
		t.Error("the most dangerous scope does not come first")
	}
	b.clock.advance(time.Hour)
	renewed := b.pairOf(b.do(formCall(pathToken, "", "grant_type", "refresh_token", "client_id", spaID, "refresh_token", got.refresh)))
	ada = b.sessionOf(adaID)
	b.do(ada.get(pathConnectedApps)).wantSays(t, 200, "Last came back", b.clock.Now().UTC().Format("2006-01-02 15:04"))
	b.do(ada.form(disconnectPath(grant.ID))).wantRedirect(t, pathConnectedApps)
	b.wantVerdict(renewed.access, token.Revoked)
	b.do(formCall(pathToken, "", "grant_type", "refresh_token", "client_id", spaID, "refresh_token", renewed.refresh)).wantError(t, 400, "invalid_grant")
	if row := b.lastEvent("grant.revoke"); row.Actor != "user:ada" || row.Reason != "disconnected by its user" {
		t.Errorf("the audit trail has %+v", row)
	}
	ada.wantNothingConnected("disconnected")
}

// What nothing can come of any more is not listed: an app that looks connected would
// worry people, and one that they ended must not seem to be there.
func TestDeadConnectionsAreNotListed(t *testing.T) {
	for name, end := range map[string]func(*bank, string){
		"the code was never fetched": func(b *bank, _ string) { b.clock.advance(accessCodeLifetime) },
		"revoked by an operator":     func(b *bank, id string) { b.revoke(store.KindGrant, id) },
		"the app was ended":          func(b *bank, _ string) { b.revoke(store.KindClient, appKey) },
		"the account was ended":      func(b *bank, _ string) { b.revoke(store.KindAccount, "A1") },
		"the app was disabled": func(b *bank, _ string) {
			c := b.clientOf(appKey)
			c.Status = store.Disabled
			b.update(func(tx store.Writer) error { return tx.PutClient(c) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := appBank(t)
			id := b.sessionOf("alice").connected(appKey)["connectionID"]
			end(b, id)
			alice := b.sessionOf("alice")
			alice.wantNothingConnected(name)
			b.do(alice.get(disconnectPath(id))).wantRedirect(t, pathConnectedApps)
		})
	}
	t.Run("its time is over", func(t *testing.T) {
		b := newPeople(t)
		b.asUser(adaID).spaTokens()
		b.clock.advance(31 * 24 * time.Hour)
		b.sessionOf(adaID).wantNothingConnected("after the month that was allowed")
	})
	t.Run("it never came back", func(t *testing.T) {
		b := newPeople(t)
		w := b.asUser(adaID)
		code := w.allow(query(spaID), "duration", "revoked").back(w, spaURI).Get("code")
		b.do(redeemAt(spaID, "", spaURI, code)).ok(t)
		b.clock.advance(b.options.RefreshLifetime + time.Hour)
		b.sessionOf(adaID).wantNothingConnected("its refresh token has expired")
	})
}

// A code that waits is access that can be taken back before anybody has it.
func TestDisconnectBeforeTheCodeIsFetched(t *testing.T) {
	b := appBank(t)
	alice := b.sessionOf("alice")
	fields := alice.connected(appKey)
	b.do(alice.get(pathConnectedApps)).wantSays(t, 200, "Not picked up yet")
	b.do(alice.form(disconnectPath(fields["connectionID"]))).wantRedirect(t, pathConnectedApps)
	b.do(exchangeCall(appSecret, fields["accessCode"], fields["connectionID"])).wantFailure(t, 400, "INVALID_ACCESS_CODE")
}

// What a user may do no longer, no app of his can: the page says so.
func TestS3_9_ConnectedAppIsShownAsItIsCutNow(t *testing.T) {
	b := appBank(t)
	alice := b.sessionOf("alice")
	alice.access()
	b.update(func(tx store.Writer) error {
		p, err := tx.Principal(b.env, "alice")
		p.MaxScopes = []string{"read:accounts"}
		return errors.Join(err, tx.PutPrincipal(p))
	})
	if page := b.do(alice.get(pathConnectedApps)).ok(t); strings.Contains(page.body, "EFT") || !strings.Contains(page.body, "See accounts") {
		t.Errorf("%s", page.body)
	}
	b.update(func(tx store.Writer) error {
		p, err := tx.Principal(b.env, "alice")
		p.MaxScopes = []string{"write:loans"}
		return errors.Join(err, tx.PutPrincipal(p))
	})
	b.do(alice.get(pathConnectedApps)).wantSays(t, 200, "Nothing at this moment.")
}

// Who names somebody else's grant learns nothing, not even that there is one, and
// ends nothing.
func TestForeignGrantIsNotThere(t *testing.T) {
	b := userBank(t)
	b.app(appKey, appSecret, "read:accounts", "all:eft")
	alice, bob := b.sessionOf("alice"), b.sessionOf("bob")
	fields, raw := alice.access()
	b.do(bob.form(pathStaticTokens, "label", "Reports")).success(t)
	personal := b.grantsOf("bob")[0].ID
	said := map[string]string{}
	for name, id := range map[string]string{"alice's": fields["connectionID"], "of a personal token": personal, "nobody's": "3mX1rJcC0qTz", "long": strings.Repeat("x", 3000), "odd": "..%00"} {
		got := b.do(bob.get(disconnectPath(strings.ReplaceAll(id, "%", "%25"))))
		if got.status != http.StatusNotFound {
			t.Errorf("%s: GET %d %s", name, got.status, got.body)
		}
		said[name] = got.body
		if got := b.do(bob.form(disconnectPath(strings.ReplaceAll(id, "%", "%25")))); got.status != http.StatusNotFound {
			t.Errorf("%s: POST %d", name, got.status)
		}
	}
	if said["alice's"] != said["nobody's"] || said["of a personal token"] != said["nobody's"] {
		t.Error("the answers differ")
	}
	b.wantVerdict(raw, token.Live)
	if len(b.events("connection.delink"))+len(b.events("grant.revoke")) != 0 {
		t.Error("it was ended")
	}
	b.do(bob.get(pathConnectedApps)).wantSays(t, 200, "No app is connected.")
	if got := b.do(call{method: "GET", path: disconnectPath(fields["connectionID"])}); got.status != http.StatusSeeOther || !strings.HasPrefix(got.header.Get("Location"), "/login?") {
		t.Errorf("a stranger: %d %v", got.status, got.header)
	}
}

func TestCSRFDisconnectsNothing(t *testing.T) {
	b := appBank(t)
	alice := b.sessionOf("alice")
	fields, raw := alice.access()
	path := disconnectPath(fields["connectionID"])
	other := b.sessionOf("alice")
	for name, c := range map[string]call{
		"no token":              formCall(path, "").with("Cookie", alice.cookie).with("Sec-Fetch-Site", "same-origin"),
		"of another session":    formCall(path, "", "csrf", other.csrf).with("Cookie", alice.cookie).with("Sec-Fetch-Site", "same-origin"),
		"from another site":     alice.form(path).with("Sec-Fetch-Site", "cross-site"),
		"from a sibling":        alice.form(path).with("Sec-Fetch-Site", "same-site"),
		"from another's origin": formCall(path, "", "csrf", alice.csrf).with("Cookie", alice.cookie).with("Origin", "https://evil.example.com"),
	} {
		if got := b.do(c); got.status != http.StatusForbidden {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	b.wantVerdict(raw, token.Live)
}

// UI-05: an app's name is text, short, and keeps to its place.
func TestUI05_AppNameWithMarkup(t *testing.T) {
	b := appBank(t)
	c := b.clientOf(appKey)
	c.Name, c.Description = "<script>alert(1)</script>\u202eevil"+strings.Repeat("x", 200), `"><img src=x onerror=1>`
	b.update(func(tx store.Writer) error { return tx.PutClient(c) })
	alice := b.sessionOf("alice")
	fields, _ := alice.access()
	for _, path := range []string{pathConnectedApps, disconnectPath(fields["connectionID"]), pathActivity} {
		page := b.do(alice.get(path)).wantSays(t, 200, "&lt;script&gt;alert(1)&lt;/script&gt;evil")
		if strings.Contains(page.body, "<script>alert") || strings.Contains(page.body, "<img") || strings.Contains(page.body, "\u202e") || strings.Contains(page.body, strings.Repeat("x", 90)) {
			t.Errorf("%s:\n%s", path, page.body)
		}
	}
}
