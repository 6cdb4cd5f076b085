package caddymodule

import (
	"net/url"

	"github.com/spf13/cobra"
)

func keyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "key <command>",
		Short: "Shows, rotates and revokes signing keys and root keys",
		Long: `Signing keys sign the access tokens of one environment and are published in its
JWK Set. The root key is the one in the file, from which or under which all other
keys are made, in all environments.`,
	}
	return forServer(group(cmd, listKeysCommand(), showKeyCommand(), rotateKeyCommand(), revokeKeyCommand(),
		listRootKeysCommand(), rotateRootCommand(), forgetRootCommand()))
}

func listKeysCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Lists the signing keys, the newest first",
		Long: `Lists the signing keys, the newest first. The state of a key is one of

  future     it is published, and signs from the time that is shown
  signing    it signs
  verifying  it signs no more, but tokens that it signed may live
  retired    nothing that it signed can live; it is not published any more
  revoked    everything that it signed is dead`,
		Example: "  caddy bearer key list\n  caddy bearer key list --environment sandbox --json",
		Args:    takes(),
		RunE: onServer(func(c *adminClient, _ []string) error {
			return ask(c, "GET", []string{"keys"}, "", nil, func(t *table, answer *map[string][]shownKey) {
				t.row("ID", "ALGORITHM", "STATE", "SOURCE", "SIGNS FROM", "SIGNS UNTIL", "RETIRES")
				for _, k := range (*answer)["keys"] {
					t.row(k.ID, k.Algorithm, k.State, k.Source, k.SignFrom, k.SignUntil, k.Retires)
				}
			})
		}),
	}
}

func showKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "show ID",
		Short:   "Shows one signing key with its public half",
		Example: "  caddy bearer key show 3mX1rJcC0qTzYw8dVn5kLb",
		Args:    takes("ID"),

		ValidArgsFunction: completeArgs(completeKeys),
		RunE: onServer(func(c *adminClient, args []string) error {
			return ask(c, "GET", []string{"keys", args[0]}, "", nil, printKey)
		}),
	}
}

func rotateKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "rotate",
		Short: "Makes the next signing key",
		Long: `Makes the next signing key. It is published at once and signs ten minutes later,
when everybody who verifies by the JWK Set has had the time to learn of it. The
key before it goes on verifying what it signed until none of that can live.

With --now the next key (the one that is published already, if there is one)
signs at once: who verifies by a copy of the JWK Set refuses its tokens until it
fetches the set again.

This happens by itself, by default every 90 days (signing_key_rotation).`,
		Example: "  caddy bearer key rotate\n  caddy bearer key rotate --now",
		Args:    takes(),
	}
	now := cmd.Flags().Bool("now", false, "sign at once, without the time for publication")
	cmd.RunE = onServer(func(c *adminClient, _ []string) error {
		return ask(c, "POST", []string{"keys"}, "", map[string]bool{"now": *now}, printKey)
	})
	return cmd
}

func revokeKeyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke ID",
		Short: "Ends everything that one signing key signed",
		Long: `Ends everything that one signing key signed, for a key that was stolen. When the
command returns, none of it passes any more, live streams that rode on it have
been cut, and the key is not published any more. If it was the one that signs,
another signs in its place. Refresh tokens live on: bots renew.`,
		Example: "  caddy bearer key revoke 3mX1rJcC0qTzYw8dVn5kLb --dry-run\n" +
			"  caddy bearer key revoke 3mX1rJcC0qTzYw8dVn5kLb --reason \"backup stolen, ticket 4711\"",
		Args:              takes("ID"),
		ValidArgsFunction: completeArgs(completeKeys),
	}
	reason := endingFlags(cmd)
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		return askToEnd(c, "POST", []string{"keys", args[0], "revoke"}, because(*reason), printRevocation)
	})
	return cmd
}

func listRootKeysCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "list-roots",
		Short:   "Lists the root keys of the file and what still needs the old ones",
		Example: "  caddy bearer key list-roots",
		Args:    takes(),
		RunE: onServer(func(c *adminClient, _ []string) error {
			return askAt(c, "GET", "/root-keys", nil, func(t *table, answer *map[string][]shownRootKey) {
				t.row("ID", "STATE", "TOKENS", "SECRETS")
				for _, k := range (*answer)["root_keys"] {
					t.row(k.ID, k.State, k.Needed.Tokens, k.Needed.Secrets)
				}
			})
		}),
	}
}

func rotateRootCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "rotate-root",
		Short: "Makes a new root key, of all environments",
		Long: `Makes a new root key and writes it to the first line of the root key file. From
then on everything is made with it. Signing keys are sealed anew; tokens and
generated secrets from before stay good, by the older lines of the file.

Keep a copy of the new file, apart from the database.`,
		Example: "  caddy bearer key rotate-root",
		Args:    takes(),
		RunE: onServer(func(c *adminClient, _ []string) error {
			return askAt(c, "POST", "/root-keys", nil, func(t *table, k *shownRootKey) {
				t.field("root key", k.ID)
				t.field("state", k.State)
				t.row("Keep a copy of the root key file now, apart from the database.")
			})
		}),
	}
}

func forgetRootCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "forget-root ID",
		Short: "Removes an old root key that nothing needs any more",
		Long: `Removes an old root key from the root key file. While tokens or secrets that it
made may still be presented, the command says how many and refuses. With --force
it removes the key all the same, and they are worth nothing any more.`,
		Example:           "  caddy bearer key forget-root 7uitVE6JTCX",
		Args:              takes("ID"),
		ValidArgsFunction: completeArgs(completeOldRoots),
	}
	force := cmd.Flags().Bool("force", false, "end what still needs it")
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		return askAt(c, "POST", "/root-keys/"+url.PathEscape(args[0])+"/forget", map[string]bool{"force": *force}, func(t *table, k *shownRootKey) {
			t.field("root key", k.ID)
			t.field("state", k.State)
			t.field("ended tokens", int64(k.Needed.Tokens))
			t.field("ended secrets", int64(k.Needed.Secrets))
		})
	})
	return cmd
}

func printKey(t *table, k *shownKey) {
	t.field("id", k.ID)
	t.field("algorithm", k.Algorithm)
	t.field("state", k.State)
	t.field("source", k.Source)
	t.field("created", k.Created)
	t.field("signs from", k.SignFrom)
	t.field("signs until", k.SignUntil)
	t.field("retires", k.Retires)
	t.field("jwk", string(k.JWK))
}
