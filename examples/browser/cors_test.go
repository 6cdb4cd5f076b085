package browser

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"github.com/caddy-bearer/caddy-bearer/internal/freeport"
)

// sitesOwn serves the page of somebody, and returns its origin.
func sitesOwn(t *testing.T) string {
	t.Helper()
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		_, _ = io.WriteString(w, "<!doctype html><title>A page</title>")
	}))
	t.Cleanup(site.Close)
	return site.URL
}

// fetched is what a page gets to see of an answer.
type fetched struct {
	Failed                       bool // the browser tells the page nothing
	Status                       int
	Body, Challenge, ContentType string
	Total                        string
	Hidden                       string // of a header that is not exposed
}

// fetch calls the API from the page, with a token.
func (b *tab) fetch(url, method, token string) (got fetched) {
	b.t.Helper()
	quoted, err := json.Marshal([]string{url, method, token})
	must(b.t, err)
	answer := ask(b, chromedp.Evaluate[string](`(async ([url, method, token]) => {
		try {
			const r = await fetch(url, {method, headers: {Authorization: 'Bearer ' + token}});
			const h = name => r.headers.get(name) ?? '';
			return JSON.stringify({Status: r.status, Body: await r.text(), Challenge: h('WWW-Authenticate'), ContentType: h('Content-Type'), Total: h('X-Total'), Hidden: h('X-Hidden')});
		} catch (e) {
			return JSON.stringify({Failed: e instanceof TypeError});
		}
	})(`+string(quoted)+`)`, chromedp.EvalAwaitPromise))
	must(b.t, json.Unmarshal([]byte(answer), &got))
	return got
}

// A page whose origin the policy names reads answers and refusals; to any other
// page the browser shows nothing.
func TestPagesOfOtherOriginsInABrowser(t *testing.T) {
	s := start(t, "")
	ours, theirs := sitesOwn(t), sitesOwn(t)
	port := freeport.Find(t)
	api := "http://127.0.0.1:" + port
	s.write("policy.yaml", strings.Replace(testPolicy, "version: 1\n", "version: 1\ncors: {origins: [\""+ours+"\"], expose: [X-Total]}\n", 1))
	s.write("Caddyfile", s.caddyfile("")+"http://:"+port+` {
	bearer_gate
	header X-Total 3
	header X-Hidden 4
	header Access-Control-Allow-Origin *
	respond "the accounts"
}
`)
	s.stop()
	s.launch()
	var issued struct{ Token string }
	must(t, json.Unmarshal([]byte(s.command("", "token", "issue", "--label", "page", "--principal", aliceID, "--scopes", "read:accounts", "--json")), &issued))

	b := open(t, look{})
	b.visit(ours)
	if got := b.fetch(api+"/v1/accounts", "GET", issued.Token); got.Status != 200 || got.Body != "the accounts" || got.Total != "3" || got.Hidden != "" {
		t.Errorf("a page that may: %+v", got)
	}
	if got := b.fetch(api+"/v1/market", "GET", issued.Token); got.Status != 403 || got.ContentType != "application/problem+json" ||
		!strings.Contains(got.Body, `"missing":[["read:market"]]`) || !strings.Contains(got.Challenge, "insufficient_scope") {
		t.Errorf("a page that may, refused: %+v", got)
	}
	if got := b.fetch(api+"/v1/accounts", "GET", "abc"); got.Status != 401 || !strings.Contains(got.Challenge, "invalid_token") {
		t.Errorf("a page that may, without a token: %+v", got)
	}
	if got := b.fetch(api+"/v1/accounts", "DELETE", issued.Token); !got.Failed {
		t.Errorf("a method that no route of the path has: %+v", got)
	}

	b.visit(theirs)
	for _, path := range []string{"/v1/accounts", "/v1/market", "/nowhere"} {
		if got := b.fetch(api+path, "GET", issued.Token); !got.Failed {
			t.Errorf("%s, a foreign page: %+v", path, got)
		}
	}
	b.visit("data:text/html,<title>No origin</title>")
	if got := b.fetch(api+"/v1/accounts", "GET", issued.Token); !got.Failed {
		t.Errorf("a page without an origin: %+v", got)
	}
}
