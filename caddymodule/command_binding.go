package caddymodule

import (
	"net/url"
	"strings"

	"github.com/spf13/cobra"
)

// bindWords are what tells the commands that bind any principal from those of
// service accounts, which were here first.
type bindWords struct {
	argument string // the name of the first argument
	example  string
	path     func(principal, account string) []string // in the admin API
	complete completion                               // of the first argument
}

var bindAny = bindWords{
	argument: "PRINCIPAL", example: "caddy bearer",
	path:     func(principal, account string) []string { return []string{"bindings", principal, account} },
	complete: completePrincipals,
}

var bindServiceAccount = bindWords{
	argument: "ID", example: "caddy bearer service-account",
	path: func(principal, account string) []string {
		return []string{"service-accounts", principal, "accounts", account}
	},
	complete: completeRecords("service-accounts", "service_accounts"),
}

func (w bindWords) bind() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "bind " + w.argument + " ACCOUNT",
		Short: "Gives an account to a user, service account or client",
		Long: `Gives an account to a user, a service account or a client that acts for itself,
or changes how much of it is open. Grants that exist are not widened: the account
comes with the next one.

With --scopes the access is partial: a token that opens the account is cut to
these scopes, for its other accounts too, because it has one list of scopes. Ask
for a token per account to avoid that.`,
		Example: "  " + w.example + " bind treasury 1234567\n" +
			"  " + w.example + " bind treasury 1234567 --scopes read:accounts",
		Args:              takes(w.argument, "ACCOUNT"),
		ValidArgsFunction: completeArgs(w.complete, completeAccounts),
	}
	scopes := cmd.Flags().String("scopes", "", "make the access partial: the most that it may carry, separated by blanks or commas")
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		in := map[string]any{}
		if cmd.Flags().Changed("scopes") {
			if in["scopes"] = splitScopes(*scopes); strings.Trim(*scopes, " ,") == "" {
				return usagef("--scopes is empty; name some, or leave it out to open the account in full")
			}
		}
		return ask(c, "PUT", w.path(args[0], args[1]), "", in, printRecord)
	})
	return cmd
}

func (w bindWords) unbind() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "unbind " + w.argument + " ACCOUNT",
		Short: "Takes an account away and ends the grants for it",
		Long: `Takes an account away from a user, service account or client, and ends all that
it granted for the account. Its other signed tokens must be renewed, and its live
streams are cut.

From a user it takes the account's trading tokens too that the user made or was
shown: they are revoked, for all who share them. See them first by --dry-run.`,
		Example: "  " + w.example + " unbind treasury 1234567 --dry-run\n" +
			"  " + w.example + " unbind treasury 1234567 --reason \"account sold\"",
		Args:              takes(w.argument, "ACCOUNT"),
		ValidArgsFunction: completeArgs(w.complete, completeAccounts),
	}
	reason, keep := endingFlags(cmd), keepSharedFlag(cmd)
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		return askToEnd(c, "DELETE", w.path(args[0], args[1]), becauseKeeping(*reason, *keep), printRecord)
	})
	return cmd
}

func bindingCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "binding <command>",
		Short: "Shows which accounts are open to whom",
		Long: `Shows which accounts are open to which users, service accounts and clients.
"caddy bearer bind" and "caddy bearer unbind" change it.`,
	}
	list := &cobra.Command{
		Use:     "list",
		Short:   "Lists who owns which accounts, and how much of them",
		Example: "  caddy bearer binding list\n  caddy bearer binding list --account 1234567",
		Args:    takes(),
	}
	filters := filterFlags(list, "principal", "account")
	list.RunE = onServer(func(c *adminClient, _ []string) error {
		return ask(c, "GET", []string{"bindings"}, filters.query(c, url.Values{}), nil, func(t *table, answer *map[string][]binding) {
			t.row("PRINCIPAL", "ACCOUNT", "ACCESS", "SOURCE", "SCOPES")
			for _, b := range (*answer)["bindings"] {
				t.row(b.Principal, b.Account, b.Access, b.Source, b.Scopes)
			}
		})
	})
	return forServer(group(cmd, list))
}

// filters are the flags that narrow a list.
type filters []string

// filterUsage is what each filter does.
var filterUsage = map[string]string{
	"client":    "only those of this client",
	"principal": "only those of this user, service account or client that acts for itself",
	"account":   "only those for this account",
	"grant":     "only those of this grant",
}

func filterFlags(cmd *cobra.Command, names ...string) filters {
	for _, name := range names {
		cmd.Flags().String(name, "", filterUsage[name])
		completeFlag(cmd, name, filterCompletion[name])
	}
	return names
}

// query adds the filters that were given to the parameters of a call.
func (f filters) query(c *adminClient, query url.Values) string {
	for _, name := range f {
		if value := c.flag(name); value != "" {
			query.Set(name, value)
		}
	}
	return query.Encode()
}
