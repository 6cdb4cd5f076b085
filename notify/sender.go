package notify

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

// sendTimeout bounds one attempt, from the look-up of the name to the status.
const sendTimeout = 10 * time.Second

// Outcome is how an attempt went, in a word that a page has a sentence for.
type Outcome string

// The outcomes of an attempt, and why there are no more.
const (
	Delivered   Outcome = "delivered"
	Status      Outcome = "status"      // the receiver answered with another status than 2xx
	Redirected  Outcome = "redirected"  // it sends us elsewhere, which is not followed
	Timeout     Outcome = "timeout"     // no answer within 10 s
	Unknown     Outcome = "unknown"     // its name leads nowhere
	Forbidden   Outcome = "forbidden"   // its name leads into a network that is not public
	Unreachable Outcome = "unreachable" // no connection, or one that broke
	Untrusted   Outcome = "untrusted"   // its certificate is not one that we trust
	Old         Outcome = "old"         // a day has passed
	SwitchedOff Outcome = "switched_off"
)

// result is how an attempt went.
type result struct {
	outcome Outcome
	status  int
}

// sender makes attempts, within the rules of one environment.
type sender struct {
	rules  Rules
	client *http.Client
	lookup func(ctx context.Context, host string) ([]netip.Addr, error)
}

func newSender(rules Rules, roots *x509.CertPool, lookup func(context.Context, string) ([]netip.Addr, error)) *sender {
	s := &sender{rules: rules, lookup: lookup}
	if lookup == nil {
		s.lookup = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		}
	}
	s.client = &http.Client{
		// A redirect is an answer: what it leads to was checked by nobody.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &http.Transport{
			Proxy:       nil, // one of the environment would do the dialling that is checked here
			DialContext: s.dial,
			// Each attempt dials, and so each is checked.
			DisableKeepAlives:      true,
			DisableCompression:     true,
			MaxResponseHeaderBytes: 16 << 10,
			TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		},
	}
	return s
}

// dial looks a name up and connects to exactly the addresses that were checked. If
// one of them is not public, none is tried: nobody needs such a name but who wants
// to have us choose the wrong one.
func (s *sender) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return nil, err
	}
	addrs, err := s.resolve(ctx, host)
	if err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Control: s.control}
	for _, addr := range addrs {
		var conn net.Conn
		if conn, err = dialer.DialContext(ctx, network, net.JoinHostPort(addr.String(), port)); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// maxAddresses is how many of a name's addresses are tried.
const maxAddresses = 4

func (s *sender) resolve(ctx context.Context, host string) ([]netip.Addr, error) {
	addr, err := netip.ParseAddr(host)
	addrs := []netip.Addr{addr}
	if err != nil {
		if addrs, err = s.lookup(ctx, host); err != nil {
			return nil, err
		}
	}
	if len(addrs) == 0 {
		return nil, &net.DNSError{Err: "no address", Name: host, IsNotFound: true}
	}
	for k := range addrs {
		addrs[k] = addrs[k].Unmap()
		if !s.rules.admits(addrs[k]) {
			return nil, ErrInternal
		}
	}
	return addrs[:min(len(addrs), maxAddresses)], nil
}

// control checks once more what the socket is about to connect to.
func (s *sender) control(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !s.rules.admits(at.Addr()) {
		return ErrInternal
	}
	return nil
}

// send makes one attempt.
func (s *sender) send(ctx context.Context, url, id string, key, body []byte, now time.Time) result {
	if err := s.rules.CheckURL(url); err != nil { // the rules may be others than when it was set
		return result{outcome: Forbidden}
	}
	ctx, cancel := context.WithTimeout(ctx, sendTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return result{outcome: Unreachable}
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", "caddy-bearer-webhook/1")
	sign(request.Header, key, id, now, body)
	response, err := s.client.Do(request)
	if err != nil {
		return result{outcome: outcomeOf(err)}
	}
	response.Body.Close() // unread, and the connection with it
	switch code := response.StatusCode; {
	case code >= 200 && code < 300:
		return result{Delivered, code}
	case code >= 300 && code < 400:
		return result{Redirected, code}
	default:
		return result{Status, code}
	}
}

// outcomeOf says why there was no answer.
func outcomeOf(err error) Outcome {
	if errors.Is(err, ErrInternal) {
		return Forbidden
	}
	if dns, ok := errors.AsType[*net.DNSError](err); ok && !dns.IsTimeout {
		return Unknown
	}
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return Untrusted
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return Timeout
	}
	return Unreachable
}
