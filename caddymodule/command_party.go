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
	cmd, party := w.adder()
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		return ask(c, "POST", []string{w.path}, "", party.in(args), printRecord)
	})
	return cmd
}

// adder is the command that adds a party, without what it does.
func (w recordWords) adder() (*cobra.Command, party) {
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
	return cmd, partyFlags(cmd)
}

func (w recordWords) set() *cobra.Command {
	cmd, party := w.setter()
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		var in partyChange
		party.into(cmd, &in)
		if !in.any() {
			return usagef("there is nothing to change; give --name or --scopes")
		}
		return ask(c, "PATCH", []string{w.path, args[0]}, "", in, printRecord)
	})
	return cmd
}

// setter is the command that changes a party, without what it does.
func (w recordWords) setter() (*cobra.Command, party) {
	cmd := &cobra.Command{
		Use:   "set ID",
		Short: w.fill("Changes the name or the scopes of one WORD"),
		Long: w.fill(`
Changes the name or the scopes of one WORD. If scopes are taken away, its signed
tokens are refused until they are renewed and come back without them, and its
live streams are cut. Scopes that are only given refuse and cut nothing: they
come with the next token.`),
		Example:           w.fill("  caddy bearer NAME set EXAMPLE --scopes read:market"),
		Args:              takes("ID"),
		ValidArgsFunction: completeArgs(w.complete()),
	}
	return cmd, partyFlags(cmd)
}

func (w recordWords) rotateSecret() *cobra.Command {
	return &cobra.Command{
		Use:   "rotate-secret ID",
		Short: w.fill("Gives one WORD another secret and shows it, once"),
		Long: w.fill(`
Gives one WORD another secret. The old one is good no more. Tokens that were
obtained with it live on; "caddy bearer NAME revoke" ends them.`),
		Example:           w.fill("  caddy bearer NAME rotate-secret EXAMPLE"),
		Args:              takes("ID"),
		ValidArgsFunction: completeArgs(w.complete()),
		RunE: onServer(func(c *adminClient, args []string) error {
			return ask(c, "POST", []string{w.path, args[0], "secret"}, "", nil, printRecord)
		}),
	}
}

// rotateOverlapping is rotateSecret for who may have two secrets for a while.
func (w recordWords) rotateOverlapping() *cobra.Command {
	cmd := w.rotateSecret()
	cmd.Long = w.fill(`
Gives one WORD another secret. The old one is good no more, or, with --overlap, for
so much longer, at most 7 days: until then both are, so that programs can be changed one after the
other. What still uses the old one is found by
"caddy bearer audit list --action client.old_secret". A WORD has two secrets at
most: rotating again ends the oldest at once. Tokens that were obtained with a secret
live on; "caddy bearer NAME revoke" ends them.`)
	cmd.Example += w.fill("\n  caddy bearer NAME rotate-secret EXAMPLE --overlap 24h")
	overlap := cmd.Flags().String("overlap", "0", "how long the old one stays good; 0 ends it at once")
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		in := map[string]string{"overlap": *overlap}
		return ask(c, "POST", []string{w.path, args[0], "secret"}, "", in, printRecord)
	})
	return cmd
}

// addUser is addParty for who has no secret.
func (w recordWords) addUser() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "add [ID]",
		Short: "Adds one user",
		Long: `Adds one user. ID is what the gated API is told in X-Auth-Subject; without it
the server makes one up.

--password-stdin gives a password at once, as "caddy bearer user password" does
later. Without one nobody signs in as this user, but where an OpenID provider signs
people in.`,
		Example: "  caddy bearer user add alice --name \"Alice Doe\" --scopes \"read:accounts trade:orders\"" +
			"\n  openssl rand -base64 18 | tee password.txt | caddy bearer user add alice --password-stdin",
		Args: takes("[ID]"),
	}
	party := partyFlags(cmd)
	withPassword := cmd.Flags().Bool("password-stdin", false, "read a password to sign in with from standard input, or ask for it")
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		in := newUser{newParty: party.in(args)}
		if *withPassword {
			password, err := readNewSecret(c.cmd, "New password: ")
			if err != nil {
				return err
			}
			in.Password = &password
		}
		return ask(c, "POST", []string{w.path}, "", in, printRecord)
	})
	return cmd
}

// party are the flags of who is added with a name and scopes.
type party struct{ name, scopes *string }

func partyFlags(cmd *cobra.Command) party {
	return party{
		cmd.Flags().String("name", "", "a name for people"),
		cmd.Flags().String("scopes", "", "the most that it may carry, separated by blanks or commas"),
	}
}

func (p party) in(args []string) newParty {
	in := newParty{Name: *p.name, Scopes: splitScopes(*p.scopes)}
	if len(args) > 0 {
		in.ID = args[0]
	}
	return in
}

// into fills in what was given.
func (p party) into(cmd *cobra.Command, in *partyChange) {
	if cmd.Flags().Changed("name") {
		in.Name = p.name
	}
	if cmd.Flags().Changed("scopes") {
		scopes := splitScopes(*p.scopes)
		in.Scopes = &scopes
	}
}

// splitScopes takes the list as OAuth writes it, and with commas. It is never
// nil: no scopes are a list too.
func splitScopes(list string) []string {
	return strings.FieldsFunc(list, func(c rune) bool { return c == ',' || c == ' ' })
}
