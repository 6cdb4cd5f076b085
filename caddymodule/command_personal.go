package caddymodule

import (
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

func issueTokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "issue",
		Short: "Issues a personal token and shows it, once",
		Long: `Issues a personal token: an access token that a program sends as it is, without
any exchange. It acts for a user or service account, and carries what it was
issued for cut to what its owner may do at the moment of each use.

The token stands in the answer of this command and nowhere else: the server
keeps a hash. Choose few scopes, an end, and the networks that the program runs
in; "caddy bearer token revoke" ends it at once.`,
		Example: "  caddy bearer token issue --principal treasury --label \"market recorder\" --scopes read:market --expires 90d\n" +
			"  caddy bearer token issue --principal treasury --label orders --scopes \"read:accounts trade:orders\" \\\n" +
			"    --accounts 1234567 --expires 2027-01-01 --allow 192.0.2.0/24 --allow 2001:db8::/32 --rate 10/s",
		Args: takes(),
	}
	flags := cmd.Flags()
	principal := flags.String("principal", "", "the user or service account that the token acts for")
	completeFlag(cmd, "principal", completePrincipals)
	label := flags.String("label", "", "a name by which its owner tells the token from others")
	scopes := flags.String("scopes", "", "the most that it may carry, separated by blanks or commas")
	accounts := flags.String("accounts", "", "the token's accounts, separated by blanks or commas (default: all that are open to the principal)")
	expires := flags.String("expires", "", "when it ends: after a time (90d) or at a date (2027-01-01, its beginning in UTC) (default: never)")
	allow := flags.StringSlice("allow", nil, "a network or address that it may be used from; may be repeated (default: from anywhere)")
	rate := flags.String("rate", "", "how often it may be used, as in 10/s or 600/m (default: without limit)")
	cmd.RunE = onServer(func(c *adminClient, _ []string) (err error) {
		in := newPersonal{Principal: *principal, Label: *label, Scopes: splitScopes(*scopes), Networks: *allow}
		if flags.Changed("accounts") {
			named := splitScopes(*accounts)
			in.Accounts = &named
		}
		if flags.Changed("expires") {
			if err := in.parseExpiry(*expires); err != nil {
				return err
			}
		}
		if flags.Changed("rate") {
			if in.Rate, err = parseRate(*rate); err != nil {
				return err
			}
		}
		return ask(c, "POST", []string{"personal-tokens"}, "", in, printPersonal)
	})
	return cmd
}

func listTokensCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Lists live personal tokens, or the trading tokens of an account, the newest first",
		Long: `Lists personal tokens, the newest first, with when and from where each was used
last. Their values are not among what is kept. Access and refresh tokens of clients are
listed by their grants: "caddy bearer grant list".

With --account it lists instead the trading tokens of that account, with who made
each and to whom it was shown. No command makes one or shows its value.`,
		Example: "  caddy bearer token list\n" +
			"  caddy bearer token list --principal treasury --all\n" +
			"  caddy bearer token list --account 1234567 --all",
		Args: takes(),
	}
	filters := filterFlags(cmd, "principal", "account")
	all := allFlag(cmd)
	limit := limitFlag(cmd)
	cmd.RunE = onServer(func(c *adminClient, _ []string) error {
		query := filters.query(c, url.Values{"all": {strconv.FormatBool(*all)}, "limit": {strconv.Itoa(*limit)}})
		if c.flag("account") != "" {
			if c.flag("principal") != "" {
				return usagef("--account and --principal are for different kinds of tokens; give one")
			}
			return ask(c, "GET", []string{"trading-tokens"}, query, nil, printTrading)
		}
		return ask(c, "GET", []string{"personal-tokens"}, query, nil, func(t *table, answer *map[string][]personalToken) {
			t.row("ID", "LABEL", "PRINCIPAL", "STATUS", "CREATED", "EXPIRES", "USED", "FROM", "ACCOUNTS", "SCOPES", "NETWORKS", "RATE")
			for _, p := range (*answer)["personal_tokens"] {
				t.row(p.ID, p.Label, p.Principal, p.Status, p.Created, p.Expires, p.Used, p.UsedFrom, p.Accounts, p.Scopes, networkTexts(&p), p.Rate)
			}
		})
	})
	return cmd
}

func printPersonal(t *table, p *personalToken) {
	t.field("id", p.ID)
	t.field("label", p.Label)
	t.field("principal", p.Principal)
	t.field("scopes", p.Scopes)
	t.field("accounts", p.Accounts)
	t.field("status", p.Status)
	t.field("created", p.Created)
	t.field("expires", p.Expires)
	t.field("networks", networkTexts(p))
	t.field("rate", p.Rate)
	t.field("token", p.Token)
	t.row("Keep the token now: it is never shown again.")
}

func networkTexts(p *personalToken) (texts []string) {
	for _, network := range p.Networks {
		texts = append(texts, network.String())
	}
	return texts
}

func rotateTokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate <id>",
		Short: "Issues the successor of a personal token and shows it, once",
		Long: `Issues the successor of a personal token: of the same owner, name, scopes,
accounts and limits, and for the same lifetime again. The old token stays good
for the overlap (30 days at most), in which its program is given the new one, but never beyond its
own end; then it ends, and with it the streams that are open on it.

A token that was rotated is not rotated again, but its successor is. What may
have been stolen has no overlap: give 0s, or revoke it.`,
		Example: "  caddy bearer token rotate 5nTq0aGmB1sKwR7xYc2dEf --overlap 24h\n" +
			"  caddy bearer token rotate 5nTq0aGmB1sKwR7xYc2dEf --overlap 0s",
		Args: takes("id"),
	}
	overlap := cmd.Flags().String("overlap", "24h", "how long the old one stays good; 0 ends it at once")
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		in := map[string]string{"overlap": *overlap}
		return ask(c, "POST", []string{"personal-tokens", args[0], "rotate"}, "", in, func(t *table, r *rotatedToken) {
			t.field("replaces", r.Replaces)
			t.field("which ends", r.Ends)
			printPersonal(t, &r.personalToken)
		})
	})
	return cmd
}
