//go:build proof

package proof

import "fmt"

// fate is what is known of a token or grant.
type fate string

const (
	alive     fate = "alive"
	uncertain fate = "uncertain" // its end was asked for, and the crash came before the answer
	dead      fate = "dead"
	lost      fate = "lost" // nobody was told its tokens: there is nothing to check
)

// accessToken is an access token that was acknowledged.
type accessToken struct {
	raw, id string
	fate    fate
	touched int // the last round in which anything happened to it
}

// grant is what callers were told of a grant, and what they have asked for.
type grant struct {
	number  int
	id      string // in the database, known with the first access token
	own     bool   // of client_credentials: it has no code and no refresh token
	fate    fate
	ended   bool // by itself, and not with its client or service account
	touched int  // the last round in which anything happened to it

	code     string
	redeemed bool
	asked    bool // redemption or renewal was asked for and not answered

	refresh string   // the head
	rotated []string // what was the head before
	access  []*accessToken
}

// holdings are the grants of one caller. Nobody else touches them.
type holdings struct {
	grants []*grant
	index  map[int]*grant
	acks   map[op]int
}

// model is what follows from a ledger. It changes by apply alone.
type model []*holdings

func newModel(callers int) model {
	m := make(model, callers)
	for i := range m {
		m[i] = &holdings{index: map[int]*grant{}, acks: map[op]int{}}
	}
	return m
}

// apply is what an entry means.
func (m model) apply(e entry) {
	h := m[e.Caller]
	if e.Done && e.Op != opFound {
		h.acks[e.Op]++
	}
	if e.Done && (e.Op == opIssue || e.Op == opCredentials) {
		g := &grant{number: e.Grant, fate: alive, code: e.Code, own: e.Op == opCredentials}
		h.grants = append(h.grants, g)
		h.index[e.Grant] = g
	}
	if e.Op == opKillClient || e.Op == opKillService {
		h.kill(e)
		return
	}
	g := h.index[e.Grant]
	if g == nil {
		return // asked for, and never answered
	}
	g.touched = e.Round
	switch e.Op {
	case opRedeem:
		g.asked, g.redeemed = !e.Done, e.Done
	case opRefresh:
		g.asked = !e.Done
		if e.Done {
			g.rotated = append(g.rotated, g.refresh)
		}
	case opRevoke:
		g.find(e.Item).become(ending(e.Done), e.Round)
	case opEnd:
		g.fate, g.ended = ending(e.Done), e.Done
	case opFound:
		g.found(e)
	}
	g.add(e)
}

// ending is the fate of what is being ended.
func ending(acknowledged bool) fate {
	if acknowledged {
		return dead
	}
	return uncertain
}

func (g *grant) add(e entry) {
	if e.Refresh != "" {
		g.refresh = e.Refresh
	}
	if e.Access == "" {
		return
	}
	known, err := claimsOf(e.Access)
	if err != nil {
		panic(fmt.Sprintf("what was acknowledged is no token: %v", err))
	}
	g.id = known.Grant
	g.access = append(g.access, &accessToken{e.Access, known.ID, alive, e.Round})
}

// found settles what was uncertain.
func (g *grant) found(e entry) {
	if e.Item == "" {
		g.fate, g.asked = e.Fate, false
		return
	}
	g.find(e.Item).become(e.Fate, e.Round)
}

func (a *accessToken) become(f fate, round int) { a.fate, a.touched = f, round }

func (g *grant) find(raw string) *accessToken {
	for _, a := range g.access {
		if a.raw == raw {
			return a
		}
	}
	panic("the ledger names a token that it does not know")
}

// kill ends all that a caller's client has, or its service account.
func (h *holdings) kill(e entry) {
	for _, g := range h.grants {
		if g.own && e.Op == opKillService {
			continue
		}
		if !e.Done && g.fate == alive || e.Done && g.fate == uncertain {
			g.fate, g.touched = ending(e.Done), e.Round
		}
	}
}
