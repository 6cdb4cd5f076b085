package caddymodule

import (
	"strings"

	"github.com/spf13/cobra"
)

// partyCommands are those for records with a secret and scopes.
func (w recordWords) partyCommands() []*cobra.Command {
	return []*cobra.Command{w.addParty(), w.set(), w.rotateSecret()}
}

func (w recordWords) addParty() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add [ID]",
		Short: w.fill("Adds one WORD and shows its secret, once"),
		Long: w.fill(`
Adds one WORD. The server makes its secret, of 160 random bits, and keeps only
a hash: the secret stands in the answer of this command and nowhere else.
Without ID the server makes one up.`),
		Example: w.fill("  caddy bearer NAME add EXAMPLE --scopes \"read:market trade:orders\"\n" +
			"  caddy bearer NAME add EXAMPLE --json | jq -r .secret"),
		Args: takes("[ID]"),
	}
	name := cmd.Flags().String("name", "", "a name for people")
	scopes := cmd.Flags().String("scopes", "", "the most that it may carry, separated by blanks or commas")
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		in := newParty{Name: *name, Scopes: splitScopes(*scopes)}
		if len(args) > 0 {
			in.ID = args[0]
		}
		return ask(c, "POST", []string{w.path}, "", in, printRecord)
	})
	return cmd
}

func (w recordWords) set() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "set ID",
		Short: w.fill("Changes the name or the scopes of one WORD"),
		Long: w.fill(`
Changes the name or the scopes of one WORD. Scopes that are taken away are gone
at once: signed tokens must be renewed and come back without them, and live
streams that needed them are cut.`),
		Example: w.fill("  caddy bearer NAME set EXAMPLE --scopes read:market"),
		Args:    takes("ID"),
	}
	name := cmd.Flags().String("name", "", "a name for people")
	scopes := cmd.Flags().String("scopes", "", "the most that it may carry, separated by blanks or commas")
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		in := map[string]any{}
		if cmd.Flags().Changed("name") {
			in["name"] = *name
		}
		if cmd.Flags().Changed("scopes") {
			in["scopes"] = splitScopes(*scopes)
		}
		if len(in) == 0 {
			return usagef("there is nothing to change; give --name or --scopes")
		}
		return ask(c, "PATCH", []string{w.path, args[0]}, "", in, printRecord)
	})
	return cmd
}

func (w recordWords) rotateSecret() *cobra.Command {
	return &cobra.Command{
		Use:   "rotate-secret ID",
		Short: w.fill("Gives one WORD another secret and shows it, once"),
		Long: w.fill(`
Gives one WORD another secret. The old one is good no more. Tokens that were
obtained with it live on; "caddy bearer NAME revoke" ends them.`),
		Example: w.fill("  caddy bearer NAME rotate-secret EXAMPLE"),
		Args:    takes("ID"),
		RunE: onServer(func(c *adminClient, args []string) error {
			return ask(c, "POST", []string{w.path, args[0], "secret"}, "", nil, printRecord)
		}),
	}
}

func (w recordWords) bind() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bind ID ACCOUNT",
		Short: "Gives an account to a service account",
		Long: `Gives an account to a service account, or changes how much of it is open. With
--scopes the access is partial: a token that opens the account is cut to these
scopes, for its other accounts too. Ask for a token per account to avoid that.`,
		Example: "  caddy bearer service-account bind treasury 1234567\n" +
			"  caddy bearer service-account bind treasury 1234567 --scopes read:accounts",
		Args: takes("ID", "ACCOUNT"),
	}
	scopes := cmd.Flags().String("scopes", "", "make the access partial: these scopes and no more")
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		in := map[string]any{"scopes": splitScopes(*scopes)}
		return ask(c, "PUT", []string{w.path, args[0], "accounts", args[1]}, "", in, printRecord)
	})
	return cmd
}

func (w recordWords) unbind() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "unbind ID ACCOUNT",
		Short:   "Takes an account from a service account and ends its grants for it",
		Long:    "Takes an account from a service account, and ends all that it granted for the account.",
		Example: "  caddy bearer service-account unbind treasury 1234567",
		Args:    takes("ID", "ACCOUNT"),
	}
	reason := reasonFlag(cmd)
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		return ask(c, "DELETE", []string{w.path, args[0], "accounts", args[1]}, "", because(*reason), printRecord)
	})
	return cmd
}

// splitScopes takes the list as OAuth writes it, and with commas. It is never
// nil: no scopes are a list too.
func splitScopes(list string) []string {
	return strings.FieldsFunc(list, func(c rune) bool { return c == ',' || c == ' ' })
}
