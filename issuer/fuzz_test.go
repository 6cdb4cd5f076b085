package issuer

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

// What the strict parser accepts, the standard one reads alike.
func FuzzParseForm(f *testing.F) {
	for _, seed := range []string{"", "a=1&b=2", "a=1&a=2", "a=%00", "a=%ff", "a=%zz", "a+b=c+d", "=x", "a", "&&", "a=1;b=2", "a=b=c"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, body string) {
		got, err := parseForm(body)
		if err != nil {
			asOAuthErrorOnly(t, err)
			return
		}
		for name, value := range got {
			if value == "" || !isText(name) || !isText(value) {
				t.Errorf("%q: %q is %q", body, name, value)
			}
		}
		if strings.Contains(body, ";") {
			return // url.ParseQuery drops the pair
		}
		standard, err := url.ParseQuery(body)
		if err != nil {
			t.Fatalf("%q is accepted, but the standard library says %v", body, err)
		}
		for name, values := range standard {
			if len(values) != 1 || got[name] != values[0] {
				t.Errorf("%q: %q is %q, the standard library says %q", body, name, got[name], values)
			}
		}
	})
}

func FuzzParseBasic(f *testing.F) {
	for _, seed := range []string{"", "Basic", "Basic ", basic("a", "b"), basic("a ", "  b:c"), basic("", ""), "basic Og==", "Basic YTpi\r\n", "Bearer x"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		c, ok := parseBasic(value)
		if !ok {
			return
		}
		if !c.readable() || strings.Contains(c.id, ":") {
			t.Fatalf("%q: %+v", value, c)
		}
		_, encoded, _ := strings.Cut(value, " ")
		if strings.TrimLeft(encoded, " ") != base64.StdEncoding.EncodeToString([]byte(c.id+":"+c.secret)) {
			t.Errorf("%q has another spelling", value)
		}
		if trimmed := c.trimmed(); trimmed.trimmed() != trimmed {
			t.Errorf("%q: trimming twice differs", value)
		}
	})
}

func FuzzScopeHeader(f *testing.F) {
	for _, seed := range []string{"", " ", pageScopes, "a  a", "a\tb", "ä", "\"", "\\", strings.Repeat("a ", 3000)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		names, err := scopeHeader(http.Header{"Scope": {value}})
		if err != nil {
			asOAuthErrorOnly(t, err)
			return
		}
		if len(names) == 0 || len(value) > maxScopeList {
			t.Fatalf("%q: %q", value, names)
		}
		want := slices.DeleteFunc(strings.Split(value, " "), func(s string) bool { return s == "" })
		for _, name := range names {
			if !isScopeToken(name) || strings.Contains(name, " ") {
				t.Errorf("%q: %q", value, name)
			}
			want = slices.DeleteFunc(want, func(s string) bool { return s == name })
		}
		if len(want) != 0 {
			t.Errorf("%q: %q is lost", value, want)
		}
	})
}

// asOAuthErrorOnly checks that an error is the client's and its text sendable.
func asOAuthErrorOnly(t *testing.T, err error) {
	t.Helper()
	known := asOAuthError(err)
	if known.status != http.StatusBadRequest || known.cause != nil {
		t.Errorf("%v", err)
	}
	for _, c := range []byte(known.description) {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' {
			t.Errorf("description %q", known.description)
		}
	}
}
