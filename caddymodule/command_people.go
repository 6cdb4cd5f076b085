package caddymodule

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// peopleCommands are those about how users sign in.
func (w recordWords) peopleCommands() []*cobra.Command {
	return []*cobra.Command{w.password(), w.sessions()}
}

func (w recordWords) password() *cobra.Command {
	return &cobra.Command{
		Use:   "password ID",
		Short: "Gives one user a password to sign in with",
		Long: fmt.Sprintf(`
Reads a password from standard input, or asks for it twice on a terminal, and
gives it to one user, who can sign in with it from now on. It must have %d
characters or more; the server keeps an argon2id hash. A password from before
is good no more, and wherever the user is signed in, that ends. Tokens live on;
"caddy bearer user revoke" ends them.

Where an OpenID provider signs people in ("login oidc"), passwords are not
asked for.`, token.MinPassword)[1:],
		Example: "  caddy bearer user password alice\n" +
			"  openssl rand -base64 18 | tee password.txt | caddy bearer user password alice",
		Args:              takes("ID"),
		ValidArgsFunction: completeArgs(w.complete()),
		RunE: onServer(func(c *adminClient, args []string) error {
			password, err := readNewSecret(c.cmd, "New password: ")
			if err != nil {
				return err
			}
			in := map[string]string{"password": password}
			return ask(c, "PUT", []string{w.path, args[0], "password"}, "", in, func(t *table, r *record) {
				t.row("user", r.ID)
				t.row("password", "set; sessions from before have ended")
			})
		}),
	}
}

func (w recordWords) sessions() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "sessions ID",
		Short: "Lists where one user is signed in, or ends that",
		Long: `
Lists the browsers at which one user is signed in, the newest first. A session
ends 12 hours after it began, when it was not used for an hour, at once when
the user is disabled or revoked, signs out or gets another password; and by
--end.`[1:],
		Example: "  caddy bearer user sessions alice\n" +
			"  caddy bearer user sessions alice --end all",
		Args:              takes("ID"),
		ValidArgsFunction: completeArgs(w.complete()),
	}
	end := cmd.Flags().String("end", "", "the session to end, by its id, or all")
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		if !cmd.Flags().Changed("end") {
			return ask(c, "GET", []string{w.path, args[0], "sessions"}, "", nil, printSessions)
		}
		var in any
		switch *end {
		case "":
			return usagef("--end wants the id of a session, or all")
		case "all":
		default:
			in = map[string]string{"session": *end}
		}
		return ask(c, "POST", []string{w.path, args[0], "sessions", "end"}, "", in, func(t *table, answer *map[string]int) {
			t.row("ended", fmt.Sprint((*answer)["ended"]))
		})
	})
	return cmd
}

func printSessions(t *table, answer *map[string][]openSession) {
	t.row("ID", "SINCE", "SEEN", "EXPIRES", "ADDRESS", "BROWSER")
	for _, s := range (*answer)["sessions"] {
		t.row(s.ID, s.Since, s.Seen, s.Expires, s.Address, s.Agent)
	}
}

// readNewSecret is readSecret for one that is made up at this moment: a person
// types it twice.
func readNewSecret(cmd *cobra.Command, prompt string) (string, error) {
	secret, err := readSecret(cmd, prompt)
	if err != nil {
		return "", err
	}
	if _, typed := terminal(cmd); typed {
		again, err := readSecret(cmd, "The same again: ")
		if err != nil {
			return "", err
		}
		if again != secret {
			return "", usagef("the two differ")
		}
	}
	return secret, nil
}
