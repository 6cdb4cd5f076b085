package caddymodule

import (
	"os"

	"github.com/spf13/cobra"
)

func tokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "token <command>",
		Short: "Issues, lists, identifies, rotates and revokes tokens",
		Long: `Issues, lists and rotates personal tokens; identifies and revokes tokens of any kind. A
token is read from standard input or a file, never from an argument: everyone on
a machine sees the arguments of programs.`,
	}
	return forServer(group(cmd, issueTokenCommand(), listTokensCommand(), showTokenCommand(), rotateTokenCommand(), revokeTokenCommand()))
}

// noTokenHere refuses arguments without repeating them.
func noTokenHere(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	return end(cmd, usagef("a token is never an argument, because everyone on this machine sees those; pass it on standard input or with --file"))
}

func fileFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("file", "", "file that holds the token (default: standard input)")
}

// readToken reads the token that a command is about.
func readToken(cmd *cobra.Command, path string) (string, error) {
	if path == "" {
		return nonEmpty(readSecret(cmd, "Token: "))
	}
	file, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer file.Close()
	return nonEmpty(readOneLine(file))
}

func nonEmpty(token string, err error) (string, error) {
	if err == nil && token == "" {
		return "", usagef("there is no token in the input")
	}
	return token, err
}

func showTokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "show",
		Short: "Tells what a token is and whether it is live",
		Example: "  caddy bearer token show --file leaked.txt\n" +
			"  pbpaste | caddy bearer token show --json",
		Args: noTokenHere,
	}
	path := fileFlag(cmd)
	cmd.RunE = onServer(func(c *adminClient, _ []string) error {
		token, err := readToken(cmd, *path)
		if err != nil {
			return err
		}
		return ask(c, "POST", []string{"tokens", "show"}, "", presentedToken{token}, printToken)
	})
	return cmd
}

func revokeTokenCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "revoke",
		Short: "Ends a token",
		Long: `Ends a token. An access token dies alone; a refresh token takes its grant along,
and with it all other tokens of that grant. When the command returns, the token
passes no more, and live streams that rode on it have been cut.`,
		Example: "  caddy bearer token revoke --file leaked.txt --reason \"found in a log\"\n" +
			"  caddy bearer token revoke --id 5nTq0aGmB1sKwR7xYc2dEf",
		Args: noTokenHere,
	}
	path := fileFlag(cmd)
	id := cmd.Flags().String("id", "", "the token's id (jti), where the token itself is not at hand")
	reason := endingFlags(cmd)
	cmd.RunE = onServer(func(c *adminClient, _ []string) error {
		if *id != "" && *path != "" {
			return usagef("--id and --file name two tokens; give one")
		}
		in := map[string]string{"reason": *reason}
		if *id != "" {
			in["id"] = *id
		} else {
			token, err := readToken(cmd, *path)
			if err != nil {
				return err
			}
			in["token"] = token
		}
		return askToEnd(c, "POST", []string{"tokens", "revoke"}, in, printRevocation)
	})
	return cmd
}

func printToken(t *table, f *shownFacts) {
	t.field("id", f.ID)
	t.field("class", f.Class)
	t.field("label", f.Label)
	t.field("status", f.Status)
	t.field("grant", f.Grant)
	t.field("principal", f.Principal)
	t.field("client", f.Client)
	t.field("scopes", f.Scopes)
	t.field("accounts", f.Accounts)
	t.field("issued", f.Issued)
	t.field("expires", f.Expires)
	t.field("used", f.Used)
	t.field("from", f.UsedFrom)
}
