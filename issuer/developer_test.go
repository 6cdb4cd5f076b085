package issuer

import (
	"strings"
	"testing"
)

func TestS3_1_ThePageNamesBothWaysToAToken(t *testing.T) {
	b := userBank(t)
	page := b.do(b.sessionOf("alice").get(pathDeveloper)).wantSays(t, 200, "There are two ways to one", `href="/static-tokens"`, `href="/applications"`)
	token, application := strings.Index(page.body, `<a class="title" href="/static-tokens">`), strings.Index(page.body, `<a class="title" href="/applications">`)
	if recommended := strings.Index(page.body, ">recommended<"); recommended < token || recommended > application {
		t.Errorf("recommended is not the token that is made here:\n%s", page.body)
	}
	if strings.Contains(page.body, "/trading/tokens") {
		t.Error("the page leads to tokens that there are not")
	}
	b.do(b.sessionOf("nobody").get(pathDeveloper)).wantSays(t, 200)
	b.do(call{method: "GET", path: pathDeveloper}).wantRedirect(t, signInFirst(pathDeveloper))

	desk := newDesk(t, nil)
	desk.do(desk.sessionOf("alice").get(pathDeveloper)).wantSays(t, 200, `href="/trading/tokens"`)
}
