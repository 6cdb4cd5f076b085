package caddymodule

import (
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// completionTimeout bounds what a person waits for after the tab key.
const completionTimeout = time.Second

// completion lists what a word of a command line can be: each a value, a tab and
// what it is. It has no way to say what is wrong; where there is no server, it
// lists nothing.
type completion func(*cobra.Command) []string

// completeArgs completes the arguments one after the other.
func completeArgs(args ...completion) cobra.CompletionFunc {
	return func(cmd *cobra.Command, before []string, _ string) ([]string, cobra.ShellCompDirective) {
		if len(before) >= len(args) {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return args[len(before)](cmd), cobra.ShellCompDirectiveNoFileComp
	}
}

// completePolicies completes the names of policy files.
func completePolicies(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return []string{"yaml", "yml"}, cobra.ShellCompDirectiveFilterFileExt
}

func completeFlag(cmd *cobra.Command, name string, values completion) {
	err := cmd.RegisterFlagCompletionFunc(name, func(cmd *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return values(cmd), cobra.ShellCompDirectiveNoFileComp
	})
	if err != nil {
		panic(err) // there is no such flag
	}
}

func completeWords(words ...string) completion {
	return func(*cobra.Command) []string { return words }
}

// filterCompletion is for the flags that narrow a list.
var filterCompletion = map[string]completion{
	"client": completeRecords("clients", "clients"), "principal": completePrincipals,
	"account": completeAccounts, "grant": completeGrants,
}

var completeAccounts = completeRecords("accounts", "accounts")

// completeRecords lists records of one kind by the path and the member of the
// answer.
func completeRecords(path, member string) completion {
	return func(cmd *cobra.Command) []string {
		found, _ := recordsOf(cmd, path, member)
		return found
	}
}

func recordsOf(cmd *cobra.Command, path, member string) (found []string, ok bool) {
	var answer map[string][]record
	if !askQuietly(cmd, &answer, path) {
		return nil, false
	}
	for i := range answer[member] {
		r := &answer[member][i]
		found = append(found, described(r.ID, r.Name, string(r.Status)))
	}
	return found, true
}

// completePrincipals leaves out the client that is built in: nothing acts for it.
func completePrincipals(cmd *cobra.Command) (found []string) {
	for _, kind := range [][2]string{{"users", "users"}, {"service-accounts", "service_accounts"}, {"clients", "clients"}} {
		more, ok := recordsOf(cmd, kind[0], kind[1])
		if !ok {
			return found // a server that does not answer is waited for once
		}
		found = append(found, more...)
	}
	return slices.DeleteFunc(found, func(id string) bool { return strings.HasPrefix(id, store.PersonalClient+"\t") })
}

func completeGrants(cmd *cobra.Command) (found []string) {
	var answer map[string][]grant
	if !askQuietly(cmd, &answer, "grants") {
		return nil
	}
	for i := range answer["grants"] {
		g := &answer["grants"][i]
		found = append(found, described(g.ID, g.Principal+" to "+g.Client, strings.Join(g.Accounts, " ")))
	}
	return found
}

func completeKeys(cmd *cobra.Command) (found []string) {
	var answer map[string][]shownKey
	if !askQuietly(cmd, &answer, "keys") {
		return nil
	}
	for _, k := range answer["keys"] {
		found = append(found, described(k.ID, k.Algorithm, string(k.State)))
	}
	return found
}

// completeOldRoots leaves out the current root key, which can't be forgotten.
func completeOldRoots(cmd *cobra.Command) (found []string) {
	var answer map[string][]shownRootKey
	if !askServerQuietly(cmd, &answer, "/root-keys") {
		return nil
	}
	for _, k := range answer["root_keys"] {
		if k.State != rootCurrent {
			found = append(found, described(k.ID, k.State))
		}
	}
	return found
}

// completeEvents lists what the newest events of the audit trail have in one of
// their members.
func completeEvents(member func(*auditEvent) string) completion {
	return func(cmd *cobra.Command) (found []string) {
		var answer map[string][]auditEvent
		if !askQuietly(cmd, &answer, "audit") {
			return nil
		}
		for i := range answer["events"] {
			found = append(found, member(&answer["events"][i]))
		}
		slices.Sort(found)
		return slices.DeleteFunc(slices.Compact(found), func(value string) bool { return value == "" })
	}
}

// completeFile completes the name of the one file that a command takes.
func completeFile(_ *cobra.Command, before []string, _ string) ([]string, cobra.ShellCompDirective) {
	if len(before) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	return nil, cobra.ShellCompDirectiveDefault
}

func completeEnvironments(cmd *cobra.Command) (found []string) {
	var answer map[string][]environmentInfo
	if !askServerQuietly(cmd, &answer, "/environments") {
		return []string{"production", "sandbox"}
	}
	for _, env := range answer["environments"] {
		found = append(found, described(string(env.Name), env.Issuer))
	}
	return found
}

// askQuietly reads a list, and reports whether that worked.
func askQuietly(cmd *cobra.Command, answer any, segments ...string) bool {
	c, err := newAdminClient(cmd)
	if err != nil {
		return false
	}
	c.http.Timeout = completionTimeout
	path, err := c.path(segments...)
	if err != nil {
		return false
	}
	if segments[0] == "grants" || segments[0] == "audit" {
		path += "?" + url.Values{"limit": {"1000"}}.Encode()
	}
	_, err = c.call("GET", path, nil, answer)
	return err == nil
}

// askServerQuietly reads a list of the server as a whole, and reports whether
// that worked.
func askServerQuietly(cmd *cobra.Command, answer any, path string) bool {
	c, err := newAdminClient(cmd)
	if err != nil {
		return false
	}
	c.http.Timeout = completionTimeout
	_, err = c.call("GET", path, nil, answer)
	return err == nil
}

// described is a value with what it is, as shells show it beside the value.
func described(value string, what ...string) string {
	what = slices.DeleteFunc(what, func(text string) bool { return text == "" })
	return value + "\t" + cellText(strings.Join(what, ", "))
}

// completeTheRest sees to it that a shell offers the names of files for what is a
// file and for nothing else.
func completeTheRest(cmd *cobra.Command) {
	if cmd.ValidArgsFunction == nil && !cmd.HasSubCommands() {
		cmd.ValidArgsFunction = cobra.NoFileCompletions
	}
	cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
		if _, known := cmd.GetFlagCompletionFunc(f.Name); known || f.Value.Type() == "bool" || strings.Contains(f.Usage, "file") {
			return
		}
		completeFlag(cmd, f.Name, completeWords())
	})
	for _, below := range cmd.Commands() {
		completeTheRest(below)
	}
}
