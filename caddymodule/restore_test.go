package caddymodule

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store/journal"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite"
)

// bearer runs a command on the server's files or the server and returns what it
// printed. It must succeed.
func (s *server) bearer(args ...string) string {
	s.t.Helper()
	out, complaint, code := s.run("", append([]string{"bearer"}, args...)...)
	if code != 0 {
		s.t.Fatalf("%s: exit %d: %s", strings.Join(args, " "), code, complaint)
	}
	return out
}

// secretOf is the secret in the answer of a command that made one.
func (s *server) secretOf(out string) string {
	s.t.Helper()
	var answer struct{ Secret string }
	if err := json.Unmarshal([]byte(out), &answer); err != nil || answer.Secret == "" {
		s.t.Fatalf("no secret in %s: %v", out, err)
	}
	return answer.Secret
}

// pair is an id with its secret.
type pair struct{ id, secret string }

// obtainFor is obtain for other parties; the status is that of the code call.
func (s *server) obtainFor(account, client pair) (got tokens, status int) {
	s.t.Helper()
	request := s.request("GET", s.issuer+"/api/v1/s2s-oauth2/code", nil)
	request.Header.Set("X-Service-Account-ID", account.id)
	request.Header.Set("X-Service-Account-Secret", account.secret)
	request.Header.Set("X-Client-ID", client.id)
	request.Header.Set("X-Client-Secret", client.secret)
	request.Header.Set("scope", "read:accounts")
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	var code struct{ Code string }
	if err := json.NewDecoder(response.Body).Decode(&code); err != nil || response.StatusCode != 200 {
		return got, response.StatusCode
	}
	request = s.request("POST", s.issuer+"/api/v1/s2s-oauth2/token", strings.NewReader("grant_type=authorization_code&code="+code.Code))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.SetBasicAuth(client.id, client.secret)
	s.answer(request, 200, &got)
	return got, 200
}

func (s *server) kill() {
	s.t.Helper()
	s.signal(syscall.SIGKILL)
	s.await("the process ends", s.exited)
}

// passes tells whether a token opens the gated API.
func (s *server) passes(token string) bool {
	s.t.Helper()
	return s.answerStatus(s.call("GET", "/api/v1/accounts", token)) == 200
}

// put makes one file the other, as people do it, while nothing runs.
func (s *server) put(from, to string) {
	s.t.Helper()
	content, err := os.ReadFile(s.path(from))
	if err != nil {
		s.t.Fatal(err)
	}
	s.write(to, string(content))
	_, _ = os.Remove(s.path(to+"-wal")), os.Remove(s.path(to+"-shm")) // if there are any
}

// outage is a server that was backed up, in which much was revoked since, and
// that was killed then.
type outage struct {
	*server
	demo, account, bot, treasury, leaky pair

	revoked, ended, alive, byBot, byTreasury tokens
}

func newOutage(t *testing.T) *outage {
	t.Helper()
	o := &outage{server: newServer(t).start(), demo: pair{clientID, clientSecret}, account: pair{serviceID, serviceSecret}}
	add := func(kind, id string) pair {
		return pair{id, o.secretOf(o.bearer(kind, "add", id, "--scopes", "read:accounts", "--json"))}
	}
	o.bot, o.leaky, o.treasury = add("client", "bot"), add("client", "leaky"), add("service-account", "treasury")
	o.bearer("service-account", "bind", "treasury", "1")
	o.bearer("service-account", "bind", "treasury", "2")
	o.revoked, o.ended, o.alive = o.obtain("read:accounts"), o.obtain("read:accounts"), o.obtain("read:accounts")
	o.byBot, _ = o.obtainFor(o.account, o.bot)
	o.byTreasury, _ = o.obtainFor(o.treasury, o.demo)
	for _, token := range []tokens{o.revoked, o.ended, o.alive, o.byBot, o.byTreasury} {
		if !o.passes(token.Access) {
			t.Fatal("a token doesn't pass before anything happened")
		}
	}
	o.bearer("backup", o.path("backup.db"))

	o.revoke(o.revoked.Access)
	o.revoke(o.ended.Refresh)
	o.bearer("client", "disable", "bot")
	o.bearer("client", "rotate-secret", "leaky")
	o.bearer("service-account", "revoke", "treasury")
	o.bearer("service-account", "unbind", "treasury", "2")
	o.kill()
	return o
}

// An older database file in the place of the present one: it looks healthy, and
// would bring back all that was revoked since.
func TestOlderDatabaseInThePlaceOfThePresentOne(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	o.put("backup.db", "bearer.db")
	complaint := o.startAndFail()
	for _, want := range []string{"older copy", "bearer.db", "--replay", "--end-all", "caddy bearer restore"} {
		if !strings.Contains(complaint, want) {
			t.Errorf("the complaint does not say %q:\n%s", want, complaint)
		}
	}

	out := o.bearer("restore", o.path("bearer.db"), "--config", o.path("Caddyfile"), "--adapter", "caddyfile", "--replay")
	for _, want := range []string{"sandbox client:bot", "sandbox client:leaky", "sandbox binding:treasury/2", "kept aside", "Start Caddy now."} {
		if !strings.Contains(out, want) {
			t.Errorf("the command does not say %q:\n%s", want, out)
		}
	}
	o.start()
	for name, dead := range map[string]tokens{"revoked": o.revoked, "its grant revoked": o.ended, "its client disabled": o.byBot, "its principal killed": o.byTreasury} {
		if o.passes(dead.Access) {
			t.Errorf("%s: it lives again", name)
		}
	}
	if !o.passes(o.alive.Access) {
		t.Error("what nobody revoked is dead")
	}
	if status := o.answerStatus(o.form("/api/v1/s2s-oauth2/token", "grant_type=refresh_token&refresh_token="+o.alive.Refresh)); status != 400 {
		t.Errorf("a refresh token that may have been renewed since: %d", status)
	}
	if !o.passes(o.alive.Access) {
		t.Error("presenting it killed its grant")
	}
	for name, party := range map[string]pair{"disabled since": o.bot, "got another secret since": o.leaky} {
		if _, status := o.obtainFor(o.account, party); status == 200 {
			t.Errorf("a client that was %s gets tokens", name)
		}
	}
	if got, _ := o.obtainFor(o.treasury, o.demo); !o.passes(got.Access) {
		t.Error("a principal that was revoked and not disabled can't go on")
	}
	if out := o.bearer("service-account", "show", "treasury"); !strings.Contains(out, "1 (full)") || strings.Contains(out, "2 (full)") {
		t.Errorf("an account that was unbound since is bound: %s", out)
	}
	o.restart()
	if o.passes(o.revoked.Access) || !o.passes(o.alive.Access) {
		t.Error("it is different after another start")
	}
}

func TestJournalLostAndEverythingEnded(t *testing.T) {
	t.Parallel()
	o := newOutage(t)
	o.put("backup.db", "bearer.db")
	if err := os.Remove(o.path("revocations.journal")); err != nil {
		t.Fatal(err)
	}
	if complaint := o.startAndFail(); !strings.Contains(complaint, "revocations.journal") || !strings.Contains(complaint, "--end-all") || strings.Contains(complaint, "--as-is") {
		t.Errorf("complaint: %s", complaint)
	}
	for _, choice := range []string{"--replay", "--as-is"} {
		if _, complaint, code := o.run("", "bearer", "restore", o.path("backup.db"), "--config", o.path("Caddyfile"), "--adapter", "caddyfile", choice); code != exitFailed {
			t.Errorf("%s: exit %d: %s", choice, code, complaint)
		}
	}
	o.bearer("restore", o.path("backup.db"), "--database", o.path("bearer.db"), "--revocation-journal", o.path("revocations.journal"), "--end-all")
	o.start()
	for name, dead := range map[string]tokens{"a": o.revoked, "b": o.ended, "c": o.alive, "d": o.byBot, "e": o.byTreasury} {
		if o.passes(dead.Access) {
			t.Errorf("%s lives", name)
		}
		if status := o.answerStatus(o.form("/api/v1/s2s-oauth2/token", "grant_type=refresh_token&refresh_token="+dead.Refresh)); status != 400 {
			t.Errorf("%s can be renewed: %d", name, status)
		}
	}
	if got := o.obtain("read:accounts"); !o.passes(got.Access) {
		t.Error("a new token doesn't pass")
	}
	client := pair{"fresh", o.secretOf(o.bearer("client", "add", "fresh", "--scopes", "read:accounts", "--json"))}
	if got, _ := o.obtainFor(o.account, client); !o.passes(got.Access) {
		t.Error("a new client's token doesn't pass")
	}
	// The journal that was begun knows the backup for what it is.
	o.kill()
	o.put("backup.db", "bearer.db")
	if complaint := o.startAndFail(); !strings.Contains(complaint, "older copy") {
		t.Errorf("the same backup again: %s", complaint)
	}
}

// What a copy of the disk, without the mark of a backup, is known by.
func TestDatabaseAndJournalThatDontBelongTogether(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	s.kill()
	s.put("bearer.db", "first.db")
	for _, part := range []string{"-wal", "-shm"} {
		if content, err := os.ReadFile(s.path("bearer.db" + part)); err == nil {
			s.write("first.db"+part, string(content))
		}
	}
	s.start()
	token := s.obtain("read:accounts")
	s.revoke(token.Access)
	s.kill()
	good, err := os.ReadFile(s.path("revocations.journal"))
	if err != nil {
		t.Fatal(err)
	}
	other := newServer(t).start()
	other.kill()
	foreign, err := os.ReadFile(other.path("revocations.journal"))
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.SplitAfter(string(good), "\n")
	for _, test := range []struct {
		name    string
		journal string // empty: none
		want    []string
	}{
		{"missing", "", []string{"missing", "--end-all", "--as-is"}},
		{"of another store", string(foreign), []string{"belongs to another database", "revocation_journal", "--end-all"}},
		{"damaged", lines[0] + strings.Join(lines[2:], ""), []string{"revocations.journal:2:", "damaged", "--as-is"}},
	} {
		if test.journal == "" {
			err = os.Remove(s.path("revocations.journal"))
		} else {
			s.write("revocations.journal", test.journal)
		}
		if err != nil {
			t.Fatal(err)
		}
		complaint := s.startAndFail()
		for _, want := range test.want {
			if !strings.Contains(complaint, want) {
				t.Errorf("%s: the complaint does not say %q:\n%s", test.name, want, complaint)
			}
		}
	}

	// The database is the newest there is: the operator knows, and says so.
	s.bearer("restore", s.path("bearer.db"), "--config", s.path("Caddyfile"), "--adapter", "caddyfile", "--as-is")
	s.start()
	if s.passes(token.Access) {
		t.Error("a revoked token lives again")
	}
	next := s.obtain("read:accounts")
	s.revoke(next.Access)
	s.kill()

	// kill -9 between COMMIT and the journal: nobody had an answer by then.
	journal, err := os.ReadFile(s.path("revocations.journal"))
	if err != nil {
		t.Fatal(err)
	}
	s.write("revocations.journal", string(journal[:len(journal)-30]))
	s.start()
	if s.passes(next.Access) {
		t.Error("what the database knows was forgotten")
	}
}

func TestRestoreWhileTheServerRuns(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	s.bearer("backup", s.path("backup.db"))
	_, complaint, code := s.run("", "bearer", "restore", s.path("backup.db"), "--config", s.path("Caddyfile"), "--adapter", "caddyfile", "--end-all")
	if code != exitFailed || !strings.Contains(complaint, "in use by another process") || !strings.Contains(complaint, "stop Caddy first") {
		t.Errorf("exit %d: %s", code, complaint)
	}
	if token := s.obtain("read:accounts"); !s.passes(token.Access) {
		t.Error("the running server was disturbed")
	}
}

func TestRestoreCommandsThatAreWrong(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.write("Caddyfile", s.config)
	s.write("text.db", strings.Repeat("dear diary, ", 1000))
	where := []string{"--database", s.path("bearer.db"), "--revocation-journal", s.path("revocations.journal")}
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no choice":           {append([]string{"x.db"}, where...), exitUsage, "--replay, --end-all and --as-is"},
		"two choices":         {append([]string{"x.db", "--replay", "--end-all"}, where...), exitUsage, "give one of"},
		"keep without replay": {append([]string{"x.db", "--end-all", "--keep-refresh"}, where...), exitUsage, "--keep-refresh goes with --replay"},
		"nowhere":             {[]string{"x.db", "--end-all"}, exitUsage, "--config"},
		"no such file":        {append([]string{s.path("x.db"), "--end-all"}, where...), exitFailed, "no such file"},
		"not a database":      {append([]string{s.path("text.db"), "--end-all"}, where...), exitFailed, "not a database"},
		"no file":             {[]string{"--end-all"}, exitUsage, "FILE"},
	} {
		_, complaint, code := s.run("", append([]string{"bearer", "restore"}, test.args...)...)
		if code != test.code || !strings.Contains(complaint, test.says) {
			t.Errorf("%s: exit %d: %s", name, code, complaint)
		}
	}
}

// The backup is of one instant, however much is going on.
func TestBackupWhileCallersWork(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	ctx, stop := context.WithCancel(t.Context())
	var callers sync.WaitGroup
	var issued atomic.Int32
	for range 8 {
		callers.Go(func() {
			for ctx.Err() == nil {
				token := s.obtain("read:accounts")
				s.revoke(token.Access)
				issued.Add(1)
			}
		})
	}
	s.eventually("the callers are at work", func() bool { return issued.Load() > 8 })
	file := s.path("backup.db")
	var info sqlite.Info
	if err := json.Unmarshal([]byte(s.bearer("backup", file, "--json")), &info); err != nil {
		t.Fatal(err)
	}
	if _, complaint, code := s.run("", "bearer", "backup", file); code != exitFailed || !strings.Contains(complaint, "--force") {
		t.Errorf("over a file that exists: exit %d: %s", code, complaint)
	}
	out := s.bearer("backup", file, "--force")
	stop()
	callers.Wait()
	for _, want := range []string{"file", "bytes", "store", "generation", "last audit", "made at"} {
		if !strings.Contains(out, want) {
			t.Errorf("the command does not say %q:\n%s", want, out)
		}
	}
	stat, err := os.Stat(file)
	if err != nil || stat.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", stat, err)
	}
	again, err := sqlite.Inspect(t.Context(), file)
	if err != nil || again.Identity != info.Identity || again.Generation < 1 || again.Backup == "" || again.LastAudit.Before(info.LastAudit) {
		t.Errorf("%+v after %+v, %v", again, info, err)
	}
	for _, pattern := range []string{"bearer.db.backup-*", ".bearer-backup-*"} {
		if left, _ := filepath.Glob(s.path(pattern)); len(left) != 0 {
			t.Errorf("left behind: %v", left)
		}
	}
}

// A caller that hangs up leaves no copy behind, and the next one gets its own.
func TestBackupWhoseCallerHangsUp(t *testing.T) {
	w := newAdminWorld(t)
	dir := filepath.Dir(w.app.Store.Path)
	for range 3 {
		ctx, cancel := context.WithCancel(t.Context())
		request := newAdminRequest(t, "POST", "http://localhost/bearer/backup", "").WithContext(ctx)
		response, err := w.socket.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		cancel()
		response.Body.Close()
		w.app.runtime.copying.Lock() // held until the copy is gone
		left, err := filepath.Glob(filepath.Join(dir, "*"+".backup-*"))
		w.app.runtime.copying.Unlock()
		if err != nil || len(left) != 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

// A reload follows the option, and is no opening of the store.
func TestReloadMovesTheJournal(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	read := func(name string) *journal.Content {
		t.Helper()
		content, err := journal.Read(s.path(name))
		if err != nil {
			t.Fatal(err)
		}
		return content
	}
	first := s.obtain("read:accounts")
	s.revoke(first.Access)
	before := read("revocations.journal")
	if complaint := s.reload(s.config + "# changed\n"); complaint != "" {
		t.Fatal(complaint)
	}
	if now := read("revocations.journal").Generation; now > before.Generation+1 { // a minute may have passed
		t.Errorf("a reload raised the generation from %d to %d", before.Generation, now)
	}
	moved := strings.Replace(s.config, "revocations.journal", "new/second.journal", 1)
	if complaint := s.reload(moved); complaint != "" {
		t.Fatal(complaint)
	}
	second := s.obtain("read:accounts")
	s.revoke(second.Access)
	if n := len(read("new/second.journal").Revocations) - len(before.Revocations); n != 1 {
		t.Errorf("the second file has %d revocations more than the first had", n)
	}
	s.write("foreign.journal", "this is no journal\n")
	if complaint := s.reload(strings.Replace(s.config, "revocations.journal", "foreign.journal", 1)); !strings.Contains(complaint, "foreign.journal:1") {
		t.Errorf("a file that is something else: %s", complaint)
	}
	third := s.obtain("read:accounts")
	s.revoke(third.Access)
	if n := len(read("new/second.journal").Revocations) - len(before.Revocations); n != 2 {
		t.Errorf("after the rejected reload the second file has %d revocations more than the first had", n)
	}
	s.config = moved
	s.restart()
	if s.passes(first.Access) || s.passes(second.Access) || s.passes(third.Access) {
		t.Error("a revoked token lives")
	}
}

func TestStartWithAJournalThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		spoil func(*server)
		want  []string
	}{
		"nowhere to write": {
			func(s *server) { // a file where the folder should be: even root can't write below it
				s.write("file", "")
				s.config = strings.Replace(s.config, s.path("revocations.journal"), s.path("file/journal"), 1)
			},
			[]string{"file/journal", "not a directory"},
		},
		"open to others": {
			func(s *server) {
				s.write("revocations.journal", "x")
				if err := os.Chmod(s.path("revocations.journal"), 0o644); err != nil {
					s.t.Fatal(err)
				}
			},
			[]string{"revocations.journal has mode 0644", "chmod 600"},
		},
		"a folder": {
			func(s *server) {
				if err := os.Mkdir(s.path("revocations.journal"), 0o700); err != nil {
					s.t.Fatal(err)
				}
			},
			[]string{"revocations.journal", "not a regular file"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newServer(t)
			test.spoil(s)
			complaint := s.startAndFail()
			for _, want := range test.want {
				if !strings.Contains(complaint, want) {
					t.Errorf("the complaint does not say %q:\n%s", want, complaint)
				}
			}
		})
	}
}
