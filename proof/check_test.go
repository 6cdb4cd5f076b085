//go:build proof

package proof

// What must be true after a crash. Each caller checks its own grants; what it
// finds out about uncertain ones is written down like an acknowledgement.

// checkAll looks at all that happened to the caller's grants in this round, and
// at some, or all, of what it knows from former rounds.
func (c *caller) checkAll(everything bool) {
	c.everything = everything
	var former []*grant
	killed := c.killUnanswered()
	c.found = map[fate]int{}
	for _, g := range c.holdings().grants {
		if g.touched != c.round && !everything {
			former = append(former, g)
			continue
		}
		c.check(g)
	}
	if killed && c.found[alive] > 0 && c.found[dead] > 0 {
		c.gone.add("round %d: a kill that was not answered took %d grants and left %d", c.round, c.found[dead], c.found[alive])
	}
	const sample = 2
	for i := 0; i < sample && len(former) > 0; i++ {
		c.check(former[c.random.IntN(len(former))])
	}
}

// killUnanswered reports whether more than one grant is uncertain: a caller does
// one thing at a time, so that only a kill of all can have caused it.
func (c *caller) killUnanswered() bool {
	n := 0
	for _, g := range c.holdings().grants {
		if g.fate == uncertain {
			n++
		}
	}
	return n > 1
}

// due are the access tokens of a grant to look at: those to which anything
// happened in this round, and two more, or all.
func (c *caller) due(g *grant) (list []*accessToken) {
	for _, a := range g.access {
		if c.everything || a.touched == c.round {
			list = append(list, a)
		}
	}
	if len(list) < len(g.access) {
		list = append(list, c.anyAccess(g), c.anyAccess(g))
	}
	return list
}

// check asks the server about a grant.
func (c *caller) check(g *grant) {
	if g.asked && !g.redeemed {
		c.redeemAgain(g)
	}
	if g.fate == uncertain {
		c.findOut(g)
	}
	switch g.fate {
	case dead:
		c.checkDead(g)
	case alive:
		c.checkAlive(g)
	}
}

// redeemAgain presents a code whose redemption was not answered. If it was used,
// the answer with the tokens is lost, and a new code is all that helps.
func (c *caller) redeemAgain(g *grant) {
	got, a, err := c.redeem(g.code)
	switch {
	case !c.answered("redemption", err):
	case a.status == 200:
		c.note(entry{Op: opRedeem, Grant: g.number, Done: true, Access: got.Access, Refresh: got.Refresh})
	case a.status == 400:
		c.note(entry{Op: opFound, Grant: g.number, Fate: lost})
	default:
		c.gone.add("round %d: a code whose redemption was not answered: %s", c.round, a)
	}
}

// answered reports whether there was an answer; the server runs, so there must be.
func (c *caller) answered(what string, err error) bool {
	c.checks++
	if err != nil {
		c.wrong.add("round %d: no answer to %s after the restart: %v", c.round, what, err)
	}
	return err == nil
}

// findOut settles a grant whose end was not answered: it may live or not, but as
// a whole.
func (c *caller) findOut(g *grant) {
	var verdicts []bool
	for _, token := range c.due(g) {
		if token.fate == alive {
			verdicts = append(verdicts, c.lives(token))
		}
	}
	if g.refresh != "" {
		active, _, err := c.introspect(g.refresh)
		c.answered("introspection", err)
		verdicts = append(verdicts, active)
	}
	if !g.redeemed && !g.own {
		got, a, err := c.redeem(g.code)
		c.answered("redemption", err)
		if a.status == 200 {
			c.note(entry{Op: opRedeem, Grant: g.number, Done: true, Access: got.Access, Refresh: got.Refresh})
		}
		verdicts = append(verdicts, a.status == 200)
	}
	found := alive
	if len(verdicts) == 0 {
		found = lost // those looked at were revoked by themselves
	}
	for _, lives := range verdicts {
		if lives != verdicts[0] {
			c.gone.add("round %d: a grant is half dead: %v", c.round, verdicts)
		}
		if !lives {
			found = dead
		}
	}
	c.found[found]++
	c.note(entry{Op: opFound, Grant: g.number, Fate: found})
}

// lives asks gate and issuer, which must agree.
func (c *caller) lives(token *accessToken) bool {
	passes, err := c.passes(token.raw)
	c.answered("a request", err)
	active, _, err := c.introspect(token.raw)
	c.answered("introspection", err)
	if passes != active {
		c.gone.add("round %d: the gate lets a token through: %v, the issuer calls it active: %v", c.round, passes, active)
	}
	return passes
}

// expect compares what is with what was acknowledged.
func (c *caller) expect(what string, want, got bool) {
	if want != got {
		c.gone.add("round %d: %s: good: %v, but acknowledged as good: %v", c.round, what, got, want)
	}
}

// checkDead: nothing that was revoked comes back.
func (c *caller) checkDead(g *grant) {
	for _, token := range c.due(g) {
		c.expect("an access token of a revoked grant", false, c.lives(token))
	}
	if g.refresh != "" {
		active, _, err := c.introspect(g.refresh)
		c.answered("introspection", err)
		c.expect("a refresh token of a revoked grant", false, active)
		_, a, err := c.refresh(g.refresh)
		c.answered("renewal", err)
		c.expect("a renewal of a revoked grant", false, a.status != 400)
	}
	if !g.redeemed && !g.own {
		_, a, err := c.redeem(g.code)
		c.answered("redemption", err)
		c.expect("the code of a revoked grant", false, a.status != 400)
	}
}

// checkAlive: everything acknowledged works, but for what was revoked by itself.
func (c *caller) checkAlive(g *grant) {
	for _, token := range c.due(g) {
		lives := c.lives(token)
		switch {
		case token.fate == uncertain && lives:
			c.note(entry{Op: opFound, Grant: g.number, Item: token.raw, Fate: alive})
		case token.fate == uncertain:
			c.note(entry{Op: opFound, Grant: g.number, Item: token.raw, Fate: dead})
		default:
			c.expect("an access token", token.fate == alive, lives)
		}
	}
	if g.refresh != "" {
		c.checkFamily(g)
	}
	if !g.redeemed && !g.own && c.random.IntN(2) == 0 {
		c.redeemAtLast(g)
	} else if g.redeemed && c.random.IntN(50) == 0 {
		c.replay(g)
	}
}

// checkFamily: nobody is locked out by a crash. Who got no answer presents the
// old refresh token again.
func (c *caller) checkFamily(g *grant) {
	if g.asked {
		got, a, err := c.refresh(g.refresh)
		c.answered("renewal", err)
		c.expect("a renewal that was not answered, asked for again", true, a.status == 200)
		if a.status != 200 {
			return
		}
		c.note(entry{Op: opRefresh, Grant: g.number, Done: true, Access: got.Access, Refresh: got.Refresh})
	}
	active, _, err := c.introspect(g.refresh)
	c.answered("introspection", err)
	c.expect("the head of a family of refresh tokens", true, active)
	if len(g.rotated) > 0 {
		active, _, err := c.introspect(g.rotated[len(g.rotated)-1])
		c.answered("introspection", err)
		c.expect("a refresh token that was used", false, active)
	}
}

// redeemAtLast: an acknowledged code can be redeemed.
func (c *caller) redeemAtLast(g *grant) {
	got, a, err := c.redeem(g.code)
	c.answered("redemption", err)
	c.expect("a code", true, a.status == 200)
	if a.status == 200 {
		c.note(entry{Op: opRedeem, Grant: g.number, Done: true, Access: got.Access, Refresh: got.Refresh})
		c.expect("the token of a code", true, c.lives(g.access[0]))
	}
}

// replay: but once only. The second time it is refused, and if it comes late,
// all of the grant ends.
func (c *caller) replay(g *grant) {
	_, a, err := c.redeem(g.code)
	c.answered("redemption", err)
	c.expect("a code that was used", false, a.status != 400)
	active, _, err := c.introspect(g.refresh)
	c.answered("introspection", err)
	if !active {
		c.note(entry{Op: opFound, Grant: g.number, Fate: dead})
	}
}
