package issuer

import (
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Whatever a request says, its answer goes to a registered redirect URI or
// nowhere, and state comes back as it was.
func FuzzAuthorizeQuery(f *testing.F) {
	for _, seed := range []string{
		"", query(appID), query(nativeID), query(appID, "redirect_uri", ""), query(spaID, "state", "a%00b"), query(appID) + "&state=2",
		"client_id=app&redirect_uri=https://app.test/cb&response_type=code&a=%zz", "client_id=app&client_id=spa", "client_id=native&redirect_uri=http://127.0.0.1:1/cb",
		"client_id=native&redirect_uri=http://[::1]:65536/cb", query(appID, "prompt", "none"), query(appID, "scope", "a b \""),
	} {
		f.Add(seed)
	}
	b := newPeople(f)
	f.Fuzz(func(t *testing.T, raw string) {
		r := httptest.NewRequest("GET", pathAuthorize, nil)
		r.URL.RawQuery = raw
		x := &exchange{Request: r, now: b.clock.Now()}
		a, err := b.issuer.readAuthorization(x)
		if err != nil {
			asOAuthErrorOnly(t, err)
			return
		}
		if !slices.ContainsFunc(a.client.RedirectURIs, func(uri string) bool { return redirectMatches(uri, a.redirectURI) }) {
			t.Fatalf("%q leads to %q", raw, a.redirectURI)
		}
		asked, err := url.ParseQuery(raw)
		if err == nil && !a.repeated && asked.Get("state") != a.state {
			t.Errorf("%q: state %q", raw, a.state)
		}
		err = b.issuer.checkAuthorization(a)
		if err != nil {
			asOAuthErrorOnly(t, err)
		} else if a.challenge == "" {
			t.Errorf("%q is good without PKCE", raw)
		}
		location, err := url.Parse(a.refusal("https://as.test", oauthRefusal("x", "y")).header["Location"])
		if err != nil {
			t.Fatalf("%q: %v", raw, err)
		}
		if got := location.Query(); got.Get("state") != a.state || got.Get("iss") != "https://as.test" || len(got["error"]) != 1 {
			t.Errorf("%q: sent back to %s", raw, location)
		}
	})
}

// Two redirect URIs match if they are equal, or differ in the port of a loopback
// address alone, for every reader of URLs.
func FuzzRedirectMatches(f *testing.F) {
	for _, seed := range [][2]string{
		{"http://127.0.0.1/cb", "http://127.0.0.1:80/cb"}, {"http://[::1]:1/", "http://[::1]:2/"}, {"http://127.0.0.1", "http://127.0.0.1:1@evil.test"},
		{"http://127.0.0.1?x", "http://127.0.0.1:9?x"}, {"https://a/b", "https://a/b"}, {"http://127.0.0.1:1/", "http://127.0.0.1:01/"}, {"", ""},
	} {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, registered, named string) {
		if !redirectMatches(registered, named) || registered == named {
			return
		}
		r, err := url.Parse(registered)
		if err != nil {
			return // nobody could have registered it
		}
		n, err := url.Parse(named)
		if err != nil {
			t.Fatalf("%q matches %q, which no parser reads: %v", named, registered, err)
		}
		if r.Hostname() != n.Hostname() || n.Scheme != "http" || n.User != nil || n.Hostname() != "127.0.0.1" && n.Hostname() != "::1" {
			t.Errorf("%q matches %q", named, registered)
		}
		r.Host, n.Host = "", ""
		if r.String() != n.String() {
			t.Errorf("%q matches %q, and the rest differs", named, registered)
		}
	})
}

func TestRedirectFor(t *testing.T) {
	one := &store.Client{RedirectURIs: []string{appURI}}
	two := &store.Client{RedirectURIs: []string{appURI, "http://127.0.0.1:80/x?y=1"}}
	for _, test := range []struct {
		client      *store.Client
		named, want string
	}{
		{one, "", appURI}, {two, "", ""}, {&store.Client{}, "", ""}, {&store.Client{}, appURI, ""},
		{two, appURI, appURI}, {two, "http://127.0.0.1:4711/x?y=1", "http://127.0.0.1:4711/x?y=1"},
		{two, "http://127.0.0.1/x?y=1", "http://127.0.0.1/x?y=1"}, {two, "http://127.0.0.1:4711/x?y=2", ""},
		{two, "http://127.0.0.1:65536/x?y=1", ""}, {two, "http://127.0.0.1:+80/x?y=1", ""}, {two, "http://127.0.0.1:0080/x?y=1", ""},
		{two, "http://[::1]:4711/x?y=1", ""}, {two, "HTTP://127.0.0.1/x?y=1", ""}, {two, "http://127.0.0.1:80\\@evil.test/x?y=1", ""},
	} {
		if got := redirectFor(test.client, test.named); got != test.want {
			t.Errorf("%q: %q, want %q", test.named, got, test.want)
		}
	}
}

func TestShownText(t *testing.T) {
	for in, want := range map[string]string{
		"Plain": "Plain", " two \n lines ": "two lines", "a\u202eb\u200bc\x00d\u2066": "abcd", "Zürich 東京": "Zürich 東京",
		strings.Repeat("ü", 81): strings.Repeat("ü", 80) + "…", "a\xffb": "ab", "\u2028x": "x",
	} {
		if got := shownText(in, maxShownName); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}
