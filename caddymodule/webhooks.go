package caddymodule

import (
	"crypto/x509"
	"fmt"
	"os"
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-bearer/caddy-bearer/notify"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// Webhooks says where the webhooks of users may lead, beside the public internet.
type Webhooks struct {
	// Networks that they may lead into although they are not public, as in
	// 10.1.0.0/16: whoever can sign in can have this server send messages there.
	Allow []string `json:"allow,omitempty"`

	// A PEM file with further authorities that receivers' certificates may come
	// from, beside those of the system.
	CAFile string `json:"ca_file,omitempty"`

	rules notify.Rules
	roots *x509.CertPool
}

// options is the block webhooks, in that of an environment:
//
//	webhooks {
//		allow <network> [<network>…]
//		ca    <file>
//	}
//
// Users may have messages sent to an https URL of theirs (webhooks), and so decide
// where this server connects to. Without the block that is the public internet and
// nothing else: no loopback, private or link-local address, in whichever form, and
// whatever a name leads to at that moment. Redirects are not followed, and no proxy is
// used.
//
//   - allow: networks, or single addresses, that they may lead to as well, as in
//     10.1.0.0/16 or 192.0.2.7. Whoever can sign in can then have messages sent there.
//   - ca: a PEM file with further authorities that receivers' certificates may come
//     from, beside those of the system. It is read at each reload.
func (w *Webhooks) options() []option {
	return []option{
		{name: "allow", args: "<network> [<network>…]", repeat: addsUp, read: func(d *caddyfile.Dispenser, args []string) error {
			for _, text := range args {
				if _, err := token.ReadNetwork(text); err != nil {
					return d.WrapErr(err)
				}
			}
			w.Allow = append(w.Allow, args...)
			return nil
		}},
		text("ca", "<file>", &w.CAFile),
	}
}

// readWebhooks reads the option webhooks.
func (e *Environment) readWebhooks(d *caddyfile.Dispenser, _ []string) error {
	e.Webhooks = new(Webhooks)
	if err := readBlock(d, "webhooks", e.Webhooks.options()); err != nil {
		return err
	}
	if len(e.Webhooks.Allow) == 0 && e.Webhooks.CAFile == "" {
		return d.Errf("webhooks says nothing; write for example: webhooks { allow 10.1.0.0/16 }")
	}
	return nil
}

// provisionWebhooks reads what the networks and authorities are.
func (e *Environment) provisionWebhooks() error {
	if e.Webhooks == nil {
		return nil
	}
	w := e.Webhooks
	for _, text := range w.Allow {
		network, err := token.ReadNetwork(text)
		if err != nil {
			return fmt.Errorf("webhooks: allow: %w", err)
		}
		if slices.Contains(w.rules.Allow, network) {
			return fmt.Errorf("webhooks: allow: %s stands twice", network)
		}
		w.rules.Allow = append(w.rules.Allow, network)
	}
	if w.CAFile == "" {
		return nil
	}
	pem, err := os.ReadFile(w.CAFile)
	if err != nil {
		return fmt.Errorf("webhooks: ca: %w", err)
	}
	if w.roots, err = x509.SystemCertPool(); err != nil {
		return fmt.Errorf("webhooks: ca: the certificates of the system: %w", err)
	}
	if !w.roots.AppendCertsFromPEM(pem) {
		return fmt.Errorf("webhooks: ca: %s holds no certificate in PEM form", w.CAFile)
	}
	return nil
}

// settings are what the notifier needs to know of the environment.
func (w *Webhooks) settings(secret func(*store.Webhook) ([]byte, error)) *notify.Settings {
	s := &notify.Settings{Secret: secret}
	if w != nil {
		s.Rules, s.Roots = w.rules, w.roots
	}
	return s
}
