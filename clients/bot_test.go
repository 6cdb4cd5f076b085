//go:build clients

package clients

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// The bots renew ten seconds before a token ends: after three, here.
const botTokenLifetime = 13 * time.Second

// Nothing of this stops a bot: its token comes to its end, is revoked, the API
// is overloaded, the server is restarted. At its own end it revokes its token.
func TestBotsNeverStop(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		language string
		command  []string
	}{
		{"JavaScript", []string{"node", "javascript/bot.mjs"}},
		{"Python", []string{"python/.venv/bin/python", "python/bot.py"}},
		{"Go", []string{build("./golang/bot")}},
		{"Java", java("Bot")},
		{"curl", []string{"bash", "curl/bot.sh"}},
	} {
		t.Run(c.language, func(t *testing.T) {
			t.Parallel()
			s := newServer(t, botTokenLifetime).start()
			b := s.startBot(c.command)
			b.renewsInTime()
			b.survivesRevocation()
			b.waitsAsLongAsAsked(http.StatusServiceUnavailable)
			b.waitsAsLongAsAsked(http.StatusTooManyRequests)
			b.survivesRestart()
			b.revokesAtExit()
		})
	}
}

// bot is a running program.
type bot struct {
	*server
	client party
	cmd    *exec.Cmd
	exited chan error
}

func (s *server) startBot(command []string) *bot {
	s.t.Helper()
	b := &bot{server: s, client: s.register("bot"), exited: make(chan error, 1)}
	if command[0] == "java" {
		s.trustStore()
	}
	b.cmd = s.program(b.client, absolute(command))
	b.cmd.Dir = s.dir
	var complaints bytes.Buffer
	b.cmd.Stderr = &complaints
	if err := b.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() { b.exited <- b.cmd.Wait() }()
	s.t.Cleanup(func() {
		_ = b.cmd.Process.Kill()
		<-b.exited
		if s.t.Failed() {
			s.t.Logf("the bot said:\n%s", &complaints)
		}
	})
	return b
}

// renewsInTime: a second token, before the API refused the first.
func (b *bot) renewsInTime() {
	b.t.Helper()
	b.eventually("the bot renews its token", func() bool { return b.tokens() >= 2 })
	b.goesOn()
	if refused := b.logged("api.log", http.StatusUnauthorized); refused > 0 {
		b.t.Errorf("%d calls were refused before the token was renewed", refused)
	}
}

// survivesRevocation: an operator ends its token, and one call is refused. (None
// is if the bot was about to renew it; then it is tried again.)
func (b *bot) survivesRevocation() {
	b.t.Helper()
	refused := 0
	b.eventually("the bot is refused", func() bool {
		had := b.tokens()
		b.eventually("the bot renews its token", func() bool { return b.tokens() > had })
		b.command("POST", "/clients/"+b.client.ID+"/revoke", `{}`, nil)
		b.goesOn()
		refused = b.logged("api.log", http.StatusUnauthorized)
		return refused > 0
	})
	if refused != 1 {
		b.t.Errorf("%d calls were refused, want 1", refused)
	}
}

// waitsAsLongAsAsked: the API answers once with this status, and Retry-After.
func (b *bot) waitsAsLongAsAsked(status int) {
	b.t.Helper()
	b.backend.refuseOnce(status)
	var refused, next hit
	b.eventually("the bot calls again", func() bool {
		calls := b.backend.calls(b.client.ID)
		i := slices.IndexFunc(calls, func(h hit) bool { return h.status == status })
		if i < 0 || i+1 == len(calls) {
			return false
		}
		refused, next = calls[i], calls[i+1]
		return true
	})
	if waited := next.at.Sub(refused.at); waited < retryAfter {
		b.t.Errorf("after %d it waited %s, asked for %s", status, waited, retryAfter)
	}
	b.goesOn()
}

// survivesRestart: nobody listens for a moment.
func (b *bot) survivesRestart() {
	b.t.Helper()
	b.stop()
	time.Sleep(time.Second) // a moment in which it calls in vain: nothing to wait for
	b.start()
	b.goesOn()
}

func (b *bot) revokesAtExit() {
	b.t.Helper()
	if err := b.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		b.t.Fatal(err)
	}
	select {
	case err := <-b.exited:
		b.exited <- err
		var exit *exec.ExitError
		if errors.As(err, &exit) && exit.ExitCode() == 128+int(syscall.SIGTERM) {
			err = nil // Java says what ended it, and not how
		}
		if err != nil {
			b.t.Errorf("it ended with %v", err)
		}
	case <-time.After(patience):
		b.t.Fatal("it goes on after SIGTERM")
	}
	var trail struct{ Events []struct{ Target string } }
	b.command("GET", "/audit?action=token.revoke&actor=client:"+b.client.ID, "", &trail)
	if len(trail.Events) != 1 {
		b.t.Errorf("it revoked %d tokens, want its last one", len(trail.Events))
	}
}

// goesOn waits for a call that begins from now on, and is answered well.
func (b *bot) goesOn() {
	b.t.Helper()
	before := len(b.backend.calls(b.client.ID))
	b.eventually("the bot goes on", func() bool {
		calls := b.backend.calls(b.client.ID)
		return len(calls) > before+1 && calls[len(calls)-1].status == http.StatusOK
	})
}

// tokens counts those that the bot got, by the audit trail.
func (b *bot) tokens() int {
	b.t.Helper()
	var trail struct{ Events []struct{ Action string } }
	b.command("GET", "/audit?limit=1000&action=client_credentials.issue&actor=client:"+b.client.ID, "", &trail)
	return len(trail.Events)
}

// logged counts the requests that Caddy answered with a status.
func (s *server) logged(name string, status int) (n int) {
	s.t.Helper()
	file, err := os.Open(s.path(name))
	if err != nil {
		s.t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var line struct{ Status int }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Status == status {
			n++
		}
	}
	return n
}

// absolute names the files of a command so that it may run in any folder.
func absolute(command []string) []string {
	here, err := filepath.Abs(".")
	if err != nil {
		panic(err)
	}
	named := make([]string, len(command))
	for i, word := range command {
		named[i] = word
		if strings.Contains(word, "/") && !filepath.IsAbs(word) {
			named[i] = filepath.Join(here, word)
		}
	}
	return named
}
