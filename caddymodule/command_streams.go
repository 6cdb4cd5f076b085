package caddymodule

import (
	"cmp"
	"fmt"
	"net/url"
	"strconv"

	"github.com/spf13/cobra"
)

func streamsCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "streams <command>",
		Short: "Shows what is under way",
		Long: `Shows the live WebSockets and event streams that ride on tokens. To cut one,
revoke its token or its grant.`,
	}
	list := &cobra.Command{
		Use:   "list",
		Short: "Lists live streams, the oldest first",
		Long: `Lists the live WebSockets and event streams, the oldest first: who rides, on which
grant and token, and from where. With --all it lists every request under way.`,
		Example: "  caddy bearer streams list\n  caddy bearer streams list --client trading-bot --all --json",
		Args:    takes(),
	}
	filters := filterFlags(list, "client", "principal", "account", "grant")
	all, limit := allFlag(list), limitFlag(list)
	list.RunE = onServer(func(c *adminClient, _ []string) error {
		query := filters.query(c, url.Values{"all": {strconv.FormatBool(*all)}, "limit": {strconv.Itoa(*limit)}})
		return ask(c, "GET", []string{"streams"}, query, nil, printStreams)
	})
	return forServer(group(cmd, list))
}

func printStreams(t *table, answer *streamList) {
	t.row("SINCE", "KIND", "ROUTE", "METHOD", "CLIENT", "PRINCIPAL", "GRANT", "TOKEN", "FROM", "ACCOUNTS")
	for i := range answer.Streams {
		s := &answer.Streams[i]
		t.row(s.Since, s.Kind, s.Route, s.Method, s.Client, s.Principal, s.Grant, s.TokenID, cmp.Or(s.ClientIP, s.Remote), s.Accounts)
	}
	if left := answer.Count - len(answer.Streams); left > 0 {
		t.row(fmt.Sprintf("and %d more; see --limit", left))
	}
}

// printEnding prints what a dry run tells.
func printEnding(t *table, e *ending) {
	more := ""
	if e.More {
		more = " or more"
	}
	t.row("would end", e.Kind+" "+e.Target)
	t.row("principals", e.Principals)
	t.row("clients", e.Clients)
	t.row("grants", strconv.Itoa(e.Grants)+more)
	t.row("long-lived tokens", strconv.Itoa(e.Tokens)+more)
	t.row("streams", strconv.Itoa(e.Streams))
	t.row("requests", strconv.Itoa(e.Requests))
	for _, id := range e.GrantIDs {
		t.row("grant", id)
	}
	for _, s := range e.Shared {
		t.row("trading token", s.ID+" of account "+s.Account)
	}
	for _, r := range e.UnderWay {
		t.row("under way", fmt.Sprintf("%d streams, %d requests of client %s for %s", r.Streams, r.Requests, r.Client, r.Principal))
	}
	t.row("Nothing was changed.")
}
