//go:build proof

package proof

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	cells        = 48 // revoke at the same time
	usersPerCell = 2  // use the token that is about to be revoked
)

// target is a token that is used from several connections while it is revoked.
type target struct {
	mark  int
	token string
	ended atomic.Int64 // when the revocation's answer was read, in ns since began; 0: not yet

	mu       sync.Mutex
	accepted int           // requests that were let through
	refused  int           // requests that were answered 401
	last     time.Duration // when the last of the accepted was sent
}

// judged counts the answer to a request.
func (g *target) judged(sent time.Duration, accepted bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !accepted {
		g.refused++
		return
	}
	g.accepted++
	g.last = max(g.last, sent)
}

// No request that is sent after the answer to a revocation has been read passes
// the gate: neither does a caller see it accepted, nor does the backend see it.
//
// BEARER_REVOCATIONS says how many.
func TestNoRequestPassesAfterTheRevocationIsAnswered(t *testing.T) {
	total := number(t, "BEARER_REVOCATIONS", 20_000)
	s := newServer(t, binary()).start()
	r := &race{server: s, targets: make([]*target, total), latency: make([]time.Duration, total)}
	began := time.Now()
	var all sync.WaitGroup
	for i := range cells {
		b := s.newBot(t, strconv.Itoa(i))
		all.Go(func() { r.cell(b) })
	}
	all.Wait()
	took := time.Since(began)
	if r.wrong.count() == 0 {
		r.judge()
		slices.Sort(r.latency)
		t.Logf("%d revocations %v in %s; %d requests accepted before, %d refused after; answer after p50 %s, p99 %s, max %s",
			total, &r.ways, took.Round(time.Millisecond), r.accepted, r.refused,
			r.latency[total/2].Round(time.Microsecond), r.latency[total*99/100].Round(time.Microsecond), r.latency[total-1].Round(time.Microsecond))
	}
	r.wrong.report(t)
}

// race is what all cells share.
type race struct {
	server  *server
	next    atomic.Int64
	targets []*target
	latency []time.Duration
	ways    ways
	wrong   findings

	accepted, refused int
}

// ways counts how tokens were revoked.
type ways struct {
	mu    sync.Mutex
	count map[string]int
}

func (w *ways) add(way string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.count == nil {
		w.count = map[string]int{}
	}
	w.count[way]++
}

func (w *ways) String() string { return fmt.Sprint(w.count) }

// cell gets tokens, has them used, and revokes them, one after the other.
func (r *race) cell(b *bot) {
	var users sync.WaitGroup
	var hand []chan *target
	ready := make(chan bool, usersPerCell)
	for range usersPerCell {
		targets := make(chan *target)
		hand = append(hand, targets)
		other := r.server.connect(b)
		users.Go(func() { r.use(other, targets, ready) })
	}
	for r.wrong.count() == 0 {
		mark := int(r.next.Add(1)) - 1
		if mark >= len(r.targets) {
			break
		}
		g := &target{mark: mark}
		r.targets[mark] = g
		if err := r.revokeWhileUsed(b, g, hand, ready); err != nil {
			r.wrong.add("token %d: %v", mark, err)
		}
	}
	for _, targets := range hand {
		close(targets)
	}
	users.Wait()
}

// revokeWhileUsed lets the users begin, revokes when each was let through once,
// and returns when each was refused.
func (r *race) revokeWhileUsed(b *bot, g *target, hand []chan *target, ready chan bool) error {
	way, revoke, err := b.obtainFor(g)
	if err != nil {
		return err
	}
	for _, targets := range hand {
		targets <- g
	}
	for range hand {
		if !<-ready {
			return fmt.Errorf("was refused before it was revoked")
		}
	}
	a, err := revoke()
	// Users go on until they are refused, so they must learn of failures too.
	g.ended.Store(int64(max(1, a.read.Sub(began))))
	for range hand {
		<-ready
	}
	r.ways.add(way)
	r.latency[g.mark] = a.read.Sub(a.sent)
	return a.refused("revocation by "+way, err)
}

// obtainFor gets the target a token, and says how to revoke it.
func (b *bot) obtainFor(g *target) (way string, revoke func() (answer, error), err error) {
	n := rand.IntN(100)
	if n >= 75 {
		return b.obtainByCode(g, n)
	}
	got, a, err := b.credentials()
	if err := a.refused("client_credentials", err); err != nil {
		return "", nil, err
	}
	g.token = got.Access
	switch {
	case n < 65:
		return "access token", func() (answer, error) { return b.revoke(got.Access) }, nil
	case n < 70:
		return "command token", func() (answer, error) {
			return b.command("POST", "/tokens/revoke", `{"token":"`+got.Access+`"}`)
		}, nil
	default:
		return "command client", func() (answer, error) { return b.command("POST", "/clients/"+b.client+"/revoke", `{}`) }, nil
	}
}

// obtainByCode gets a token by the bank's protocol.
func (b *bot) obtainByCode(g *target, n int) (way string, revoke func() (answer, error), err error) {
	got, err := b.authorize()
	if err != nil {
		return "", nil, err
	}
	g.token = got.Access
	known, err := claimsOf(got.Access)
	if err != nil {
		return "", nil, err
	}
	switch {
	case n < 90:
		return "refresh token", func() (answer, error) { return b.revoke(got.Refresh) }, nil
	case n < 95:
		return "command grant", func() (answer, error) { return b.command("POST", "/grants/"+known.Grant+"/revoke", `{}`) }, nil
	default:
		return "command service account", func() (answer, error) {
			return b.command("POST", "/service-accounts/"+b.service+"/revoke", `{}`)
		}, nil
	}
}

// authorize takes the two calls of the bank's protocol together.
func (b *bot) authorize() (tokens, error) {
	code, a, err := b.code()
	if err := a.refused("code", err); err != nil {
		return tokens{}, err
	}
	got, a, err := b.redeem(code)
	return got, a.refused("redemption", err)
}

// use sends one request after the other with a target's token: it says so when
// the first was accepted, and again when one was refused that was sent after the
// end.
func (r *race) use(b *bot, targets chan *target, ready chan bool) {
	for g := range targets {
		said := false
		for {
			ended := g.ended.Load()
			sent := time.Since(began)
			a, err := b.use("/accounts", g.token, markHeader, strconv.Itoa(g.mark), sentHeader, strconv.FormatInt(int64(sent), 10))
			accepted := err == nil && a.status == 200
			// What is under way when the token ends has half a second left. Then it is
			// cut, and if its answer had begun, by a broken connection.
			cut := err != nil && said && ended == 0
			if !cut && (err != nil || a.status != 200 && a.status != 401) {
				r.wrong.add("token %d: the gate answered %v %s", g.mark, err, a)
			}
			g.judged(sent, accepted)
			if !said {
				ready <- accepted
				if said = true; !accepted {
					break
				}
			}
			if ended != 0 {
				ready <- true
				break
			}
		}
	}
}

// judge compares when requests were sent with when the revocation's answer came.
func (r *race) judge() {
	for _, g := range r.targets {
		r.accepted += g.accepted
		r.refused += g.refused
		ended := time.Duration(g.ended.Load())
		if g.last > ended {
			r.wrong.add("token %d: a request sent %s after the revocation was answered was let through", g.mark, g.last-ended)
		}
		if g.refused < usersPerCell {
			r.wrong.add("token %d was refused %d times only", g.mark, g.refused)
		}
	}
	witnessed := make([]int, len(r.targets))
	for _, h := range r.server.backend.hits() {
		witnessed[h.mark]++
		if ended := time.Duration(r.targets[h.mark].ended.Load()); h.sent > ended {
			r.wrong.add("token %d: a request sent %s after the revocation was answered reached the backend", h.mark, h.sent-ended)
		}
		if h.client == "" {
			r.wrong.add("token %d: the backend was not told whose request it is", h.mark)
		}
	}
	for mark, n := range witnessed {
		if g := r.targets[mark]; n < g.accepted {
			r.wrong.add("token %d: %d requests were accepted, but %d reached the backend", mark, g.accepted, n)
		}
	}
}
