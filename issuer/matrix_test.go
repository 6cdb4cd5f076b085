package issuer

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-json-experiment/json"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// endpoint is what the matrix of bad input has to know of one.
type endpoint struct {
	pattern string // as the mux has it
	methods []string
	speaks  dialect
	// good makes a call that does something, for which it may prepare; nil: the
	// endpoint gives everybody the same document.
	good   func(*bank) call
	path   string   // of a document, where it is not the pattern
	takes  kind     // of body
	needs  []string // parameters without which nothing happens
	scopes bool     // one of them is a list of scopes
	// withoutStore tells that the good call is answered from memory, as documents
	// are.
	withoutStore bool
}

// kind is what an endpoint reads.
type kind int

const (
	takesNothing kind = iota
	takesForm
	takesJSON
	takesHeaders
)

// dialect is the form in which a system says that something is wrong.
type dialect int

const (
	speaksOAuth    dialect = iota // RFC 6749 §5.2, which the bank has too
	speaksPage                    // a page for people
	speaksExchange                // {"success":false,"type":…,"msg":…}
)

var (
	readOnly    = []string{"GET", "HEAD"}
	postOnly    = []string{"POST"}
	getOrPost   = []string{"GET", "POST"}
	pageMethods = []string{"GET", "HEAD", "POST"}
)

// endpoints are all that there are: TestMatrixKnowsEveryEndpoint holds the list
// against the mux.
func endpoints() []endpoint {
	return []endpoint{
		{pattern: pathS4Code, methods: getOrPost, takes: takesHeaders, good: func(*bank) call { return codeCall() }, scopes: true,
			needs: []string{"X-Service-Account-ID", "X-Service-Account-Secret", "X-IBM-client-id", "X-IBM-client-secret", "scope"}},
		{pattern: pathS4Token, methods: getOrPost, takes: takesForm, needs: []string{"grant_type", "code"},
			good: func(b *bank) call { return redeemCall(b.code()) }},
		{pattern: pathToken, methods: postOnly, takes: takesForm, needs: []string{"grant_type", "refresh_token"}, scopes: true,
			good: func(b *bank) call { return renewCall(b.tokens().refresh) }},
		{pattern: pathIntrospect, methods: postOnly, takes: takesForm, needs: []string{"token"},
			good: func(b *bank) call { return introspectCall(b.tokens().access) }},
		{pattern: pathRevoke, methods: postOnly, takes: takesForm, needs: []string{"token"},
			good: func(b *bank) call { return revokeCall(b.tokens().refresh) }},
		{pattern: pathSelf, methods: readOnly, withoutStore: true, takes: takesHeaders, needs: []string{"Authorization"},
			good: func(b *bank) call { return selfCall(b.tokens().access) }},
		{pattern: pathAuthorize, methods: getOrPost, speaks: speaksPage, takes: takesForm, needs: []string{"csrf"},
			good: func(b *bank) call { return b.sessionOf(adaID).consent(query(appID)) }},
		{pattern: "/{$}", path: "/", methods: readOnly, speaks: speaksPage,
			good: func(b *bank) call { return b.sessionOf("alice").get("/") }},
		{pattern: pathSettings, methods: readOnly, speaks: speaksPage,
			good: func(b *bank) call { return b.sessionOf("alice").get(pathSettings) }},
		{pattern: pathPassword, methods: pageMethods, speaks: speaksPage, takes: takesForm, needs: []string{"csrf", "old", "new", "again"},
			good: func(b *bank) call {
				b.giveUser("zoe")
				return b.sessionOf("zoe").form(pathPassword, "old", alicePassword, "new", newPassword, "again", newPassword)
			}},
		{pattern: pathSessionsEnd, methods: pageMethods, speaks: speaksPage, takes: takesForm, needs: []string{"csrf"},
			good: func(b *bank) call { return b.sessionOf("alice").form(pathSessionsEnd) }},
		{pattern: pathSessions + "/{id}/end", methods: pageMethods, speaks: speaksPage, takes: takesForm, needs: []string{"csrf"},
			good: func(b *bank) call {
				return b.sessionOf("alice").form(pathSessions + "/" + b.sessionOf("alice").id() + "/end")
			}},
		{pattern: pathLogin, methods: pageMethods, speaks: speaksPage, takes: takesForm, needs: []string{"user", "password"},
			good: func(*bank) call {
				return formCall(pathLogin, "", "user", "alice", "password", "password of alice").with("Sec-Fetch-Site", "same-origin")
			}},
		{pattern: pathLogout, methods: postOnly, speaks: speaksPage, takes: takesForm, needs: []string{"csrf"},
			good: func(b *bank) call { return b.sessionOf("alice").form(pathLogout) }},
		{pattern: pathConnect, methods: getOrPost, speaks: speaksPage, takes: takesForm, needs: []string{"csrf", "scope.read:eft"},
			good: func(b *bank) call {
				return b.sessionOf("alice").form(connectPath(appKey, appAddress, goodState), "decision", "allow", "scope.read:eft", "on", "account.A1", "on")
			}},
		{pattern: pathExchangeToken, methods: postOnly, speaks: speaksExchange, takes: takesJSON, needs: []string{"appSecret", "accessCode", "connectionID"},
			good: func(b *bank) call {
				got := b.sessionOf("alice").connected(appKey)
				return exchangeCall(appSecret, got["accessCode"], got["connectionID"])
			}},
		{pattern: pathDelinkUser, methods: postOnly, speaks: speaksExchange, takes: takesJSON, needs: []string{"appSecret", "userSecret"},
			good: func(b *bank) call {
				got, raw := b.sessionOf("alice").access()
				return delinkCall(raw, appSecret, got["userSecret"])
			}},
		{pattern: pathDeveloper, methods: readOnly, speaks: speaksPage, good: func(b *bank) call { return b.sessionOf("alice").get(pathDeveloper) }},
		{pattern: pathApplications, methods: readOnly, speaks: speaksPage,
			good: func(b *bank) call { return b.sessionOf("alice").get(pathApplications) }},
		{pattern: pathNewApplication, methods: getOrPost, speaks: speaksPage, takes: takesForm, needs: []string{"csrf", "name", "redirect_uris"},
			good: func(b *bank) call { return b.sessionOf("alice").newApplication() }},
		{pattern: pathApplications + "/{id}", methods: getOrPost, speaks: speaksPage, takes: takesForm, needs: []string{"csrf", "name", "redirect_uris"},
			good: func(b *bank) call {
				return b.ownApplication("", "name", "Other", "redirect_uris", "https://app.test/other")
			}},
		{pattern: pathApplications + "/{id}/old-secret", methods: getOrPost, speaks: speaksPage, takes: takesForm, needs: []string{"csrf"},
			good: func(b *bank) call { return b.ownApplication("/old-secret") }},
		{pattern: pathApplications + "/{id}/secret", methods: getOrPost, speaks: speaksPage, takes: takesForm, needs: []string{"csrf"},
			good: func(b *bank) call { return b.ownApplication("/secret") }},
		{pattern: pathApplications + "/{id}/disable", methods: getOrPost, speaks: speaksPage, takes: takesForm, needs: []string{"csrf"},
			good: func(b *bank) call { return b.ownApplication("/disable") }},
		{pattern: pathStaticTokens, methods: getOrPost, speaks: speaksPage, takes: takesForm, needs: []string{"csrf", "label"},
			good: func(b *bank) call { return b.sessionOf("alice").form(pathStaticTokens, "label", "Reports") }},
		{pattern: pathStaticTokens + "/{id}/revoke", methods: getOrPost, speaks: speaksPage, takes: takesForm, needs: []string{"csrf"},
			good: func(b *bank) call {
				b.clock.advance(time.Second) // the newest is known by its time
				alice := b.sessionOf("alice")
				b.do(alice.form(pathStaticTokens, "label", "Reports")).success(b)
				return alice.form(pathStaticTokens + "/" + b.newestTokenOf("alice") + "/revoke")
			}},
		{pattern: pathConnectedApps, methods: readOnly, speaks: speaksPage,
			good: func(b *bank) call { return b.sessionOf("alice").get(pathConnectedApps) }},
		{pattern: pathDisconnect, methods: pageMethods, speaks: speaksPage, takes: takesForm, needs: []string{"csrf"},
			good: func(b *bank) call {
				alice := b.sessionOf("alice")
				return alice.form(disconnectPath(alice.connected(appKey)["connectionID"]))
			}},
		{pattern: pathActivity, methods: readOnly, speaks: speaksPage,
			good: func(b *bank) call { return b.sessionOf("alice").get(pathActivity) }},
		{pattern: pathIntegrations, methods: readOnly, speaks: speaksPage,
			good: func(b *bank) call { return b.sessionOf("alice").get(pathIntegrations) }},
		{pattern: pathIntegrationStatus, methods: readOnly, speaks: speaksPage,
			good: func(b *bank) call { return b.sessionOf("alice").get(pathIntegrationStatus) }},
		{pattern: pathIntegrationNew, methods: pageMethods, speaks: speaksPage, takes: takesForm, needs: []string{"csrf", "once", "name", "scope.read:eft", "expires"},
			good: func(b *bank) call { return b.sessionOf("alice").newIntegration() }},
		{pattern: pathIntegrationTry, methods: pageMethods, speaks: speaksPage, takes: takesForm, needs: []string{"csrf"},
			good: func(b *bank) call {
				alice := b.sessionOf("alice")
				_, raw := alice.integrated()
				return alice.form(pathIntegrationTry, "token", raw)
			}},
		{pattern: pathIntegrationRevoke, methods: pageMethods, speaks: speaksPage, takes: takesForm, needs: []string{"csrf"},
			good: func(b *bank) call {
				alice := b.sessionOf("alice")
				id, _ := alice.integrated()
				return alice.form(strings.Replace(pathIntegrationRevoke, "{id}", id, 1))
			}},
		{pattern: pathIntegrationRotate, methods: pageMethods, speaks: speaksPage, takes: takesForm, needs: []string{"csrf", "once", "overlap"},
			good: func(b *bank) call {
				alice := b.sessionOf("alice")
				id, _ := alice.integrated()
				return alice.form(strings.Replace(pathIntegrationRotate, "{id}", id, 1), "once", token.NewID(), "overlap", "day")
			}},
		{pattern: pathTradingToken, methods: postOnly, takes: takesForm, needs: []string{"grant_type", "refresh_token"}, scopes: true,
			good: func(b *bank) call { return tradingCall(b.trader("alice").newShared("T1").raw) }},
		{pattern: pathTradingTokens, methods: pageMethods, speaks: speaksPage, takes: takesForm, needs: []string{"csrf", "account"},
			good: func(b *bank) call { return b.trader("alice").form(pathTradingTokens, "account", "T1") }},
		{pattern: pathTradingShow, methods: pageMethods, speaks: speaksPage, takes: takesForm, needs: []string{"csrf", "token"},
			good: func(b *bank) call {
				alice := b.trader("alice")
				return alice.form(pathTradingShow, "token", alice.newShared("T1").id)
			}},
		{pattern: pathTradingRevoke, methods: pageMethods, speaks: speaksPage, takes: takesForm, needs: []string{"csrf", "token"},
			good: func(b *bank) call {
				alice := b.trader("alice")
				return alice.form(pathTradingRevoke, "token", alice.newShared("T1").id, "confirmed", "yes")
			}},
		{pattern: pathNotifications, methods: getOrPost, speaks: speaksPage, takes: takesForm, needs: []string{"csrf", "url"},
			good: func(b *bank) call {
				return b.sessionOf("alice").form(pathNotifications, "url", "https://hooks.test/in", "kind.issued", "on")
			}},
		{pattern: pathNotifications + "/secret", methods: getOrPost, speaks: speaksPage, takes: takesForm, needs: []string{"csrf"},
			good: func(b *bank) call { return b.told("alice").form(pathNotifications + "/secret") }},
		{pattern: pathNotifications + "/test", methods: getOrPost, speaks: speaksPage, takes: takesForm, needs: []string{"csrf"},
			good: func(b *bank) call { return b.told("alice").form(pathNotifications + "/test") }},
		{pattern: pathNotifications + "/remove", methods: getOrPost, speaks: speaksPage, takes: takesForm, needs: []string{"csrf"},
			good: func(b *bank) call { return b.told("alice").form(pathNotifications + "/remove") }},
		{pattern: pathJWKS, methods: readOnly},
		{pattern: wellKnown, methods: readOnly},
		{pattern: pathAssets + "{file}", path: pages.Layout{}.Style(), methods: readOnly},
		{pattern: pathProblems + "{code}", path: pathProblems + "invalid-token", methods: readOnly},
	}
}

// newMatrix opens a bank that has all who take part in anything.
func newMatrix(t testing.TB, adjust func(*bank)) *bank {
	t.Helper()
	b := newPeopleOn(t, newDesk(t, adjust))
	b.user("alice", []string{"read:accounts", "all:eft"}, "A1", "A2")
	b.app(appKey, appSecret, "read:accounts", "all:eft")
	b.update(func(tx store.Writer) error {
		return tx.PutClient(store.Client{Environment: b.env, ID: store.PersonalClient, Status: store.Active, Source: store.BuiltIn, Created: b.clock.Now()})
	})
	return b
}

// consent is the form of the page on which an app asks for access, answered with
// yes.
func (v *browser) consent(query string) call {
	return v.form(pathAuthorize+"?"+query, "decision", "allow", "account:A1", "on", "duration", "month")
}

// ownApplication is a form about an application of alice's.
func (b *bank) ownApplication(what string, pairs ...string) call {
	alice := b.sessionOf("alice")
	id, _ := alice.registered()
	return alice.form(pathApplications+"/"+id+what, pairs...)
}

// newestTokenOf is the id of the newest personal token of a user.
func (b *bank) newestTokenOf(user string) (id string) {
	b.Helper()
	err := b.store.View(context.Background(), func(tx store.Reader) error {
		grants, err := tx.Grants(b.env, store.GrantFilter{Principal: user, Client: store.PersonalClient, Limit: 1})
		if err != nil || len(grants) == 0 {
			return errors.Join(err, store.ErrNotFound)
		}
		rows, err := tx.TokensOf(b.env, grants[0].ID)
		id = rows[0].ID
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return id
}

func TestMatrixKnowsEveryEndpoint(t *testing.T) {
	b := newMatrix(t, nil)
	var known []string
	for _, e := range endpoints() {
		known = append(known, e.pattern)
		if path := e.document(); !b.issuer.Handles(&http.Request{Method: "GET", URL: &url.URL{Path: path}}) {
			t.Errorf("%s is nowhere", path)
		}
	}
	slices.Sort(known)
	if there := patternsOf(b.issuer.mux); !slices.Equal(known, there) {
		t.Errorf("the matrix has\n%s\nthe mux has\n%s", strings.Join(known, "\n"), strings.Join(there, "\n"))
	}
}

// The page to which an OpenID provider sends people back is there only if one is
// configured.
func TestBadInputOfAProvider(t *testing.T) {
	f := newFederation(t, "sub")
	var known []string
	for _, e := range endpoints() {
		known = append(known, e.pattern)
	}
	known = append(known, pathCallback)
	known = slices.DeleteFunc(known, func(pattern string) bool { return strings.HasPrefix(pattern, "/trading/") }) // off in this town
	slices.Sort(known)
	if there := patternsOf(f.issuer.mux); !slices.Equal(known, there) {
		t.Errorf("the mux has\n%s\nwant\n%s", strings.Join(there, "\n"), strings.Join(known, "\n"))
	}
	e := endpoint{pattern: pathCallback, methods: []string{"GET"}, speaks: speaksPage}
	before := f.rows()
	for _, bad := range append(e.bend(call{method: "GET", path: pathCallback + "?code=x&state=y", header: make(http.Header)}),
		badInput{"nothing", call{method: "GET", path: pathCallback}, 400, ""},
		badInput{"state twice", call{method: "GET", path: pathCallback + "?code=x&state=y&state=y"}, 400, ""},
	) {
		t.Run(bad.name, func(t *testing.T) {
			e.judge(t, &bad, f.do(bad.call))
			f.clock.advance(time.Minute) // the throttle forgets
		})
	}
	if after := f.rows(); after != before {
		t.Errorf("something was written:\n%s\nbefore:\n%s", after, before)
	}
	v := f.visitor()
	f.back(v, f.leave(v)).wantRedirect(t, "/")
}

// patternsOf lists what a mux has. It tells nobody, so its index is looked at.
func patternsOf(mux *http.ServeMux) (patterns []string) {
	add := func(list reflect.Value) {
		for k := range list.Len() {
			if pattern := list.Index(k).Elem().FieldByName("str").String(); !slices.Contains(patterns, pattern) {
				patterns = append(patterns, pattern)
			}
		}
	}
	index := reflect.ValueOf(mux).Elem().FieldByName("index")
	add(index.FieldByName("multis"))
	for each := index.FieldByName("segments").MapRange(); each.Next(); {
		add(each.Value())
	}
	slices.Sort(patterns)
	return patterns
}

func (e *endpoint) document() string {
	if e.path != "" {
		return e.path
	}
	return e.pattern
}

func (e *endpoint) call(b *bank) call {
	if e.good == nil {
		return call{method: "GET", path: e.document(), header: make(http.Header)}
	}
	return e.good(b)
}

// Whatever is wrong with a request: the answer is in the system's own dialect, is
// never the server's fault, and nothing is written. Then the good call works.
func TestBadInputMatrix(t *testing.T) {
	for _, e := range endpoints() {
		t.Run(strings.Trim(e.pattern, "/"), func(t *testing.T) {
			b := newMatrix(t, nil)
			good := e.call(b)
			before := b.rows()
			for _, bad := range e.bend(good) {
				t.Run(bad.name, func(t *testing.T) { e.judge(t, &bad, b.do(bad.call)) })
			}
			if after := b.rows(); after != before {
				t.Errorf("something was written:\n%s\nbefore:\n%s", after, before)
			}
			b.do(e.withMore(good)).success(t)
		})
	}
}

// success is an answer that is not an error: pages may send a browser on.
func (a *answer) success(t testing.TB) {
	t.Helper()
	if a.status != http.StatusOK && a.status != http.StatusCreated && a.status != http.StatusSeeOther {
		t.Errorf("got %d %s", a.status, a.body)
	}
}

// withMore is a call with what nobody asked for, which does no harm.
func (e *endpoint) withMore(c call) call {
	c = c.with("X-Unknown", "1")
	if e.takes == takesForm {
		c.body += "&unknown=1"
	}
	return c
}

// bend bends a good call in all ways that its endpoint is to refuse. Status 0 is
// for what a document does not even look at.
func (e *endpoint) bend(c call) []badInput {
	var bent []badInput
	for _, method := range []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND", "get"} {
		if !slices.Contains(e.methods, method) {
			bent = append(bent, badInput{"method " + method, c.by(method), 405, codeInvalidRequest})
		}
	}
	if e.speaks == speaksPage && slices.Contains(e.methods, "GET") {
		bent = append(bent, bendQuery(c)...)
	}
	switch e.takes {
	case takesForm:
		bent = append(bent, e.bendForm(c)...)
	case takesJSON:
		bent = append(bent, e.bendJSON(c)...)
	case takesHeaders:
		bent = append(bent, e.bendHeaders(c)...)
	case takesNothing:
		bent = append(bent, e.bendDocument(c)...)
	}
	return bent
}

const megabyte = 1 << 20

// anyRefusal stands for any status from 400 to 499.
const anyRefusal = 4

func (e *endpoint) bendForm(c call) []badInput {
	const bad = codeInvalidRequest
	missing := 400
	if e.speaks == speaksPage {
		missing = anyRefusal // the form again, with what is missing, or that it is not of this session
	}
	bent := []badInput{
		{"JSON", c.with("Content-Type", "application/json").withBody(`{"a":1}`), 400, bad},
		{"plain text", c.with("Content-Type", "text/plain"), 400, bad},
		{"multipart", c.with("Content-Type", "multipart/form-data; boundary=x").withBody("--x\r\nContent-Disposition: form-data; name=\"token\"\r\n\r\nx\r\n--x--\r\n"), 400, bad},
		{"no content type", c.with("Content-Type"), 400, bad},
		{"content type twice", c.with("Content-Type", "application/x-www-form-urlencoded", "application/x-www-form-urlencoded"), 400, bad},
		{"gzip", c.with("Content-Encoding", "gzip"), 400, bad},
		{"1 MB", c.withBody(c.body + "&x=" + strings.Repeat("x", megabyte)), 413, bad},
		{"empty", c.withBody(""), missing, bad},
		{"bytes that are no text", c.withBody(c.body + "&x=\xff\xfe"), 400, bad},
		{"escaped bytes that are no text", c.withBody(c.body + "&x=%C3%28"), 400, bad},
		{"NUL", c.withBody(c.body + "&x=\x00"), 400, bad},
		{"escaped NUL", c.withBody(c.body + "&x=%00"), 400, bad},
		{"NUL in a name", c.withBody(c.body + "&x%00=1"), 400, bad},
		{"bad escape", c.withBody(c.body + "&x=%zz"), 400, bad},
		{"unknown parameter twice", c.withBody(c.body + "&x=1&x=1"), 400, bad},
		{"deep JSON", c.withBody(strings.Repeat("[", 60_000)), missing, bad},
	}
	for _, name := range e.needs {
		escaped := url.QueryEscape(name)
		bent = append(bent,
			badInput{name + " left out", c.withBody(without(c.body, escaped)), missing, bad},
			badInput{name + " empty", c.withBody(without(c.body, escaped) + "&" + escaped + "="), missing, bad},
			badInput{name + " twice", c.withBody(c.body + "&" + escaped + "=x"), 400, bad})
		if e.speaks != speaksPage {
			bent = append(bent, badInput{name + " in the query", c.withQuery(name + "=x"), 400, bad})
		}
	}
	if e.scopes {
		bent = append(bent,
			badInput{"9,000 scopes", c.withBody(c.body + "&scope=" + manyScopes(9_000)), 400, codeInvalidScope},
			badInput{"scope that is no scope", c.withBody(c.body + "&scope=%22"), 400, codeInvalidScope})
	}
	return bent
}

// bendQuery asks for a page with a query that makes no sense. What it does not read
// it may pass over.
func bendQuery(c call) []badInput {
	asked := c.by("GET").withBody("").with("Content-Type")
	separator := "?"
	if strings.Contains(asked.path, "?") {
		separator = "&"
	}
	var bent []badInput
	for name, query := range map[string]string{
		"NUL": "x=%00", "bytes that are no text": "x=%ff%fe", "bad escape": "x=%zz", "twice": "next=/a&next=/b", "semicolon": "a=1;b=2",
		"8 KB": "x=" + strings.Repeat("x", 8<<10), "JSON": "x=" + strings.Repeat("%5B", 2_000), "CR LF": "next=%0d%0aX:1", "scopes": "scope=" + manyScopes(1_000),
	} {
		bad := asked
		bad.path += separator + query
		bent = append(bent, badInput{"query: " + name, bad, 0, ""})
	}
	return bent
}

func (e *endpoint) bendJSON(c call) []badInput {
	const bad = codeInvalidRequest
	bent := []badInput{
		{"form", c.with("Content-Type", "application/x-www-form-urlencoded").withBody("a=1"), 415, bad},
		{"plain text", c.with("Content-Type", "text/plain"), 415, bad},
		{"no content type", c.with("Content-Type"), 415, bad},
		{"1 MB", c.withBody(`{"x":"` + strings.Repeat("x", megabyte) + `"}`), 413, bad},
		{"empty", c.withBody(""), 400, bad},
		{"null", c.withBody("null"), 400, bad},
		{"array", c.withBody("[" + c.body + "]"), 400, bad},
		{"two values", c.withBody(c.body + c.body), 400, bad},
		{"cut short", c.withBody(c.body[:len(c.body)-1]), 400, bad},
		{"bytes that are no text", c.withBody(strings.Replace(c.body, `":"`, "\":\"\xff", 1)), 400, bad},
		{"deep JSON", c.withBody(strings.TrimSuffix(c.body, "}") + `,"x":` + strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000) + "}"), 400, bad},
		{"deep JSON alone", c.withBody(strings.Repeat("[", 60_000)), 400, bad},
	}
	var members map[string]any
	if err := json.Unmarshal([]byte(c.body), &members); err != nil {
		panic(err)
	}
	for _, name := range e.needs {
		with := func(value any) call {
			bent := make(map[string]any)
			for k, v := range members {
				bent[k] = v
			}
			if bent[name] = value; value == nil {
				delete(bent, name)
			}
			body, err := json.Marshal(bent)
			if err != nil {
				panic(err)
			}
			return c.withBody(string(body))
		}
		bent = append(bent,
			badInput{name + " left out", with(nil), 400, bad},
			badInput{name + " empty", with(""), 400, bad},
			badInput{name + " as a number", with(7), 400, bad},
			badInput{name + " as a list", with([]string{"x"}), 400, bad},
			badInput{name + " twice", c.withBody(strings.TrimSuffix(c.body, "}") + `,"` + name + `":"x"}`), 400, bad})
	}
	return bent
}

func (e *endpoint) bendHeaders(c call) []badInput {
	const bad = codeInvalidRequest
	bent := []badInput{
		{"credentials in the query", c.withQuery("client_secret=x"), 400, bad},
		{"token in the query", c.withQuery("access_token=x"), 400, bad},
		{"bad escape in the query", c.withQuery("x=%zz"), 400, bad},
		{"NUL in the query", c.withQuery("x=%00"), 400, bad},
		{"bytes that are no text in the query", c.withQuery("x=%ff"), 400, bad},
	}
	if slices.Contains(e.methods, "POST") {
		bent = append(bent, badInput{"1 MB", c.by("POST").withBody(strings.Repeat("x", megabyte)), 413, bad})
	}
	for _, name := range e.needs {
		missing := 400
		if name == "Authorization" {
			missing = 401
		}
		bent = append(bent,
			badInput{name + " left out", c.with(name), missing, ""},
			badInput{name + " empty", c.with(name, ""), missing, ""},
			badInput{name + " twice", c.with(name, c.header.Get(name), c.header.Get(name)), 400, bad},
			badInput{name + " of 100 KB", c.with(name, "Bearer "+strings.Repeat("x", 100_000)), 0, ""},
			badInput{name + " that is no text", c.with(name, "Bearer \xff"), 0, ""})
	}
	if e.scopes {
		bent = append(bent, badInput{"9,000 scopes", c.with("scope", strings.ReplaceAll(manyScopes(9_000), "+", " ")), 400, codeInvalidScope})
	}
	return bent
}

// bendDocument bends what is the same for everybody and therefore not read.
func (e *endpoint) bendDocument(c call) []badInput {
	return []badInput{
		{"body of 1 MB", c.withBody(strings.Repeat("x", megabyte)), 0, ""},
		{"JSON", c.with("Content-Type", "application/json").withBody(strings.Repeat("[", 60_000)), 0, ""},
		{"parameters", c.withQuery("x=1&x=1&x=%00&x=%ff&x=%zz"), 0, ""},
		{"parts of the document", c.with("Range", "bytes=0-0,0-0,5-4"), 0, ""},
	}
}

// without is a form that lacks a parameter.
func without(body, name string) string {
	return strings.Join(slices.DeleteFunc(strings.Split(body, "&"), func(pair string) bool { return strings.HasPrefix(pair, name+"=") }), "&")
}

func manyScopes(n int) string {
	var list strings.Builder
	for k := range n {
		fmt.Fprintf(&list, "s%04d+", k)
	}
	return strings.TrimSuffix(list.String(), "+")
}

// judge holds an answer against what must come back.
func (e *endpoint) judge(t *testing.T, bad *badInput, got *answer) {
	t.Helper()
	if got.status >= 500 {
		t.Fatalf("the server says that it is its fault: %d %s", got.status, got.body)
	}
	if got.header.Get("X") != "" {
		t.Errorf("a header was smuggled in: %v", got.header)
	}
	if bad.status == 0 {
		return
	}
	if got.status != bad.status && (bad.status != anyRefusal || got.status < 400) {
		t.Fatalf("got %d %.300s, want %d", got.status, got.body, bad.status)
	}
	if bad.status == http.StatusMethodNotAllowed && got.header.Get("Allow") != strings.Join(e.methods, ", ") {
		t.Errorf("Allow %q, want %v", got.header.Get("Allow"), e.methods)
	}
	if got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("header %v", got.header)
	}
	if bad.call.method == "HEAD" {
		return // it has no body
	}
	e.speaks.check(t, bad, got)
}

// check fails for an answer in another dialect.
func (d dialect) check(t *testing.T, bad *badInput, got *answer) {
	t.Helper()
	contentType := got.header.Get("Content-Type")
	switch d {
	case speaksOAuth:
		code := got.field(t, "error")
		if contentType != "application/json" || code == "" || got.field(t, "error_description") == "" || bad.code != "" && code != bad.code {
			t.Errorf("%s %s, want the error %s", contentType, got.body, bad.code)
		}
	case speaksPage:
		if !strings.HasPrefix(contentType, "text/html") || !strings.Contains(got.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") || strings.Contains(withoutOwnScript(got.body), "<script") {
			t.Errorf("%s %v %s", contentType, got.header, got.body)
		}
	case speaksExchange:
		var said map[string]any
		if err := json.Unmarshal([]byte(got.body), &said); err != nil || contentType != "application/json" ||
			said["success"] != false || said["type"] == "" || said["msg"] == "" || len(said) != 3 {
			t.Errorf("%s %s (%v)", contentType, got.body, err)
		}
	}
}

// rows says how many rows each table has.
func (b *bank) rows() string {
	b.Helper()
	var text strings.Builder
	counts := b.countRows()
	for _, table := range slices.Sorted(maps.Keys(counts)) {
		fmt.Fprintln(&text, table, counts[table])
	}
	return text.String()
}

// rowsAdded says how many rows each table gets by what is done.
func (b *bank) rowsAdded(do func()) string {
	b.Helper()
	before := b.countRows()
	do()
	after := b.countRows()
	var text strings.Builder
	for _, table := range slices.Sorted(maps.Keys(after)) {
		if n := after[table] - before[table]; n != 0 {
			fmt.Fprintln(&text, table, n)
		}
	}
	return text.String()
}

// countRows looks into the database beside the store.
func (b *bank) countRows() map[string]int {
	b.Helper()
	db, err := sql.Open("sqlite", "file:"+b.database+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	var tables string
	if err := db.QueryRow("SELECT group_concat(name) FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").Scan(&tables); err != nil {
		b.Fatal(err)
	}
	counts := make(map[string]int)
	for table := range strings.SplitSeq(tables, ",") {
		var n int
		if err := db.QueryRow(`SELECT count(*) FROM "` + table + `"`).Scan(&n); err != nil {
			b.Fatal(err)
		}
		counts[table] = n
	}
	return counts
}
