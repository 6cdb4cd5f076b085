package caddymodule

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// bearerTree is all commands.
func bearerTree() *cobra.Command {
	cmd := &cobra.Command{Use: "bearer", Short: "x", Long: bearerHelp}
	bearerCommand(cmd)
	return cmd
}

// walk visits a command and all below it.
func walk(cmd *cobra.Command, visit func(*cobra.Command)) {
	visit(cmd)
	for _, below := range cmd.Commands() {
		walk(below, visit)
	}
}

// What every command must have, whoever adds it.
func TestEveryCommandIsComplete(t *testing.T) {
	count := 0
	walk(bearerTree(), func(cmd *cobra.Command) {
		count++
		path := cmd.CommandPath()
		switch {
		case cmd.Short == "" || strings.HasSuffix(cmd.Short, "."):
			t.Errorf("%s: Short is %q; expected a phrase without a full stop", path, cmd.Short)
		case cmd.HasSubCommands() && cmd.Long == "":
			t.Errorf("%s: a group needs Long", path)
		case !cmd.HasSubCommands() && cmd.Example == "":
			t.Errorf("%s: no Example", path)
		case !cmd.HasSubCommands() && !strings.Contains(cmd.Example, "caddy bearer "):
			t.Errorf("%s: the Example does not show a whole command", path)
		case !cmd.HasSubCommands() && cmd.Args == nil:
			t.Errorf("%s: Args is not set, so that anything goes", path)
		case cmd.RunE == nil || cmd.Run != nil:
			t.Errorf("%s: RunE is what gives exit codes", path)
		case !cmd.HasSubCommands() && cmd.ValidArgsFunction == nil:
			t.Errorf("%s: nothing completes its arguments", path)
		}
		for line := range strings.Lines(cmd.Long) {
			if len(line) > 100 {
				t.Errorf("%s: a line of Long is %d characters: %s", path, len(line), line)
			}
		}
		for _, left := range []string{"WORD", "EXAMPLE", "NAME "} {
			if strings.Contains(cmd.Short+cmd.Long+cmd.Example, left) {
				t.Errorf("%s: %q was not filled in", path, left)
			}
		}
	})
	if count < 45 {
		t.Errorf("%d commands", count)
	}
}

// secondMeanings say which further meanings a flag has, by the command.
var secondMeanings = map[string]string{
	"bearer policy json":                 "there is no server whose answer it could be",
	"bearer bind scopes":                 "of a binding, not of a party",
	"bearer service-account bind scopes": "as above",
	"bearer policy explain scopes":       "of a token",
	"bearer policy explain accounts":     "without a server there are none by default",
	"bearer token issue principal":       "whose token it will be, not which are listed",
	"bearer key forget-root force":       "it overrides a refusal, not a file",
	"bearer doctor config":               "the file is examined",
	"bearer doctor json":                 "the server has no part in it",
	"bearer restore config":              "there is no server: the files are looked for",
	"bearer restore json":                "there is no server whose answer it could be",
}

// A flag is called the same, is of the same type and means the same wherever it
// stands.
func TestFlagsHaveOneMeaning(t *testing.T) {
	type meaning struct{ kind, short, usage, where string }
	known := map[string]meaning{}
	used := map[string]bool{}
	walk(bearerTree(), func(cmd *cobra.Command) {
		cmd.NonInheritedFlags().VisitAll(func(f *pflag.Flag) {
			path := cmd.CommandPath()
			if f.Usage == "" || strings.HasSuffix(f.Usage, ".") {
				t.Errorf("%s --%s: usage is %q; expected a phrase without a full stop", path, f.Name, f.Usage)
			}
			if key := path + " " + f.Name; secondMeanings[key] != "" {
				used[key] = true
				return
			}
			got := meaning{f.Value.Type(), f.Shorthand, f.Usage, path}
			first, seen := known[f.Name]
			if !seen {
				known[f.Name] = got
				return
			}
			if got.where = first.where; got != first {
				t.Errorf("--%s is %q (%s) at %s and %q (%s) at %s", f.Name, f.Usage, got.kind, path, first.usage, first.kind, first.where)
			}
		})
	})
	for key := range secondMeanings {
		if !used[key] {
			t.Errorf("there is no %s any more", key)
		}
	}
}

// What ends something can be tried first, says why it was done, and prints JSON.
func TestWhatEndsSomethingHasADryRun(t *testing.T) {
	var ending []string
	walk(bearerTree(), func(cmd *cobra.Command) {
		if name := cmd.Name(); name != "revoke" && name != "disable" && name != "unbind" {
			return
		}
		ending = append(ending, cmd.CommandPath())
		for _, flag := range []string{"dry-run", "reason", "json", "environment"} {
			if cmd.Flag(flag) == nil && cmd.InheritedFlags().Lookup(flag) == nil {
				t.Errorf("%s has no --%s", cmd.CommandPath(), flag)
			}
		}
	})
	if len(ending) < 12 {
		t.Errorf("%d commands end something: %v", len(ending), ending)
	}
}

// complete asks for completions as a shell does, but inside this process.
func (w *adminWorld) complete(args ...string) (values []string, directive string) {
	w.t.Helper()
	root := &cobra.Command{Use: "caddy"}
	root.AddCommand(bearerTree())
	var out, errs bytes.Buffer
	root.SetArgs(append([]string{"__complete", "bearer"}, args...))
	root.SetOut(&out)
	root.SetErr(&errs)
	if err := root.Execute(); err != nil || strings.Contains(errs.String(), "error:") {
		w.t.Fatalf("%v: %v\n%s", args, err, &errs)
	}
	return completions(out.String())
}

// completions reads what __complete prints: a line for each value, and how the
// shell is to go on.
func completions(printed string) (values []string, directive string) {
	lines := strings.Split(strings.TrimSpace(printed), "\n")
	for _, line := range lines[:len(lines)-1] {
		value, _, _ := strings.Cut(line, "\t")
		values = append(values, value)
	}
	return values, lines[len(lines)-1]
}

func TestCompletion(t *testing.T) {
	w := newAdminWorld(t)
	before := caddy.DefaultAdminListen // what CADDY_ADMIN sets
	caddy.DefaultAdminListen = "unix/" + filepath.Join(filepath.Dir(w.app.Store.Path), "admin.sock")
	t.Cleanup(func() { caddy.DefaultAdminListen = before })
	w.ok("POST", "/accounts", `{"id":"2"}`)
	w.ok("POST", "/users", `{"id":"alice"}`)
	id := w.issue(clientID, serviceID, "1").grant
	if status, answer := w.call("POST", "/root-keys", ""); status != 201 {
		t.Fatalf("the root key: %d %s", status, answer)
	}
	oldRoot := w.app.runtime.rootKeys()[1].ID()
	_, keys, err := w.authority().Keys(t.Context())
	must(t, err)
	key := sortedKeys(keys)[0]

	const noFiles, extensions, files = ":4", ":8", ":0"
	for _, test := range []struct {
		args      string
		want      string
		directive string
	}{
		{"client show ", clientID + " personal-token", noFiles},
		{"client show x ", "", noFiles},
		{"service-account disable ", serviceID, noFiles},
		{"user revoke ", "alice", noFiles},
		{"account show ", "1 2", noFiles},
		{"bind ", "alice " + serviceID + " " + clientID, noFiles},
		{"unbind alice ", "1 2", noFiles},
		{"service-account bind ", serviceID, noFiles},
		{"grant revoke ", id, noFiles},
		{"streams list --grant ", id, noFiles},
		{"streams list --client ", clientID + " personal-token", noFiles},
		{"client list --environment ", "sandbox", noFiles},
		{"operator rotate --role ", "read revoke admin", noFiles},
		{"account add 7 --kind ", "bank trading", noFiles},
		{"client add x --name ", "", noFiles},
		{"client disable x --reason ", "", noFiles},
		{"client list ", "", noFiles},
		{"key show ", key, noFiles},
		{"key revoke ", key, noFiles},
		{"key forget-root ", oldRoot, noFiles},
		{"key rotate ", "", noFiles},
		{"audit verify --head ", "", files},
		{"backup ", "", files},
		{"restore ", "", files},
		{"restore x.db ", "", noFiles},
		{"restore x.db --database ", "", files},
		{"restore x.db --revocation-journal ", "", files},
		{"policy list ", "", noFiles},
		{"doctor ", "", noFiles},
		{"health ", "", noFiles},
		{"doctor --only ", "config policies files machine server", noFiles},
		{"doctor --config ", "", files},
		{"policy lint ", "yaml yml", extensions},
		{"policy test x.yaml ", "yaml yml", extensions},
		{"token show --file ", "", files},
		{"client list --operator-token ", "", files},
		{"client list --config ", "", files},
		// Where there is no server, silence.
		{"client show --address unix//nowhere/admin.sock ", "", noFiles},
		{"client list --address unix//nowhere/admin.sock --environment ", "production sandbox", noFiles},
		{"grant show --environment production ", "", noFiles},
	} {
		values, directive := w.complete(strings.Split(test.args, " ")...)
		if strings.Join(values, " ") != test.want || directive != test.directive {
			t.Errorf("%q: %q %s; want %q %s", test.args, values, directive, test.want, test.directive)
		}
	}
	for flag, want := range map[string]string{"actor": "operator:socket", "action": "user.add", "target": "principal:alice", "outcome": "ok"} {
		values, directive := w.complete("audit", "list", "--"+flag, "")
		if !slices.Contains(values, want) || !slices.IsSorted(values) || directive != noFiles {
			t.Errorf("audit list --%s is completed with %v %s", flag, values, directive)
		}
	}
	commands, _ := w.complete("")
	for _, want := range strings.Fields("user account bind unbind binding client service-account token grant policy streams revocation operator") {
		if !slices.Contains(commands, want) {
			t.Errorf("the command %s is not completed: %v", want, commands)
		}
	}
}

// The same through the program, which adds Caddy's own commands.
func TestCompletionByTheProgram(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	s.ok("", "bearer", "user", "add", "alice", "--name", "Alice Doe")
	for args, want := range map[string]string{
		"user show ":                   "alice\tAlice Doe, active\n:4\n",
		"client list --environment sa": "sandbox\t" + s.issuer + "\n:4\n",
		"policy lint ":                 "yaml\nyml\n:8\n",
		"client show --address unix//nowhere/admin.sock ": ":4\n",
	} {
		stdout, stderr, code := s.run("", append([]string{"__complete", "bearer"}, strings.Split(args, " ")...)...)
		if stdout != want || code != 0 || strings.Contains(stderr, "error:") {
			t.Errorf("%q: exit %d, %q %s; want %q", args, code, stdout, stderr, want)
		}
	}
	if script := s.ok("", "completion", "bash"); !strings.Contains(script, "__complete") {
		t.Error("no script for bash")
	}
}
