//go:build linux

package main

import (
	"context"
	"embed"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"text/template"
	"time"
)

//go:embed conf
var conf embed.FS

// account is the one that tokens open and requests name.
const account = "100001"

// target is what is asked for: a path with a parameter that the token must open.
const target = "/api/v1/accounts/" + account + "/orders"

// room is the folder of a run and the servers in it.
type room struct {
	dir      string
	workers  int // processes or threads of the servers that have a number of them
	upstream *process
	running  []*process
}

func newRoom() (*room, error) {
	dir, err := os.MkdirTemp("", "bench") // short: it holds sockets
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"load.lua", "crowd.lua", "post.lua", "policy.yaml"} {
		content, err := conf.ReadFile("conf/" + name)
		if err != nil {
			return nil, err
		}
		if name != "load.lua" && filepath.Ext(name) == ".lua" {
			content = append(content, loadScript...)
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			return nil, err
		}
	}
	return &room{dir: dir, workers: runtime.NumCPU()}, nil
}

func (r *room) close() {
	for _, p := range r.running {
		p.stop()
	}
	_ = os.RemoveAll(r.dir) // what is left is in the system's temporary folder
}

// settings are what a server's configuration is made of.
type settings struct {
	Dir, Conf, Port string
	Upstream        string // address; for nginx none makes it the upstream
	Workers         int

	Bearer     bool   // the app is configured
	Gate       bool   // before the upstream
	CacheSize  string // of the gate
	SigningKey string // a file; else EdDSA, with a key made there
	Account    string
	IssuerPort string

	ForwardAuth bool
	AuthRequest bool

	Algorithm, PublicKey string // for HAProxy
}

// serve writes a configuration and starts the server that reads it.
func (r *room) serve(name, file string, s settings, environment []string, command ...string) (*process, error) {
	var err error
	if s.Port, err = freePort(); err != nil {
		return nil, err
	}
	s.Dir, s.Conf, s.Account, s.Workers = filepath.Join(r.dir, fmt.Sprint(len(r.running))), r.dir, account, r.workers
	if r.upstream != nil {
		s.Upstream = r.upstream.address()
	}
	if err := os.Mkdir(s.Dir, 0o700); err != nil {
		return nil, err
	}
	configuration, err := template.ParseFS(conf, "conf/"+file+".tmpl")
	if err != nil {
		return nil, err
	}
	out, err := os.Create(filepath.Join(s.Dir, file))
	if err != nil {
		return nil, err
	}
	defer out.Close()
	if err := configuration.Execute(out, s); err != nil {
		return nil, err
	}
	p, err := start(name, s.Dir, s.Port, environment, append(command, out.Name())...)
	if err == nil {
		r.running = append(r.running, p)
	}
	return p, err
}

func (r *room) nginx(name string, s settings) (*process, error) {
	return r.serve(name, "nginx.conf", s, nil, "nginx", "-e", "stderr", "-c")
}

func (r *room) haproxy(name string, s settings) (*process, error) {
	return r.serve(name, "haproxy.cfg", s, nil, "haproxy", "-db", "-f")
}

func (r *room) caddy(name, binary string, s settings, environment ...string) (*process, error) {
	p, err := r.serve(name, "Caddyfile", s, environment, binary, "run", "--adapter", "caddyfile", "--config")
	if err != nil || !s.Bearer {
		return p, err
	}
	// Sites answer a little earlier than the app behind them is ready.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for {
		if _, err := p.admin(ctx, "/bearer/environments"); err == nil || ctx.Err() != nil {
			return p, err
		}
		time.Sleep(10 * time.Millisecond)
	}
}
