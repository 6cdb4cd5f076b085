package caddymodule

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"

	"github.com/caddy-bearer/caddy-bearer/audit"
)

func auditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "audit <command>",
		Short: "Shows, verifies and exports the audit trail",
		Long: `The audit trail has a row for each token that was issued, renewed or revoked,
each sign-in, each refusal and each change of rights. Rows are sealed within
seconds: whoever changes one later can be found out.`,
	}
	return forServer(group(cmd, listAuditCommand(), verifyAuditCommand(), exportAuditCommand(), auditKeyCommand()))
}

func listAuditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "list",
		Short: "Lists what happened, the newest first",
		Long: `Lists what happened in an environment, and to the server as a whole, the newest
first. Filters compare whole words. --since and --until take a time
(2006-01-02T15:04:05Z), a day (2006-01-02, in UTC) or how long ago (90s, 12h,
7d). COUNT is how many events within a second were alike.`,
		Example: "  caddy bearer audit list --actor client:trading-bot --since 24h\n" +
			"  caddy bearer audit list --action client.sign_in --outcome invalid_client",
		Args: takes(),
	}
	flags := cmd.Flags()
	words := map[string]string{
		"actor": "only what this one did, as in client:trading-bot", "action": "only this, as in grant.revoke",
		"target": "only what was done to this, as in grant:3mX1rJcC0qTz", "outcome": "only what ended so, as in ok",
	}
	for name, usage := range words {
		flags.String(name, "", usage)
	}
	for name, member := range map[string]func(*auditEvent) string{
		"actor": func(e *auditEvent) string { return e.Actor }, "action": func(e *auditEvent) string { return e.Action },
		"target": func(e *auditEvent) string { return e.Target }, "outcome": func(e *auditEvent) string { return e.Outcome },
	} {
		completeFlag(cmd, name, completeEvents(member))
	}
	flags.String("since", "", "not before this time")
	flags.String("until", "", "before this time")
	limit := flags.Int("limit", defaultLimit, "list so many at most, up to "+strconv.Itoa(maxLimit))
	cmd.RunE = onServer(func(c *adminClient, _ []string) error {
		query := url.Values{"limit": {strconv.Itoa(*limit)}}
		for name := range words {
			if value := c.flag(name); value != "" {
				query.Set(name, value)
			}
		}
		for _, name := range []string{"since", "until"} {
			if text := c.flag(name); text != "" {
				at, err := parseInstant(text, time.Now())
				if err != nil {
					return usagef("--%s %q: %w", name, text, err)
				}
				query.Set(name, at.UTC().Format(time.RFC3339Nano))
			}
		}
		return ask(c, "GET", []string{"audit"}, query.Encode(), nil, printEvents)
	})
	return cmd
}

// parseInstant reads a time, a day or how long ago something was.
func parseInstant(text string, now time.Time) (time.Time, error) {
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if at, err := time.Parse(layout, text); err == nil {
			return at, nil
		}
	}
	ago, err := caddy.ParseDuration(text)
	if err != nil || ago < 0 {
		return time.Time{}, errors.New("expected a time as in 2006-01-02T15:04:05Z, a day as in 2006-01-02, or how long ago as in 12h or 7d")
	}
	return now.Add(-ago), nil
}

func printEvents(t *table, answer *map[string][]auditEvent) {
	t.row("ROW", "TIME", "ACTOR", "ACTION", "TARGET", "SUBJECT", "OUTCOME", "COUNT", "ADDRESS", "REASON")
	for _, e := range (*answer)["events"] {
		t.row(e.Sequence, e.At, e.Actor, e.Action, e.Target, e.Subject, e.Outcome, e.Count, e.Address, e.Reason)
	}
}

func verifyAuditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "verify",
		Short: "Tells whether somebody changed the audit trail",
		Long: `Walks along the whole audit trail and tells whether a row was changed, removed
or inserted after it was sealed. That the end was cut off can't be told from
the database alone: --head names a file that a sink has written to (or - for
standard input), which the server can't change or which was copied from it.
Lines of other servers in it are passed over.

The exit code is 1 if anything is wrong.`,
		Example: "  caddy bearer audit verify\n" +
			"  caddy bearer audit verify --head /var/log/caddy/audit-heads.jsonl",
		Args: takes(),
	}
	path := cmd.Flags().String("head", "", "file with heads from outside of the database, - for standard input")
	cmd.RunE = onServer(func(c *adminClient, _ []string) error {
		in, err := readHeads(cmd, *path)
		if err != nil {
			return err
		}
		c.http.Timeout = verifyTimeout
		var answer verification
		body, err := c.call("POST", "/audit/verify", in, &answer)
		if err != nil {
			return err
		}
		if err := c.print(body, func(t *table) { printVerification(t, &answer) }); err != nil {
			return err
		}
		if !answer.Sound {
			return end(cmd, errFound)
		}
		return nil
	})
	return cmd
}

// readHeads reads the file of a sink. No path: no heads.
func readHeads(cmd *cobra.Command, path string) (any, error) {
	if path == "" {
		return nil, nil
	}
	in := cmd.InOrStdin()
	if path != "-" {
		file, err := os.Open(path)
		if err != nil {
			return nil, err
		}
		defer file.Close()
		in = file
	}
	heads, skipped, err := audit.ReadHeads(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(heads) == 0 {
		return nil, fmt.Errorf("%s holds no head of an audit trail (%d lines are none)", path, skipped)
	}
	if skipped > 0 {
		fmt.Fprintf(cmd.ErrOrStderr(), "warning: %d lines of %s are no heads and were passed over\n", skipped, path)
	}
	lines := make([]string, len(heads))
	for i := range heads {
		lines[i] = heads[i].Line()
	}
	return map[string][]string{"heads": lines}, nil
}

// print prints an answer that concerns no environment, as ask does.
func (c *adminClient) print(body []byte, human func(*table)) error {
	if c.flag("json") == "true" {
		return printJSON(c.cmd.OutOrStdout(), body)
	}
	t := newTable(c.cmd.OutOrStdout())
	human(t)
	return t.out.Flush()
}

func printVerification(t *table, v *verification) {
	verdict := "the audit trail is sound"
	if !v.Sound {
		verdict = "THE AUDIT TRAIL WAS CHANGED"
	}
	t.row(verdict)
	t.row("rows", strconv.FormatInt(v.Rows, 10)+" sealed, "+strconv.FormatInt(v.Unsealed, 10)+" not sealed yet")
	t.row("seals", strconv.FormatInt(v.Seals, 10))
	t.row("tail", v.Tail)
	if len(v.Head) > 0 {
		t.row("head", string(v.Head))
	}
	for _, f := range v.Findings {
		t.row("row "+strconv.FormatInt(f.Sequence, 10), string(f.Problem)+": "+f.Detail)
	}
	if v.Omitted > 0 {
		t.row("and", strconv.Itoa(v.Omitted)+" further findings")
	}
}

func exportAuditCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "export",
		Short: "Writes the audit trail for an archive, the oldest first",
		Long: `Writes the rows of all environments as lines of JSON, the oldest first, each with
the digest that its seal covers, and each seal behind its rows. --after goes on
where an earlier export ended.`,
		Example: "  caddy bearer audit export > audit.jsonl\n" +
			"  caddy bearer audit export --after 120045 >> audit.jsonl",
		Args: takes(),
	}
	after := cmd.Flags().Int64("after", 0, "only rows behind the one with this sequence")
	cmd.RunE = onServer(func(c *adminClient, _ []string) error {
		for next := *after; ; {
			var page exportPage
			query := "/audit/rows?limit=" + strconv.Itoa(maxLimit) + "&after=" + strconv.FormatInt(next, 10)
			if _, err := c.call("GET", query, nil, &page); err != nil {
				return err
			}
			if len(page.Lines) == 0 {
				return nil
			}
			if err := writeLines(cmd.OutOrStdout(), page); err != nil {
				return err
			}
			next = page.Next
		}
	})
	return cmd
}

func writeLines(out io.Writer, page exportPage) error {
	var text bytes.Buffer
	for _, line := range page.Lines {
		text.Write(line)
		text.WriteByte('\n')
	}
	_, err := out.Write(text.Bytes())
	return err
}

func auditKeyCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "key",
		Short: "Prints the public keys by which others can verify seals and heads",
		Example: "  caddy bearer audit key > audit.pem\n" +
			"  caddy bearer audit key --json",
		Args: takes(),
		RunE: onServer(func(c *adminClient, _ []string) error {
			var answer map[string][]auditKey
			body, err := c.call("GET", "/audit/keys", nil, &answer)
			if err != nil {
				return err
			}
			if c.flag("json") == "true" {
				return printJSON(c.cmd.OutOrStdout(), body)
			}
			for _, key := range answer["keys"] {
				fmt.Fprintf(c.cmd.OutOrStdout(), "# %s\n%s", key.ID, key.PublicKey)
			}
			return nil
		}),
	}
}
