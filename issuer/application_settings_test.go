package issuer

import (
	"bufio"
	"errors"
	"html"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var preformatted = regexp.MustCompile(`(?s)<pre class="(?:code|secret)" id="([a-z]+)"[^>]*>(.*?)</pre>`)

// pasted are the settings of a page, by the id of what holds them.
func (a *answer) pasted() map[string]string {
	pasted := map[string]string{}
	for _, match := range preformatted.FindAllStringSubmatch(a.body, -1) {
		pasted[match[1]] = html.UnescapeString(match[2])
	}
	return pasted
}

// The environment and the programs are pasted into files as they stand on the page,
// and run: from the question to a user to the renewed token.
func TestS3_6_SettingsToPasteRun(t *testing.T) {
	b := userBank(t)
	// What a shell would take for its own must survive.
	const address = "https://app.test/it's?a=$HOME&b=(c)"
	page := b.do(b.sessionOf("alice").newApplication("redirect_uris", address, "scope.read:accounts", "on")).wantSays(t, 201)
	settings, dir := page.pasted(), t.TempDir()
	write := func(name, content string) string {
		t.Helper()
		if content == "" {
			t.Fatalf("nothing to paste for %s", name)
		}
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	environment := write("app.env", settings["environment"])
	binary := filepath.Join(dir, "app")
	if said, err := exec.Command("go", "build", "-o", binary, write("main.go", settings["go"])).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, said)
	}
	for name, command := range map[string][]string{"go": {binary}, "curl": {"bash", write("app.sh", settings["curl"])}} {
		t.Run(name, func(t *testing.T) {
			inShell := append([]string{"-c", `set -a; . "$0"; exec "$@"`, environment}, command...)
			said := b.authorizing(t, exec.Command("sh", inShell...), address)
			if want := []string{"and paste the address that it leads to:", "Granted read:accounts read:eft", "Renewed"}; !slices.Equal(said, want) {
				t.Errorf("it said %q, want %q", said, want)
			}
		})
	}
}

// authorizing runs a program that says which address to open, and tells it to which one
// alice was sent back when she had allowed it access.
func (b *bank) authorizing(t *testing.T, cmd *exec.Cmd, redirect string) (said []string) {
	t.Helper()
	var complaints strings.Builder
	cmd.Stderr = &complaints
	out, err1 := cmd.StdoutPipe()
	in, err2 := cmd.StdinPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		address, asks := strings.CutPrefix(lines.Text(), "Open ")
		if !asks {
			said = append(said, lines.Text())
			continue
		}
		at, err := url.Parse(address)
		if err != nil || at.Path != pathAuthorize {
			t.Fatalf("%q: %v", address, err)
		}
		answer := b.asUser("alice").allow(at.RawQuery)
		answer.back(t, redirect)
		if _, err := io.WriteString(in, answer.header.Get("Location")+"\n"); err != nil {
			t.Fatal(err)
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v\n%s", err, &complaints)
	}
	return said
}

// The secret stands in the settings when it is made and never again.
func TestS3_6_SettingsHoldTheSecretOnce(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	id, secret := alice.registered()
	for _, path := range []string{pathApplications, pathApplications + "/" + id, pathApplications + "/" + id + "/disable"} {
		if page := b.do(alice.get(path)).wantSays(t, 200); strings.Contains(page.body, secret) {
			t.Errorf("%s shows the secret again", path)
		}
	}
	for name, file := range map[string]string{
		"made":    b.do(alice.form(pathApplications+"/"+id+"/secret", "overlap", "day")).wantSays(t, 200).pasted()["environment"],
		"looked":  b.do(alice.get(pathApplications+"/"+id)).wantSays(t, 200).pasted()["environment"],
		"program": b.do(alice.get(pathApplications+"/"+id)).wantSays(t, 200).pasted()["javascript"],
	} {
		if has := strings.Contains(file, "CLIENT_SECRET=cb_test_secret_"); has != (name == "made") {
			t.Errorf("%s: %s", name, file)
		}
		if strings.Contains(file, secret) {
			t.Errorf("%s: the secret before stands there", name)
		}
	}
}
