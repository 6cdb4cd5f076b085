package issuer

import (
	"errors"
	"fmt"
	"html"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

var (
	saidDeed = regexp.MustCompile(`(?s)<li><time[^>]*>[^<]*</time> <span class="text">(.*?)</li>`)
	aTag     = regexp.MustCompile(`<[^>]*>`)
)

// deeds are the sentences of a page, the newest first.
func (a *answer) deeds() (said []string) {
	for _, m := range saidDeed.FindAllStringSubmatch(a.body, -1) {
		said = append(said, strings.TrimSpace(html.UnescapeString(aTag.ReplaceAllString(m[1], ""))))
	}
	return said
}

// happened opens the page and returns what it says.
func (v *browser) happened(query string) []string {
	v.Helper()
	return v.do(v.get(pathActivity + query)).ok(v).deeds()
}

func (v *browser) wantHappened(query string, want ...string) {
	v.Helper()
	if got := v.happened(query); strings.Join(got, "\n") != strings.Join(want, "\n") {
		v.Errorf("%s%s says\n\t%s\nwant\n\t%s", pathActivity, query, strings.Join(got, "\n\t"), strings.Join(want, "\n\t"))
	}
}

// recorded adds a row to the trail.
func (b *bank) recorded(e store.Event) {
	b.Helper()
	e.Environment, e.At = b.env, b.clock.Now()
	if e.Outcome == "" {
		e.Outcome = "ok"
	}
	b.update(func(tx store.Writer) error { return tx.Record(e) })
}

// S2.9 and S2.11: all developers of an account see who did what to its tokens; by name,
// but not from where.
func TestS2_9_S2_11_DevelopersSeeWhatEachOtherDid(t *testing.T) {
	b := newDesk(t, nil)
	alice, bob, carol, dave := b.trader("alice"), b.trader("bob"), b.sessionOf("carol"), b.sessionOf("dave")
	shared := alice.newShared("T1")
	b.do(bob.form(pathTradingRevoke, "token", shared.id, "confirmed", "yes")).wantRedirect(t, pathTradingTokens+"?account=T1")
	b.sessionOf("alice").wantHappened("?kind=tokens",
		"bob revoked a token of trading account T1",
		"You looked at a token of trading account T1 from 127.0.0.1",
		"You created a token of trading account T1 from 127.0.0.1")
	b.sessionOf("bob").wantHappened("?kind=tokens",
		"You revoked a token of trading account T1 from 127.0.0.1",
		"alice looked at a token of trading account T1",
		"alice created a token of trading account T1")
	carol.wantHappened("?kind=tokens") // has another account
	dave.wantHappened("?kind=tokens")  // has this one in part

	// Who has the account no more sees nothing of it, and is another user to who has it.
	b.update(func(tx store.Writer) error { return tx.DeleteBinding(b.env, "bob", "T1") })
	b.update(func(tx store.Writer) error { return tx.DeleteBinding(b.env, "bob", "T2") })
	b.sessionOf("bob").wantHappened("?kind=tokens", "You revoked a token of trading account T1 from 127.0.0.1")
	b.sessionOf("alice").wantHappened("?kind=tokens",
		"Another user revoked a token of trading account T1",
		"You looked at a token of trading account T1 from 127.0.0.1",
		"You created a token of trading account T1 from 127.0.0.1")
}

// An address is shown to who came from there, and of who tried to be that user; nobody
// learns where others are.
func TestAddressesOfOthersAreNotShown(t *testing.T) {
	b := newDesk(t, nil)
	for _, e := range []store.Event{
		{Actor: "user:bob", Action: "token.revoke", Target: "token:x", Subject: "account:T1", Address: "198.51.100.1"},
		{Actor: "operator:admin", Action: "user.set", Target: "principal:alice", Subject: "user:alice", Address: "198.51.100.2", Reason: "198.51.100.3"},
		{Actor: "client:" + botID, Action: "token.renew", Target: "grant:x", Subject: "user:alice", Outcome: "reused", Address: "198.51.100.4"},
		{Actor: "user:alice", Action: "user.sign_in", Target: "endpoint:login", Outcome: "invalid_user", Address: "203.0.113.9", Count: 3},
	} {
		b.recorded(e)
	}
	alice := b.sessionOf("alice")
	page := b.do(alice.get(pathActivity)).ok(t)
	if strings.Contains(page.body, "198.51.100.") {
		t.Errorf("an address of somebody else is shown:\n%s", page.body)
	}
	alice.wantHappened("",
		"Somebody tried to sign in as you, with a wrong password from 203.0.113.9, 3 times refused",
		"The app "+botID+" used a refresh token that was used up. Somebody may have stolen it, so its access was ended refused",
		"An operator changed your name or what you may do",
		"bob ended an access to account T1, of which nothing else is known any more")
}

func TestActivityOfAppsAndTokens(t *testing.T) {
	b := userBank(t)
	b.app(appKey, appSecret, "read:accounts", "all:eft")
	alice := b.sessionOf("alice")
	fields, raw := alice.access()
	b.do(exchangeCall(appSecret, fields["accessCode"], fields["connectionID"])).wantFailure(t, 400, "INVALID_ACCESS_CODE")
	other, raw2 := alice.access()
	b.do(delinkCall(raw2, appSecret, other["userSecret"])).ok(t)
	b.do(alice.form(pathStaticTokens, "label", "Reports <1>")).success(t)
	b.do(alice.form(pathStaticTokens+"/"+b.newestTokenOf("alice")+"/revoke")).wantRedirect(t, pathStaticTokens)
	alice.registered()
	b.wantInactive("replayed", introspectCall(raw))
	alice.wantHappened("",
		"You registered the application My application from 127.0.0.1",
		"You revoked the token Reports <1> from 127.0.0.1",
		"You issued the token Reports <1> from 127.0.0.1",
		"The app Budget & Co gave up its access",
		"You connected the app Budget & Co from 127.0.0.1",
		"The app Budget & Co used a code twice. Somebody may have stolen it, so its access was ended refused",
		"You connected the app Budget & Co from 127.0.0.1")
	alice.wantHappened("?kind=refusals", "The app Budget & Co used a code twice. Somebody may have stolen it, so its access was ended refused")
	alice.wantHappened("?kind=sign_ins")
	b.sessionOf("bob").wantHappened("")
}

// Who signs in by the form sees it; who only tries, with that user's name, is seen too.
func TestSignInsOnTheActivityPage(t *testing.T) {
	b := newTown(t, nil)
	v := b.signedIn(aliceID, alicePassword)
	said := v.get(pathActivity).ok(t).deeds()
	if len(said) != 1 || said[0] != "You signed in from 127.0.0.1" {
		t.Errorf("it says %q", said)
	}
	v.post(pathLogout, "csrf", v.csrf()).wantRedirect(t, pathLogin)
	if said := b.signedIn(aliceID, alicePassword).get(pathActivity).ok(t).deeds(); len(said) != 3 || said[1] != "You signed out from 127.0.0.1" {
		t.Errorf("it says %q", said)
	}
}

// What no text is written for is said by its own name, as text.
func TestActionWithoutATextIsSaidByItsName(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	b.recorded(store.Event{Actor: "operator:<b>", Action: "moon.<i>paint", Target: "moon:1", Subject: "user:alice"})
	b.recorded(store.Event{Actor: "nobody knows", Action: "token.show", Target: "x", Subject: "user:alice", Outcome: "never_heard_of"})
	alice.wantHappened("",
		"Somebody was refused token.show refused",
		"An operator: moon.<i>paint")
	if page := b.do(alice.get(pathActivity)); strings.Contains(page.body, "<i>paint") || strings.Contains(page.body, "<b>") {
		t.Error(page.body)
	}
}

// Grants and tokens are deleted long after they have ended, and the trail is not.
func TestActivityOfWhatWasDeletedSince(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	for _, e := range [][2]string{{"code.issue", "grant:x"}, {"personal_token.issue", "token:x"}, {"token.revoke", "token:x"}, {"grant.revoke", "grant:x"}, {"client.set", "client:x"}} {
		b.recorded(store.Event{Actor: "user:alice", Action: e[0], Target: e[1]})
	}
	alice.wantHappened("",
		"You changed the application x",
		"You ended an access of which nothing is known any more",
		"You ended an access of which nothing is known any more",
		"You issued the token of which nothing is known any more",
		"You let the app of which nothing is known any more have access")
}

// A long list is read in pages, none of which is large, whatever names are in it.
func TestActivityIsReadInPages(t *testing.T) {
	b := userBank(t)
	b.app(appKey, appSecret, "read:accounts")
	c := b.clientOf(appKey)
	c.Name = strings.Repeat("&", 300)
	b.update(func(tx store.Writer) error {
		errs := []error{tx.PutClient(c)}
		for k := range 120 {
			errs = append(errs, tx.Record(store.Event{
				Environment: b.env, At: b.clock.Now().Add(time.Duration(k-200) * time.Hour), Actor: "user:alice", Action: "client.add", Target: "client:" + appKey,
				Outcome: "ok", Address: "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Reason: fmt.Sprint(k),
			}))
		}
		return errors.Join(errs...)
	})
	alice := b.sessionOf("alice")
	older := regexp.MustCompile(`href="([^"]*)" rel="next"`)
	path, seen := pathActivity+"?kind=apps", 0
	for pageNumber := 1; ; pageNumber++ {
		page := b.do(alice.get(path)).ok(t)
		seen += len(page.deeds())
		if len(page.body) > 100_000 {
			t.Errorf("page %d has %d bytes", pageNumber, len(page.body))
		}
		if strings.Contains(page.body, "Back to the newest") != (pageNumber > 1) {
			t.Errorf("page %d: the way back", pageNumber)
		}
		next := older.FindStringSubmatch(page.body)
		if next == nil {
			if pageNumber != 3 || seen != 120 {
				t.Errorf("%d deeds on %d pages", seen, pageNumber)
			}
			return
		}
		path = html.UnescapeString(next[1])
		if !strings.Contains(path, "kind=apps") {
			t.Fatalf("the filter is lost: %s", path)
		}
	}
}

func TestActivityByDays(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	for day, name := range map[string]string{"2025-03-01": "first", "2025-03-02": "second", "2025-03-03": "third"} {
		at, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		for _, moment := range []time.Time{at, at.Add(24*time.Hour - time.Microsecond)} {
			b.update(func(tx store.Writer) error {
				return tx.Record(store.Event{Environment: b.env, At: moment, Actor: "user:alice", Action: name, Target: "x", Outcome: "ok"})
			})
		}
	}
	for query, want := range map[string]string{
		"?from=2025-03-02&until=2025-03-02": "second", "?until=2025-03-01": "first", "?from=2025-03-03&until=2025-03-03&kind=": "third",
	} {
		got := alice.happened(query)
		if len(got) != 2 || got[0] != "You: "+want || got[1] != got[0] {
			t.Errorf("%s: %q", query, got)
		}
	}
	b.do(alice.get(pathActivity+"?from=2024-01-01&until=2024-01-02")).wantSays(t, 200, "Nothing of this happened.", `value="2024-01-01"`)
}

// Whatever an address holds, it is text, and what it can't be is said.
func TestActivityFilterGarbage(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	for query, says := range map[string]string{
		"?kind=everything":                  "There is no such kind.",
		"?kind=Tokens":                      "There is no such kind.",
		"?kind=%3Cscript%3E":                "There is no such kind.",
		"?kind=tokens&kind=apps":            "This address is not complete.",
		"?kind=%ff":                         "This address is not complete.",
		"?kind=%zz":                         "This address is not complete.",
		"?from=yesterday":                   "This is no date.",
		"?from=2025-02-30":                  "This is no date.",
		"?until=2025-1-1":                   "This is no date.",
		"?from=0001-01-01":                  "This is no date.",
		"?until=9999-12-31T00:00":           "This is no date.",
		`?from="><svg/onload=1>`:            "This is no date.",
		"?from=2025-03-02&until=2025-03-01": "The last day comes before the first.",
		"?before=-1":                        "There is no such place",
		"?before=0":                         "There is no such place",
		"?before=1e3":                       "There is no such place",
		"?before=9223372036854775808":       "There is no such place",
		"?before=1%20OR%201=1":              "There is no such place",
	} {
		page := b.do(alice.get(pathActivity+strings.NewReplacer(`"`, "%22", "<", "%3C", ">", "%3E").Replace(query))).wantSays(t, 400, says, `role="alert"`)
		if len(page.deeds()) > 0 || strings.Contains(page.body, "<svg/") || strings.Contains(page.body, "<script>") {
			t.Errorf("%s: %s", query, page.body)
		}
	}
	b.do(alice.get(pathActivity + "?before=9223372036854775807&from=9999-12-31&until=9999-12-31&unknown=x")).ok(t)
	if got := b.do(alice.form(pathActivity)); got.status != 405 {
		t.Errorf("POST: %d", got.status)
	}
}
