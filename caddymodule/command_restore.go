package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"github.com/caddy-bearer/caddy-bearer/store/journal"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite"
)

func restoreCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "restore FILE (--replay | --end-all | --as-is)",
		Short: "Makes a backup the database again; the server must be stopped",
		Long: `Makes a copy of the database the database again, so that nothing comes back that
was revoked after the copy was made. The server must be stopped. The database that
is there now is kept under another name. FILE may be that database itself.

  --replay   Puts what was revoked since, which the revocation journal has, into
             the copy. Refresh tokens end: one that was renewed since, and perhaps
             stolen, would be good again. Records that commands changed since are
             disabled and named, because the copy has them as they were before.
  --end-all  Where the journal is lost. Ends all tokens and grants, and retires
             the signing keys. Clients and accounts stay; but those that commands
             disabled since are active again, and their old secrets are good.
  --as-is    Where only the journal is lost or damaged, and the database is the
             newest that ever existed. Nothing ends.

Run it as the user that Caddy runs as.`,
		Example: "  caddy bearer restore /backup/bearer.db --config /etc/caddy/Caddyfile --replay\n" +
			"  caddy bearer restore /backup/bearer.db --database /var/lib/caddy/bearer/bearer.db \\\n" +
			"    --revocation-journal /var/lib/caddy/keys/revocations.journal --end-all",
		Args:              takes("FILE"),
		ValidArgsFunction: completeFile,
	}
	flags := cmd.Flags()
	flags.Bool("replay", false, "put what was revoked since into the copy")
	flags.Bool("end-all", false, "end all tokens and grants")
	flags.Bool("as-is", false, "take the copy as it is: nothing newer ever existed")
	flags.Bool("keep-refresh", false, "with --replay: let refresh tokens live, those too that were renewed since")
	flags.Bool("json", false, "print JSON")
	flags.String("database", "", "the database file (default: that of --config)")
	flags.String("revocation-journal", "", "the revocation journal's file (default: that of --config)")
	flags.StringP("config", "c", "", "configuration file that says where both are")
	flags.StringP("adapter", "a", "", "name of the adapter for that file")
	cmd.RunE = run(func(cmd *cobra.Command, args []string) error {
		r, err := newRestore(cmd, args[0])
		if err != nil {
			return err
		}
		return r.run()
	})
	return cmd
}

// restore is one run of the command.
type restore struct {
	cmd     *cobra.Command
	journal string // its path
	sqlite.Restoration

	copied  sqlite.Info
	content *journal.Content // nil: there is none that can be read
}

func newRestore(cmd *cobra.Command, from string) (*restore, error) {
	r := &restore{cmd: cmd, Restoration: sqlite.Restoration{From: from, At: time.Now().UTC().Truncate(time.Microsecond)}}
	chosen := 0
	for _, choice := range []sqlite.Choice{sqlite.Replay, sqlite.EndAll, sqlite.AsIs} {
		if cmd.Flag(string(choice)).Value.String() == "true" {
			r.Choice = choice
			chosen++
		}
	}
	if chosen != 1 {
		return nil, usagef("what is to become of what was revoked since the copy was made? give one of --replay, --end-all and --as-is")
	}
	r.KeepRefresh = cmd.Flag("keep-refresh").Value.String() == "true"
	if r.KeepRefresh && r.Choice != sqlite.Replay {
		return nil, usagef("--keep-refresh goes with --replay")
	}
	app, err := configuredApp(cmd.Flag("config").Value.String(), cmd.Flag("adapter").Value.String())
	if err != nil {
		return nil, err
	}
	r.Path = cmp.Or(cmd.Flag("database").Value.String(), app.Store.Path)
	r.journal = cmp.Or(cmd.Flag("revocation-journal").Value.String(), app.RevocationJournalFile)
	if r.Path == "" || r.journal == "" {
		return nil, usagef("where are the database and its revocation journal? name the file that says so with --config, or both with --database and --revocation-journal")
	}
	return r, nil
}

// configuredApp is the app of a configuration file with its defaults; an empty
// one if no file is named.
func configuredApp(file, adapter string) (*App, error) {
	if file == "" {
		return &App{Store: new(Store)}, nil
	}
	config, _, _, err := caddycmd.LoadConfig(file, adapter)
	if err != nil {
		return nil, fmt.Errorf("configuration file %s: %w", file, err)
	}
	var settings struct {
		Apps struct {
			Bearer *App `json:"bearer"`
		} `json:"apps"`
	}
	if err := json.Unmarshal(config, &settings); err != nil {
		return nil, fmt.Errorf("configuration file %s: %w", file, err)
	}
	app := settings.Apps.Bearer
	if app == nil {
		return nil, fmt.Errorf("configuration file %s: there is no app %q in it", file, appName)
	}
	app.fillDefaults()
	if app.Store.Driver != "sqlite" {
		return nil, fmt.Errorf("configuration file %s: a store %q is restored by its own tools", file, app.Store.Driver)
	}
	return app, nil
}

func (r *restore) run() error {
	ctx := r.cmd.Context()
	var err error
	if r.copied, err = sqlite.Inspect(ctx, r.From); err != nil {
		return err
	}
	if err := r.readJournal(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(r.Path), 0o700); err != nil {
		return err
	}
	done, err := sqlite.Restore(ctx, r.Restoration)
	if errors.Is(err, sqlite.ErrLocked) {
		return fmt.Errorf("%w; stop Caddy first", err)
	}
	if err != nil {
		return err
	}
	if err := r.writeJournal(&done); err != nil {
		return fmt.Errorf("the database is restored, its journal is not, and Caddy will not start; run this again: %w", err)
	}
	if wantsJSON(r.cmd) {
		return encodeJSON(r.cmd.OutOrStdout(), &done)
	}
	return r.print(r.cmd.OutOrStdout(), &done)
}

// name is what the journal of the copy calls it.
func (r *restore) name() string { return journal.Name(r.copied.Identity, r.copied.Lineage) }

// readJournal holds the copy against the journal, as far as the choice needs it.
func (r *restore) readJournal() error {
	content, err := journal.Read(r.journal)
	switch {
	case r.Choice == sqlite.Replay && err != nil:
		return fmt.Errorf("%w; if no copy of the journal is left either, use --end-all", err)
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, journal.ErrDamaged):
		return err
	case err == nil:
		r.content = content
	}
	err = nil
	switch r.Choice {
	case sqlite.Replay:
		err = r.checkReplay()
	case sqlite.AsIs:
		err = r.checkAsIs()
	}
	if err != nil || r.content == nil || r.content.Store != r.name() {
		return err
	}
	r.Generation = r.content.Generation
	if r.Choice != sqlite.Replay {
		return nil
	}
	r.Revocations = r.content.Revocations
	for _, note := range r.content.Notes {
		if note.Generation >= r.copied.Generation {
			r.Changed = append(r.Changed, sqlite.Changed{Environment: note.Environment, Target: note.Target})
		}
	}
	return nil
}

func (r *restore) checkReplay() error {
	switch c := r.content; {
	case c.Store != r.name():
		return fmt.Errorf("%w: %s is that of %s, %s is a copy of %s", journal.ErrOtherStore, r.journal, c.Store, r.From, r.name())
	case c.Generation < r.copied.Generation:
		return fmt.Errorf("the journal %s is older than the copy (generation %d, and %d): it was cut short, or is an old copy itself; find the newest, or use --end-all",
			r.journal, c.Generation, r.copied.Generation)
	}
	return nil
}

// checkAsIs refuses what is known not to be the newest state.
func (r *restore) checkAsIs() error {
	switch {
	case r.copied.Backup != "":
		return fmt.Errorf("%s was made as a backup at %s: what was revoked since is not in it; use --replay or --end-all", r.From, r.copied.Backup)
	case r.content == nil:
		return nil
	case r.content.Store != r.name():
		return fmt.Errorf("%w: %s is that of %s, %s is a copy of %s", journal.ErrOtherStore, r.journal, r.content.Store, r.From, r.name())
	case r.content.Generation > r.copied.Generation:
		return fmt.Errorf("the journal %s proves that %s is an older copy (generation %d, and %d); use --replay",
			r.journal, r.From, r.content.Generation, r.copied.Generation)
	}
	return errors.New("the journal is there and whole: start Caddy, which knows whether it belongs to the database; or use --replay")
}

// writeJournal begins the journal of the restored database. One that did not
// serve for it is kept under another name.
func (r *restore) writeJournal(done *sqlite.Restored) error {
	content := &journal.Content{Store: journal.Name(done.Identity, done.Lineage), Generation: done.Generation, At: r.At, Revocations: done.Revocations}
	if r.Choice == sqlite.Replay {
		content.Notes = r.content.Notes
	} else {
		aside, err := sqlite.Aside(r.journal, r.At)
		if err != nil {
			return err
		}
		if err := os.Rename(r.journal, aside); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return journal.Create(r.journal, content)
}

// print says what was done, and what is left to people.
func (r *restore) print(w io.Writer, done *sqlite.Restored) error {
	t := newTable(w)
	t.field("restored", r.Path)
	t.field("from", r.From)
	t.field("kept aside", done.Aside)
	t.field("store", done.Identity)
	t.field("generation", done.Generation)
	switch r.Choice {
	case sqlite.Replay:
		t.row("revocations replayed", fmt.Sprint(done.Replayed))
		t.row("refresh tokens ended", fmt.Sprint(done.Refresh))
		t.row("shared tokens ended", fmt.Sprint(done.Shared))
		t.row("rotated tokens ended", fmt.Sprint(done.Rotated))
		t.row("codes ended", fmt.Sprint(done.Codes))
		t.row("sessions ended", fmt.Sprint(done.Sessions))
	case sqlite.EndAll:
		t.row("grants ended", fmt.Sprint(done.Grants))
		t.row("parties ended", fmt.Sprint(done.Parties))
		t.row("signing keys retired", fmt.Sprint(done.Keys))
		t.row("sessions ended", fmt.Sprint(done.Sessions))
	}
	for _, name := range done.Disabled {
		t.field("disabled", name)
	}
	for _, name := range done.Unbound {
		t.field("unbound", name)
	}
	for _, name := range done.Unknown {
		t.field("unknown", name)
	}
	if err := t.out.Flush(); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, strings.Join(r.advice(done), "\n"))
	return err
}

func (r *restore) advice(done *sqlite.Restored) []string {
	var lines []string
	switch r.Choice {
	case sqlite.Replay:
		lines = append(lines, "Tokens that were issued after the copy was made can't be renewed: programs must obtain new ones.")
		if r.KeepRefresh {
			lines = append(lines, "Refresh tokens that were renewed since are good again, in whatever hands they are.")
		}
	case sqlite.EndAll:
		lines = append(lines, "All programs must obtain new tokens. What commands disabled or gave a new secret after the copy was made is as it was before: do it again as soon as Caddy runs.")
	}
	if len(done.Disabled)+len(done.Unbound) > 0 {
		lines = append(lines, "Disabled or unbound is what commands changed since. Bring each up to date (secret, scopes, accounts), then enable or bind it.")
	}
	if len(done.Unknown) > 0 {
		lines = append(lines, "Unknown is what commands added or did since, and the copy knows nothing of: do it again.")
	}
	return append(lines, "Start Caddy now.")
}
