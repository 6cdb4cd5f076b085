//go:build linux

package main

import (
	"context"
	"time"
)

// issuingCallers ask for tokens at the same time. So many share each COMMIT.
const issuingCallers = 256

// The lines of the issuer.
const (
	clientCredentials = "client-credentials"
	codeAndToken      = "s4"
	refreshing        = "refresh"
)

// issuers returns the lines of an issuer that signs with EdDSA.
func (g *gateways) issuers(ctx context.Context) ([]contender, error) {
	s := settings{Bearer: true, CacheSize: "64MiB"}
	var err error
	if s.IssuerPort, err = freePort(); err != nil {
		return nil, err
	}
	p, err := g.caddy("issuer", g.ours, s)
	if err != nil {
		return nil, err
	}
	address := "127.0.0.1:" + s.IssuerPort
	b, err := newBot(p, address)
	if err != nil {
		return nil, err
	}
	callers := make([]*caller, issuingCallers)
	heads := make(chan string, issuingCallers)
	for i := range callers {
		callers[i] = &caller{network: "tcp", address: address}
	}
	if err := b.families(callers[0], heads); err != nil {
		return nil, err
	}
	own := wrk{
		dir: g.dir, connections: issuingCallers, url: "http://" + address + "/oauth2/token", header: []string{b.basic}, body: ownGrant,
	}
	line := func(key, name string, do func(*caller) error) contender {
		return contender{Key: key, Name: name, process: p, load: func(ctx context.Context, d time.Duration) (sample, error) {
			return drive(ctx, callers, d, do)
		}}
	}
	return []contender{
		{Key: clientCredentials, Name: "client_credentials", process: p, load: own.run},
		line(codeAndToken, "the bank's code and token (two calls)", func(c *caller) error {
			code, err := b.code(c)
			if err == nil {
				_, err = b.redeem(c, code)
			}
			return err
		}),
		line(refreshing, "refresh, with rotation", func(c *caller) error {
			next, err := b.renew(c, <-heads)
			heads <- next
			return err
		}),
	}, ctx.Err()
}

// families begins as many chains of refresh tokens as there are callers.
func (b *bot) families(c *caller, heads chan<- string) error {
	for range cap(heads) {
		code, err := b.code(c)
		if err != nil {
			return err
		}
		head, err := b.redeem(c, code)
		if err != nil {
			return err
		}
		heads <- head
	}
	return nil
}
