//go:build clients

package clients

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/html"
)

// What the page of an application gives to paste runs as it stands there, with the
// usual library of its language. (Go and curl are run with the tests of the issuer.)
func TestS3_6_PastedProgramsRun(t *testing.T) {
	t.Parallel()
	for language, interpreter := range map[string][]string{
		"javascript": {"node", "--input-type=module", "-e"},
		"python":     {"../python/.venv/bin/python", "-c"},
	} {
		t.Run(language, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, time.Minute).start()
			s.addAlice()
			b := s.signedInAt(s.issuerURL() + "/applications/new")
			b.send(url.Values{"name": {"Charts"}, "redirect_uris": {redirectURI}})
			cmd := s.program(party{}, append(interpreter, b.pasted(language)))
			cmd.Dir = "javascript" // where its library is found
			cmd.Env = append(cmd.Env, strings.Split(strings.TrimSpace(b.pasted("environment")), "\n")...)
			var complaints bytes.Buffer
			cmd.Stderr = &complaints
			output, err1 := cmd.StdoutPipe()
			input, err2 := cmd.StdinPipe()
			if err := errors.Join(err1, err2, cmd.Start()); err != nil {
				t.Fatal(err)
			}
			var said []string
			for lines := bufio.NewScanner(output); lines.Scan(); {
				address, asks := strings.CutPrefix(lines.Text(), "Open ")
				if !asks {
					said = append(said, lines.Text())
					continue
				}
				if _, err := io.WriteString(input, s.authorize(address)+"\n"); err != nil {
					t.Error(err)
				}
			}
			if err := cmd.Wait(); err != nil {
				t.Errorf("%v\n%s", err, &complaints)
			}
			if want := []string{"and paste the address that it leads to:", "Granted read:accounts", "Renewed"}; !slices.Equal(said, want) {
				t.Errorf("it said %q, want %q", said, want)
			}
		})
	}
}

// pasted is the text of the element with an id.
func (b *browser) pasted(id string) string {
	b.t.Helper()
	for node := range b.page.Descendants() {
		if node.Type == html.ElementNode && attribute(node, "id") == id && node.FirstChild != nil {
			return node.FirstChild.Data
		}
	}
	b.t.Fatalf("%s has nothing to paste for %s: %s", b.at, id, text(b.page))
	return ""
}
