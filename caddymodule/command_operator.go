package caddymodule

import (
	"strconv"

	"github.com/spf13/cobra"
)

func operatorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "operator <command>",
		Short: "Rotates the tokens of operators",
		Long: `Rotates the tokens that operators present to the admin API. They are in a file on
the server and nowhere else: no command shows one.`,
	}
	return forWholeServer(group(cmd, listOperatorsCommand(), rotateOperatorCommand()))
}

func listOperatorsCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   "Lists the roles of operators, with how many tokens each has",
		Example: "  caddy bearer operator list",
		Args:    takes(),
		RunE: onServer(func(c *adminClient, _ []string) error {
			return askAt(c, "GET", "/operators", nil, printOperators)
		}),
	}
}

func rotateOperatorCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Adds a new operator token, or drops the old ones",
		Long: `Adds a new operator token to the file on the server. The tokens that are there
stay good, so that the new one can be handed out first. --drop-old is the second
step: it drops all tokens but the newest. Both take effect at once.`,
		Example: "  caddy bearer operator rotate --role revoke\n" +
			"  caddy bearer operator rotate --role revoke --drop-old",
		Args: takes(),
	}
	role := cmd.Flags().String("role", "", "read, revoke or admin (default: each)")
	completeFlag(cmd, "role", completeWords("read", "revoke", "admin"))
	dropOld := cmd.Flags().Bool("drop-old", false, "drop all tokens but the newest")
	cmd.RunE = onServer(func(c *adminClient, _ []string) error {
		in := map[string]any{"role": *role, "drop_old": *dropOld}
		return askAt(c, "POST", "/operators/rotate", in, printOperators)
	})
	return cmd
}

func printOperators(t *table, list *operatorList) {
	t.row("ROLE", "TOKENS")
	for _, one := range list.Roles {
		t.row(one.Role, strconv.Itoa(one.Tokens))
	}
	t.row("They are in " + list.File)
}
