package deploy_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/internal/freeport"
)

const root = ".." // of the checkout

// program builds bin/caddy and returns where it is.
var program = sync.OnceValues(func() (string, error) {
	cmd := exec.Command("make", "--no-print-directory", "build")
	cmd.Dir = root
	for _, entry := range os.Environ() { // without what make hands down to its children
		if name, _, _ := strings.Cut(entry, "="); name != "MAKEFLAGS" && name != "MFLAGS" && name != "MAKELEVEL" && name != "GOFLAGS" {
			cmd.Env = append(cmd.Env, entry)
		}
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		return string(out), err
	}
	return filepath.Abs(root + "/bin/caddy")
})

func caddy(t *testing.T) string {
	t.Helper()
	path, err := program()
	if err != nil {
		t.Fatalf("make build: %v\n%s", err, path)
	}
	return path
}

func read(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// unit is a unit file: the values of each key, in its sections.
type unit map[string][]string

func parseUnit(t *testing.T) unit {
	t.Helper()
	keys := unit{}
	for line := range strings.Lines(read(t, "caddy-bearer.service")) {
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") || strings.HasPrefix(line, "[") {
			continue
		}
		key, value, found := strings.Cut(line, "=")
		if !found {
			t.Fatalf("no assignment: %s", line)
		}
		keys[key] = append(keys[key], value)
	}
	return keys
}

// installed finds a program that the test needs, or skips the test.
func installed(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("NOT TESTED: %s was not found", name)
	}
	return path
}

// systemd itself understands each line, and thinks well of it.
func TestUnitIsVerifiedBySystemd(t *testing.T) {
	analyze := installed(t, "systemd-analyze")
	file := filepath.Join(t.TempDir(), "caddy-bearer.service")
	text := strings.ReplaceAll(read(t, "caddy-bearer.service"), "/usr/local/bin/caddy", caddy(t))
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command(analyze, "verify", file).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	if out, err := exec.Command(analyze, "security", "--offline=true", "--threshold=20", "--no-pager", file).CombinedOutput(); err != nil {
		t.Errorf("systemd-analyze security: exposed more than 2.0: %v\n%s", err, out)
	}
}

// What keeps a broken service from breaking the machine stays in the unit.
func TestUnitIsHardened(t *testing.T) {
	keys := parseUnit(t)
	for key, want := range map[string]string{
		"Type": "notify", "User": "caddy", "UMask": "0077", "Restart": "on-failure", "NoNewPrivileges": "yes", "ProtectSystem": "strict",
		"CapabilityBoundingSet": "CAP_NET_BIND_SERVICE", "AmbientCapabilities": "CAP_NET_BIND_SERVICE", "StateDirectoryMode": "0700",
		"RuntimeDirectoryMode": "0700", "MemorySwapMax": "0", "LimitCORE": "0", "PrivateTmp": "yes", "ProtectHome": "yes",
	} {
		if got := keys[key]; !slices.Equal(got, []string{want}) {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if keys["SystemCallFilter"][0] != "@system-service" {
		t.Errorf("SystemCallFilter is %q", keys["SystemCallFilter"])
	}
	if slices.Contains(keys["RestartPreventExitStatus"], "70") || slices.Contains(keys["SuccessExitStatus"], "70") {
		t.Error("exit code 70 would not start it again")
	}
	if keys["DynamicUser"] != nil {
		t.Error("the files of a dynamic user belong to another after each start of the machine")
	}
}

// flagsOf are those in an argument list.
func flagsOf(args []string) (flags []string) {
	for _, arg := range args {
		if strings.HasPrefix(arg, "-") {
			flags = append(flags, arg)
		}
	}
	return flags
}

// known checks that the program has a command, and each flag of it.
func known(t *testing.T, args []string) {
	t.Helper()
	words := slices.Clone(args)
	if i := slices.IndexFunc(words, func(word string) bool { return strings.HasPrefix(word, "-") }); i >= 0 {
		words = words[:i]
	}
	out, err := exec.Command(caddy(t), append(words, "--help")...).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "caddy "+strings.Join(words, " ")) {
		t.Errorf("caddy %s: %v\n%s", strings.Join(words, " "), err, out)
	}
	for _, flag := range flagsOf(args) {
		if !regexp.MustCompile(`(?m)^\s+(-\w, )?` + flag + `\b`).Match(out) {
			t.Errorf("caddy %s has no %s", strings.Join(words, " "), flag)
		}
	}
}

// Commands, flags and paths of the unit are those of the program and of the
// example that it is for.
func TestUnitFitsTheProgramAndTheExample(t *testing.T) {
	keys := parseUnit(t)
	for _, key := range []string{"ExecStart", "ExecReload"} {
		args := strings.Fields(keys[key][0])
		if len(keys[key]) != 1 || args[0] != "/usr/local/bin/caddy" || !slices.Contains(args, "/etc/caddy/Caddyfile") {
			t.Errorf("%s is %q", key, keys[key])
		}
		known(t, args[1:])
	}
	example := read(t, root+"/Caddyfile.example")
	for _, path := range regexp.MustCompile(`(?m)^\s*(?:store sqlite|root_key file|revocation_journal file|operator_token file) (\S+)/`).FindAllStringSubmatch(example, -1) {
		folder, inside := strings.CutPrefix(path[1], "/var/lib/")
		if !inside || !slices.Contains(strings.Fields(keys["StateDirectory"][0]), folder) {
			t.Errorf("the unit makes no %s, where Caddyfile.example has a file", path[1])
		}
	}
	if admin := "CADDY_ADMIN=unix//run/caddy/admin.sock|0600"; !slices.Contains(keys["Environment"], admin) ||
		!strings.Contains(example, "admin unix//run/caddy/admin.sock|0600") || keys["RuntimeDirectory"][0] != "caddy" {
		t.Errorf("the unit and Caddyfile.example have another admin socket: %q", keys["Environment"])
	}
}

// allowed are the system calls of a filter, as systemd expands it.
func allowed(t *testing.T, analyze, filter string, into map[string]bool, value bool) {
	t.Helper()
	for word := range strings.FieldsSeq(strings.TrimPrefix(filter, "~")) {
		if !strings.HasPrefix(word, "@") {
			into[word] = value
			continue
		}
		out, err := exec.Command(analyze, "syscall-filter", "--no-pager", word).Output()
		if err != nil {
			t.Fatalf("%s: %v", word, err)
		}
		for line := range strings.Lines(string(out)) {
			line = strings.TrimSpace(line)
			switch {
			case line == "" || strings.HasPrefix(line, "#") || line == word:
			default:
				allowed(t, analyze, line, into, value)
			}
		}
	}
}

var calledName = regexp.MustCompile(`(?m)^\d+\s+(\w+)\(`)

// The program lives with the system calls that the unit leaves it: from the start
// through a token to the end.
func TestUnitAllowsWhatTheProgramCalls(t *testing.T) {
	analyze, strace := installed(t, "systemd-analyze"), installed(t, "strace")
	if out, err := exec.Command(strace, "-f", "-o", "/dev/null", "true").CombinedOutput(); err != nil {
		t.Skipf("NOT TESTED: this system lets nobody trace: %s", out)
	}
	may := map[string]bool{}
	for _, filter := range append([]string{"@default"}, parseUnit(t)["SystemCallFilter"]...) {
		allowed(t, analyze, filter, may, !strings.HasPrefix(filter, "~"))
	}
	calls := traced(t, strace)
	if len(calls) < 30 {
		t.Fatalf("only %d system calls were seen: %v", len(calls), calls)
	}
	if os.Geteuid() == 0 {
		may["fchown"] = true // by SQLite, for the superuser alone, who is not the unit's user
	}
	for _, call := range calls {
		if !may[call] {
			t.Errorf("the program calls %s, which the unit forbids", call)
		}
	}
}

// traced runs the quickstart's Caddyfile and returns the names of all system calls.
func traced(t *testing.T, strace string) []string {
	t.Helper()
	state, err := os.MkdirTemp("", "bearer") // short: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	issuer := freeport.Find(t)
	trace := filepath.Join(state, "trace")
	cmd := exec.Command(strace, "-f", "-qq", "-o", trace, caddy(t), "run", "--config", "examples/quickstart/Caddyfile")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "STATE_DIR="+state, "HOME="+state, "XDG_DATA_HOME="+state, "XDG_CONFIG_HOME="+state,
		"ISSUER_PORT="+issuer, "API_PORT="+freeport.Find(t))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	until(t, "it is ready", func() bool { return get(t, "http://127.0.0.1:"+issuer+"/readyz") == http.StatusOK })
	request, err := http.NewRequestWithContext(context.Background(), http.MethodPost, "http://127.0.0.1:"+issuer+"/oauth2/token",
		strings.NewReader("grant_type=client_credentials&scope=read:accounts"))
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth("demo-client", "demo-secret")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Fatalf("a token: %s", response.Status)
	}
	reload := exec.Command(caddy(t), "reload", "--config", "examples/quickstart/Caddyfile", "--force")
	reload.Dir, reload.Env = cmd.Dir, cmd.Env
	if out, err := reload.CombinedOutput(); err != nil {
		t.Fatalf("reload: %v\n%s", err, out)
	}
	stop := exec.Command(caddy(t), "stop", "--address", "unix/"+state+"/admin.sock")
	stop.Env = cmd.Env
	if out, err := stop.CombinedOutput(); err != nil {
		t.Fatalf("stop: %v\n%s", err, out)
	}
	_ = cmd.Wait()
	var names []string
	for _, found := range calledName.FindAllStringSubmatch(read(t, trace), -1) {
		names = append(names, found[1])
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func get(t *testing.T, url string) int {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		return 0
	}
	response.Body.Close()
	return response.StatusCode
}

func until(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within a minute", what)
		}
	}
}
