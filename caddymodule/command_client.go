package caddymodule

import (
	"slices"

	"github.com/spf13/cobra"
)

// clientCommands are those for clients, of which more can be said.
func (w recordWords) clientCommands() []*cobra.Command {
	return []*cobra.Command{w.addClient(), w.setClient(), w.rotateOverlapping()}
}

func (w recordWords) addClient() *cobra.Command {
	cmd, party := w.adder()
	cmd.Short = "Adds one client and shows its secret, once, if it has one"
	cmd.Long += `

A client that signs people in needs --redirect-uri: where they are sent back to
with a code. With --public it has no secret, because it runs where everybody can
read it, as a program on the desktop does; it must use PKCE then and cannot act
for itself.`
	cmd.Example += "\n  caddy bearer client add chat-bot --redirect-uri https://bot.example.com/callback --scopes read:market" +
		"\n  caddy bearer client add desktop --public --redirect-uri http://127.0.0.1/callback --scopes read:market"
	more := clientFlags(cmd)
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		in := newClient{newParty: party.in(args)}
		more.into(cmd, &in.clientFields)
		return ask(c, "POST", []string{w.path}, "", in, printRecord)
	})
	return cmd
}

func (w recordWords) setClient() *cobra.Command {
	cmd, party := w.setter()
	cmd.Short = "Changes one client"
	cmd.Long += `

--redirect-uri names all redirect URIs that the client has from now on. If one of
those before is missing, or the client becomes public, all that it obtained ends,
streams too: nobody knows which token came by way of it; --dry-run tells what that
would be. A public client that gets a secret (--public=false) is shown it, once.`
	cmd.Example += "\n  caddy bearer client set chat-bot --redirect-uri https://bot.example.com/callback --redirect-uri https://bot.example.com/beta"
	cmd.Flags().Bool("dry-run", false, "show what would end, and end nothing")
	more := clientFlags(cmd)
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		var in clientChange
		party.into(cmd, &in.partyChange)
		more.into(cmd, &in.clientFields)
		if !in.partyChange.any() && !in.clientFields.any() {
			return usagef("there is nothing to change; give --name, --scopes, --description, --public, --redirect-uri or --pkce-optional")
		}
		return askToEnd(c, "PATCH", []string{w.path, args[0]}, in, printRecord)
	})
	return cmd
}

// clientOptions are the flags for what clients have beyond other parties.
type clientOptions struct {
	description          *string
	public, pkceOptional *bool
	redirectURIs         *[]string
}

func clientFlags(cmd *cobra.Command) clientOptions {
	return clientOptions{
		cmd.Flags().String("description", "", "what it is for, for people who are asked to trust it"),
		cmd.Flags().Bool("public", false, "it has no secret, because it runs where everybody can read it"),
		cmd.Flags().Bool("pkce-optional", false, "it cannot do PKCE, and need not"),
		cmd.Flags().StringArray("redirect-uri", nil, "where people are sent back to with a code (once for each)"),
	}
}

// into fills in what was given.
func (o clientOptions) into(cmd *cobra.Command, in *clientFields) {
	if cmd.Flags().Changed("description") {
		in.Description = o.description
	}
	if cmd.Flags().Changed("public") {
		in.Public = o.public
	}
	if cmd.Flags().Changed("pkce-optional") {
		in.PKCEOptional = o.pkceOptional
	}
	if cmd.Flags().Changed("redirect-uri") {
		uris := slices.DeleteFunc(slices.Clone(*o.redirectURIs), func(uri string) bool { return uri == "" })
		in.RedirectURIs = &uris // --redirect-uri "" takes all away
	}
}
