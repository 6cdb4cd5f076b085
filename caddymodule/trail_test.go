package caddymodule

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"crypto/x509"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/audit"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// events are the newest events of the sandbox, as the command lists them.
func (s *server) events(flags ...string) []auditEvent {
	s.t.Helper()
	out, errs, code := s.run("", append([]string{"bearer", "audit", "list", "--json", "--limit", "1000"}, flags...)...)
	if code != 0 {
		s.t.Fatalf("audit list: %d %s", code, errs)
	}
	var answer map[string][]auditEvent
	if err := json.Unmarshal([]byte(out), &answer); err != nil {
		s.t.Fatal(err)
	}
	return answer["events"]
}

// newestHead is the last head in a sink's file; nil if there is none.
func (s *server) newestHead(file string) *audit.Head {
	s.t.Helper()
	text, err := os.ReadFile(s.path(file))
	if err != nil {
		return nil
	}
	heads, _, err := audit.ReadHeads(bytes.NewReader(text))
	if err != nil || len(heads) == 0 {
		return nil
	}
	return &heads[len(heads)-1]
}

// sealedUpTo waits until a head in the file covers a row.
func (s *server) sealedUpTo(file string, sequence int64) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("a head covers row %d", sequence), func() bool {
		head := s.newestHead(file)
		return head != nil && head.Last >= sequence
	})
}

// tamper kills the server, changes its database and starts it again.
func (s *server) tamper(statements ...string) {
	s.t.Helper()
	s.signal(syscall.SIGKILL)
	s.await("the process ends", s.exited)
	db, err := sql.Open("sqlite", s.path("bearer.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, trigger := range []string{
		"audit_is_never_changed", "audit_is_never_shortened", "audit_seal_is_never_changed", "audit_seal_is_never_shortened",
	} {
		statements = slices.Insert(statements, 0, "DROP TRIGGER IF EXISTS "+trigger)
	}
	for _, statement := range statements {
		if _, err := db.Exec(statement); err != nil {
			s.t.Fatalf("%s: %v", statement, err)
		}
	}
	if err := db.Close(); err != nil {
		s.t.Fatal(err)
	}
	s.start()
}

// A changed byte is found with its row, and a tail that was cut without a trace
// in the database by a head from outside.
func TestAuditTrailThatWasTamperedWith(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.config = s.caddyfile(siteOptions{bearer: "audit {\n file " + s.path("heads") + "\n}"})
	s.start()
	s.revoke(s.obtain("read:eft").Access)
	newest := s.events()[0].Sequence
	s.sealedUpTo("heads", newest)

	verify := func(wantCode int, want []string, flags ...string) {
		t.Helper()
		out, errs, code := s.run("", append([]string{"bearer", "audit", "verify"}, flags...)...)
		if code != wantCode {
			t.Errorf("verify %v: exit code %d, want %d\n%s%s", flags, code, wantCode, out, errs)
		}
		for _, words := range want {
			if !strings.Contains(out, words) {
				t.Errorf("verify %v: %q is not in\n%s", flags, words, out)
			}
		}
	}
	verify(0, []string{"the audit trail is sound", "not provable: no head from outside was given"})
	verify(0, []string{"the audit trail is sound", "proven"}, "--head", s.path("heads"))

	redeemed := s.events("--action", "code.redeem")[0].Sequence
	s.tamper(fmt.Sprintf("UPDATE audit SET actor = 'client:demo-cliens' WHERE sequence = %d", redeemed))
	verify(1, []string{"THE AUDIT TRAIL WAS CHANGED", fmt.Sprintf("row %d", redeemed), "row changed"})

	s.tamper(fmt.Sprintf("UPDATE audit SET actor = 'client:demo-client' WHERE sequence = %d", redeemed))
	verify(0, []string{"sound"})
	kept, err := os.ReadFile(s.path("heads"))
	must(t, err)
	s.write("kept", string(kept))
	var first int64 = 1 << 62 // row behind the oldest head
	for line := range strings.Lines(string(kept)) {
		head, err := audit.ParseHead(strings.TrimSpace(line))
		must(t, err)
		first = min(first, head.Last+1)
	}
	s.tamper(fmt.Sprintf("DELETE FROM audit WHERE sequence >= %d", first), fmt.Sprintf("DELETE FROM audit_seal WHERE last >= %d", first),
		fmt.Sprintf("UPDATE sqlite_sequence SET seq = %d WHERE name = 'audit'", first-1))
	verify(0, []string{"sound", "not provable"})
	verify(1, []string{"THE AUDIT TRAIL WAS CHANGED", "not as the head says"}, "--head", s.path("kept"))
	s.sealedUpTo("heads", s.events()[0].Sequence)
	verify(1, []string{"THE AUDIT TRAIL WAS CHANGED"}, "--head", s.path("heads")) // its lines go back
	s.write("empty", "")
	if _, errs, code := s.run("", "bearer", "audit", "verify", "--head", s.path("empty")); code != 1 || !strings.Contains(errs, "holds no head") {
		t.Errorf("a file without a head: %d %s", code, errs)
	}
}

// A head is out within 5 s of what it covers, also to a receiver of syslog.
func TestHeadReachesSyslogInTime(t *testing.T) {
	t.Parallel()
	receiver, err := net.ListenPacket("udp", "127.0.0.1:0")
	must(t, err)
	defer receiver.Close()
	s := newServer(t)
	s.config = s.caddyfile(siteOptions{bearer: "audit {\n syslog udp/" + receiver.LocalAddr().String() + "\n}"})
	s.start()
	issued := s.obtain("read:eft")
	s.revoke(issued.Access)
	newest := s.events("--action", "token.revoke")[0]
	must(t, receiver.SetReadDeadline(time.Now().Add(patience)))
	for buffer := make([]byte, 4096); ; {
		n, _, err := receiver.ReadFrom(buffer)
		if err != nil {
			t.Fatalf("no head covers row %d: %v", newest.Sequence, err)
		}
		_, line, found := strings.Cut(string(buffer[:n]), " audit-head - ")
		head, err := audit.ParseHead(line)
		if !found || err != nil {
			t.Fatalf("%q: %v", buffer[:n], err)
		}
		if head.Last < newest.Sequence {
			continue
		}
		if waited := head.At.Sub(newest.At); waited > 5*time.Second {
			t.Errorf("the row was sealed after %s", waited)
		}
		return
	}
}

// What was refused just before a clean stop is in the trail, and the last head
// covers all of it.
func TestCleanStopSealsWhatIsLeft(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.config = s.caddyfile(siteOptions{bearer: "audit {\n file " + s.path("heads") + "\n}"})
	s.start()
	s.answer(s.call("GET", "/api/v1/eft", ""), 401, nil)
	s.answer(s.call("GET", "/nowhere/at/all", ""), 403, nil)
	if complaint := s.reload(s.config); complaint != "" {
		t.Fatal(complaint)
	}
	if got := s.events("--action", "server.reload"); len(got) != 1 {
		t.Errorf("reloads in the trail: %+v", got)
	}
	s.signal(syscall.SIGTERM)
	s.await("the process ends", s.exited)
	head := s.newestHead("heads")
	if head == nil {
		t.Fatal("no head was delivered")
	}
	s.start()
	events := s.events("--until", time.Now().UTC().Format(time.RFC3339Nano))
	stop := slices.IndexFunc(events, func(e auditEvent) bool { return e.Action == "server.stop" })
	if stop < 0 || events[stop].Sequence != head.Last {
		t.Fatalf("the head of the stop is %d; events %+v", head.Last, events)
	}
	for _, want := range []string{"no_credentials", "no_route"} {
		if !slices.ContainsFunc(events, func(e auditEvent) bool {
			return e.Outcome == want && e.Actor == "anonymous" && e.Action == "request.refuse" && e.Sequence < head.Last
		}) {
			t.Errorf("no refusal %s in %+v", want, events)
		}
	}
}

// A sink that can't be written is complained of and holds nothing up. As soon as
// it can, it gets the newest head.
func TestSinkThatCannotBeWrittenHoldsNothingUp(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.config = s.caddyfile(siteOptions{bearer: "audit {\n file " + s.path("later/heads") + "\n}"})
	s.start()
	s.obtain("read:eft")
	s.eventually("a complaint", func() bool {
		return strings.Contains(s.output.String(), "a head of the audit trail could not be delivered")
	})
	s.obtain("read:eft")
	must(t, os.Mkdir(s.path("later"), 0o700))
	s.sealedUpTo("later/heads", s.events("--action", "code.redeem")[0].Sequence)
	s.eventually("the all-clear", func() bool { return strings.Contains(s.output.String(), "the sink of the audit trail works again") })
}

// Whatever strangers send, nothing of it is in the trail, and no secret either.
func TestCanaryNothingThatStrangersChooseIsInTheAuditTrail(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	const marker = "canary-9b2d"
	issued := s.obtain("read:eft")
	second := s.answerTokens(s.form("/oauth2/token", "grant_type=refresh_token&refresh_token="+issued.Refresh))
	send := func(r *http.Request) {
		t.Helper()
		r.Header.Set("User-Agent", marker)
		r.Header.Set("X-Request-Id", marker)
		response, err := http.DefaultClient.Do(r)
		must(t, err)
		response.Body.Close()
	}
	send(s.call("GET", "/"+marker, marker))
	send(s.call("GET", "/"+marker, issued.Access))
	send(s.call("GET", "/api/v1/eft?access_token="+marker, ""))
	send(s.call("GET", "/api/v1/eft", "cb_test_refresh_"+marker))
	send(s.call("GET", "/api/v1/accounts?"+marker, second.Access))
	send(s.call(strings.ToUpper("x"+marker[:6]), "/"+marker, marker))
	for path, body := range map[string]string{
		"/oauth2/token":      "grant_type=client_credentials&scope=" + marker,
		"/oauth2/revoke":     "token=" + marker,
		"/oauth2/introspect": "token=" + marker,
	} {
		send(s.form(path, body))
		other := s.form(path, body)
		other.SetBasicAuth(marker, marker)
		send(other)
		wrong := s.form(path, body)
		wrong.SetBasicAuth(clientID, marker)
		send(wrong)
	}
	send(s.form("/oauth2/token", "grant_type="+marker))
	send(s.form("/oauth2/token", "grant_type=refresh_token&refresh_token="+marker))
	code := s.request("GET", s.issuer+"/api/v1/s2s-oauth2/code", nil)
	for _, name := range []string{"X-Service-Account-ID", "X-Service-Account-Secret", "X-IBM-client-id", "X-IBM-client-secret", "scope"} {
		code.Header.Set(name, marker)
	}
	send(code)
	send(s.request("GET", s.issuer+"/token/self", nil))
	s.revoke(second.Access)

	var text string
	s.eventually("all is in the trail, and sealed", func() bool {
		out, errs, status := s.run("", "bearer", "audit", "export")
		if status != 0 {
			t.Fatal(errs)
		}
		text = out
		lines := strings.Split(strings.TrimSpace(text), "\n")
		return strings.Contains(text, "endpoint:self") && strings.Contains(text, "token.revoke") &&
			strings.HasPrefix(lines[len(lines)-1], `{"seal":`)
	})
	for _, want := range []string{
		`"actor":"client:unknown","action":"client.sign_in","target":"endpoint:token","outcome":"invalid_client"`,
		`"actor":"client:demo-client","action":"client.sign_in","target":"endpoint:introspect","outcome":"invalid_client"`,
		`"actor":"client:demo-client","action":"client.sign_in","target":"principal:` + serviceID + `","outcome":"ok"`,
		`"actor":"client:demo-client","action":"request.refuse","target":"endpoint:token","outcome":"invalid_scope"`,
		`"actor":"client:demo-client","action":"request.refuse","target":"endpoint:token","outcome":"invalid_grant"`,
		`"actor":"anonymous","action":"request.refuse","target":"route:none","outcome":"no_route"`,
		`"actor":"anonymous","action":"request.refuse","target":"route:eft","outcome":"invalid_token"`,
		`"actor":"client:demo-client","action":"request.refuse","target":"route:accounts","outcome":"insufficient_scope","count":1,` +
			`"reason":"insufficient_scope for principal:` + serviceID + `"`,
		`"reason":"client and service account"`, `"address":"127.0.0.1"`, `"action":"server.start"`, `"action":"policy.change"`,
		`"actor":"config","action":"client.add","target":"client:demo-client"`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("%s is not in the trail", want)
		}
	}
	for _, secret := range []string{
		marker, strings.ToUpper(marker[:6]), issued.Access, issued.Refresh, second.Access, second.Refresh, clientSecret, serviceSecret,
		issued.Refresh[len(issued.Refresh)-27:], second.Access[len(second.Access)-27:],
	} {
		if strings.Contains(text, secret) {
			t.Errorf("the trail holds %s:\n%s", secret, text)
		}
	}
	s.checkExport(text)
}

func (s *server) answerTokens(r *http.Request) (got tokens) {
	s.t.Helper()
	s.answer(r, 200, &got)
	return got
}

// checkExport verifies an export as an outsider does, who has the public key and
// our documentation.
func (s *server) checkExport(text string) {
	s.t.Helper()
	out, errs, code := s.run("", "bearer", "audit", "key")
	if code != 0 {
		s.t.Fatal(errs)
	}
	block, _ := pem.Decode([]byte(out))
	parsed, err := x509.ParsePKIXPublicKey(block.Bytes)
	if err != nil {
		s.t.Fatal(err)
	}
	key, ok := parsed.(ed25519.PublicKey)
	if !ok {
		s.t.Fatalf("the key is %T", parsed)
	}
	var identity string
	db, err := sql.Open("sqlite", s.path("bearer.db"))
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("SELECT value FROM meta WHERE key = 'identity'").Scan(&identity); err != nil {
		s.t.Fatal(err)
	}
	number := func(n int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(n)) }
	before, hashes, seals := make([]byte, 32), []byte{}, 0
	for line := range strings.Lines(text) {
		var got struct {
			Digest string
			Seal   *struct {
				First, Last       int64
				At                time.Time
				Digest, Signature string
			}
		}
		if err := json.Unmarshal([]byte(line), &got); err != nil {
			s.t.Fatal(err)
		}
		if got.Seal == nil {
			row, _ := hex.DecodeString(got.Digest)
			hashes = append(hashes, row...)
			continue
		}
		seal := got.Seal
		digest := sha256.Sum256(slices.Concat([]byte("caddy-bearer audit seal v1\x00"), before,
			number(seal.First), number(seal.Last), number(seal.At.UnixMicro()), hashes))
		if hex.EncodeToString(digest[:]) != seal.Digest {
			s.t.Fatalf("the digest of the seal of %d is not that of its rows", seal.Last)
		}
		signature, _ := base64.StdEncoding.DecodeString(seal.Signature)
		signed := slices.Concat([]byte("caddy-bearer audit head v1\x00"), number(int64(len(identity))), []byte(identity),
			number(seal.Last), number(seal.At.UnixMicro()), digest[:])
		if !ed25519.Verify(key, signed, signature) {
			s.t.Fatalf("the signature of the seal of %d is wrong", seal.Last)
		}
		before, hashes = digest[:], nil
		seals++
	}
	if seals == 0 {
		s.t.Error("no seal is in the export")
	}
}

func TestAuditListIsNarrowed(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	s.obtain("read:eft")
	s.answer(s.form("/oauth2/token", "grant_type=client_credentials&scope=read:eft"), 200, nil)
	if got := s.events("--actor", "client:"+clientID, "--action", "client_credentials.issue"); len(got) != 1 ||
		got[0].Outcome != "ok" || got[0].Address != "127.0.0.1" || got[0].RequestID == "" || got[0].Count != 1 {
		t.Errorf("%+v", got)
	}
	if got := s.events("--actor", "client:"+clientID, "--outcome", "refused"); len(got) != 0 {
		t.Errorf("%+v", got)
	}
	all := len(s.events("--since", "1h"))
	if all == 0 || len(s.events("--until", "1h")) != 0 || len(s.events("--since", "2000-01-01")) < all {
		t.Errorf("%d events since an hour", all)
	}
	out, _, code := s.run("", "bearer", "audit", "list", "--limit", "2")
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != 0 || len(lines) != 3 || !strings.HasPrefix(lines[0], "ROW") {
		t.Errorf("%d:\n%s", code, out)
	}
	for _, flags := range [][]string{{"--since", "yesterday"}, {"--until", "-5m"}} {
		if _, errs, code := s.run("", append([]string{"bearer", "audit", "list"}, flags...)...); code != 2 || !strings.Contains(errs, "or how long ago") {
			t.Errorf("%v: %d %s", flags, code, errs)
		}
	}
}

// trailOf waits until what was gathered is written, and returns all events that
// the filter lets through.
func (w *adminWorld) trailOf(what string, filter store.AuditFilter, enough func([]store.AuditRow) bool) []store.AuditRow {
	w.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		var rows []store.AuditRow
		must(w.t, w.app.runtime.store.View(w.t.Context(), func(tx store.Reader) (err error) {
			rows, err = tx.Audit(store.Sandbox, filter)
			return err
		}))
		if enough(rows) {
			return rows
		}
		if time.Now().After(deadline) {
			w.t.Fatalf("%s: not within %s; rows %+v", what, patience, rows)
		}
	}
}

func countOf(rows []store.AuditRow) (sum int64) {
	for i := range rows {
		sum += rows[i].Count
	}
	return sum
}

// Ten thousand wrong secrets become a handful of rows that say how many.
func TestFloodOfWrongSecretsLeavesFewRows(t *testing.T) {
	w := newAdminWorld(t)
	is := w.app.runtime.worlds[store.Sandbox].issuer.Load()
	const flood = 10_000
	begin := time.Now()
	for range flood {
		r := httptest.NewRequest("POST", "/oauth2/token", strings.NewReader("grant_type=client_credentials"))
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.SetBasicAuth(clientID, "wrong")
		answer := httptest.NewRecorder()
		is.ServeHTTP(answer, r)
		if answer.Code != 401 && answer.Code != 429 {
			t.Fatalf("%d %s", answer.Code, answer.Body)
		}
	}
	rows := w.trailOf("all are counted", store.AuditFilter{Action: "client.sign_in"}, func(rows []store.AuditRow) bool { return countOf(rows) >= flood })
	seconds := int(time.Since(begin)/time.Second) + 2
	if countOf(rows) != flood || len(rows) > 2*seconds { // two kinds
		t.Errorf("%d rows for %d events in %d seconds", len(rows), countOf(rows), seconds)
	}
	outcomes := map[string]bool{}
	for _, row := range rows {
		outcomes[row.Actor+" "+row.Outcome+" "+row.Reason+" "+row.Address] = true
	}
	if !outcomes["client:demo-client invalid_client  192.0.2.1"] || !outcomes["client:unknown temporarily_unavailable throttled 192.0.2.1"] {
		t.Errorf("outcomes %v", outcomes)
	}
}

func TestRefusedOperatorsAreInTheAuditTrail(t *testing.T) {
	w := newAdminWorld(t)
	base := w.listenTCP("127.0.0.1")
	for _, call := range []struct{ token, method, path string }{
		{"", "GET", "/clients"}, {strings.Repeat("canary", 9), "GET", "/clients/canary"},
		{w.operatorToken(roleRead), "POST", "/clients"},
	} {
		request := newAdminRequest(t, call.method, base+"/bearer/environments/sandbox"+call.path, "")
		if call.token != "" {
			request.Header.Set("Authorization", "Bearer "+call.token)
		}
		do(t, http.DefaultClient, request)
	}
	rows := w.trailOf("three refusals", store.AuditFilter{Action: "request.refuse"}, func(rows []store.AuditRow) bool { return countOf(rows) == 3 })
	var got []string
	for _, row := range rows {
		got = append(got, string(row.Environment)+" "+row.Actor+" "+row.Target+" "+row.Outcome+" "+row.Address)
	}
	slices.Sort(got)
	want := []string{
		"* operator:none admin:GET /bearer/environments/{env}/clients unauthorized 127.0.0.1",
		"* operator:none admin:GET /bearer/environments/{env}/clients/{id} unauthorized 127.0.0.1",
		"* operator:read admin:POST /bearer/environments/{env}/clients forbidden 127.0.0.1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestPolicyChangeIsInTheAuditTrail(t *testing.T) {
	w := newAdminWorld(t)
	before := w.app.runtime.policies.revisions()["test"]
	must(t, os.WriteFile(w.app.Policies["test"], []byte(testPolicy+"\n# changed\n"), 0o600))
	rows := w.trailOf("the change", store.AuditFilter{Action: "policy.change"}, func(rows []store.AuditRow) bool { return len(rows) == 2 })
	after := w.app.runtime.policies.revisions()["test"]
	if got := rows[0]; got.Actor != "config" || got.Target != "policy:test" || got.Reason != "revision "+before+" to "+after {
		t.Errorf("changed %+v", got)
	}
	if got := rows[1]; got.Reason != "revision "+before {
		t.Errorf("at the start %+v", got)
	}
}

func TestReasonsOfOperatorsAreInTheAuditTrail(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("POST", "/clients", `{"id":"bot"}`)
	w.ok("POST", "/clients/bot/disable", `{"reason":"ticket 4711"}`)
	w.ok("POST", "/tokens/revoke", `{"id":"x","reason":"ticket 4712"}`)
	for action, want := range map[string]string{"client.disable": "ticket 4711", "token.revoke": "ticket 4712"} {
		rows := w.trailOf(action, store.AuditFilter{Action: action}, func(rows []store.AuditRow) bool { return len(rows) == 1 })
		if rows[0].Reason != want {
			t.Errorf("%s: %+v", action, rows[0])
		}
	}
}

func TestDeclaredChangesAreInTheAuditTrail(t *testing.T) {
	w := newAdminWorld(t)
	a := w.app.runtime.worlds[store.Sandbox].authority
	env := *w.app.Environments[store.Sandbox]
	apply := func(change func(*Client)) {
		t.Helper()
		c := *w.app.Environments[store.Sandbox].Clients[0]
		env.Clients = []*Client{&c}
		if change != nil {
			change(&c)
		}
		must(t, declare(t.Context(), w.app.runtime.store, a, &env))
	}
	apply(func(c *Client) { c.SecretHash = serviceHash() })
	apply(func(c *Client) { c.Scopes = c.Scopes[:1] })
	env.Clients = nil
	must(t, declare(t.Context(), w.app.runtime.store, a, &env))
	apply(nil)
	var got []string
	for _, row := range w.trailOf("rows", store.AuditFilter{Actor: "config"}, func([]store.AuditRow) bool { return true }) {
		if strings.HasSuffix(row.Target, ":"+clientID) {
			got = append(got, row.Action)
			if row.Reason == "" {
				t.Errorf("no reason: %+v", row)
			}
		}
	}
	slices.Reverse(got)
	want := []string{
		"client.add", "client.rotate_secret", "client.rotate_secret", "client_rights.revoke",
		"client.revoke", "client.enable", "client_rights.give",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// flaky is a store that fails to write as long as it is told to.
type flaky struct {
	store.Store
	fails error
}

func (f *flaky) Update(ctx context.Context, change func(store.Writer) error) error {
	if f.fails != nil {
		return f.fails
	}
	return f.Store.Update(ctx, change)
}

// What is gathered while the store is away is written when it is back, and one
// event that it can't take does not keep the others waiting.
func TestGatheredEventsOutliveAStoreThatIsAway(t *testing.T) {
	w := newAdminWorld(t)
	away := &flaky{Store: w.app.runtime.store, fails: store.ErrUnavailable}
	trail := newTrail(w.app.runtime.log.Load)
	trail.sealer.Store(&audit.Sealer{Store: away, Identity: "x", Key: w.app.runtime.root.AuditKey()})
	event := store.Event{Environment: store.Sandbox, At: time.Now(), Actor: "anonymous", Action: "test.refuse", Outcome: "no_route"}
	trail.gathered.Add(event)
	trail.gathered.Add(store.Event{Action: "of no environment"})
	for range 3 {
		trail.round(t.Context())
		trail.gathered.Add(event)
	}
	if n := w.logged.FilterMessageSnippet("can't be written or sealed").Len(); n != 1 {
		t.Errorf("%d complaints of one failure", n)
	}
	away.fails = nil
	trail.round(t.Context())
	rows := w.trailOf("the event", store.AuditFilter{Action: "test.refuse"}, func(rows []store.AuditRow) bool { return len(rows) > 0 })
	if len(rows) != 1 || rows[0].Count != 4 {
		t.Errorf("%+v", rows)
	}
	if n := w.logged.FilterMessageSnippet("can't take an event").Len(); n != 1 {
		t.Errorf("%d complaints of the unfit event", n)
	}
}

// A sink that a reload brings gets the present head, and one that it takes away
// gets no more.
func TestReloadExchangesSinks(t *testing.T) {
	w := newAdminWorld(t)
	trail, dir := w.app.runtime.trail, t.TempDir()
	newest := func(name string) int64 { // row that the sink knows of
		text, _ := os.ReadFile(filepath.Join(dir, name))
		heads, _, err := audit.ReadHeads(bytes.NewReader(text))
		must(t, err)
		if len(heads) == 0 {
			return 0
		}
		return heads[len(heads)-1].Last
	}
	knows := func(name string, row int64) {
		t.Helper()
		w.trailOf(fmt.Sprintf("%s knows of row %d", name, row), store.AuditFilter{Limit: 1}, func([]store.AuditRow) bool { return newest(name) >= row })
	}
	use := func(names ...string) {
		var sinks []audit.Sink
		for _, name := range names {
			sinks = append(sinks, audit.File{Path: filepath.Join(dir, name)})
		}
		trail.useSinks(sinks)
	}
	use("a")
	knows("a", 1)
	use("a", "b")
	knows("b", 1) // without a new row
	use("b")
	w.ok("POST", "/clients", `{"id":"bot"}`)
	added := w.trailOf("the row", store.AuditFilter{Action: "client.add"}, func(rows []store.AuditRow) bool { return len(rows) > 0 })[0].Sequence
	knows("b", added)
	if newest("a") >= added {
		t.Error("the sink that was taken away still gets heads")
	}
}

func TestVerificationByTheAdminAPI(t *testing.T) {
	w := newAdminWorld(t)
	url := "http://localhost/bearer/audit/verify"
	post := func(body string) adminAnswer { return do(t, w.socket, newAdminRequest(t, "POST", url, body)) }
	var got verification
	w.trailOf("a seal", store.AuditFilter{}, func([]store.AuditRow) bool {
		post("").decode(t, &got)
		return len(got.Head) > 0
	})
	if !got.Sound || got.Tail != tailNotProvable {
		t.Errorf("%+v", got)
	}
	head, err := audit.ParseHead(string(got.Head))
	must(t, err)
	foreign := head
	foreign.Store = "other"
	body := func(heads ...audit.Head) string {
		var lines []string
		for _, h := range heads {
			lines = append(lines, h.Line())
		}
		text, err := json.Marshal(map[string][]string{"heads": lines})
		must(t, err)
		return string(text)
	}
	post(body(head, foreign)).decode(t, &got)
	if !got.Sound || got.Tail != tailProven {
		t.Errorf("with the newest head: %+v", got)
	}
	head.Last += 1000
	post(body(head)).decode(t, &got)
	if got.Sound || got.Tail != tailContested || got.Findings[0].Problem != audit.SignatureWrong {
		t.Errorf("with a forged head: %+v", got)
	}
	for name, test := range map[string]struct{ body, want string }{
		"no head":      {`{"heads":["x"]}`, "head 1: "},
		"other store":  {body(foreign), "no head that was given is of this store"},
		"other member": {`{"head":[]}`, "not what is expected"},
	} {
		if answer := post(test.body); answer.status != 400 || !strings.Contains(answer.body, test.want) {
			t.Errorf("%s: %d %s", name, answer.status, answer.body)
		}
	}
	w.app.runtime.trail.verifying.Lock()
	defer w.app.runtime.trail.verifying.Unlock()
	if answer := post(""); answer.status != 409 {
		t.Errorf("a second one at a time: %d %s", answer.status, answer.body)
	}
}

func TestAuditQueriesThatAreRefused(t *testing.T) {
	w := newAdminWorld(t)
	for query, want := range map[string]string{
		"/environments/sandbox/audit?since=yesterday": "expected a time",
		"/environments/sandbox/audit?limit=0":         "expected a number",
		"/environments/sandbox/audit?actors=x":        "actors",
		"/audit/rows?after=-1":                        "expected the sequence",
		"/audit/rows?after=x":                         "expected the sequence",
		"/audit/rows?limit=1001":                      "expected a number",
	} {
		answer := do(t, w.socket, newAdminRequest(t, "GET", "http://localhost/bearer"+query, ""))
		if answer.status != 400 || !strings.Contains(answer.body, want) {
			t.Errorf("%s: %d %s", query, answer.status, answer.body)
		}
	}
}
