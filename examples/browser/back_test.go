package browser

import (
	"context"
	"os"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// back goes back in the history, as the button of the browser does, and waits for
// what is shown then: that page anew or from memory, or the browser's own.
func (b *tab) back() {
	b.t.Helper()
	history := ask(b, chromedp.NavigationEntries())
	send(b, page.NavigateToHistoryEntry, page.NavigateToHistoryEntryParams{EntryID: history.Entries[history.CurrentIndex-1].ID})
	eventually(b, "the browser goes back", func(ctx context.Context) (int64, bool, error) {
		now, err := chromedp.Run(ctx, chromedp.NavigationEntries())
		return now.CurrentIndex, now.CurrentIndex < history.CurrentIndex, err
	})
	becomes(b, `document.readyState`, "complete")
}

const wholePage = `document.documentElement.outerHTML`

// A token that is shown once is gone when its page was left: neither the browser's
// memory nor the form, sent again, brings it or another.
func TestSecretIsGoneAfterLeaving(t *testing.T) {
	s := start(t, "")
	for _, l := range []look{{}, {noScripts: true}} {
		t.Run(l.String(), func(t *testing.T) {
			b := open(t, l)
			b.visit(s.issuer + "/static-tokens")
			b.signIn(aliceID, alicePassword)
			b.fill("#label", l.String())
			b.submit("form[action='/static-tokens'] button")
			raw := strings.TrimSpace(ask(b, chromedp.Text(chromedp.CSS("main code.secret"))))
			if !secret.MatchString(raw) {
				t.Fatalf("no token is shown, but %q", raw)
			}
			b.visit(s.issuer + "/")
			b.back()
			if strings.Contains(eval[string](b, wholePage), raw) {
				t.Errorf("it is there again at %s", b.url())
			}
			b.visit(s.issuer + "/static-tokens")
			if made := strings.Count(eval[string](b, wholePage), ">"+l.String()+"<"); made != 1 {
				t.Errorf("%d tokens were made", made)
			}
		})
	}
}

// Where a browser keeps a page in its memory all the same, the script asks for it
// anew.
func TestPageFromMemoryIsLoadedAnew(t *testing.T) {
	script, err := os.ReadFile("../../issuer/pages/portal.js")
	must(t, err)
	for name, one := range map[string]struct {
		main string
		kept bool
	}{
		"without the script": {`<p id="secret"></p>`, true},
		"with the script":    {`<p id="secret"></p><script src="/portal.js"></script>`, false},
	} {
		t.Run(name, func(t *testing.T) {
			address := pageOf(t, one.main, map[string]string{"/portal.js": string(script)})
			b := open(t, look{})
			b.visit(address)
			eval[string](b, `document.getElementById("secret").textContent = "secret"`)
			b.visit(address + "other")
			b.back()
			want := ""
			if one.kept {
				want = "secret"
			}
			becomes(b, `document.getElementById("secret")?.textContent ?? "being loaded"`, want)
		})
	}
}
