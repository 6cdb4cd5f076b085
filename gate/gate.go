package gate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// Handler is what comes behind the gate. It reports an error instead of
// writing one; what it has not written by then, others may. One that takes the
// connection over must not return before it is done with it: the ride ends there.
type Handler interface {
	ServeHTTP(http.ResponseWriter, *http.Request) error
}

// Options are what a Gate needs. Authority and Policy are required.
type Options struct {
	Authority *token.Authority

	// Policy returns the present revision. If it returns nil, because the policy
	// was removed, everything is refused as if no route matched. Sweeps call it
	// under a lock: it must not block.
	Policy func() *policy.Policy

	// Resource is what the gate tells programs that come without a token: which API
	// this is, and who issues tokens for it (RFC 9728). Zero: nothing.
	Resource Resource

	Realm        string // of the challenge; "api" by default
	Problems     string // prefix of the problem pages' URLs; "" for about:blank
	Identity     IdentityHeaders
	ForwardToken bool // leave Authorization for the upstream, except on public routes
	Limits       Limits

	// TrustedProxy reports whether the peer may say who the client is. Nil:
	// nobody may.
	TrustedProxy func(*http.Request) bool
	// ClientIP tells who the client is: for the allow-list of a personal token and
	// for the list of streams. Whom it believes is its business; the gate reads no
	// header for it. Nil: the peer's address.
	ClientIP func(*http.Request) string
	// RequestID names a request in problem documents. Nil: they have no id.
	RequestID func(*http.Request) string
	// Allowed is told of each request that goes on, as next will get it. Nil: no
	// one is.
	Allowed func(*http.Request, Decision)
	// Hold is called when an exchange becomes a stream, which may outlive the
	// configuration that it began under, and release when it has ended. Nil: no
	// one is told.
	Hold func() (release func())
	// Streams is told of each exchange that becomes a stream, and again when that has
	// ended. Nil: no one is.
	Streams func(*http.Request, StreamEvent)
	// Counts counts what is decided. Nil: one of its own.
	Counts *Counts
	// Took is told how long a decision took, of one request in sixteen. Nil: no one
	// is.
	Took func(decision string, took time.Duration)
	// Now is the clock; the Authority's by default.
	Now func() time.Time
}

// Decision is why a request was let through.
type Decision struct {
	Route  *policy.Route
	Reason string       // "allowed" or "public"
	Lease  *token.Lease // nil: anonymous on a public route
}

// StreamEvent is the beginning or the end of a stream.
type StreamEvent struct {
	Decision Decision
	Ended    string        // why it has ended, one of StreamEnds; empty: it begins
	Lasted   time.Duration // if it has ended
}

// Gate decides on requests. It is safe for concurrent use.
type Gate struct {
	authority    *token.Authority
	policy       func() *policy.Policy
	trustedProxy func(*http.Request) bool
	clientIP     func(*http.Request) string
	requestID    func(*http.Request) string
	allowed      func(*http.Request, Decision)
	hold         func() func()
	streams      func(*http.Request, StreamEvent)
	took         func(string, time.Duration)
	now          func() time.Time

	counts *Counts
	book   atomic.Pointer[book]

	identity     identity
	forwardToken bool
	challenge    string // "Bearer realm=…", which others begin with
	resource     *resource
	problems     string
	sizes        sizes

	// exchanges is a pool of one authority's riders: a Ride keeps its place in
	// the register that it joined first.
	exchanges sync.Pool

	// closeTimeout is the constant of that name, but for tests that prove what
	// happens within it on machines of any speed.
	closeTimeout time.Duration

	afterJoin func() // a test's foot in the door between joining and judging
}

// New returns a Gate, or says what is wrong with the options.
func New(o Options) (*Gate, error) {
	if o.Authority == nil || o.Policy == nil {
		return nil, errors.New("a gate needs an authority and a policy")
	}
	if o.Realm == "" {
		o.Realm = "api"
	}
	if !printable(o.Realm) {
		return nil, fmt.Errorf("realm %q: only printable ASCII can be sent", o.Realm)
	}
	id, err := newIdentity(o.Identity, string(o.Authority.Environment()))
	if err != nil {
		return nil, err
	}
	g := &Gate{
		authority: o.Authority, policy: o.Policy,
		trustedProxy: o.TrustedProxy, clientIP: o.ClientIP, requestID: o.RequestID,
		allowed: o.Allowed, hold: o.Hold, now: o.Now,
		streams: o.Streams, took: o.Took, counts: o.Counts,
		identity: id, forwardToken: o.ForwardToken,
		challenge: "Bearer realm=" + quote(o.Realm), problems: o.Problems,
		resource: newResource(o.Resource),
	}
	if g.sizes, err = newSizes(o.Limits); err != nil {
		return nil, err
	}
	if g.now == nil {
		g.now = o.Authority.Now
	}
	if g.clientIP == nil {
		g.clientIP = peerIP
	}
	if g.counts == nil {
		g.counts = NewCounts()
	}
	g.closeTimeout = closeTimeout
	g.exchanges.New = func() any { return &exchange{gate: g, lane: g.counts.turn.Add(1) % lanes} }
	return g, nil
}

// ServeHTTP decides and, if the request is allowed, calls next while riding. A
// refusal is returned as *Refusal with nothing written; an error of next is
// passed on as it is.
//
// The headers of r are changed in place. What next gets is a copy of r whose
// context is canceled, with a cause that wraps context.Canceled, when the token
// dies or the policy forbids the request.
func (g *Gate) ServeHTTP(w http.ResponseWriter, r *http.Request, next Handler) error {
	err := g.serve(w, r, next)
	if refusal, ok := err.(*Refusal); ok { //nolint:errorlint // one of ours, and none that next has wrapped
		g.counts.Refuse(refusal)
	}
	return err
}

func (g *Gate) serve(w http.ResponseWriter, r *http.Request, next Handler) error {
	if flaw := g.sanitize(r); flaw != nil {
		return g.readable(r, g.refuse(r, flaw))
	}
	if g.resource.asked(r) {
		g.describe(w, r)
		return nil
	}
	if isPreflight(r) {
		if answered, refusal := g.preflight(w, r); refusal != nil {
			return g.readable(r, refusal)
		} else if answered {
			return nil
		}
	}
	x := g.take()
	d, refusal := g.measured(x, r)
	if refusal != nil {
		g.release(x)
		return g.readable(r, refusal)
	}
	g.allow(x, &d)
	return g.pass(w, r, next, x, d)
}

// pass serves an allowed request, which rides already.
func (g *Gate) pass(w http.ResponseWriter, r *http.Request, next Handler, x *exchange, d Decision) (err error) {
	defer g.leave(x)
	ctx, cancel := context.WithCancelCause(r.Context())
	defer cancel(nil)
	out := &response{
		inner: w, cancel: cancel, hold: g.hold, closeTimeout: g.closeTimeout, upgrade: upgradeOf(r),
		request: r, route: d.Route.ID, clientIP: g.clientIP, began: x.began, gate: g, decision: d,
	}
	if c := d.Route.CORS; c != nil {
		out.cors, out.origin = c, originOf(r)
	}
	out.offered = g.forward(r, &d, &out.identity)
	g.sizes.bound(r, out)
	if r.ProtoMajor == 1 && r.ProtoMinor == 0 {
		w.Header().Set("Connection", "close")
	}
	setQuota(w.Header(), &x.quota)
	r = r.WithContext(ctx)
	x.board(out)
	defer func() {
		if cause := out.finish(); cause != "" {
			err = g.settle(out, r, &d, cause, recover(), err)
		}
	}()
	if g.allowed != nil {
		g.allowed(r, d)
	}
	err = next.ServeHTTP(out, r)
	if !out.wroteHeader { // what next did not answer, others will
		setCORS(w.Header(), out.cors, out.origin)
	}
	return err
}

// settle ends an exchange that was cut: politely where the protocol lets us,
// with a refusal where nothing was sent yet, and otherwise so that the client
// can tell that the answer is not complete.
func (g *Gate) settle(out *response, r *http.Request, d *Decision, cause token.Cause, recovered any, err error) error {
	aborted := recovered == http.ErrAbortHandler //nolint:errorlint // as net/http compares
	switch {
	case recovered != nil && !aborted, out.hijacked() && aborted:
		panic(recovered)
	case out.hijacked():
		return err
	case !out.wroteHeader:
		refusal := g.refuseCut(r, cause, err)
		refusal.Route, refusal.Lease = d.Route, d.Lease
		refusal.cors, refusal.origin = out.cors, out.origin
		return refusal
	case out.farewell(cause):
		return nil
	case aborted || out.late.Load():
		panic(http.ErrAbortHandler)
	}
	return err
}
