package caddymodule

import (
	"regexp"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/internal/freeport"
)

// matches checks what a command printed, line by line in no order.
func (s *server) prints(output string, lines ...string) {
	s.t.Helper()
	for _, line := range lines {
		if !regexp.MustCompile(`(?m)^` + line + `$`).MatchString(output) {
			s.t.Errorf("no line %q in\n%s", line, output)
		}
	}
}

// A user's accounts by commands, from the first binding to the last.
func TestCommandsOfUsersAndBindings(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	s.prints(s.ok("", "bearer", "user", "add", "alice", "--name", "Alice Doe", "--scopes", "read:eft,read:market"),
		"id +alice", "name +Alice Doe", "scopes +read:eft read:market", "status +active", "source +command")
	s.prints(s.ok("", "bearer", "bind", "alice", "1"), `account +1 \(full\)`)
	s.prints(s.ok("", "bearer", "bind", "alice", "2", "--scopes", "read:eft"), `account +1 \(full\)`, `account +2 \(partial read:eft\)`)
	s.prints(s.ok("", "bearer", "bind", clientID, "2"), "id +"+clientID, `account +2 \(full\)`)
	s.prints(s.ok("", "bearer", "binding", "list", "--account", "2"),
		"PRINCIPAL +ACCOUNT +ACCESS +SOURCE +SCOPES", "alice +2 +partial +command +read:eft", clientID+" +2 +full +command +-", serviceID+" +2 +full +config +-")
	s.prints(s.ok("", "bearer", "user", "set", "alice", "--name", "A."), "name +A\\.")
	s.prints(s.ok("", "bearer", "unbind", "alice", "2", "--dry-run"), "would end +binding alice/2", "grants +0", "Nothing was changed\\.")
	s.prints(s.ok("", "bearer", "unbind", "alice", "2", "--reason", "sold"), `account +1 \(full\)`)
	s.prints(s.ok("", "bearer", "user", "disable", "alice"), "status +disabled")
	s.prints(s.ok("", "bearer", "user", "enable", "alice"), "status +active")
	s.prints(s.ok("", "bearer", "user", "revoke", "alice", "--reason", "left"), "revoked +principal alice", "reason +left")
	s.prints(s.ok("", "bearer", "user", "list"), "alice +A\\. +active +command +20\\S+ +read:eft read:market")
	s.prints(s.ok("", "bearer", "revocation", "list", "--limit", "2"),
		"AT +KIND +TARGET +NUMBER +KEPT UNTIL +REASON", "20\\S+ +principal +alice +\\d+ +- +left")
	for args, says := range map[string]string{
		"bind alice 1 --scopes ":    "--scopes is empty",
		"bind alice 1 --scopes ,":   "--scopes is empty",
		"bind alice":                "takes PRINCIPAL ACCOUNT; got 1 arguments",
		"user rotate-secret alice":  `"rotate-secret" is no command`,
		"streams cut":               `"cut" is no command`,
		"operator rotate --role":    "flag needs an argument",
		"client disable --dryrun x": "unknown flag: --dryrun",
	} {
		if _, stderr, code := s.run("", append([]string{"bearer"}, strings.Split(args, " ")...)...); code != exitUsage || !strings.Contains(stderr, says) {
			t.Errorf("%s: exit %d, %s", args, code, stderr)
		}
	}
}

// What would end is what then ends, with its live streams.
func TestDryRunAndStreamsByCommand(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	got := s.obtain("read:market")
	ws := s.openWebSocket(got.Access)
	ws.alive(t)
	var listed streamList
	s.decode(s.ok("", "bearer", "streams", "list", "--client", clientID, "--json"), &listed)
	if len(listed.Streams) != 1 || listed.Count != 1 || listed.Streams[0].Route != "stream" || listed.Streams[0].Kind != "stream" {
		t.Fatalf("%+v", listed)
	}
	grant := listed.Streams[0].Grant
	s.prints(s.ok("", "bearer", "streams", "list"),
		"SINCE +KIND +ROUTE +METHOD +CLIENT +PRINCIPAL +GRANT +TOKEN +FROM +ACCOUNTS",
		`20\S+Z +stream +stream +GET +`+clientID+` +`+serviceID+` +`+grant+` +\S+ +127\.0\.0\.1 +1 2`)

	s.prints(s.ok("", "bearer", "grant", "revoke", grant, "--dry-run"),
		"would end +grant "+grant, "principals +"+serviceID, "clients +"+clientID, "grants +1", "long-lived tokens +1", "streams +1", "requests +0",
		"under way +1 streams, 0 requests of client "+clientID+" for "+serviceID, "Nothing was changed\\.")
	s.prints(s.ok(got.Access, "bearer", "token", "revoke", "--dry-run"), "would end +token \\S+", "streams +1")
	s.prints(s.ok("", "bearer", "client", "revoke", clientID, "--dry-run"), "grants +1", "streams +1")
	if _, stderr, code := s.run("", "bearer", "client", "disable", clientID, "--dry-run"); code != exitFailed || !strings.Contains(stderr, "declared in the configuration") {
		t.Errorf("a dry run of what would be refused: exit %d, %s", code, stderr)
	}
	ws.alive(t)
	s.ok("", "bearer", "grant", "revoke", grant)
	if _, err := ws.end(); err == nil {
		t.Error("the stream goes on")
	}
	s.decode(s.ok("", "bearer", "streams", "list", "--json"), &listed)
	if len(listed.Streams) != 0 {
		t.Errorf("%+v", listed)
	}
}

// Operator tokens change hands without a reload, and no command shows one.
func TestOperatorRotationByCommand(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	address := "127.0.0.1:" + freeport.Find(t)
	s.config = strings.Replace(s.config, "unix/"+s.path("admin.sock")+"|0600", address, 1)
	s.start()
	old, err := strongestOperator(s.path("operator.token"))
	must(t, err)
	s.write("old.token", "admin "+old+"\n")
	with := func(file string, args ...string) []string {
		return append(append([]string{"bearer", "operator"}, args...), "--address", address, "--operator-token", s.path(file))
	}
	printed := s.ok("", with("old.token", "rotate", "--role", "admin")...)
	s.prints(printed, "ROLE +TOKENS", "read +1", "admin +2", "They are in "+s.path("operator.token"))
	printed += s.ok("", with("old.token", "list")...) // the old one is good still
	printed += s.ok("", with("operator.token", "rotate", "--drop-old")...)
	if _, stderr, code := s.run("", with("old.token", "list")...); code != exitFailed || !strings.Contains(stderr, "an operator token is needed") {
		t.Errorf("the old token: exit %d, %s", code, stderr)
	}
	printed += s.ok("", with("operator.token", "list")...)
	s.restart()
	s.ok("", with("operator.token", "list")...)
	if strings.Contains(printed+s.output.String(), "cb_operator_") {
		t.Errorf("a token is shown:\n%s", printed)
	}
}
