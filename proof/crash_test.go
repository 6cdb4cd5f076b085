//go:build proof

package proof

import (
	"fmt"
	"math/rand/v2"
	"os"
	"reflect"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const (
	callers = 24
	// killsPerDatabase bounds how large a database grows: its survey takes time.
	killsPerDatabase = 100
)

// number reads a setting from the environment of the test.
func number(t testing.TB, name string, otherwise int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: expected a number from 1", name, text)
	}
	return n
}

// Whatever was acknowledged over HTTP before kill -9 is there afterwards,
// nothing that was revoked comes back, and nobody is locked out.
//
// BEARER_KILLS says how often, BEARER_SEED which random moments.
func TestNothingAcknowledgedIsLostByKill9(t *testing.T) {
	kills := number(t, "BEARER_KILLS", 100)
	seed := uint64(number(t, "BEARER_SEED", rand.IntN(1<<30)+1))
	t.Logf("BEARER_SEED=%d", seed)
	for first := 0; first < kills; first += killsPerDatabase {
		t.Run(fmt.Sprintf("from kill %d", first+1), func(t *testing.T) {
			p := newCrashProof(t, binary(), seed+uint64(first))
			last := min(kills-first, killsPerDatabase)
			for round := 1; round <= last && p.gone.count()+p.wrong.count() == 0; round++ {
				p.crash(round, round == last || round%50 == 0)
			}
			p.finish()
			p.wrong.report(t)
			p.gone.report(t)
			t.Log(p.figures())
		})
	}
}

// crashProof is one database, the callers, and what they were told.
type crashProof struct {
	t       testing.TB
	server  *server
	random  *rand.Rand
	ledger  *ledger
	path    string // of the ledger
	callers []*caller
	model   model
	wrong   findings
	gone    findings

	kills   int
	loaded  time.Duration // how long the callers worked
	started time.Duration // how long starts took
	checked time.Duration // how long checks took
}

func newCrashProof(t testing.TB, executable string, seed uint64, environment ...string) *crashProof {
	p := &crashProof{t: t, server: newServer(t, executable), random: rand.New(rand.NewPCG(seed, 0)), model: newModel(callers)}
	p.path = p.server.path("ledger")
	var err error
	if p.ledger, err = openLedger(p.path); err != nil {
		t.Fatal(err)
	}
	p.server.environment = environment
	p.server.start()
	grants := new(atomic.Int64)
	for i := range callers {
		p.callers = append(p.callers, &caller{
			bot: p.server.newBot(t, strconv.Itoa(i)), number: i, model: p.model, ledger: p.ledger, grants: grants,
			random: rand.New(rand.NewPCG(seed, uint64(i)+1)), wrong: &p.wrong, gone: &p.gone,
		})
	}
	return p
}

// each runs something for all callers at once, and returns when the last ended.
func (p *crashProof) each(do func(*caller)) *sync.WaitGroup {
	var all sync.WaitGroup
	for _, c := range p.callers {
		all.Go(func() { do(c) })
	}
	return &all
}

// crash lets the callers work, kills the server at a random moment, starts it
// again and checks everything.
func (p *crashProof) crash(round int, everything bool) {
	for _, c := range p.callers {
		c.round = round
	}
	working := p.each((*caller).work)
	load := 20*time.Millisecond + time.Duration(p.random.Int64N(int64(280*time.Millisecond)))
	time.Sleep(load) // the random moment
	p.server.kill()
	working.Wait()
	p.kills++
	p.loaded += load

	began := time.Now()
	left, err := p.server.copyDatabase("left.db")
	if err != nil {
		p.t.Fatal(err)
	}
	want := p.model.rowsOf()
	surveyed := make(chan error, 1)
	go func() { surveyed <- survey(left, want, &p.gone) }()
	p.server.start()
	p.started += time.Since(began)

	began = time.Now()
	p.each(func(c *caller) { c.checkAll(everything) }).Wait()
	p.checked += time.Since(began)
	if err := <-surveyed; err != nil {
		p.t.Fatal(err)
	}
}

// finish compares the ledger on the disk with what the proof went by.
func (p *crashProof) finish() {
	if err := p.ledger.close(); err != nil {
		p.t.Fatal(err)
	}
	read := newModel(callers)
	if err := readLedger(p.path, read.apply); err != nil {
		p.t.Fatal(err)
	}
	if !reflect.DeepEqual(read, p.model) {
		p.t.Error("the ledger on the disk says something else than what was checked")
	}
}

func (p *crashProof) figures() string {
	acks, total, checks := map[op]int{}, 0, 0
	for _, c := range p.callers {
		checks += c.checks
		for what, n := range c.holdings().acks {
			acks[what] += n
			total += n
		}
	}
	return fmt.Sprintf("%d kills after %s of load each (start %s, check %s each): %d acknowledgements %v, %d answers checked",
		p.kills, p.mean(p.loaded), p.mean(p.started), p.mean(p.checked), total, acks, checks)
}

func (p *crashProof) mean(d time.Duration) time.Duration {
	return (d / time.Duration(max(1, p.kills))).Round(time.Millisecond)
}
