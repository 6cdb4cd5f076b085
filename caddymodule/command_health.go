package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

func healthCommand() *cobra.Command {
	return forWholeServer(&cobra.Command{
		Use:   "health",
		Short: "Tells whether a server is alive, ready, and why a check fails",
		Long: `Tells what the directive bearer_health would, with why a check fails; no site needs
to have it. For health checks of containers, which have no other program.
Exit codes: 0 it serves, though something may fail; 1 it doesn't, or there is no
answer; 2 wrong usage.`,
		Example: "  caddy bearer health\n  caddy bearer health --json",
		Args:    takes(),
		RunE: onServer(func(c *adminClient, _ []string) error {
			var h shownHealth
			body, err := c.call("GET", "/health", nil, &h)
			if err != nil {
				return err
			}
			if c.flag("json") == "true" {
				err = printJSON(c.cmd.OutOrStdout(), body)
			} else {
				err = h.print(c.cmd.OutOrStdout())
			}
			return errors.Join(err, h.verdict())
		}),
	})
}

func (h *shownHealth) print(w io.Writer) error {
	t := newTable(w)
	t.row("live", h.Live)
	t.row("status", h.Status)
	t.blank()
	t.row("CHECK", "STATE", "WHY")
	for _, name := range checkNames {
		t.row(name, h.Checks[name], strings.Join(strings.Fields(h.Details[name]), " "))
	}
	return t.out.Flush()
}

// verdict is an error if the server does not serve.
func (h *shownHealth) verdict() error {
	switch {
	case h.Live == isStuck:
		return errors.New("streams can't be cut any more, and no revocation be put into effect; restart the server")
	case h.Status != isReady && h.Status != isDegraded:
		return fmt.Errorf("the server is %s", h.Status)
	}
	return nil
}
