package issuer

import (
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

const appOrigin = "https://app.test"

// messageBank is a bank whose app takes the answer as a message, too.
func messageBank(t testing.TB) *bank {
	t.Helper()
	b := appBank(t)
	b.redirects(appKey, appAddress, "http://127.0.0.1:8085/back", appOrigin)
	return b
}

// redirects gives an app other redirect URIs.
func (b *bank) redirects(app string, uris ...string) {
	b.Helper()
	b.update(func(tx store.Writer) error {
		c, err := tx.Client(b.env, app)
		if err != nil {
			return err
		}
		c.RedirectURIs = uris
		return tx.PutClient(c)
	})
}

// sends is what the script of a page has to send, and to which origin: "" if
// nothing is sent.
func (a *answer) sends(t testing.TB) string {
	t.Helper()
	if !strings.Contains(a.body, "/assets/handback-") {
		t.Fatalf("the page has no script that sends:\n%s", a.body)
	}
	_, rest, _ := strings.Cut(a.body, ` data-to="`)
	origin, _, _ := strings.Cut(rest, `"`)
	return origin
}

var yes = []string{"decision", "allow", "scope.read:eft", "on"}

// The message goes to the origin of the redirect URI, and the form is there as
// ever.
func TestS5_1_AnswerAsAMessage(t *testing.T) {
	b := messageBank(t)
	alice := b.sessionOf("alice")
	path := connectPath(appKey, appAddress, goodState)
	b.do(alice.get(path+"&response_mode=web_message")).wantSays(t, 200, "The answer goes to <strong><bdi>https://app.test</bdi></strong> and to nobody else.")
	page := b.do(alice.form(path+"&response_mode=web_message", yes...)).wantSays(t, 200, "You are connected")
	fields := page.fields(t, appAddress)
	if to := page.sends(t); to != appOrigin || len(fields) != 7 || fields["state"] != goodState || page.header.Get("Cache-Control") != "no-store" {
		t.Errorf("%v goes to %q", fields, to)
	}
	b.do(exchangeCall(appSecret, fields["accessCode"], fields["connectionID"])).ok(t)

	page = b.do(alice.form(path+"&response_mode=web_message", "decision", "deny")).wantSays(t, 200, "Nothing was connected")
	if fields := page.fields(t, appAddress); page.sends(t) != appOrigin || fields["success"] != "false" || fields["accessCode"] != "" {
		t.Errorf("declined: %v", fields)
	}
	for _, mode := range []string{"", "&response_mode=", "&response_mode=form_post"} {
		page := b.do(alice.form(path+mode, yes...)).wantSays(t, 200, "You are connected")
		if to := page.sends(t); to != "" {
			t.Errorf("%q: a message goes to %s", mode, to)
		}
	}
}

// Who waits for the message decides nothing about where it goes.
func TestS5_1_MessagesGoToRegisteredOriginsOnly(t *testing.T) {
	b := messageBank(t)
	alice := b.sessionOf("alice")
	b.app("form-app", "x", "all:eft")
	b.app("near-app", "x", "all:eft")
	b.redirects("near-app", appAddress, "https://app.test/", "https://app.test:443", "http://app.test", "https://app.test.evil.test", "https://sub.app.test")
	const mode = "&response_mode=web_message"
	good := connectPath(appKey, appAddress, goodState)
	for name, test := range map[string]struct{ path, says string }{
		"response mode switching: app of forms":    {connectPath("form-app", appAddress, goodState) + mode, "the origin of its address is not registered"},
		"origin that is nearly registered":         {connectPath("near-app", appAddress, goodState) + mode, "the origin of its address is not registered"},
		"origin of another redirect URI":           {connectPath(appKey, "http://127.0.0.1:8085/back", goodState) + mode, "the origin of its address is not registered"},
		"redirect URI of somebody else":            {connectPath(appKey, "https://evil.test/cb", goodState) + mode, "at a place that it has not registered, or names none"},
		"path that is not registered":              {connectPath(appKey, appOrigin+"/evil", goodState) + mode, "at a place that it has not registered, or names none"},
		"no redirect URI":                          {pathConnect + "?appKey=budget&state=" + goodState + mode, "at a place that it has not registered, or names none"},
		"no state":                                 {connectPath(appKey, appAddress, "") + mode, "is not 22 to 1024 characters"},
		"unknown mode":                             {good + "&response_mode=query", "it can be form_post or web_message"},
		"answer in the fragment":                   {good + "&response_mode=fragment", "it can be form_post or web_message"},
		"mode in capitals":                         {good + "&response_mode=WEB_MESSAGE", "it can be form_post or web_message"},
		"mode with a line end":                     {good + "&response_mode=web_message%0a", "it can be form_post or web_message"},
		"mode twice":                               {good + mode + "&response_mode=form_post", "a parameter is repeated"},
		"UI-06 script for mode":                    {good + "&response_mode=%3Csvg%20onload=1%3E", "it can be form_post or web_message"},
		"origin of the attacker as redirect URI":   {connectPath(appKey, "*", goodState) + mode, "at a place that it has not registered, or names none"},
		"opaque origin that stands for everything": {connectPath(appKey, "null", goodState) + mode, "at a place that it has not registered, or names none"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range []call{alice.get(test.path), alice.form(test.path, yes...)} {
				a := b.do(c).wantSays(t, 400, test.says)
				if strings.Contains(a.body, "data-to") || strings.Contains(a.body, "accessCode") || strings.Contains(a.body, "<svg onload") {
					t.Errorf("%s:\n%s", c.method, a.body)
				}
			}
		})
	}
	// An origin alone is a redirect URI too, as is one on the user's own machine.
	b.redirects(appKey, appOrigin, "http://127.0.0.1:8085", "http://[::1]:8085")
	for _, origin := range []string{appOrigin, "http://127.0.0.1:8085", "http://[::1]:8085"} {
		page := b.do(alice.form(connectPath(appKey, origin, goodState)+mode, yes...)).wantSays(t, 200, "You are connected")
		if to := page.sends(t); to != origin {
			t.Errorf("the message for %s goes to %q", origin, to)
		}
	}
}

// A popup is no frame: the pages stay out of frames, and no header of theirs cuts
// them off from the window that opened them.
func TestS5_1_PagesOfAPopupKeepTheirOpener(t *testing.T) {
	b := messageBank(t)
	alice, nobody := b.sessionOf("alice"), &browser{bank: b, cookie: "a=b"}
	path := connectPath(appKey, appAddress, goodState) + "&response_mode=web_message"
	way := signInFirst(path)
	for name, c := range map[string]call{
		"to the sign-in page": nobody.get(path), "sign-in page": nobody.get(way), "question": alice.get(path),
		"nothing ticked": alice.form(path, "decision", "allow"), "answer": alice.form(path, yes...),
		"signed in":      formCall(pathLogin, "", "user", "alice", "password", "password of alice", "next", path).with("Sec-Fetch-Site", "same-origin"),
		"wrong password": formCall(pathLogin, "", "user", "alice", "password", "wrong", "next", path).with("Sec-Fetch-Site", "same-origin"),
	} {
		a := b.do(c)
		if opener := a.header.Get("Cross-Origin-Opener-Policy"); opener != "" && opener != "unsafe-none" {
			t.Errorf("%s: Cross-Origin-Opener-Policy %s", name, opener)
		}
		if a.status < 300 && (a.header.Get("X-Frame-Options") != "DENY" || !strings.Contains(a.header.Get("Content-Security-Policy"), "frame-ancestors 'none'")) {
			t.Errorf("%s may be framed: %v", name, a.header)
		}
	}
}
