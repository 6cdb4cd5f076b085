package notify

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestURLsOfReceivers(t *testing.T) {
	open := &Rules{Allow: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}}
	for raw, want := range map[string]error{
		"https://hooks.example.com/in?x=1":           nil,
		"https://hooks.example.com":                  nil,
		"https://hooks.example.com:8443/":            nil,
		"https://1.1.1.1/":                           nil,
		"https://[2606:4700::1111]/":                 nil,
		"https://10.1.2.3/":                          nil,
		"https://10.2.2.3/":                          ErrInternal,
		"https://127.0.0.1/":                         ErrInternal,
		"https://[::1]/":                             ErrInternal,
		"https://[::ffff:169.254.169.254]/":          ErrInternal,
		"https://[fe80::1%25eth0]/":                  ErrInternal,
		"http://hooks.example.com/":                  ErrURL,
		"ftp://hooks.example.com/":                   ErrURL,
		"file:///etc/passwd":                         ErrURL,
		"https:hooks.example.com":                    ErrURL,
		"https:///in":                                ErrURL,
		"https://":                                   ErrURL,
		"//hooks.example.com/":                       ErrURL,
		"":                                           ErrURL,
		"https://hooks.example.com:/":                ErrURL,
		"https://hooks.example.com:0/":               ErrURL,
		"https://hooks.example.com:65536/":           ErrURL,
		"https://hooks.example.com/#x":               ErrURL,
		"https://hooks.example.com/a b":              ErrURL,
		"https://hooks.example.com/\r\nX: 1":         ErrURL,
		"https://hooks.example.com\\@127.0.0.1/":     ErrURL,
		"https://höoks.example.com/":                 ErrURL, // written as xn--hoks-5qa
		"https://user@hooks.example.com/":            ErrURLUser,
		"https://user:password@hooks.example.com/":   ErrURLUser,
		"https://hooks.example.com/" + long(2048-26): nil,
		"https://hooks.example.com/" + long(2049-26): ErrURLLong,
	} {
		if err := open.CheckURL(raw); !errors.Is(err, want) || want == nil && err != nil {
			t.Errorf("%.80q: %v, want %v", raw, err, want)
		}
	}
}

func long(n int) string { return strings.Repeat("x", n) }

func TestSSRFAddresses(t *testing.T) {
	for text, admitted := range map[string]bool{
		"1.1.1.1": true, "8.8.8.8": true, "100.63.255.255": true, "100.128.0.0": true, "172.15.0.1": true, "172.32.0.1": true,
		"2606:4700::1111": true, "2a00:1450::1": true, "64:ff9b::1.1.1.1": true, "2002:101:101::": true, "::ffff:1.1.1.1": true,

		"127.0.0.1": false, "127.255.255.254": false, "::1": false, "::ffff:127.0.0.1": false, // loopback
		"0.0.0.0": false, "0.1.2.3": false, "::": false, // unspecified
		"10.0.0.1": false, "172.16.0.1": false, "172.31.255.255": false, "192.168.1.1": false, // RFC 1918
		"fc00::1": false, "fd12:3456::1": false, // ULA
		"169.254.169.254": false, "169.254.0.1": false, "fe80::1": false, "::ffff:169.254.169.254": false, // link-local, metadata
		"100.64.0.1": false, "100.127.255.255": false, // CGNAT
		"224.0.0.1": false, "239.255.255.255": false, "ff02::1": false, // multicast
		"240.0.0.1": false, "255.255.255.255": false,
		"192.0.0.1": false, "192.0.2.1": false, "198.18.0.1": false, "198.51.100.1": false, "203.0.113.1": false, "2001:db8::1": false,
		"64:ff9b::127.0.0.1": false, "64:ff9b::10.0.0.1": false, "64:ff9b::169.254.169.254": false, "64:ff9b:1::1": false, // NAT64
		"2002:7f00:1::": false, "2002:a00:1::": false, "2002:a9fe:a9fe::": false, // 6to4
		"2001:0:4136:e378::1": false, // Teredo
		"::127.0.0.1":         false, "::a00:1": false, "4000::1": false, "fec0::1": false, "100::1": false,
	} {
		if (&Rules{}).admits(netip.MustParseAddr(text)) != admitted {
			t.Errorf("%s: want %v", text, admitted)
		}
	}
	open := Rules{Allow: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}}
	for text, admitted := range map[string]bool{
		"10.1.2.3": true, "::ffff:10.1.2.3": true, "64:ff9b::10.1.2.3": true, "fd00::1": true, "fc00::1": false, "127.0.0.1": false,
	} {
		if open.admits(netip.MustParseAddr(text)) != admitted {
			t.Errorf("%s, with networks that are allowed: want %v", text, admitted)
		}
	}
}

// attempt sends one message to an address, with a resolver of the test's.
func attempt(t *testing.T, w *town, rules Rules, url string, lookup func(context.Context, string) ([]netip.Addr, error)) result {
	t.Helper()
	return newSender(rules, w.receiver.roots, lookup).send(t.Context(), url, "msg_1", []byte("key"), []byte("{}"), time.Now())
}

// A name that leads inside is refused, whatever else it leads to, and nothing is
// dialled.
func TestSSRFByName(t *testing.T) {
	w := newTown(t)
	_, port, err := net.SplitHostPort(w.receiver.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	for _, addrs := range [][]string{{"127.0.0.1"}, {"::ffff:127.0.0.1"}, {"1.1.1.1", "127.0.0.1"}, {"10.0.0.1"}, {"64:ff9b::7f00:1"}} {
		lookup := func(context.Context, string) (list []netip.Addr, err error) {
			for _, addr := range addrs {
				list = append(list, netip.MustParseAddr(addr))
			}
			return list, nil
		}
		if got := attempt(t, w, Rules{}, "https://example.com:"+port+"/", lookup); got.outcome != Forbidden {
			t.Errorf("%v: %+v", addrs, got)
		}
	}
	if got := w.receiver.take(); len(got) != 0 {
		t.Errorf("it was reached: %+v", got)
	}
}

// A name that answers once with a public address and then with one inside: it is asked
// once for each attempt, and what was checked is what is dialled.
func TestSSRFByDNSRebinding(t *testing.T) {
	w := newTown(t)
	_, port, _ := net.SplitHostPort(w.receiver.server.Listener.Addr().String())
	asked := 0
	lookup := func(context.Context, string) ([]netip.Addr, error) {
		if asked++; asked == 1 {
			return []netip.Addr{netip.MustParseAddr("127.0.0.2")}, nil // stands for a public one: nobody listens
		}
		return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
	}
	rules := Rules{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.2/32")}}
	if got := attempt(t, w, rules, "https://example.com:"+port+"/", lookup); got.outcome != Unreachable || asked != 1 {
		t.Errorf("%+v after %d look-ups", got, asked)
	}
	if got := attempt(t, w, rules, "https://example.com:"+port+"/", lookup); got.outcome != Forbidden || asked != 2 {
		t.Errorf("%+v after %d look-ups", got, asked)
	}
	if got := w.receiver.take(); len(got) != 0 {
		t.Errorf("it was reached: %+v", got)
	}
}

// The last check is that of the socket: it holds also where the first was passed by.
func TestSSRFCheckOfTheSocket(t *testing.T) {
	s := newSender(Rules{}, nil, nil)
	dialer := &net.Dialer{Control: s.control}
	if _, err := dialer.DialContext(t.Context(), "tcp", newReceiver(t).server.Listener.Addr().String()); !errors.Is(err, ErrInternal) {
		t.Errorf("%v", err)
	}
}

func TestSSRFByRedirect(t *testing.T) {
	w := newTown(t)
	inside := newReceiver(t)
	for _, status := range []int{301, 302, 303, 307, 308} {
		w.receiver.does(func(rw http.ResponseWriter, r *http.Request) { http.Redirect(rw, r, inside.server.URL, status) })
		if got := attempt(t, w, Rules{Allow: []netip.Prefix{loopback}}, w.receiver.server.URL, nil); got != (result{Redirected, status}) {
			t.Errorf("%+v", got)
		}
	}
	if got := inside.take(); len(got) != 0 {
		t.Errorf("it was followed: %+v", got)
	}
}

// A proxy of the environment would do the dialling, and reach what we refuse.
func TestNoProxyOfTheEnvironment(t *testing.T) {
	proxy := newReceiver(t)
	t.Setenv("HTTPS_PROXY", proxy.server.URL)
	t.Setenv("https_proxy", proxy.server.URL)
	w := newTown(t)
	lookup := func(context.Context, string) ([]netip.Addr, error) { return nil, &net.DNSError{IsNotFound: true} }
	if got := attempt(t, w, Rules{Allow: []netip.Prefix{loopback}}, "https://example.com/", lookup); got.outcome != Unknown {
		t.Errorf("%+v", got)
	}
	if transport, ok := newSender(Rules{}, nil, nil).client.Transport.(*http.Transport); !ok || transport.Proxy != nil {
		t.Error("the transport has a proxy")
	}
	if len(proxy.take()) != 0 {
		t.Error("the proxy was asked")
	}
}

func TestOutcomes(t *testing.T) {
	w := newTown(t)
	open := Rules{Allow: []netip.Prefix{loopback}}
	for status, want := range map[int]Outcome{200: Delivered, 204: Delivered, 299: Delivered, 304: Redirected, 400: Status, 410: Status, 500: Status} {
		w.receiver.answers(status)
		if got := attempt(t, w, open, w.receiver.server.URL, nil); got != (result{want, status}) {
			t.Errorf("%d: %+v", status, got)
		}
	}
	stranger := newSender(open, nil, nil)
	if got := stranger.send(t.Context(), w.receiver.server.URL, "msg_1", nil, nil, time.Now()); got.outcome != Untrusted {
		t.Errorf("a certificate of nobody: %+v", got)
	}
	closed := newReceiver(t)
	closed.server.Close()
	if got := attempt(t, w, open, closed.server.URL, nil); got.outcome != Unreachable {
		t.Errorf("nobody listens: %+v", got)
	}
	// A receiver that never ends its answer costs us nothing.
	w.receiver.does(func(rw http.ResponseWriter, r *http.Request) {
		rw.WriteHeader(200)
		_ = http.NewResponseController(rw).Flush()
		<-r.Context().Done()
	})
	if got := attempt(t, w, open, w.receiver.server.URL, nil); got.outcome != Delivered {
		t.Errorf("an endless body: %+v", got)
	}
	w.receiver.does(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if got := newSender(open, w.receiver.roots, nil).send(ctx, w.receiver.server.URL, "msg_1", nil, nil, time.Now()); got.outcome != Timeout {
		t.Errorf("no answer: %+v", got)
	}
}
