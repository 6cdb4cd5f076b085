package caddymodule

import (
	"errors"
	"fmt"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-bearer/caddy-bearer/audit"
)

// Audit says where the heads of the audit trail go. Who keeps one where this
// server can't change it can tell later whether the end of the trail was cut off.
type Audit struct {
	// Files to which each head is appended as a line of JSON.
	Files []string `json:"files,omitempty"`

	// Syslog receivers, as in udp/log.example.com:514, tcp/127.0.0.1:601,
	// unixgram//dev/log or unix//run/syslog.sock.
	Syslog []string `json:"syslog,omitempty"`
}

// sinks are the places that are configured. Nothing is opened yet.
func (a *Audit) sinks() ([]audit.Sink, error) {
	if a == nil {
		return nil, nil
	}
	var sinks []audit.Sink
	seen := map[string]bool{}
	add := func(sink audit.Sink) error {
		if seen[sink.String()] {
			return fmt.Errorf("audit: %s stands twice", sink)
		}
		seen[sink.String()] = true
		sinks = append(sinks, sink)
		return nil
	}
	for _, path := range a.Files {
		if path == "" {
			return nil, errors.New("audit: a file has no path")
		}
		if err := add(audit.File{Path: path}); err != nil {
			return nil, err
		}
	}
	for _, target := range a.Syslog {
		sink, err := audit.NewSyslog(target)
		if err != nil {
			return nil, fmt.Errorf("audit: %w", err)
		}
		if err := add(sink); err != nil {
			return nil, err
		}
	}
	return sinks, nil
}

// options is the block audit, in the global option bearer:
//
//	audit {
//		file   <path>
//		syslog udp|tcp/<host>:<port>
//		syslog unixgram|unix/<path>
//	}
//
// Each names a place outside of the database to which the head of the audit
// trail is given within 5 s of a change: one signed line of JSON that stands for
// the whole trail up to there. There may be several. One that can't be reached
// is tried again each second; nothing else waits for it.
//
//   - file: a file to append to, made with mode 0600. It is opened for each line,
//     so that it may be rotated by renaming it. Keep it where who can change the
//     database can't change it.
//   - syslog: a receiver of RFC 5424 messages, with facility 13 (log audit), as in
//     udp/log.example.com:514 or unixgram//dev/log. Over tcp and unix messages are
//     counted (RFC 6587 §3.4.1).
func (a *Audit) options() []option {
	return []option{
		{name: "file", args: "<path>", repeat: onceEach, read: func(_ *caddyfile.Dispenser, args []string) error {
			a.Files = append(a.Files, args[0])
			return nil
		}},
		{name: "syslog", args: "<network>/<address>", repeat: onceEach, read: func(d *caddyfile.Dispenser, args []string) error {
			if _, err := audit.NewSyslog(args[0]); err != nil {
				return d.Errf("%v", err)
			}
			a.Syslog = append(a.Syslog, args[0])
			return nil
		}},
	}
}

func (app *App) readAudit(d *caddyfile.Dispenser, _ []string) error {
	app.Audit = new(Audit)
	if err := readBlock(d, "audit", app.Audit.options()); err != nil {
		return err
	}
	if len(app.Audit.Files)+len(app.Audit.Syslog) == 0 {
		return d.Errf("audit names no place; write for example: audit { file /var/log/caddy/audit-heads.jsonl }")
	}
	return nil
}
