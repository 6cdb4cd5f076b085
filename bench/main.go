//go:build linux

package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// tags are those of the released binary, so that the build cache is shared.
const tags = "nobadger,nomysql,nopgx"

// stepRuns is how often each Go benchmark runs.
const stepRuns = 3

// options are the command line's.
type options struct {
	slice    time.Duration
	rounds   int
	steps    bool
	million  bool
	update   bool
	out      string
	from     string
	binaries binaries
	profile  string
}

func main() {
	var o options
	flag.DurationVar(&o.slice, "time", 3*time.Second, "load on each contender in each round, in whole seconds")
	flag.IntVar(&o.rounds, "rounds", 6, "how often each contender comes")
	flag.BoolVar(&o.steps, "steps", true, "run the Go benchmarks of the parts too")
	flag.BoolVar(&o.million, "million", false, "show the gate a million distinct tokens too")
	flag.BoolVar(&o.update, "update", false, "write docs/benchmarks.md and its plot")
	flag.StringVar(&o.out, "json", "bin/bench/results.json", "where all figures go")
	flag.StringVar(&o.from, "from", "", "measure nothing; take the figures from this file, which -json wrote")
	flag.StringVar(&o.binaries.ours, "caddy", "bin/caddy", "our binary")
	flag.StringVar(&o.binaries.oursWithoutProfile, "plain", "bin/bench/caddy-nopgo", "our binary, built without a profile")
	flag.StringVar(&o.binaries.stock, "stock", "bin/bench/stock", "Caddy with its standard modules alone")
	flag.StringVar(&o.profile, "profile", "", "do nothing but write a profile of our binary under load to this file")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := o.run(ctx)
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func (o *options) run(ctx context.Context) error {
	if o.from != "" {
		found, err := read(o.from)
		if err != nil {
			return err
		}
		return o.report(found)
	}
	for _, tool := range []string{"wrk", "haproxy", "nginx"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is needed and was not found; install it, as with: sudo apt-get install wrk haproxy nginx-light", tool)
		}
	}
	for _, binary := range []*string{&o.binaries.ours, &o.binaries.oursWithoutProfile, &o.binaries.stock} {
		absolute, err := filepath.Abs(*binary)
		if err != nil {
			return err
		}
		*binary = absolute
	}
	place, err := newRoom()
	if err != nil {
		return err
	}
	defer place.close()
	g := &gateways{room: place, binaries: o.binaries}
	if g.press, err = newPress(place.dir); err != nil {
		return err
	}
	if place.upstream, err = place.nginx("upstream", settings{}); err != nil {
		return err
	}
	if o.profile != "" {
		return g.record(ctx, o.profile, o.slice)
	}
	found, err := o.measure(ctx, g)
	if err != nil {
		return err
	}
	return o.report(found)
}

// measure starts everything and goes through the rounds.
func (o *options) measure(ctx context.Context, g *gateways) (*result, error) {
	r := &result{Date: time.Now().UTC().Format(time.DateOnly), Rounds: o.rounds, Seconds: o.slice.Seconds()}
	var err error
	if r.Machine, err = survey(ctx, o.binaries.stock); err != nil {
		return nil, err
	}
	if err := g.start(ctx); err != nil {
		return nil, err
	}
	issuers, err := g.issuers(ctx)
	if err != nil {
		return nil, err
	}
	stealBefore, before, err := stolen()
	if err != nil {
		return nil, err
	}
	samples, err := run(ctx, append(g.lines, issuers...), o.rounds, o.slice, say)
	if err != nil {
		return nil, err
	}
	stealAfter, after, err := stolen()
	if err != nil {
		return nil, err
	}
	r.Stolen = float64(stealAfter-stealBefore) / float64(after-before)
	if r.Gateways, err = summarize(g.lines, samples); err != nil {
		return nil, err
	}
	r.Pairs = compare(samples)
	delete(samples, stock) // the issuer has no floor
	if r.Issuer, err = summarize(issuers, samples); err != nil {
		return nil, err
	}
	if o.million {
		if r.Million, err = g.million(ctx, g.gate, say); err != nil {
			return nil, err
		}
	}
	if o.steps {
		r.Steps, err = goBenchmarks(ctx, tags, stepRuns)
	}
	return r, err
}

// read reads what report wrote.
func read(file string) (*result, error) {
	encoded, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var found result
	if err := json.Unmarshal(encoded, &found); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return &found, nil
}

func say(format string, a ...any) { fmt.Printf(format+"\n", a...) }

// report writes the figures where they are asked for.
func (o *options) report(r *result) error {
	encoded, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(o.out), 0o750); err != nil {
		return err
	}
	if err := os.WriteFile(o.out, encoded, 0o600); err != nil {
		return err
	}
	sections := r.sections()
	for _, name := range []string{"machine", "gateways", "pairs", "issuer", "steps", "million"} {
		if text := sections[name]; text != "" {
			say("\n%s", text)
		}
	}
	if !o.update {
		return nil
	}
	page, err := os.ReadFile("docs/benchmarks.md")
	if err != nil {
		return err
	}
	rewritten, err := rewrite(string(page), sections)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile("docs/benchmarks.md", []byte(rewritten), 0o644),           //nolint:gosec // G306: a page for everybody
		os.WriteFile("docs/images/bench.svg", []byte(plot(r.Gateways)), 0o644), //nolint:gosec // G306: as above
	)
}
