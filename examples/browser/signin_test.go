package browser

import (
	"testing"

	"github.com/chromedp/chromedp"
)

// signIn signs a user in at the form that is open, and returns the status of what
// comes then.
func (b *tab) signIn(id, password string) int64 {
	b.t.Helper()
	b.fill("#user", id)
	b.fill("#password", password)
	return b.submit("main form button")
}

func TestSignInPage(t *testing.T) {
	s := start(t, "")
	for _, l := range looks {
		t.Run(l.String(), func(t *testing.T) {
			b := open(t, l)
			if status := b.visit(s.issuer + "/login?next=/"); status != 200 {
				t.Fatalf("status %d", status)
			}
			b.wantFocus("user")
			b.check("sign-in", l)
			if status := b.signIn(aliceID, "not the password"); status != 403 {
				t.Errorf("a wrong password: status %d", status)
			}
			b.wantText("#problem", "The user id or the password is not right.")
			b.wantFocus("password")
			if got := eval[string](b, `document.getElementById("user").value`); got != aliceID {
				t.Errorf("the user id is %q now", got)
			}
			b.check("sign-in-wrong", l)
			if status := b.signIn(aliceID, alicePassword); status != 200 {
				t.Errorf("the right password: status %d", status)
			}
			if got := b.url(); got != s.issuer+"/" {
				t.Errorf("it led to %s", got)
			}
		})
	}
}

// By keyboard alone: the tab key goes where the eye goes, and Enter sends the form.
func TestSignInByKeyboard(t *testing.T) {
	s := start(t, "")
	b := open(t, look{})
	b.visit(s.issuer + "/login")
	b.wantFocus("user")
	status := b.after(chromedp.KeyEvent(aliceID + "\t" + alicePassword + "\r"))
	if got := b.url(); status != 200 || got != s.issuer+"/" {
		t.Errorf("status %d at %s", status, got)
	}
}

func TestErrorPage(t *testing.T) {
	s := start(t, "")
	for _, l := range looks {
		b := open(t, l)
		if status := b.visit(s.issuer + "/login?a=%zz"); status != 400 {
			t.Fatalf("status %d", status)
		}
		b.wantText("main", "The query is not well-formed")
		b.check("error", l)
	}
}
