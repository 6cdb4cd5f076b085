//go:build linux

package main

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// contender is one line of the comparison.
type contender struct {
	Key  string
	Name string // for readers
	load func(context.Context, time.Duration) (sample, error)
	*process
}

// The keys by which lines are compared.
const (
	stock        = "stock"
	stockAgain   = "stock-again"
	ungated      = "ungated"
	gated        = "gated"
	ungatedCrowd = "ungated-crowd"
	gatedCrowd   = "gated-crowd"
	plainGC      = "ungated-gogc100"
	plainBuild   = "ungated-nopgo"
	forwardAuth  = "forward-auth"
	haproxyRS256 = "haproxy-rs256"
	haproxyES256 = "haproxy-es256"
	nginxAuth    = "nginx-auth"
	nginxBare    = "nginx"
)

// crowdSize is how many tokens rotate.
const crowdSize = 100_000

// gatewayConnections of wrk: as many as Caddy keeps idle to an upstream, so that
// none has to be opened under load.
const gatewayConnections = 32

// binaries are the Caddys of a run.
type binaries struct{ ours, oursWithoutProfile, stock string }

// gateways starts all that stand before the upstream.
type gateways struct {
	*room
	binaries
	press *press
	lines []contender
	crowd string   // the file of tokens
	hot   string   // the first of them
	turn  int      // how many slices the crowd has had
	gate  *process // with a cache of the usual size
}

// start brings up all lines, the floor first.
func (g *gateways) start(ctx context.Context) error {
	floor, err := g.caddy(stock, g.stock, settings{})
	if err != nil {
		return err
	}
	if err := g.ourGateways(ctx); err != nil {
		return err
	}
	g.add(stock, "stock Caddy, no authentication (the floor)", floor, g.hot)
	last := len(g.lines) - 1
	g.lines = slices.Insert(g.lines[:last], 0, g.lines[last])
	return g.others()
}

// ourGateways are our binary with the gate and without.
func (g *gateways) ourGateways(ctx context.Context) (err error) {
	key := filepath.Join(g.dir, "es256.key")
	withGate := settings{Bearer: true, Gate: true, CacheSize: "64MiB", SigningKey: key}
	if withGate.IssuerPort, err = freePort(); err != nil {
		return err
	}
	if g.gate, err = g.caddy(gated, g.ours, withGate); err != nil {
		return err
	}
	if err := g.mint(g.gate, withGate.IssuerPort); err != nil {
		return err
	}
	forCrowd := settings{Bearer: true, Gate: true, CacheSize: "256MiB", SigningKey: key}
	crowdGate, err := g.caddy(gatedCrowd, g.ours, forCrowd)
	if err != nil {
		return err
	}
	open, err := g.caddy(ungated, g.ours, settings{})
	if err != nil {
		return err
	}
	if err := g.warm(ctx, crowdGate); err != nil {
		return err
	}
	g.add(ungated, "our binary, no gate", open, g.hot)
	g.add(gated, "**our gate, 1 hot token**", g.gate, g.hot)
	g.add(ungatedCrowd, "our binary, no gate, 100,000 tokens pass through", open, "")
	g.add(gatedCrowd, "**our gate, 100,000 tokens in turn**", crowdGate, "")
	return nil
}

// others starts what we are compared with, and what we would be without our settings.
func (g *gateways) others() error {
	rs256, err := g.press.signedRS256()
	if err != nil {
		return err
	}
	for _, other := range []struct {
		key, name, token string
		serve            func(string) (*process, error)
	}{
		{plainGC, "our binary, no gate, Go's own GOGC=100", g.hot, func(name string) (*process, error) {
			return g.caddy(name, g.ours, settings{}, "GOGC=100")
		}},
		{plainBuild, "our binary, no gate, built without a profile", g.hot, func(name string) (*process, error) {
			return g.caddy(name, g.oursWithoutProfile, settings{})
		}},
		{forwardAuth, "stock Caddy, `forward_auth` to a free answer", g.hot, func(name string) (*process, error) {
			return g.caddy(name, g.stock, settings{ForwardAuth: true})
		}},
		{haproxyRS256, "HAProxy `jwt_verify` RS256, with scope", rs256, func(name string) (*process, error) {
			return g.haproxy(name, settings{Algorithm: "RS256", PublicKey: filepath.Join(g.dir, "rs256.pub")})
		}},
		{haproxyES256, "HAProxy `jwt_verify` ES256, with scope", g.hot, func(name string) (*process, error) {
			return g.haproxy(name, settings{Algorithm: "ES256", PublicKey: filepath.Join(g.dir, "es256.pub")})
		}},
		{nginxAuth, "nginx, `auth_request` to a free answer", g.hot, func(name string) (*process, error) {
			return g.nginx(name, settings{AuthRequest: true})
		}},
		{nginxBare, "nginx, no authentication", g.hot, func(name string) (*process, error) {
			return g.nginx(name, settings{})
		}},
		{stockAgain, "stock Caddy once more (the noise)", g.hot, func(name string) (*process, error) {
			return g.caddy(name, g.stock, settings{})
		}},
	} {
		p, err := other.serve(other.key)
		if err != nil {
			return err
		}
		g.add(other.key, other.name, p, other.token)
	}
	return nil
}

// add enters a line; without a token the crowd is its load.
func (g *gateways) add(key, name string, p *process, token string) {
	load := wrk{dir: g.dir, connections: gatewayConnections, url: "http://" + p.address() + target}
	if token != "" {
		load.header = []string{"Authorization: Bearer " + token}
	} else {
		load.crowd = g.crowd
	}
	g.lines = append(g.lines, contender{Key: key, Name: name, process: p, load: func(ctx context.Context, d time.Duration) (sample, error) {
		if load.crowd != "" {
			// Each slice goes on elsewhere: it is too short for all of them.
			g.turn++
			load.from = g.turn * (crowdSize / 2)
		}
		return load.run(ctx, d)
	}})
}

// mint gets a token from the issuer and makes the crowd after it.
func (g *gateways) mint(gate *process, issuerPort string) error {
	bot, err := newBot(gate, "127.0.0.1:"+issuerPort)
	if err != nil {
		return err
	}
	defer bot.close()
	token, err := bot.credentials()
	if err != nil {
		return err
	}
	if err := g.press.learn(token); err != nil {
		return err
	}
	if g.hot, err = g.press.signed(0); err != nil {
		return err
	}
	g.crowd = filepath.Join(g.dir, "crowd")
	return g.press.write(g.crowd, crowdSize)
}

// warm shows a gate each token of the crowd, twice: its cache may drop what comes
// too fast.
func (g *gateways) warm(ctx context.Context, gate *process) error {
	for range 2 {
		if err := present(ctx, g.crowd, gate); err != nil {
			return fmt.Errorf("tokens that were made here: %w", err)
		}
	}
	return nil
}

// bearer is the request with a token.
func bearer(token string) call {
	return call{method: "GET", path: target, header: "Authorization: Bearer " + strings.TrimSpace(token) + "\r\n"}
}
