package issuer

import (
	"bufio"
	stdjson "encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// FuzzReadForm: parameters come from the body alone, and are those that net/http
// reads there.
func FuzzReadForm(f *testing.F) {
	const plain = "application/x-www-form-urlencoded"
	for _, seed := range [][3]string{
		{plain, "", "grant_type=client_credentials"}, {plain, "client_id=a", "client_id=a"}, {plain, "x=1;client_secret=2", "a=1"},
		{plain, "Grant_Type=x", "a=1"}, {plain, "%67rant_type=x", "a=1"}, {plain, "a=%zz", "a=1"}, {plain, "", "scope=a&scope=b"},
		{plain + "; charset=utf-8", "", "a=1"}, {plain + "; boundary=x", "", "a=1"}, {"multipart/form-data; boundary=x", "", "--x"},
		{"application/json", "", `{"grant_type":"x"}`}, {"", "", "a=1"}, {"text/plain", "", "a=1"}, {plain + "\x00", "", "a=1"}, {plain, "_method=DELETE", "token=x"},
	} {
		f.Add(seed[0], seed[1], seed[2])
	}
	f.Fuzz(func(t *testing.T, contentType, query, body string) {
		ask := func() *http.Request {
			r := httptest.NewRequest("POST", "/oauth2/token", strings.NewReader(body))
			r.URL.RawQuery = query
			r.Header["Content-Type"] = []string{contentType}
			return r
		}
		got, err := readForm(ask())
		if err != nil {
			asOAuthErrorOnly(t, err)
			return
		}
		asked, err := url.ParseQuery(strings.ReplaceAll(query, ";", "&"))
		if err != nil {
			t.Errorf("query %q is accepted", query)
		}
		for name := range asked {
			if bodyOnly[strings.ToLower(name)] {
				t.Errorf("query %q is accepted", query)
			}
		}
		if strings.Contains(body, ";") {
			return // net/http drops the pair
		}
		r := ask()
		r.URL.RawQuery = "" // net/http would complain of a semicolon there, which separates for us
		if err := r.ParseForm(); err != nil {
			t.Fatalf("%q %q: %v", contentType, body, err)
		}
		for name, values := range r.PostForm {
			if len(values) != 1 || got[name] != values[0] {
				t.Errorf("%q: %s is %q, to net/http %q", body, name, got[name], values)
			}
		}
		if len(got) > len(r.PostForm) {
			t.Errorf("%q is read as %q, and by net/http as %q", body, got, r.PostForm)
		}
	})
}

// FuzzExchangeJSON: a body has the expected members, each once and in this
// spelling, and means the same to every reader.
func FuzzExchangeJSON(f *testing.F) {
	for _, seed := range [][2]string{
		{"application/json", `{"appSecret":"a","accessCode":"b","connectionID":"c"}`}, {"application/json", `{"appSecret":"a","appSecret":"b"}`},
		{"application/json", `{"AppSecret":"a"}`}, {"application/json", `{"appSecret":"a","x":1}`}, {"application/json", `{"appSecret":["a"]}`},
		{"application/json", `{"appSecret":"a"}{}`}, {"application/json; charset=utf-8", `{"app\u0053ecret":"a\ud800"}`}, {"application/json", "{\"appSecret\":\"\xff\"}"},
		{"application/json", `null`}, {"application/json", `[]`}, {"application/json", strings.Repeat("[", 5000)}, {"text/json", `{}`}, {"application/jsonp", `{}`},
		{"application/json", "{\"acce\u017f\u017fCode\":\"x\"}"}, {"application/json", `{"appSecret":null}`},
	} {
		f.Add(seed[0], "", seed[1])
	}
	f.Add("application/json", "appSecret=x", `{}`)
	type members struct {
		AppSecret    string `json:"appSecret"`
		AccessCode   string `json:"accessCode"`
		ConnectionID string `json:"connectionID"`
	}
	f.Fuzz(func(t *testing.T, contentType, query, body string) {
		r := httptest.NewRequest("POST", "/auth/ExchangeToken", strings.NewReader(body))
		r.URL.RawQuery = query
		r.Header["Content-Type"] = []string{contentType}
		var got, lenient members
		if err := readJSON(r, &got); err != nil {
			if known := asOAuthError(err); known.status/100 != 4 || known.cause != nil {
				t.Errorf("%v", err)
			}
			return
		}
		var named map[string]*string
		if err := stdjson.Unmarshal([]byte(body), &named); err != nil {
			t.Fatalf("%q is accepted: %v", body, err)
		}
		for name := range named {
			if name != "appSecret" && name != "accessCode" && name != "connectionID" {
				t.Errorf("%q is accepted with %q", body, name)
			}
		}
		if err := stdjson.Unmarshal([]byte(body), &lenient); err != nil || lenient != got {
			t.Errorf("%q is read as %+v, and leniently as %+v, %v", body, got, lenient, err)
		}
	})
}

// FuzzRegisteredURI: what can be registered leads to one place for every reader,
// and answers go there.
func FuzzRegisteredURI(f *testing.F) {
	for _, uri := range []string{
		"https://app.example.com/callback", "https://app.example.com", "https://app.example.com/cb?x=1&y", "http://127.0.0.1/cb", "http://[::1]:80/cb", "http://localhost",
		"com.example.app:/callback", "com.example.app://host/cb", "javascript:alert(1)", "data:text/html,x", "https://a@b/", "https://a.test#x", "https://*.a.test/",
		"https://app.test/../x", "https://app.test/%2e%2e/x", `https://app.test\@evil.test/`, "https://app.test:0/", "https://app.test:", "https://APP.test/", "HTTPS://app.test/",
		"https://app.test/?code=1", "https://app.test/?st%61te=1", "https://app.test/?%00", "https:app.test", "https:///cb", "//app.test/cb", "http://127.1/", "http://2130706433/",
		"https://app.test/\r\nX: 1", "https://app.test/%0d%0a", "https://app.test/?a;code=1", "x.y:", "x.y:?a", "https://[::1%25eth0]/", "https://app.test/?",
	} {
		f.Add(uri)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if CheckRedirectURI(uri) != nil {
			return
		}
		u, err := url.Parse(uri)
		if err != nil || u.User != nil || u.Fragment != "" || !u.IsAbs() || strings.ContainsAny(uri, " \t\r\n\\#*\"<>") {
			t.Fatalf("%q can be registered: %v", uri, err)
		}
		if u.Scheme == "http" && u.Hostname() != "localhost" && u.Hostname() != "127.0.0.1" && u.Hostname() != "::1" {
			t.Errorf("%q can be registered", uri)
		}
		if got := redirectFor(&store.Client{RedirectURIs: []string{uri}}, uri); got != uri {
			t.Errorf("%q leads to %q", uri, got)
		}
		answer, err := url.Parse(withQuery(uri, "code", "c&d", "state", "#%\r\n"))
		if err != nil {
			t.Fatal(err)
		}
		query := answer.Query()
		if len(query["code"]) != 1 || query.Get("code") != "c&d" || len(query["state"]) != 1 || query.Get("state") != "#%\r\n" || query.Has("error") {
			t.Errorf("%q: the answer has %q", uri, query)
		}
		before := *u
		before.RawQuery, answer.RawQuery, before.ForceQuery = "", "", false
		if before.String() != answer.String() {
			t.Errorf("%q: the answer goes to %s", uri, answer)
		}
		checkLocation(t, uri)
	})
}

// checkLocation sends a URI as a Location header and in the page's policy, where
// nothing of it may begin another header or another source.
func checkLocation(t *testing.T, uri string) {
	t.Helper()
	text := fmt.Sprintf("HTTP/1.1 303 See Other\r\nLocation: %s\r\nContent-Security-Policy: form-action 'self' %s; base-uri 'none'\r\nContent-Length: 0\r\n\r\n", uri, formTarget(uri))
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(text)), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if rest, err := io.ReadAll(resp.Body); len(resp.Header) != 3 || resp.Header.Get("Location") != uri || len(rest) != 0 || err != nil {
		t.Errorf("%q breaks out of its header: %v", uri, resp.Header)
	}
	policy := resp.Header.Get("Content-Security-Policy")
	if len(strings.Split(policy, ";")) != 2 || len(strings.Fields(policy)) > 5 || strings.Contains(formTarget(uri), "*") {
		t.Errorf("%q breaks out of the policy: %s", uri, policy)
	}
}
