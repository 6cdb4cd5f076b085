package caddymodule

import (
	"slices"

	"github.com/spf13/cobra"
)

var appWords = recordWords{
	name: "app", word: "app", path: "apps", member: "apps", example: "budget",
	what: `An app is a program of the access code exchange: users connect it on the page
/connect, and it exchanges the access code that it gets for a token that lives until
the connection is ended. Its id is the app key, its secret the app secret. (A
program that uses OAuth 2.0 is a client.)`,
	below: func(w recordWords) []*cobra.Command {
		return []*cobra.Command{w.addApp(), w.setApp(), w.rotateOverlapping()}
	},
}

func (w recordWords) addApp() *cobra.Command {
	cmd, party := w.adder()
	cmd.Short = "Adds one app and shows its keys: the id is the app key, the secret is shown once"
	cmd.Long += `

--redirect-uri is where the browser of a user brings the access code, as a form that
it posts. One without a path, as https://budget.example.com, is an origin: with it
beside the other, pages of that origin may get the answer by postMessage.

--state-optional is for an app from before state; it is open to whoever makes a user's
browser connect the app to accounts of his own.`
	cmd.Example = "  caddy bearer app add budget --name \"Budget & Co\" --redirect-uri https://budget.example.com/connected --scopes \"read:accounts read:market\"" +
		"\n  caddy bearer app add --redirect-uri https://budget.example.com/connected --scopes read:accounts --json | jq -r .secret"
	more := appFlags(cmd)
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		in := newApp{newParty: party.in(args)}
		more.into(cmd, &in.appFields)
		return ask(c, "POST", []string{w.path}, "", in, printRecord)
	})
	return cmd
}

func (w recordWords) setApp() *cobra.Command {
	cmd, party := w.setter()
	cmd.Short = "Changes one app"
	cmd.Long = `Changes one app. If scopes are taken away, its tokens lose them at once, and its live
streams are cut. --redirect-uri names all redirect URIs that the app has from now on.`
	cmd.Example += "\n  caddy bearer app set budget --redirect-uri https://budget.example.com/connected --redirect-uri https://beta.example.com/connected"
	more := appFlags(cmd)
	cmd.RunE = onServer(func(c *adminClient, args []string) error {
		var in struct {
			partyChange
			appFields
		}
		party.into(cmd, &in.partyChange)
		more.into(cmd, &in.appFields)
		if !in.partyChange.any() && !in.appFields.any() {
			return usagef("there is nothing to change; give --name, --scopes, --description, --redirect-uri or --state-optional")
		}
		return ask(c, "PATCH", []string{w.path, args[0]}, "", in, printRecord)
	})
	return cmd
}

// appOptions are the flags for what apps have beyond other parties.
type appOptions struct {
	description   *string
	stateOptional *bool
	redirectURIs  *[]string
}

func appFlags(cmd *cobra.Command) appOptions {
	return appOptions{
		cmd.Flags().String("description", "", "what it is for, for people who are asked to trust it"),
		cmd.Flags().Bool("state-optional", false, "it cannot send state, and need not"),
		cmd.Flags().StringArray("redirect-uri", nil, "where people are sent back to with a code (once for each)"),
	}
}

// into fills in what was given.
func (o appOptions) into(cmd *cobra.Command, in *appFields) {
	if cmd.Flags().Changed("description") {
		in.Description = o.description
	}
	if cmd.Flags().Changed("state-optional") {
		in.StateOptional = o.stateOptional
	}
	if cmd.Flags().Changed("redirect-uri") {
		uris := slices.Clone(*o.redirectURIs)
		in.RedirectURIs = &uris
	}
}
