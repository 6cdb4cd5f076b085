package caddymodule

import (
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

func revocationCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revocation <command>",
		Short: "Shows what was revoked",
		Long: `Shows the record of what was revoked. What is listed as token or grant is dead;
the other kinds end whatever is below the number.`,
	}
	list := &cobra.Command{
		Use:     "list",
		Short:   "Lists what was revoked, the newest first",
		Example: "  caddy bearer revocation list --limit 20",
		Args:    takes(),
	}
	limit := limitFlag(list)
	list.RunE = onServer(func(c *adminClient, _ []string) error {
		query := url.Values{"limit": {strconv.Itoa(*limit)}}.Encode()
		return ask(c, "GET", []string{"revocations"}, query, nil, func(t *table, answer *map[string][]revocation) {
			t.row("AT", "KIND", "TARGET", "NUMBER", "KEPT UNTIL", "REASON")
			for _, rev := range (*answer)["revocations"] {
				t.row(rev.At, rev.Kind, rev.Target, rev.Number, rev.Expires, rev.Reason)
			}
		})
	})
	return forServer(group(cmd, list))
}
