package caddymodule

import (
	"strings"

	"github.com/spf13/cobra"
)

// recordWords is what tells the commands for one kind of record from those for
// the others.
type recordWords struct {
	name    string // of the command: "service-account"
	word    string // in sentences: "service account"
	path    string // in the admin API: "service-accounts"
	member  string // of a list in an answer: "service_accounts"
	example string // an id
	what    string // what such a record is
	below   func(recordWords) []*cobra.Command
}

var clientWords = recordWords{
	name: "client", word: "client", path: "clients", member: "clients", example: "trading-bot",
	what: `A client is a program that asks for tokens with an id and a secret (RFC 6749,
section 2). A public one has no secret.`,
	below: recordWords.clientCommands,
}

var serviceAccountWords = recordWords{
	name: "service-account", word: "service account", path: "service-accounts", member: "service_accounts", example: "treasury",
	what: "A service account is a program that owns accounts and lets clients use them.",
	below: func(w recordWords) []*cobra.Command {
		return append(w.partyCommands(), bindServiceAccount.bind(), bindServiceAccount.unbind())
	},
}

var userWords = recordWords{
	name: "user", word: "user", path: "users", member: "users", example: "alice",
	what: `A user is a person who owns accounts, and signs in with a password.`,
	below: func(w recordWords) []*cobra.Command {
		return append(w.peopleCommands(), w.addUser(), w.set())
	},
}

var accountWords = recordWords{
	name: "account", word: "account", path: "accounts", member: "accounts", example: "1234567",
	what:  "An account is a bank or trading account that tokens may be used on.",
	below: func(w recordWords) []*cobra.Command { return []*cobra.Command{w.addAccount()} },
}

// recordCommand returns the commands for one kind of record.
func recordCommand(w recordWords) *cobra.Command {
	cmd := &cobra.Command{
		Use:   w.name + " <command>",
		Short: "Manages " + w.word + "s",
		Long: w.what + `

What the configuration declares is shown here but changed there.`,
	}
	group(cmd, w.list(), w.show(), w.disable(), w.enable(), w.revoke())
	cmd.AddCommand(w.below(w)...)
	return forServer(cmd)
}

// fill puts the words into a help text: NAME is the command, WORD the record and
// ID one of its ids.
func (w recordWords) fill(text string) string {
	return strings.TrimLeft(strings.NewReplacer("NAME", w.name, "WORD", w.word, "EXAMPLE", w.example).Replace(text), "\n")
}

// complete completes an id.
func (w recordWords) complete() completion { return completeRecords(w.path, w.member) }

func (w recordWords) list() *cobra.Command {
	return &cobra.Command{
		Use:     "list",
		Short:   w.fill("Lists all WORDs"),
		Example: w.fill("  caddy bearer NAME list\n  caddy bearer NAME list --json"),
		Args:    takes(),
		RunE: onServer(func(c *adminClient, _ []string) error {
			return ask(c, "GET", []string{w.path}, "", nil, func(t *table, answer *map[string][]record) {
				printRecords(t, (*answer)[w.member])
			})
		}),
	}
}

func (w recordWords) show() *cobra.Command {
	return &cobra.Command{
		Use:               "show ID",
		Short:             w.fill("Shows one WORD"),
		Example:           w.fill("  caddy bearer NAME show EXAMPLE"),
		Args:              takes("ID"),
		ValidArgsFunction: completeArgs(w.complete()),
		RunE: onServer(func(c *adminClient, args []string) error {
			return ask(c, "GET", []string{w.path, args[0]}, "", nil, printRecord)
		}),
	}
}

func (w recordWords) disable() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "disable ID",
		Short: w.fill("Disables one WORD and ends everything under it"),
		Long: w.fill(`
Disables one WORD. No new tokens are issued for it, all grants and tokens that
stand on it are dead when the command returns, and live streams that rode on
them have been cut.`),
		Example: w.fill("  caddy bearer NAME disable EXAMPLE --dry-run\n" +
			"  caddy bearer NAME disable EXAMPLE --reason \"key leaked, ticket 4711\""),
		Args:              takes("ID"),
		ValidArgsFunction: completeArgs(w.complete()),
	}
	reason, keep := w.endingFlags(cmd)
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		return askToEnd(c, "POST", []string{w.path, args[0], "disable"}, becauseKeeping(*reason, *keep), printRecord)
	})
	return cmd
}

func (w recordWords) enable() *cobra.Command {
	return &cobra.Command{
		Use:               "enable ID",
		Short:             w.fill("Lets a disabled WORD be used again"),
		Long:              w.fill("Lets a disabled WORD be used again. Tokens and grants that ended with it stay dead."),
		Example:           w.fill("  caddy bearer NAME enable EXAMPLE"),
		Args:              takes("ID"),
		ValidArgsFunction: completeArgs(w.complete()),
		RunE: onServer(func(c *adminClient, args []string) error {
			return ask(c, "POST", []string{w.path, args[0], "enable"}, "", nil, printRecord)
		}),
	}
}

func (w recordWords) revoke() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: w.fill("Ends everything under one WORD, which stays in use"),
		Long: w.fill(`
Ends all grants and tokens that stand on one WORD, and cuts the live streams
that ride on them, but lets it be used to obtain new ones. It works for a WORD
of the configuration too.`),
		Example: w.fill("  caddy bearer NAME revoke EXAMPLE --dry-run\n" +
			"  caddy bearer NAME revoke EXAMPLE --reason \"tokens found in a log\""),
		Args:              takes("ID"),
		ValidArgsFunction: completeArgs(w.complete()),
	}
	reason, keep := w.endingFlags(cmd)
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		return askToEnd(c, "POST", []string{w.path, args[0], "revoke"}, becauseKeeping(*reason, *keep), printRevocation)
	})
	return cmd
}

func (w recordWords) addAccount() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "add ID",
		Short:   "Adds an account",
		Long:    "Adds an account. ID is the number by which the gated API knows it.",
		Example: "  caddy bearer account add 1234567 --kind trading --name \"House account\"",
		Args:    takes("ID"),
	}
	kind := cmd.Flags().String("kind", "bank", "what it holds: bank or trading")
	completeFlag(cmd, "kind", completeWords("bank", "trading"))
	name := cmd.Flags().String("name", "", "a name for people")
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		in := map[string]any{"id": args[0], "kind": *kind, "name": *name}
		return ask(c, "POST", []string{w.path}, "", in, printRecord)
	})
	return cmd
}

// endingFlags are those of every command that ends something, which asks by
// askToEnd. It returns the reason.
func endingFlags(cmd *cobra.Command) *string {
	cmd.Flags().Bool("dry-run", false, "show what would end, and end nothing")
	return cmd.Flags().String("reason", "", "why, for the record of what is revoked")
}

// because is the body that gives a reason; nil if there is none.
func because(reason string) any {
	if reason == "" {
		return nil
	}
	return map[string]string{"reason": reason}
}

func printRecords(t *table, records []record) {
	header := []any{"ID", "NAME", "STATUS", "SOURCE", "CREATED"}
	if len(records) > 0 && records[0].Kind != "" {
		header = append(header, "KIND")
	}
	if len(records) > 0 && records[0].Scopes != nil {
		header = append(header, "SCOPES")
	}
	t.row(header...)
	for i := range records {
		r := &records[i]
		cells := []any{r.ID, r.Name, r.Status, r.Source, r.Created}
		if r.Kind != "" {
			cells = append(cells, r.Kind)
		}
		if r.Scopes != nil {
			cells = append(cells, *r.Scopes)
		}
		t.row(cells...)
	}
}

func printRecord(t *table, r *record) {
	t.field("id", r.ID)
	t.field("name", r.Name)
	t.field("description", r.Description)
	t.field("owner", r.Owner)
	t.field("kind", r.Kind)
	if r.Public {
		t.row("public", "yes: it has no secret")
	}
	for _, uri := range r.RedirectURIs {
		t.row("redirect uri", uri)
	}
	if r.PKCEOptional {
		t.row("pkce", "may be left out")
	}
	if r.StateOptional {
		t.row("state", "may be left out")
	}
	if r.Scopes != nil {
		t.row("scopes", *r.Scopes)
	}
	if r.Accounts != nil {
		for _, a := range *r.Accounts {
			t.row("account", a.Account+" ("+strings.TrimSpace(string(a.Access)+" "+strings.Join(a.Scopes, " "))+")")
		}
	}
	t.field("status", r.Status)
	t.field("source", r.Source)
	t.field("created", r.Created)
	if !r.OldSecretUntil.IsZero() {
		t.field("old secret until", r.OldSecretUntil)
	}
	if r.Secret != "" {
		t.field("secret", r.Secret)
		t.row("Keep the secret now: it is never shown again.")
	}
}

func printRevocation(t *table, r *revocation) {
	t.field("revoked", string(r.Kind)+" "+r.Target)
	t.field("number", r.Number)
	t.field("at", r.At)
	t.field("kept until", r.Expires)
	t.field("reason", r.Reason)
}
