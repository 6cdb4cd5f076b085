//go:build proof

package proof

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

const (
	flooders     = 16 // connections
	slicesOfEach = 12 // of each sort, in turn, so that what else the machine does meets both
	settling     = 50 * time.Millisecond
)

// onslaught is a flood in slices: in one of two the connections send made-up
// tokens, in the other a good one. One good client goes on all the while.
type onslaught struct {
	*server
	t     testing.TB
	made  func(i int) string
	good  string // the flooders' own good token
	bot   *bot
	wrong *findings

	garbage  atomic.Bool
	settled  atomic.Bool // the slice has gone on for a moment
	over     atomic.Bool
	number   atomic.Int64
	sent     [2]atomic.Int64   // requests of the flooders: good, garbage
	answered [600]atomic.Int64 // of the garbage, by status

	took     [2][]time.Duration // by the good client: beside good ones, beside garbage
	newcomer []time.Duration    // until a new token got in
}

// Made-up tokens, sent as fast as they are answered, cost a good client no more
// than as many good requests would: its p99 stays within twice of that.
//
// BEARER_FLOOD says how long each sort is sent, of each kind of token; then the
// ratio counts (make flood). Otherwise it is short, and what can be counted counts.
func TestGoodClientUnderAFlood(t *testing.T) {
	span, measured := 1200*time.Millisecond, false
	if text := os.Getenv("BEARER_FLOOD"); text != "" {
		var err error
		if span, err = time.ParseDuration(text); err != nil || span < time.Second {
			t.Fatalf("BEARER_FLOOD=%q: expected a duration from 1s", text)
		}
		measured = true
	}
	s := newServer(t, binary()).start()
	b := s.newBot(t, "good")
	table := []string{"| tokens | garbage/s | answered | good client beside good: p50, p99 | beside garbage: p50, p99 | ratio of p99 | new token in after: median, longest |", "|---|---|---|---|---|---|---|"}
	for _, kind := range s.madeUp(t, b) {
		o := &onslaught{server: s, t: t, made: kind.next, good: mustObtain(t, b), bot: b, wrong: new(findings)}
		o.run(span)
		o.wrong.report(t)
		line, ratio := o.result(kind.name, span)
		table = append(table, line)
		if measured && ratio > 2 {
			t.Errorf("%s: the good client's p99 is %.2f times that beside good requests", kind.name, ratio)
		}
	}
	if passed := len(s.backend.hits()); passed != 0 {
		t.Errorf("%d made-up tokens came through", passed)
	}
	t.Logf("%s of each:\n%s", span, strings.Join(table, "\n"))
}

func mustObtain(t testing.TB, b *bot) string {
	t.Helper()
	got, a, err := b.credentials()
	if err := a.refused("client_credentials", err); err != nil {
		t.Fatal(err)
	}
	return got.Access
}

// madeUp are kinds of tokens, by what their maker knows.
func (s *server) madeUp(t testing.TB, b *bot) []struct {
	name string
	next func(int) string
} {
	good := mustObtain(t, b)
	header, rest, _ := strings.Cut(good, ".")
	head := good[:strings.LastIndexByte(good, '.')+1]
	// Whoever has the root key of a lost world makes tokens with the right check.
	root, err := token.LoadRootKey(s.path("root.key"))
	if err != nil {
		t.Fatal(err)
	}
	keyring := token.NewKeyring(root, store.Sandbox)
	personal, _ := keyring.NewOpaque(store.Personal)
	const tail = 27 + 9 // random and check
	return []struct {
		name string
		next func(int) string
	}{
		{"random", func(i int) string { return fmt.Sprintf("%040d", i) }},
		{"opaque, wrong check", func(i int) string { return fmt.Sprintf("%s%0*d", personal[:len(personal)-tail], tail, i) }},
		{"opaque, right check, in no store", func(int) string { raw, _ := keyring.NewOpaque(store.Personal); return raw }},
		{"JWT of an unknown key", func(i int) string { return fmt.Sprintf("%s%06d.%s", header[:len(header)-8], i, rest) }},
		{"JWT with a signature of nobody", func(i int) string { return fmt.Sprintf("%s%085dA", head, i) }},
	}
}

func (o *onslaught) run(span time.Duration) {
	var all sync.WaitGroup
	for range flooders {
		all.Go(o.flood)
	}
	all.Go(o.goOn)
	arrivals := make(chan struct{}, 1)
	all.Go(func() { o.arrive(arrivals) })
	slice := span / slicesOfEach
	for i := range 2 * slicesOfEach {
		o.settled.Store(false)
		o.garbage.Store(i%2 == 1)
		time.Sleep(settling)
		o.settled.Store(true)
		if i%2 == 1 {
			select {
			case arrivals <- struct{}{}:
			default: // the one before is not in yet
			}
			o.lookAtSockets()
		}
		time.Sleep(slice - settling)
	}
	o.over.Store(true)
	close(arrivals)
	all.Wait()
}

// flood is one connection of the flood.
func (o *onslaught) flood() {
	b := o.connect(o.bot)
	defer b.hangUp()
	for !o.over.Load() {
		garbage, raw, mark := o.garbage.Load(), o.good, []string(nil)
		if garbage {
			raw, mark = o.made(int(o.number.Add(1))), []string{markHeader, "1"}
		}
		a, err := b.use("/accounts", raw, mark...)
		switch {
		case err != nil:
			o.wrong.add("no answer to the flood: %v", err)
			return
		case !garbage && a.status != 200:
			o.wrong.add("a good request of the flood was answered %s", a)
		case garbage:
			o.answered[a.status].Add(1)
			o.sent[1].Add(1)
		default:
			o.sent[0].Add(1)
		}
	}
}

// goOn is the good client, whose token is known. What is counted began and ended
// in one slice.
func (o *onslaught) goOn() {
	b := o.connect(o.bot)
	defer b.hangUp()
	for !o.over.Load() {
		garbage, settled := o.garbage.Load(), o.settled.Load()
		a, err := b.use("/accounts", o.good)
		if err != nil || a.status != 200 {
			o.wrong.add("the good client was answered %s, %v", a, err)
			return
		}
		if settled && o.settled.Load() && o.garbage.Load() == garbage {
			sort := 0
			if garbage {
				sort = 1
			}
			o.took[sort] = append(o.took[sort], a.read.Sub(a.sent))
		}
	}
}

// arrive is a client that gets a new token during each slice of garbage, from the
// address that the garbage comes from.
func (o *onslaught) arrive(arrivals <-chan struct{}) {
	b := o.connect(o.bot)
	defer b.hangUp()
	for range arrivals {
		got, a, err := b.credentials()
		if err := a.refused("client_credentials under a flood", err); err != nil {
			o.wrong.add("%v", err)
			continue
		}
		begin := time.Now()
		for {
			a, err := b.use("/accounts", got.Access)
			if err == nil && a.status == 200 {
				o.newcomer = append(o.newcomer, time.Since(begin))
				break
			}
			if err != nil || a.status != 429 && a.status != 503 || time.Since(begin) > patience {
				o.wrong.add("a new token was answered %s, %v", a, err)
				break
			}
		}
	}
}

// result is a line of the table.
func (o *onslaught) result(name string, span time.Duration) (line string, ratio float64) {
	refused := ""
	for status := range o.answered {
		n := o.answered[status].Load()
		if n == 0 {
			continue
		}
		refused += fmt.Sprintf("%d × %d, ", n, status)
		if status != 401 && status != 429 && status != 503 {
			o.t.Errorf("%s: %d answers of %d", name, n, status)
		}
	}
	beside, under := o.took[0], o.took[1]
	if len(beside) == 0 || len(under) == 0 || len(o.newcomer) == 0 {
		o.t.Errorf("%s: the good client got %d and %d answers, %d new tokens got in", name, len(beside), len(under), len(o.newcomer))
		return "", 0
	}
	ratio = float64(quantile(under, 0.99)) / float64(quantile(beside, 0.99))
	return fmt.Sprintf("| %s | %.0f | %s | %s, %s | %s, %s | %.2f | %s, %s |", name,
		float64(o.sent[1].Load())/span.Seconds(), strings.TrimSuffix(refused, ", "),
		quantile(beside, 0.5), quantile(beside, 0.99), quantile(under, 0.5), quantile(under, 0.99), ratio,
		quantile(o.newcomer, 0.5), quantile(o.newcomer, 1)), ratio
}

// quantile sorts what was measured.
func quantile(took []time.Duration, q float64) time.Duration {
	slices.Sort(took)
	return took[min(len(took)-1, int(q*float64(len(took))))].Round(10 * time.Microsecond)
}
