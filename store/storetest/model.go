package storetest

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// The models say what the contract says, in other words than a store does: in
// maps and without SQL. Random commands go to the model and to the store, and
// both must say the same, and hold the same, after each of them.
//
// All runs of a model share one store, because opening one is dear. So each run
// has parties and names of its own, and begins where the log ends.
var modelCases = []testCase{
	{"codes", func(w *world) {
		runModel(w, map[string]func(*model){
			"issue": (*model).issueCode, "redeem": (*model).redeemCode, "redeem again": (*model).redeemUsed,
			"redeem with nothing": (*model).redeemMadeUp, "renew": (*model).renewToken,
			"trouble": (*model).trouble, "enable": (*model).enable,
			"time passes": (*model).passTime, "something ends": (*model).passToEdge, "clock is set back": (*model).setBack, "collect": (*model).collectAll,
		})
	}},
	{"trading", func(w *world) {
		runModel(w, map[string]func(*model){
			"issue": (*model).issueTrading, "issue family": (*model).issueFamily, "issue code": (*model).issueCode,
			"show": (*model).presentAny, "show living": (*model).presentLiving, "show nothing": (*model).presentMadeUp,
			"redeem": (*model).redeemCode, "renew": (*model).renewToken,
			"trouble": (*model).trouble, "enable": (*model).enable,
			"time passes": (*model).passTime, "something ends": (*model).passToEdge, "clock is set back": (*model).setBack, "collect": (*model).collectAll,
		})
	}},
	{"own tokens", func(w *world) {
		runModel(w, map[string]func(*model){
			"share": (*model).issueShared, "share again": (*model).issueShared, "issue": (*model).issueFamily, "renew": (*model).renewToken,
			"trouble": (*model).trouble, "enable": (*model).enable,
			"time passes": (*model).passTime, "something ends": (*model).passToEdge, "clock is set back": (*model).setBack, "collect": (*model).collectAll,
		})
	}},
	{"families", func(w *world) {
		runModel(w, map[string]func(*model){
			"issue": (*model).issueFamily, "renew": (*model).renewToken, "renew head": (*model).renewHead,
			"retry": (*model).renewRotated, "retry once more": (*model).renewRotated, "renew with nothing": (*model).renewMadeUp,
			"trouble": (*model).trouble, "enable": (*model).enable,
			"time passes": (*model).passTime, "something ends": (*model).passToEdge, "clock is set back": (*model).setBack, "collect": (*model).collectAll,
		})
	}},
}

// Fewer runs than rapid's 100 keep the suite lean: each run of it tries others.
// Who changes a store adds -rapid.checks=1000.
func init() {
	if _, given := os.LookupEnv("RAPID_CHECKS"); !given {
		if err := flag.Set("rapid.checks", "25"); err != nil {
			panic(err)
		}
	}
}

// modelGrants bounds the grants of a run that are alive at a time.

const modelGrants = 4

// model is what a store must hold.
type model struct {
	*world
	t   *rapid.T
	run string // begins every name

	now, latest time.Time
	disabled    map[string]bool
	epoch       map[string]int64 // of parties and accounts
	number      int64            // the highest that was handed out
	grants      map[string]*modelGrant
	tokens      map[string]*modelToken // by secret, of all grants
	log         []store.Revocation     // what is kept
	told        []store.Revocation     // all that the hook must have heard
	since       store.Cursor
	named       int
}

type modelGrant struct {
	id       string
	account  bool // it covers the account
	shared   bool // it was made to be shared
	epoch    int64
	created  time.Time
	expires  time.Time
	revoked  time.Time
	reason   string
	code     bool // it has one
	codeEnds time.Time
	bound    binding // of the code
	used     time.Time
	usedBy   string
}

// binding is what a code is issued for.
type binding struct{ challenge, redirectURI string }

type modelToken struct {
	secret    string
	grant     string
	expires   time.Time
	revoked   time.Time
	successor string
	rotated   time.Time
	retries   int
	trading   bool
	unsealed  bool // its copy went when it had expired
}

// runModel runs random commands, many times over.
func runModel(w *world, commands map[string]func(*model)) {
	run := 0
	rapid.Check(w.T, func(t *rapid.T) {
		run++
		m := newModel(w, t, fmt.Sprintf("%d-", run))
		actions := map[string]func(*rapid.T){"": func(t *rapid.T) { m.on(t).compare() }}
		for name, command := range commands {
			actions[name] = func(t *rapid.T) { command(m.on(t)) }
		}
		t.Repeat(actions)
	})
}

func newModel(w *world, t *rapid.T, run string) *model {
	m := &model{
		world: w, t: t, run: run, now: now, latest: now,
		disabled: map[string]bool{}, epoch: map[string]int64{},
		grants: map[string]*modelGrant{}, tokens: map[string]*modelToken{},
	}
	m.try(w.Update(w.ctx, func(x store.Writer) error {
		return errors.Join(m.put(x, ann), m.put(x, app), m.put(x, thief), x.PutAccount(account(env, m.run+full)),
			x.PutBinding(store.Binding{Environment: env, Principal: m.run + ann, Account: m.run + full, Access: store.Full, Source: store.FromConfig}))
	}))
	revs, cursor, err := w.Snapshot(w.ctx)
	m.try(err)
	for _, rev := range revs {
		m.number = max(m.number, rev.Number)
	}
	m.since = cursor
	w.mu.Lock()
	w.delivered = nil
	w.mu.Unlock()
	return m
}

// on makes the model speak to the step under way.
func (m *model) on(t *rapid.T) *model {
	m.t = t
	return m
}

// put writes a party as the model has it.
func (m *model) put(x store.Writer, party string) error {
	status := store.Active
	if m.disabled[party] {
		status = store.Disabled
	}
	if party == ann {
		p := principal(env)
		p.ID, p.Status = m.run+ann, status
		return x.PutPrincipal(p)
	}
	c := client(env, m.run+party)
	c.Status = status
	return x.PutClient(c)
}

// try ends the run if the store fails where it must not.
func (m *model) try(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// answers compares the store's error with the model's.
func (m *model) answers(got, want error) {
	m.t.Helper()
	if want == nil && got != nil || want != nil && !errors.Is(got, want) {
		m.t.Fatalf("the store says %v, the model %v", got, want)
	}
}

// name makes one that was never used.
func (m *model) name(kind string) string {
	m.named++
	return fmt.Sprintf("%s%s-%d", m.run, kind, m.named)
}

func pick[T any](m *model, label string, of ...T) T { return rapid.SampledFrom(of).Draw(m.t, label) }

// pickKey chooses from a map in an order that a replay finds again.
func pickKey[T any](m *model, label string, of map[string]T) string {
	if len(of) == 0 {
		m.t.Skip("there is none")
	}
	return pick(m, label, sortedNames(of)...)
}

// those are the records that fit.
func those[T any](all map[string]*T, fits func(*T) bool) map[string]*T {
	some := map[string]*T{}
	for name, one := range all {
		if fits(one) {
			some[name] = one
		}
	}
	return some
}

func sortedNames[T any](of map[string]T) []string {
	names := make([]string, 0, len(of))
	for name := range of {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// dead is what store.Standing.Dead must say.
func (m *model) dead(g *modelGrant) bool {
	return !g.revoked.IsZero() || m.disabled[ann] || m.disabled[app] || g.epoch < m.highest(g)
}

// highest is the highest epoch that a grant stands on.
func (m *model) highest(g *modelGrant) int64 {
	epoch := max(m.epoch[ann], m.epoch[app])
	if g.account {
		epoch = max(epoch, m.epoch[full])
	}
	return epoch
}

func over(end, now time.Time) bool { return !end.IsZero() && !end.After(now) }

// enter records a revocation that the store must have logged and told.
func (m *model) enter(rev store.Revocation) {
	m.log, m.told = append(m.log, rev), append(m.told, rev)
}

// punish is what a replay or a reuse does to a grant that is still alive.
func (m *model) punish(g *modelGrant, reason string) {
	if !g.revoked.IsZero() {
		return
	}
	g.revoked, g.reason = m.now, reason
	m.enter(store.Revocation{Environment: env, Kind: store.KindGrant, Target: g.id, At: m.now, Expires: m.now.Add(retain), Reason: reason})
}

// passTime moves the clock on.
func (m *model) passTime() {
	m.now = m.now.Add(pick(m, "by", time.Millisecond, 3*time.Second, 5*time.Second, 10*time.Second, 30*time.Second, time.Minute,
		10*time.Minute, time.Hour, 25*time.Hour))
	m.latest = later(m.latest, m.now)
}

// passToEdge moves the clock on to where something ends, or a tick beside it.
func (m *model) passToEdge() {
	var edges []time.Time
	add := func(since time.Time, after ...time.Duration) {
		for _, d := range after {
			if at := since.Add(d); !since.IsZero() && at.After(m.now) && at.Before(m.now.Add(2*time.Hour)) {
				edges = append(edges, at)
			}
		}
	}
	for _, id := range sortedNames(m.grants) {
		add(m.grants[id].codeEnds, 0)
		add(m.grants[id].expires, 0)
		add(m.grants[id].used, 5*time.Second)
	}
	for _, secret := range sortedNames(m.tokens) {
		add(m.tokens[secret].expires, 0)
		add(m.tokens[secret].rotated, 10*time.Second, 30*time.Second, 10*time.Minute)
	}
	if len(edges) == 0 {
		m.t.Skip("nothing ends soon")
	}
	m.now = pick(m, "edge", edges...).Add(pick(m, "beside", 0, time.Millisecond, -time.Millisecond))
	m.latest = later(m.latest, m.now)
}

// setBack is what becomes of clocks. What was collected is gone, so nobody may
// go back very far.
func (m *model) setBack() {
	back := m.now.Add(-pick(m, "by", time.Second, 20*time.Second, time.Hour))
	m.now = later(back, m.latest.Add(-2*time.Hour))
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// killParty raises an epoch.
func (m *model) killParty() {
	kind := pick(m, "kind", store.KindPrincipal, store.KindClient, store.KindAccount)
	target := map[store.Kind]string{store.KindPrincipal: ann, store.KindClient: app, store.KindAccount: full}[kind]
	rev, err := m.Revoke(m.ctx, store.Revocation{Environment: env, Kind: kind, Target: m.run + target, At: m.now, Reason: "model"}, store.Event{})
	m.try(err)
	if rev.Number <= m.number {
		m.t.Fatalf("number %d after %d", rev.Number, m.number)
	}
	m.number, m.epoch[target] = rev.Number, rev.Number
	m.enter(store.Revocation{Environment: env, Kind: kind, Target: m.run + target, Number: rev.Number, At: m.now, Reason: "model"})
}

// revokeGrant revokes a grant by hand, dead or alive.
func (m *model) revokeGrant() {
	g := m.grants[pickKey(m, "grant", m.grants)]
	rev := m.byHand(store.KindGrant, g.id, g.revoked.IsZero())
	if g.revoked.IsZero() {
		g.revoked, g.reason = m.now, rev.Reason
	}
}

// revokeToken revokes a token by hand, dead or alive.
func (m *model) revokeToken() {
	token := m.tokens[pickKey(m, "token", m.tokens)]
	m.byHand(store.KindToken, "id-"+token.secret, token.revoked.IsZero())
	if token.revoked.IsZero() {
		token.revoked = m.now
	}
}

// byHand revokes; only a fresh revocation is logged.
func (m *model) byHand(kind store.Kind, target string, fresh bool) store.Revocation {
	rev := store.Revocation{Environment: env, Kind: kind, Target: target, At: m.now, Expires: m.now.Add(retain), Reason: "by hand"}
	_, err := m.Revoke(m.ctx, rev, store.Event{})
	m.try(err)
	if fresh {
		m.enter(rev)
	}
	return rev
}

// trouble is what ends everything for some. It is rare, or little would live.
func (m *model) trouble() {
	switch pick(m, "trouble", "none", "revoke token", "revoke token", "disable", "revoke grant", "kill") {
	case "none":
		m.t.Skip("not now")
	case "disable":
		m.enabled(pick(m, "party", ann, app), false)
	case "revoke grant":
		m.revokeGrant()
	case "revoke token":
		m.revokeToken()
	case "kill":
		m.killParty()
	}
}

// enable lets who is disabled go on.
func (m *model) enable() { m.enabled(pickKey(m, "party", m.disabled), true) }

func (m *model) enabled(party string, yes bool) {
	if m.disabled[party] = true; yes {
		delete(m.disabled, party)
	}
	m.try(m.Update(m.ctx, func(x store.Writer) error { return m.put(x, party) }))
}
