package caddymodule

import (
	"encoding/json"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/internal/freeport"
)

// ok runs a command that must succeed in silence, and returns what it printed.
func (s *server) ok(stdin string, args ...string) string {
	s.t.Helper()
	stdout, stderr, code := s.run(stdin, args...)
	if code != 0 || stderr != "" {
		s.t.Fatalf("caddy %s: exit %d\n%s%s", strings.Join(args, " "), code, stdout, stderr)
	}
	return stdout
}

// The life of a client, its account and its tokens, by commands alone.
func TestCommandsRunAnEnvironment(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	shown := s.ok("", "bearer", "client", "add", "bot", "--name", "Trading bot", "--scopes", "read:eft, read:market")
	secret := regexp.MustCompile(`(?m)^secret +(cb_test_secret_\S+)$`).FindStringSubmatch(shown)
	if secret == nil || !strings.Contains(shown, "never shown again") {
		t.Fatalf("client add printed\n%s", shown)
	}
	var desk record
	s.decode(s.ok("", "bearer", "service-account", "add", "desk", "--scopes", "read:eft read:market", "--json"), &desk)
	s.ok("", "bearer", "account", "add", "42", "--kind", "trading")
	if bound := s.ok("", "bearer", "service-account", "bind", "desk", "42"); !regexp.MustCompile(`(?m)^account +42 \(full\)$`).MatchString(bound) {
		t.Errorf("bind printed\n%s", bound)
	}

	got := s.obtainAs("desk", desk.Secret, "bot", secret[1], "read:eft")
	s.answer(s.call("GET", "/api/v1/eft", got.Access), 200, nil)

	var listed struct{ Grants []grant }
	s.decode(s.ok("", "bearer", "grant", "list", "--client", "bot", "--json"), &listed)
	if len(listed.Grants) != 1 || listed.Grants[0].Principal != "desk" || !slices.Equal(listed.Grants[0].Accounts, []string{"42"}) {
		t.Fatalf("grants %+v", listed.Grants)
	}
	id := listed.Grants[0].ID
	if table := s.ok("", "bearer", "grant", "list"); !regexp.MustCompile(`(?m)^ID +PRINCIPAL +CLIENT +STATUS .*\n` + id + ` +desk +bot +live +20`).MatchString(table) {
		t.Errorf("grant list printed\n%s", table)
	}
	if one := s.ok("", "bearer", "grant", "show", id); !regexp.MustCompile(`(?m)^\w+ +refresh +live +20\S+Z +20\S+Z$`).MatchString(one) {
		t.Errorf("grant show printed\n%s", one)
	}
	if told := s.ok(got.Access+"\n", "bearer", "token", "show"); !regexp.MustCompile(`(?m)^status +live$`).MatchString(told) || strings.Contains(told, got.Access) {
		t.Errorf("token show printed\n%s", told)
	}

	s.ok("", "bearer", "service-account", "unbind", "desk", "42", "--reason", "sold")
	if status := s.answerStatus(s.call("GET", "/api/v1/eft", got.Access)); status != 401 {
		t.Errorf("after unbind: %d", status)
	}
	s.ok("", "bearer", "service-account", "bind", "desk", "42")
	rotated := s.ok("", "bearer", "client", "rotate-secret", "bot", "--json")
	var bot record
	s.decode(rotated, &bot)
	got = s.obtainAs("desk", desk.Secret, "bot", bot.Secret, "read:eft")

	s.write("leaked.txt", got.Access+"\n")
	s.ok("", "bearer", "token", "revoke", "--file", s.path("leaked.txt"), "--reason", "found in a log")
	if status := s.answerStatus(s.call("GET", "/api/v1/eft", got.Access)); status != 401 {
		t.Errorf("after token revoke: %d", status)
	}
	got = s.obtainAs("desk", desk.Secret, "bot", bot.Secret, "read:eft")
	s.ok("", "bearer", "client", "disable", "bot")
	if status := s.answerStatus(s.call("GET", "/api/v1/eft", got.Access)); status != 401 {
		t.Errorf("after client disable: %d", status)
	}
	if list := s.ok("", "bearer", "client", "list"); !regexp.MustCompile(`(?m)^bot +Trading bot +disabled +command +20\S+Z +read:eft read:market$`).MatchString(list) {
		t.Errorf("client list printed\n%s", list)
	}
	for _, leak := range []string{secret[1], desk.Secret, bot.Secret, got.Access, got.Refresh} {
		if strings.Contains(s.output.String(), leak) {
			t.Errorf("Caddy's log shows %s", leak)
		}
	}
}

func (s *server) decode(text string, into any) {
	s.t.Helper()
	if err := json.Unmarshal([]byte(text), into); err != nil {
		s.t.Fatalf("%v in %s", err, text)
	}
}

// obtainAs gets tokens by the bank's two calls, as others than the demo's.
func (s *server) obtainAs(service, serviceSecret, client, clientSecret, scopes string) tokens {
	s.t.Helper()
	request := s.request("GET", s.issuer+"/api/v1/s2s-oauth2/code", nil)
	for name, value := range map[string]string{
		"X-Service-Account-ID": service, "X-Service-Account-Secret": serviceSecret,
		"X-IBM-client-id": client, "X-IBM-client-secret": clientSecret, "scope": scopes,
	} {
		request.Header.Set(name, value)
	}
	var code struct{ Code string }
	s.answer(request, 200, &code)
	request = s.form("/api/v1/s2s-oauth2/token", "grant_type=authorization_code&code="+code.Code)
	request.SetBasicAuth(client, clientSecret)
	var got tokens
	s.answer(request, 200, &got)
	return got
}

func TestCommandsSayWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	secretToken := "cb_test_personal_" + strings.Repeat("x", 40)
	tests := []struct {
		args string
		code int
		says string
	}{
		// The server's sentence.
		{"client show nobody", 1, `error: there is no client "nobody" in sandbox`},
		{"client set demo-client --name x", 1, "error: client demo-client is declared in the configuration; change it there"},
		{"client add bot --scopes read:etf", 1, `did you mean "read:eft"?`},
		{"client list --environment production", 1, `error: environment "production" is not configured`},
		// Ours.
		{"client list --address unix//nowhere/admin.sock", 1, "unix//nowhere/admin.sock: dial unix /nowhere/admin.sock: connect: no such file or directory; if it is elsewhere, name it with --address"},
		{"client list --address 127.0.0.1:1", 1, "connection refused"},
		{"client list --operator-token nofile", 1, "error: operator token file: open nofile"},
		{"client list --config nofile --adapter caddyfile", 1, "error: configuration file nofile"},
		// Wrong usage.
		{"client list --address 192.0.2.1:2019", 2, "plain text"},
		{"client list --address 127.0.0.1:1-9", 2, "is not the address"},
		{"clients", 2, `"clients" is no command of "caddy bearer"; did you mean "client"?`},
		{"key revoke -UsIdE1", 2, `an id that begins with - stands behind --, as in "caddy bearer key revoke -- -UsIdE1"`},
		{"client lsit", 2, `did you mean "list"?`},
		{"client list x", 2, `"caddy bearer client list" takes no arguments`},
		{"client show", 2, `"caddy bearer client show" takes ID; got 0 arguments`},
		{"client set bot", 2, "give --name, --scopes, --description, --public, --redirect-uri or --pkce-optional"},
		{"client list --jsno", 2, "unknown flag: --jsno"},
		{"service-account bind desk", 2, "takes ID ACCOUNT; got 1 arguments"},
		{"token revoke " + secretToken, 2, "never an argument"},
		{"token revoke --id a --file b", 2, "give one"},
		{"token show", 2, "no token in the input"},
		{"token show --file nofile", 1, "nofile"},
		{"policy test", 2, "takes FILE [TESTS...]"},
		{"policy lint nofile", 2, "nofile"},
		{"policy test --min 101 x", 2, "from 0 to 100"},
		{"policy explain policy.yaml", 2, "expected a method and a path"},
		{"policy explain nofile --request=GET\t/a", 2, "nofile"},
		{"policy explain policy.yaml --request=GET\t/a --scopes read:etf", 2, `scope "read:etf" is not in the policy; did you mean "read:eft"?`},
		{"policy explain policy.yaml --request=GET\t/a//b", 1, "a gate refuses GET /a//b before it asks the policy: The path can be read in more than one way"},
		{"policy explain policy.yaml --request=get\t/a", 1, "The method is not an upper-case word"},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			stdout, stderr, code := s.run("", append([]string{"bearer"}, strings.Split(test.args, " ")...)...)
			if code != test.code || !strings.Contains(stderr, test.says) || stdout != "" {
				t.Errorf("exit %d, want %d and %q\nstdout: %s\nstderr: %s", code, test.code, test.says, stdout, stderr)
			}
			// One sentence, and for wrong usage where the help is.
			if lines := strings.Count(stderr, "\n"); lines != test.code && !strings.Contains(test.args, "--config") {
				t.Errorf("%d lines on stderr:\n%s", lines, stderr)
			}
			if strings.Contains(stderr, secretToken) {
				t.Error("the token is repeated")
			}
		})
	}
}

// Over TCP the operator token is needed, and found where the configuration has it.
func TestCommandsOverTCP(t *testing.T) {
	s := newServer(t)
	address := "127.0.0.1:" + freeport.Find(t)
	s.config = strings.Replace(s.config, "unix/"+s.path("admin.sock")+"|0600", address, 1)
	s.start()
	list := []string{"bearer", "client", "list", "--address", address}

	_, stderr, code := s.run("", list...)
	if want := "an operator token is needed; it is in " + s.path("operator.token") + " on the server; name the file with --operator-token"; code != 1 || !strings.Contains(stderr, want) {
		t.Errorf("without a token: exit %d\n%s", code, stderr)
	}
	s.ok("", append(list, "--operator-token", s.path("operator.token"))...)
	if stdout, stderr, code := s.run("", "bearer", "client", "list", "--config", s.path("Caddyfile"), "--adapter", "caddyfile"); code != 0 || !strings.Contains(stdout, clientID) {
		t.Errorf("with --config: exit %d\n%s", code, stderr)
	}

	lines, err := readOperatorFile(s.path("operator.token"))
	if err != nil {
		t.Fatal(err)
	}
	weak := slices.IndexFunc(lines, func(o operatorToken) bool { return o.role == roleRead })
	s.write("read.token", "read "+lines[weak].token+"\n")
	t.Setenv(operatorFileVariable, s.path("read.token"))
	s.ok("", list...)
	if _, stderr, code := s.run("", "bearer", "client", "add", "x", "--address", address); code != 1 || !strings.Contains(stderr, "needs the role admin") {
		t.Errorf("with a token for reading: exit %d\n%s", code, stderr)
	}
	for _, line := range lines {
		if strings.Contains(s.output.String(), line.token) {
			t.Errorf("Caddy's log shows the %s token", line.role)
		}
	}
}

func TestPolicyCommands(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.write("good.yaml", `version: 1
scopes:
  read:a: {title: A, risk: read}
routes:
  - {id: a, match: {methods: [GET], path: "/a"}, require: {scopes: [read:a]}}
  - {id: b, match: {methods: [GET], path: "/b"}, require: {scopes: [read:a]}}
tests:
  - {request: "GET /a", scopes: [read:a], expect: allow}
`)
	s.write("more.yaml", "tests:\n  - {request: \"GET /b\", expect: deny}\n")
	s.write("failing.yaml", "tests:\n  - {request: \"GET /b\", expect: allow}\n")
	s.write("broken.yaml", "version: 1\nscpoes: {}\n")
	s.write("unused.yaml", `version: 1
scopes:
  read:a: {title: A, risk: read}
  read:b: {title: B, risk: read}
routes:
  - {id: a, match: {methods: [GET], path: "/a"}, require: {scopes: [read:a]}}
`)
	tests := []struct {
		args   string
		code   int
		stdout string // a regular expression for what is printed
	}{
		{"lint good.yaml", 0, `^$`},
		{"lint good.yaml --json", 0, `^\{\n  "findings": \[\]\n\}\n$`},
		{"lint good.yaml broken.yaml", 1, `^broken\.yaml:\d+:\d+: .*scpoes.* \[error unknown-key\]\n`},
		{"lint unused.yaml", 1, `^unused\.yaml:4:3: no route needs scope "read:b" \[warning unused-scope\]\n$`},
		{"lint unused.yaml --json", 1, `"code": "unused-scope"`},
		{"test good.yaml", 0, `^no test reaches route b\n1 tests, 0 failed; 1 of 2 routes tested \(50 %\)\n$`},
		{"test good.yaml --min 51", 1, `50 %`},
		{"test good.yaml more.yaml --min 100", 0, `^2 tests, 0 failed; 2 of 2 routes tested \(100 %\)\n$`},
		{"test good.yaml failing.yaml", 1, `^failing\.yaml:2:\d+: GET /b: expected allow; got deny`},
		{"test good.yaml failing.yaml --json", 1, `"coverage": 100`},
		{"test broken.yaml", 1, `broken\.yaml:2:1: `},
		{"explain good.yaml --request=GET\t/b", 0, `(?m)^decision +\w+ \(\w+\)$`},
		{"explain good.yaml --request=GET\t/nowhere?a=b --json", 0, `"path": "/nowhere",(.|\n)*"reason": "no_route",\n  "route": "",`},
		{"explain broken.yaml --request=GET\t/b", 1, `broken\.yaml:2:1: `},
	}
	for _, test := range tests {
		t.Run(test.args, func(t *testing.T) {
			stdout, stderr, code := s.run("", append([]string{"bearer", "policy"}, strings.Split(test.args, " ")...)...)
			if code != test.code || !regexp.MustCompile(test.stdout).MatchString(stdout) {
				t.Errorf("exit %d, want %d and %s\nstdout: %s\nstderr: %s", code, test.code, test.stdout, stdout, stderr)
			}
			if quiet := !strings.Contains(test.args, "--min 51"); quiet && stderr != "" {
				t.Errorf("stderr: %s", stderr)
			}
		})
	}
}

func TestHashSecretCommand(t *testing.T) {
	s := newServer(t)
	hash := strings.TrimSpace(s.ok("correct horse\n", "bearer", "hash-secret"))
	w := newAdminWorld(t)
	secrets := w.app.runtime.worlds["sandbox"].secrets
	for secret, want := range map[string]bool{"correct horse": true, "correct horse\n": false, "": false} {
		if fits, err := secrets.Verify(t.Context(), hash, secret); err != nil || fits != want {
			t.Errorf("%q fits: %v, %v", secret, fits, err)
		}
	}
	for name, input := range map[string]string{
		"empty": "", "a line's end alone": "\n", "two lines": "a\nb\n", "too long": strings.Repeat("x", 1025),
	} {
		if stdout, stderr, code := s.run(input, "bearer", "hash-secret"); code != 1 || stdout != "" || !strings.HasPrefix(stderr, "error: the ") {
			t.Errorf("%s: exit %d\n%s%s", name, code, stdout, stderr)
		}
	}
}

// Every command says what it does and shows an example: these texts are the
// manual pages.
func TestEveryCommandHasHelp(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.ok("", "manpage", "--directory", s.path("man"))
	pages, err := os.ReadDir(s.path("man"))
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, page := range pages {
		if !strings.HasPrefix(page.Name(), "caddy-bearer-") {
			continue
		}
		count++
		text, err := os.ReadFile(s.path("man/" + page.Name()))
		if err != nil {
			t.Fatal(err)
		}
		isGroup := strings.Count(page.Name(), "-") == 2 && !strings.Contains(page.Name(), "hash") || page.Name() == "caddy-bearer-service-account.8"
		if !isGroup && !strings.Contains(string(text), "EXAMPLE") {
			t.Errorf("%s has no example", page.Name())
		}
		for _, left := range []string{"WORD", "NAME add", "NAME list"} {
			if strings.Contains(string(text), left) {
				t.Errorf("%s says %s", page.Name(), left)
			}
		}
	}
	if count < 45 {
		t.Errorf("%d manual pages", count)
	}
	for _, name := range strings.Fields("user-add bind unbind binding-list streams-list revocation-list operator-rotate") {
		if _, err := os.Stat(s.path("man/caddy-bearer-" + name + ".8")); err != nil {
			t.Errorf("no manual page of %s: %v", name, err)
		}
	}
}
