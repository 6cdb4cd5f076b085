package notify

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// FuzzCheckURL: an address that a user may give leads to one host for every
// reader, by https, and not to an address that is not public.
func FuzzCheckURL(f *testing.F) {
	for _, raw := range []string{
		"https://hooks.example.com/in?x=1", "https://1.1.1.1/", "https://10.1.2.3/", "https://127.0.0.1/", "https://[::1]/", "https://[::ffff:169.254.169.254]/",
		"https://[fe80::1%25eth0]/", "http://hooks.example.com/", "https:hooks.example.com", "https:///in", "https://a:0/", "https://a:65536/", "https://a:/",
		`https://a\@127.0.0.1/`, "https://user@a/", "https://a/#x", "https://a/ b", "https://0x7f.1/", "https://2130706433/", "https://127.1/", "https://0177.0.0.1/", "https://[::]/",
	} {
		f.Add(raw)
	}
	var rules Rules
	f.Fuzz(func(t *testing.T, raw string) {
		if rules.CheckURL(raw) != nil {
			return
		}
		r, err := http.NewRequest(http.MethodPost, raw, nil)
		if err != nil {
			t.Fatalf("%q is accepted: %v", raw, err)
		}
		u := r.URL
		if u.Scheme != "https" || u.User != nil || u.Hostname() == "" || u.Fragment != "" || strings.ContainsAny(raw, " \r\n\t\\#") {
			t.Errorf("%q is accepted", raw)
		}
		if addr, err := netip.ParseAddr(u.Hostname()); err == nil && (!addr.IsGlobalUnicast() || addr.IsPrivate() || addr.Unmap().IsPrivate()) {
			t.Errorf("%q is accepted", raw)
		}
		if again, err := url.Parse(u.String()); err != nil || again.Host != u.Host {
			t.Errorf("%q leads to %s, and written again to %v, %v", raw, u.Host, again, err)
		}
	})
}
