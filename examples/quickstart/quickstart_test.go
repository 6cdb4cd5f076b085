// Package quickstart_test runs what the documents tell people to run.
package quickstart_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/internal/freeport"
)

const (
	root = "../.." // of the checkout, where people stand
	// patience covers a first build of the binary on a small machine.
	patience = 8 * time.Minute
)

// quickstart is `make run` with ports and a folder of its own.
type quickstart struct {
	t                 testing.TB
	api, issuer, demo string // ports: gated API, issuer, demo API
	state             string
	cmd               *exec.Cmd
	output            *transcript
	exited            chan struct{}
}

func launch(t testing.TB, settings ...string) *quickstart {
	t.Helper()
	state, err := os.MkdirTemp("", "bearer") // short: it holds a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(state) })
	q := &quickstart{
		t: t, api: freeport.Find(t), issuer: freeport.Find(t), demo: freeport.Find(t), state: state,
		output: new(transcript), exited: make(chan struct{}),
	}
	q.cmd = exec.Command("make", "--no-print-directory", "run")
	q.cmd.Dir = root
	q.cmd.Env = append(cleanEnv(), append([]string{
		"API_PORT=" + q.api, "ISSUER_PORT=" + q.issuer, "DEMO_PORT=" + q.demo, "STATE_DIR=" + state,
	}, settings...)...)
	q.cmd.Stdout, q.cmd.Stderr = q.output, q.output
	q.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C reaches a whole group
	if err := q.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = q.cmd.Wait()
		close(q.exited)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-q.cmd.Process.Pid, syscall.SIGKILL)
		<-q.exited
	})
	return q
}

// cleanEnv is the environment without what make hands down to its children.
func cleanEnv() (env []string) {
	for _, entry := range os.Environ() {
		name, _, _ := strings.Cut(entry, "=")
		if name != "MAKEFLAGS" && name != "MFLAGS" && name != "MAKELEVEL" && name != "GOFLAGS" {
			env = append(env, entry)
		}
	}
	return env
}

// ready waits for the one line that tells people to go on.
func (q *quickstart) ready() *quickstart {
	q.t.Helper()
	want := fmt.Sprintf("ready: gated API http://localhost:%s, issuer http://localhost:%s", q.api, q.issuer)
	q.eventually("the ready line", func() bool {
		select {
		case <-q.exited:
			q.t.Fatalf("make run ended:\n%s", q.output)
		default:
		}
		return strings.Contains(q.output.String(), want)
	})
	return q
}

func (q *quickstart) eventually(what string, holds func() bool) {
	q.t.Helper()
	for deadline := time.Now().Add(patience); !holds(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			q.t.Fatalf("%s: not within %s\n%s", what, patience, q.output)
		}
	}
}

// gone waits until nobody answers any more.
func (q *quickstart) gone() {
	q.t.Helper()
	for _, port := range []string{q.api, q.issuer, q.demo} {
		q.eventually("port "+port+" is free again", func() bool {
			conn, err := net.Dial("tcp", "127.0.0.1:"+port)
			if err == nil {
				conn.Close()
			}
			return err != nil
		})
	}
}

// Every console block of the documents does what it shows.
func TestDocumentsDoWhatTheyShow(t *testing.T) {
	q := launch(t).ready()
	documents, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range append([]string{root + "/README.md"}, documents...) {
		t.Run(filepath.Base(document), func(t *testing.T) {
			source, err := os.ReadFile(document)
			if err != nil {
				t.Fatal(err)
			}
			steps := consoleSteps(q.here(string(source)))
			shell := newShell(t)
			for _, step := range steps {
				got := shell.run(step.command)
				if !step.matches(got) {
					t.Errorf("line %d: $ %s\nprinted\n%s\nbut the document shows\n%s", step.line, step.command, got, step.shows)
				}
			}
			if len(steps) > 0 {
				t.Logf("%d commands", len(steps))
			}
		})
	}
	t.Run("Ctrl-C ends both", func(*testing.T) {
		q.end()
		q.gone()
	})
}

// here puts this run's ports and folder where the document has the usual ones.
func (q *quickstart) here(document string) string {
	return strings.NewReplacer("localhost:8080", "localhost:"+q.api, "localhost:8081", "localhost:"+q.issuer, ".run/", q.state+"/").Replace(document)
}

// Other blocks are adapted or linted, so that what people paste is accepted.
func TestSnippetsOfTheDocumentsAreAccepted(t *testing.T) {
	build(t)
	documents, err := filepath.Glob(root + "/docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, document := range append([]string{root + "/README.md"}, documents...) {
		if filepath.Base(document) == "clients.md" {
			continue // whole programs, which the tests of the room clients run
		}
		source, err := os.ReadFile(document)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range blocks(string(source)) {
			var args []string
			switch block.language {
			case "caddyfile":
				args = []string{"adapt", "--adapter", "caddyfile", "--config"}
			case "yaml":
				args = []string{"bearer", "policy", "test"}
			case "console", "sh", "mermaid", "text", "http":
				continue // run, or shown only
			case "promql", "json":
				continue // the tests of deploy and docs look at them
			case "html":
				continue // the page of an app, which the tests of examples/browser open
			case "python":
				continue // TestReceiverOfTheDocs runs it
			default:
				t.Errorf("%s:%d: a block in %q, which no test runs", document, block.line, block.language)
				continue
			}
			file := filepath.Join(t.TempDir(), "snippet."+block.language)
			if err := os.WriteFile(file, []byte(block.text), 0o600); err != nil {
				t.Fatal(err)
			}
			out, err := exec.Command(root+"/bin/caddy", append(args, file)...).CombinedOutput()
			if err != nil {
				t.Errorf("%s:%d: %v\n%s", document, block.line, err, out)
			}
		}
	}
}

func build(t testing.TB) {
	t.Helper()
	cmd := exec.Command("make", "--no-print-directory", "build")
	cmd.Dir, cmd.Env = root, cleanEnv()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("make build: %v\n%s", err, out)
	}
}

func TestPortInUseIsNamedWithTheVariableThatMovesIt(t *testing.T) {
	for _, variable := range []string{"API_PORT", "ISSUER_PORT", "DEMO_PORT"} {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		_, port, _ := net.SplitHostPort(listener.Addr().String())
		q := launch(t, variable+"="+port)
		<-q.exited
		listener.Close()
		if got := q.output.String(); !strings.Contains(got, "port "+port) || !strings.Contains(got, variable+"=") {
			t.Errorf("%s: %s", variable, got)
		}
		if q.cmd.ProcessState.Success() {
			t.Errorf("%s: make run ended well", variable)
		}
	}
}

// When the demo API or Caddy dies, or the script itself is killed, nothing is
// left behind.
func TestNoOrphanIsLeft(t *testing.T) {
	for name, victim := range map[string]string{
		"the demo API dies":    "exchange -listen",
		"Caddy dies":           "caddy run",
		"the script is killed": "quickstart/run.sh",
	} {
		t.Run(name, func(t *testing.T) {
			q := launch(t).ready()
			if err := syscall.Kill(q.process(victim), syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			<-q.exited
			q.gone()
		})
	}
}

var saidPassword = regexp.MustCompile(`user demo, password ([0-9a-f]{32}) \(shown once\)`)

// The first start makes a user for the portal and says the password, nobody else is
// told; a later one says how to set another. A first start that was cut short is one
// again.
func TestPortalHasAUserWhosePasswordIsSaidOnce(t *testing.T) {
	build(t)
	caddy, err := filepath.Abs(root + "/bin/caddy")
	if err != nil {
		t.Fatal(err)
	}
	seen := filepath.Join(t.TempDir(), "seen")
	spy := filepath.Join(t.TempDir(), "caddy") // notes what a list of processes would show, and the environment
	script := fmt.Sprintf("#!/bin/sh\n{ echo \"$@\"; env; } >>'%s'\nexec '%s' \"$@\"\n", seen, caddy)
	if err := os.WriteFile(spy, []byte(script), 0o700); err != nil {
		t.Fatal(err)
	}
	q := launch(t, "CADDY="+spy).ready()
	said := saidPassword.FindStringSubmatch(q.output.String())
	if said == nil {
		t.Fatalf("no password is said:\n%s", q.output)
	}
	if page := q.portal("demo", said[1]); !strings.Contains(page, "100001 (<bdi>Futures desk</bdi>)") {
		t.Errorf("the portal shows no trading account: %s", page)
	}
	q.end()
	noted, err := os.ReadFile(seen)
	if err != nil || !strings.Contains(string(noted), "bearer user password demo") {
		t.Fatalf("%s, error %v", noted, err)
	}
	if strings.Contains(string(noted), said[1]) {
		t.Error("the password is an argument or in the environment")
	}
	for _, file := range q.files() {
		if content, err := os.ReadFile(file); err == nil && strings.Contains(string(content), said[1]) {
			t.Errorf("the password is in %s", file)
		}
	}

	later := launch(t, "STATE_DIR="+q.state).ready()
	if output := later.output.String(); saidPassword.MatchString(output) || !strings.Contains(output, "bin/caddy bearer user password demo") {
		t.Errorf("a later start says:\n%s", output)
	}
	later.portal("demo", said[1])
	later.end()

	if err := os.Remove(q.state + "/demo.user"); err != nil {
		t.Fatal(err)
	}
	again := launch(t, "STATE_DIR="+q.state).ready()
	other := saidPassword.FindStringSubmatch(again.output.String())
	if other == nil || other[1] == said[1] {
		t.Fatalf("it says:\n%s", again.output)
	}
	again.portal("demo", other[1])
}

// portal signs a user in and returns the page of trading accounts.
func (q *quickstart) portal(user, password string) string {
	q.t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		q.t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	at := "http://localhost:" + q.issuer
	response, err := browser.PostForm(at+"/login", url.Values{"user": {user}, "password": {password}, "next": {"/trading/tokens"}})
	if err != nil {
		q.t.Fatal(err)
	}
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	if err != nil || response.StatusCode != http.StatusOK || response.Request.URL.Path != "/trading/tokens" {
		q.t.Fatalf("signing in leads to %s: %s, error %v", response.Request.URL, response.Status, err)
	}
	return string(page)
}

// end ends the run as Ctrl-C does.
func (q *quickstart) end() {
	q.t.Helper()
	if err := syscall.Kill(-q.cmd.Process.Pid, syscall.SIGINT); err != nil {
		q.t.Fatal(err)
	}
	<-q.exited
}

// files are those that the run left in its folder.
func (q *quickstart) files() (files []string) {
	q.t.Helper()
	err := filepath.WalkDir(q.state, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.Type().IsRegular() {
			files = append(files, path)
		}
		return err
	})
	if err != nil || len(files) == 0 {
		q.t.Fatalf("%d files, error %v", len(files), err)
	}
	return files
}

// process finds a process of this run by its command line.
func (q *quickstart) process(pattern string) int {
	q.t.Helper()
	entries, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		q.t.Fatal(err)
	}
	for _, entry := range entries {
		line, _ := os.ReadFile(entry)
		var pid int
		_, _ = fmt.Sscanf(entry, "/proc/%d/", &pid)
		group, err := syscall.Getpgid(pid)
		if err != nil || group != q.cmd.Process.Pid || pid == q.cmd.Process.Pid {
			continue
		}
		if strings.Contains(string(bytes.ReplaceAll(line, []byte{0}, []byte(" "))), pattern) {
			return pid
		}
	}
	q.t.Fatalf("no process %q in this run", pattern)
	return 0
}

func TestGatedOnEveryLoopbackAddressAndForeignHost(t *testing.T) {
	q := launch(t).ready()
	hosts := []string{"127.0.0.1"}
	if conn, err := net.Dial("tcp", "[::1]:"+q.api); err == nil {
		conn.Close()
		hosts = append(hosts, "[::1]")
	}
	for _, address := range hosts {
		request, err := http.NewRequest("GET", "http://"+address+":"+q.api+"/api/v1/accounts", nil)
		if err != nil {
			t.Fatal(err)
		}
		request.Host = "foreign.test"
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusUnauthorized {
			t.Errorf("%s with a foreign Host: %s", address, response.Status)
		}
	}
}

// block is a fenced block of a document.
type block struct {
	language, text string
	line           int
}

func blocks(document string) (found []block) {
	var open *block
	number := 0
	for line := range strings.Lines(document) {
		number++
		fence, isFence := strings.CutPrefix(strings.TrimSpace(line), "```")
		switch {
		case isFence && open == nil:
			open = &block{language: fence, line: number}
		case isFence:
			found = append(found, *open)
			open = nil
		case open != nil:
			open.text += line
		}
	}
	return found
}

// step is one command of a console block with what it prints.
type step struct {
	command, shows string
	line           int
}

func consoleSteps(document string) (steps []step) {
	for _, b := range blocks(document) {
		if b.language != "console" {
			continue
		}
		number, continued := b.line, false
		for line := range strings.Lines(b.text) {
			number++
			command, isCommand := strings.CutPrefix(line, "$ ")
			switch {
			case isCommand:
				steps = append(steps, step{command: command, line: number})
				line = command
			case continued:
				steps[len(steps)-1].command += line
			default:
				steps[len(steps)-1].shows += line
				continue
			}
			continued = strings.HasSuffix(line, "\\\n")
		}
	}
	return steps
}

// matches compares to the letter, but for tokens, times and ids, which the
// document shows as an ellipsis.
func (s step) matches(printed string) bool {
	parts := strings.Split(strings.TrimSpace(s.shows), "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	pattern := "^" + strings.Join(parts, `[^"\s,]+`) + "$"
	return regexp.MustCompile(pattern).MatchString(strings.TrimSpace(printed))
}

// shell is one bash, so that variables stay from step to step.
type shell struct {
	t     testing.TB
	stdin io.Writer
	lines *bufio.Scanner
}

const endMark = "--end-of-step--"

func newShell(t testing.TB) *shell {
	t.Helper()
	cmd := exec.Command("bash", "--noprofile", "--norc")
	cmd.Dir = root
	cmd.Env = cleanEnv()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	return &shell{t, stdin, bufio.NewScanner(stdout)}
}

func (s *shell) run(command string) string {
	s.t.Helper()
	if _, err := fmt.Fprintf(s.stdin, "{\n%s\n} 2>&1 </dev/null\necho\necho %s\n", command, endMark); err != nil {
		s.t.Fatal(err)
	}
	var printed strings.Builder
	for s.lines.Scan() {
		if s.lines.Text() == endMark {
			return printed.String()
		}
		printed.WriteString(s.lines.Text() + "\n")
	}
	s.t.Fatalf("the shell ended at: %s", command)
	return ""
}

// transcript collects output of a process while it is read.
type transcript struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *transcript) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *transcript) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}
