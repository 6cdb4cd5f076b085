package caddymodule

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

const doctorHelp = `Examines a configuration, the files that it names, the machine and, if it
runs, the server, and says of each finding where it is and what to do. It
changes nothing and shows no secret, and needs no server: what runs is looked
at if it answers.

With --config the file is examined, otherwise the configuration of the server
that --address or CADDY_ADMIN leads to. Run it as Caddy's user, and in the
folder in which Caddy was started if paths are relative: what another user may
not read is left out, with a note.

Levels: an error doesn't work or isn't safe; a warning will hurt some day; a
note may be meant so. The names in brackets are for programs, and stay.
Exit codes: 0 clean but for notes, 1 something was found, 2 wrong usage or a
file that cannot be read.`

func doctorCommand() *cobra.Command {
	cmd := forWholeServer(&cobra.Command{
		Use:   "doctor",
		Short: "Finds what is wrong with a configuration, its files, the machine and the server",
		Long:  doctorHelp,
		Example: "  sudo -u caddy caddy bearer doctor --config /etc/caddy/Caddyfile\n" +
			"  caddy bearer doctor --config Caddyfile --only config,policies --json",
		Args: takes(),
	})
	cmd.Flag("config").Usage = "configuration file to examine (default: what the server runs with)"
	cmd.Flag("json").Usage = "print the findings as JSON"
	only := cmd.Flags().StringSlice("only", nil, "groups of checks to make, of: "+strings.Join(doctorGroups(), ", "))
	completeFlag(cmd, "only", completeWords(doctorGroups()...))
	cmd.RunE = run(func(cmd *cobra.Command, _ []string) error {
		for _, group := range *only {
			if !slices.Contains(doctorGroups(), group) {
				return usagef("--only %s is unknown; known: %s", group, strings.Join(doctorGroups(), ", "))
			}
		}
		x, err := prepareExamination(cmd)
		if err != nil {
			return err
		}
		return reportDiagnoses(cmd, x.examine(*only))
	})
	return cmd
}

// prepareExamination reads the configuration: a file's, or that of the server.
func prepareExamination(cmd *cobra.Command) (*examination, error) {
	x := &examination{ctx: cmd.Context(), machine: thisMachine()}
	file := cmd.Flag("config").Value.String()
	if file != "" {
		if err := x.readFile(file, cmd.Flag("adapter").Value.String()); err != nil {
			return nil, usageError{err}
		}
	}
	var err error
	if len(x.found) == 0 { // else it doesn't say where the server is
		x.server, err = findRunning(cmd)
	}
	switch {
	case file != "" && errors.Is(err, fs.ErrPermission):
		x.find(levelNote, "permission", "", "run the doctor as Caddy's user to have it looked at", "this user may not ask the server: %s", err)
	case file == "" && err != nil:
		return nil, usagef("%w; name a configuration file with --config", err)
	case file == "":
		x.raw = x.server.config
		if err := x.decode(); err != nil {
			return nil, err
		}
	}
	return x, nil
}

// reportDiagnoses prints what was found, and is an error if it is more than notes.
func reportDiagnoses(cmd *cobra.Command, found []diagnosis) error {
	out := cmd.OutOrStdout()
	if wantsJSON(cmd) {
		if found == nil {
			found = []diagnosis{}
		}
		if err := encodeJSON(out, map[string][]diagnosis{"findings": found}); err != nil {
			return err
		}
	} else {
		for _, d := range found {
			where := ""
			if d.Where != "" {
				where = cellText(d.Where) + ": "
			}
			fmt.Fprintf(out, "%s: %s%s [%s]\n  do: %s\n", d.Level, where, cellText(strings.Join(strings.Fields(d.What), " ")), d.Check, cellText(d.Do))
		}
		if len(found) == 0 {
			fmt.Fprintln(out, "nothing was found")
		}
	}
	if slices.ContainsFunc(found, func(d diagnosis) bool { return d.Level != levelNote }) {
		return errFound
	}
	return nil
}
