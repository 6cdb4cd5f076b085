package caddymodule

import (
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

func grantCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "grant <command>",
		Short: "Shows and revokes grants",
		Long: `A grant says who allowed which client what, on which accounts. All tokens come
from one, and revoking it ends them all.`,
	}
	return forServer(group(cmd, listGrantsCommand(), showGrantCommand(), revokeGrantCommand()))
}

func listGrantsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Lists live grants, the newest first",
		Example: "  caddy bearer grant list\n" +
			"  caddy bearer grant list --client trading-bot --account 1234567 --all",
		Args: takes(),
	}
	filters := filterFlags(cmd, "client", "principal", "account")
	all := allFlag(cmd)
	limit := limitFlag(cmd)
	cmd.RunE = onServer(func(c *adminClient, _ []string) error {
		query := filters.query(c, url.Values{"all": {strconv.FormatBool(*all)}, "limit": {strconv.Itoa(*limit)}})
		return ask(c, "GET", []string{"grants"}, query, nil, func(t *table, answer *map[string][]grant) {
			t.row("ID", "PRINCIPAL", "CLIENT", "STATUS", "CREATED", "EXPIRES", "ACCOUNTS", "SCOPES")
			for _, g := range (*answer)["grants"] {
				t.row(g.ID, g.Principal, g.Client, g.Status, g.Created, g.Expires, g.Accounts, g.Scopes)
			}
		})
	})
	return cmd
}

func allFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("all", false, "list also what is left out otherwise: dead grants and tokens, requests that are no streams")
}

func limitFlag(cmd *cobra.Command) *int {
	return cmd.Flags().Int("limit", defaultLimit, "list so many at most, up to "+strconv.Itoa(maxLimit))
}

func showGrantCommand() *cobra.Command {
	return &cobra.Command{
		Use:               "show ID",
		Short:             "Shows one grant with its long-lived tokens",
		Example:           "  caddy bearer grant show 3mX1rJcC0qTzYw8dVn5kLb",
		Args:              takes("ID"),
		ValidArgsFunction: completeArgs(completeGrants),
		RunE: onServer(func(c *adminClient, args []string) error {
			return ask(c, "GET", []string{"grants", args[0]}, "", nil, printGrant)
		}),
	}
}

func revokeGrantCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Ends one grant and all tokens that come from it",
		Long: `Ends one grant. When the command returns, no token that comes from the grant
passes any more, and live streams that rode on one have been cut.`,
		Example: "  caddy bearer grant revoke 3mX1rJcC0qTzYw8dVn5kLb --dry-run\n" +
			"  caddy bearer grant revoke 3mX1rJcC0qTzYw8dVn5kLb --reason \"customer asked\"",
		Args:              takes("ID"),
		ValidArgsFunction: completeArgs(completeGrants),
	}
	reason := endingFlags(cmd)
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		return askToEnd(c, "POST", []string{"grants", args[0], "revoke"}, because(*reason), printRevocation)
	})
	return cmd
}

func printGrant(t *table, g *grant) {
	t.field("id", g.ID)
	t.field("principal", g.Principal)
	t.field("client", g.Client)
	t.field("scopes", g.Scopes)
	t.field("accounts", g.Accounts)
	t.field("status", g.Status)
	t.field("created", g.Created)
	t.field("expires", g.Expires)
	t.field("revoked", g.Revoked)
	t.field("reason", g.Reason)
	if g.Tokens == nil || len(*g.Tokens) == 0 {
		return
	}
	t.blank()
	t.row("TOKEN", "CLASS", "STATUS", "CREATED", "EXPIRES")
	for _, one := range *g.Tokens {
		t.row(one.ID, one.Class, one.Status, one.Created, one.Expires)
	}
}
