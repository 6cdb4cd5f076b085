//go:build proof

package proof

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// findings are what a proof found wrong.
type findings struct {
	mu   sync.Mutex
	list []string
}

func (f *findings) add(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, fmt.Sprintf(format, args...))
}

func (f *findings) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.list)
}

// report fails a test with what was found, of which the first is enough to
// begin with.
func (f *findings) report(t testing.TB) {
	t.Helper()
	for i, found := range f.list {
		if i == 20 {
			t.Errorf("… and %d more", len(f.list)-i)
			break
		}
		t.Error(found)
	}
}

// caller is a bot that writes down what it asks for and what it is told.
type caller struct {
	*bot
	number int
	round  int
	model  model
	ledger *ledger
	grants *atomic.Int64 // the last number that was given out
	random *rand.Rand
	checks int

	everything bool         // is looked at after this round
	found      map[fate]int // what became of uncertain grants in this round

	wrong *findings // with the server that runs
	gone  *findings // after a crash
}

func (c *caller) holdings() *holdings { return c.model[c.number] }

// note writes an entry down; it counts when note returns.
func (c *caller) note(e entry) {
	e.Round, e.Caller = c.round, c.number
	if err := c.ledger.record(e); err != nil {
		panic(fmt.Sprintf("ledger: %v", err))
	}
	c.model.apply(e)
}

// work does one thing after the other until there is no answer any more.
func (c *caller) work() {
	for c.step() {
	}
	c.hangUp()
}

// step does one random thing.
func (c *caller) step() bool {
	switch n := c.random.IntN(1000); {
	case n < 250:
		return c.issueAndRedeem()
	case n < 450:
		return c.obtainOwn()
	case n < 650:
		return c.renewOne()
	case n < 800:
		return c.revokeOne()
	case n < 870:
		return c.endOne()
	case n < 990:
		return c.lookAtOne()
	case n < 995:
		return c.kill(opKillClient, "/clients/"+c.client)
	default:
		return c.kill(opKillService, "/service-accounts/"+c.service)
	}
}

// good reports whether to go on after a request that must succeed.
func (c *caller) good(what string, a answer, err error) bool {
	if err != nil {
		return false
	}
	if a.status != 200 {
		c.wrong.add("round %d: %s was answered %s", c.round, what, a)
		return false
	}
	return true
}

func (c *caller) issueAndRedeem() bool {
	number := int(c.grants.Add(1))
	c.note(entry{Op: opIssue, Grant: number})
	code, a, err := c.code()
	if !c.good("code", a, err) {
		return false
	}
	c.note(entry{Op: opIssue, Grant: number, Done: true, Code: code})
	if c.random.IntN(6) == 0 {
		return true // for another time
	}
	return c.redeemNoted(number, code)
}

func (c *caller) redeemNoted(number int, code string) bool {
	c.note(entry{Op: opRedeem, Grant: number})
	got, a, err := c.redeem(code)
	if !c.good("redemption", a, err) {
		return false
	}
	c.note(entry{Op: opRedeem, Grant: number, Done: true, Access: got.Access, Refresh: got.Refresh})
	return true
}

func (c *caller) obtainOwn() bool {
	number := int(c.grants.Add(1))
	c.note(entry{Op: opCredentials, Grant: number})
	got, a, err := c.credentials()
	if !c.good("client_credentials", a, err) {
		return false
	}
	c.note(entry{Op: opCredentials, Grant: number, Done: true, Access: got.Access})
	return true
}

// pick returns one of the caller's later grants that fits, or nil.
func (c *caller) pick(fits func(*grant) bool) *grant {
	all := c.holdings().grants
	all = all[max(0, len(all)-30):]
	for range 5 {
		if len(all) == 0 {
			return nil
		}
		if g := all[c.random.IntN(len(all))]; g.fate == alive && fits(g) {
			return g
		}
	}
	return nil
}

func renewable(g *grant) bool { return g.refresh != "" }

func (c *caller) renewOne() bool {
	g := c.pick(renewable)
	return g == nil || c.renewNoted(g)
}

func (c *caller) renewNoted(g *grant) bool {
	c.note(entry{Op: opRefresh, Grant: g.number})
	got, a, err := c.refresh(g.refresh)
	if !c.good("renewal", a, err) {
		return false
	}
	c.note(entry{Op: opRefresh, Grant: g.number, Done: true, Access: got.Access, Refresh: got.Refresh})
	return true
}

// anyAccess is a random access token of the grant; it has one.
func (c *caller) anyAccess(g *grant) *accessToken { return g.access[c.random.IntN(len(g.access))] }

func hasAccess(g *grant) bool { return len(g.access) > 0 }

func (c *caller) revokeOne() bool {
	g := c.pick(hasAccess)
	if g == nil {
		return true
	}
	token := c.anyAccess(g)
	if token.fate != alive {
		return true
	}
	c.note(entry{Op: opRevoke, Grant: g.number, Item: token.raw})
	a, err := c.revoke(token.raw)
	if !c.good("revocation", a, err) {
		return false
	}
	c.note(entry{Op: opRevoke, Grant: g.number, Item: token.raw, Done: true})
	return true
}

func (c *caller) endOne() bool {
	g := c.pick(renewable)
	if g == nil {
		return true
	}
	c.note(entry{Op: opEnd, Grant: g.number})
	a, err := c.revoke(g.refresh)
	if !c.good("revocation of a grant", a, err) {
		return false
	}
	c.note(entry{Op: opEnd, Grant: g.number, Done: true})
	return true
}

// lookAtOne uses a token, or asks about it, and expects what was acknowledged.
func (c *caller) lookAtOne() bool {
	g := c.pick(hasAccess)
	if g == nil {
		return true
	}
	token := c.anyAccess(g)
	var lives bool
	var err error
	if c.random.IntN(2) == 0 {
		lives, err = c.passes(token.raw)
	} else {
		lives, _, err = c.introspect(token.raw)
	}
	if err != nil {
		return false
	}
	if lives != (token.fate == alive) {
		c.wrong.add("round %d: a token that is %s was found alive: %v", c.round, token.fate, lives)
	}
	return true
}

// passes reports whether the gate lets a token through.
func (c *caller) passes(token string) (bool, error) {
	a, err := c.use("/accounts", token)
	if err == nil && a.status != 200 && a.status != 401 {
		c.wrong.add("round %d: the gate answered %s", c.round, a)
	}
	return a.status == 200, err
}

func (c *caller) kill(what op, target string) bool {
	c.note(entry{Op: what})
	a, err := c.command("POST", target+"/revoke", `{"reason":"proof"}`)
	if !c.good(string(what), a, err) {
		return false
	}
	c.note(entry{Op: what, Done: true})
	return true
}
