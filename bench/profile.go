//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// record writes a profile for the compiler: our binary without one under the
// loads of a comparison, each for d, merged.
func (g *gateways) record(ctx context.Context, out string, d time.Duration) error {
	g.ours = g.oursWithoutProfile
	if err := g.ourGateways(ctx); err != nil {
		return err
	}
	issuers, err := g.issuers(ctx)
	if err != nil {
		return err
	}
	var parts []string
	for _, line := range append(g.lines, issuers...) {
		part := filepath.Join(g.dir, line.Key+".pprof")
		if err := line.profiled(ctx, part, d); err != nil {
			return fmt.Errorf("%s: %w", line.Key, err)
		}
		parts = append(parts, part)
	}
	merged, err := exec.CommandContext(ctx, "go", append([]string{"tool", "pprof", "-proto"}, parts...)...).Output() //nolint:gosec // G204: files of ours
	if err != nil {
		return fmt.Errorf("merging profiles: %w", err)
	}
	return os.WriteFile(out, merged, 0o644) //nolint:gosec // G306: it is committed
}

// profiled writes the processor's profile of a server under its load.
func (c *contender) profiled(ctx context.Context, file string, d time.Duration) error {
	if _, err := c.load(ctx, warmUp); err != nil {
		return err
	}
	loaded := make(chan error, 1)
	go func() {
		_, err := c.load(ctx, d+time.Second)
		loaded <- err
	}()
	profile, err := c.admin(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", int(d.Seconds())))
	if err := errors.Join(err, <-loaded); err != nil {
		return err
	}
	return os.WriteFile(file, profile, 0o600)
}

// admin asks a Caddy's admin endpoint.
func (p *process) admin(ctx context.Context, path string) ([]byte, error) {
	client := http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(p.dir, "admin.sock"))
		},
	}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://127.0.0.1"+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, answer.Status)
	}
	var body bytes.Buffer
	_, err = io.Copy(&body, answer.Body)
	return body.Bytes(), err
}
