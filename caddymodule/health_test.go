package caddymodule

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// health asks for an answer of bearer_health; status 0: there was none.
func (s *server) health(url string) (status int, said health) {
	response, err := http.Get(url)
	if err != nil {
		return 0, health{}
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err == nil && response.StatusCode != http.StatusNotFound {
		err = json.Unmarshal(body, &said)
	}
	if err != nil {
		s.t.Fatalf("%s: %v in %s", url, err, body)
	}
	return response.StatusCode, said
}

// failing waits until a check fails, or none at all if it has no name, and returns
// the answer. Others may fail with it: what is written to the store is.
func (s *server) failing(url, check string) (status int, said health) {
	s.t.Helper()
	s.eventually("failing at "+url+": "+check, func() bool {
		status, said = s.health(url)
		if check == "" {
			return maps.Equal(said.Checks, allOK())
		}
		return said.Checks[check] == checkFailing
	})
	return status, said
}

func allOK() map[string]string {
	all := map[string]string{}
	for _, name := range checkNames {
		all[name] = checkOK
	}
	return all
}

// withHealth has the issuer's site tell operators all, and the gated site only
// the public.
func withHealth(s *server) *server {
	s.config = s.caddyfile(siteOptions{
		issuerSite: "bearer_health {\n require store\n detail\n }",
		site:       "bearer_health",
	})
	return s
}

func TestHealthOfARealServer(t *testing.T) {
	t.Parallel()
	s := withHealth(newServer(t)).start()
	if status, said := s.health(s.issuer + livePath); status != 200 || said.Status != isAlive || said.Checks != nil {
		t.Errorf("%s: %d %+v", livePath, status, said)
	}
	for _, url := range []string{s.issuer, s.api} {
		if status, said := s.failing(url+readyPath, ""); status != 200 || said.Status != isReady || said.Details != nil {
			t.Errorf("%s: %d %+v", url, status, said)
		}
	}
	for _, test := range []struct {
		method, url string
		status      int
		empty       bool
	}{
		{"HEAD", s.issuer + readyPath, 200, true},
		{"HEAD", s.issuer + livePath, 200, true},
		{"POST", s.issuer + readyPath, 404, true}, // the issuer's site answers 404 to what it does not know
		{"GET", s.issuer + "/readyz/", 404, true},
		{"GET", s.issuer + "/livez/x", 404, true},
		{"POST", s.api + livePath, 403, false}, // goes on to the gate, whose policy has no such route
		{"GET", s.api + "/readyz/store", 403, false},
	} {
		response, err := http.DefaultClient.Do(s.request(test.method, test.url, nil))
		must(t, err)
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != test.status || test.empty != (len(body) == 0) {
			t.Errorf("%s %s: %s %q", test.method, test.url, response.Status, body)
		}
		if test.status == 200 && response.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s %s may be kept: %v", test.method, test.url, response.Header)
		}
	}
}

// A bad policy file takes nobody out of service: the policy before it serves.
// Strangers learn that something fails, and not what.
func TestReadyWithABadPolicyFile(t *testing.T) {
	t.Parallel()
	s := withHealth(newServer(t)).start()
	got := s.obtain("read:accounts")
	s.write("policy.yaml", "scopes: {")
	if status, said := s.failing(s.issuer+readyPath+"?verbose", "policies"); status != 200 || said.Status != isDegraded ||
		!strings.Contains(said.Details["policies"], s.path("policy.yaml")) || len(said.Details) != 1 {
		t.Errorf("to operators: %d %+v", status, said)
	}
	if status, said := s.failing(s.issuer+readyPath, "policies"); status != 200 || said.Details != nil {
		t.Errorf("to operators who did not ask for more: %d %+v", status, said)
	}
	if status, said := s.failing(s.api+readyPath+"?verbose", "policies"); status != 200 || said.Details != nil {
		t.Errorf("to the public: %d %+v", status, said)
	}
	s.answer(s.call("GET", "/api/v1/accounts", got.Access), 200, nil)
	s.write("policy.yaml", testPolicy)
	s.failing(s.issuer+readyPath, "")
}

// The store is away: who has a token is served, so the process stays ready, but
// not where the operator has said that it takes the store.
func TestReadyWithTheStoreAway(t *testing.T) {
	t.Parallel()
	s := withHealth(newServer(t)).start()
	got := s.obtain("read:accounts")
	must(t, os.Rename(s.path("bearer.db"), s.path("moved.db")))
	if status, said := s.failing(s.issuer+readyPath+"?verbose", "store"); status != 503 || said.Status != isNotReady ||
		!strings.Contains(said.Details["store"], s.path("bearer.db")) {
		t.Errorf("where the store is required: %d %+v", status, said)
	}
	if status, said := s.failing(s.api+readyPath, "store"); status != 200 || said.Status != isDegraded {
		t.Errorf("where it is not: %d %+v", status, said)
	}
	if status, _ := s.health(s.issuer + livePath); status != 200 {
		t.Errorf("%s: %d; a restart would not bring the store back", livePath, status)
	}
	s.answer(s.call("GET", "/api/v1/accounts", got.Access), 200, nil)
	must(t, os.Rename(s.path("moved.db"), s.path("bearer.db")))
	s.failing(s.issuer+readyPath, "")
}

// Reading works on a full disk: only who writes finds out.
func TestReadyWithAFullDisk(t *testing.T) {
	t.Parallel()
	s := withDisk(t, disk{Bytes: 4 << 20})
	s.config = replaced(t, s.config, "	bearer_issuer\n", "	bearer_health {\n require store\n }\n	bearer_issuer\n")
	s.start()
	got := s.obtain("read:accounts")
	s.fill("disk/filler")
	s.eventually("nothing can be issued", func() bool { return s.unavailable(s.codeRequest()) })
	if status, _ := s.failing(s.issuer+readyPath, "store"); status != 503 {
		t.Errorf("status %d", status)
	}
	s.answer(s.call("GET", "/api/v1/accounts", got.Access), 200, nil)
	must(t, os.Remove(s.seen("disk/filler")))
	s.failing(s.issuer+readyPath, "")
}

// A stop begins with being not ready, so that whoever sends requests here has
// time to learn it (shutdown_delay).
func TestNotReadyWhileExiting(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.config = s.caddyfile(siteOptions{issuerSite: "bearer_health", global: "shutdown_delay 60s"})
	s.start()
	s.failing(s.issuer+readyPath, "")
	s.signal(syscall.SIGTERM)
	s.eventually("it is not ready", func() bool {
		status, said := s.health(s.issuer + readyPath)
		if status == 0 {
			t.Fatalf("it answers no more:\n%s", s.output)
		}
		return status == 503 && said.Status == isEnding
	})
	if status, said := s.health(s.issuer + livePath); status != 200 {
		t.Errorf("%s: %d %+v; who is ending needs no push", livePath, status, said)
	}
}

// What fails in one environment is found, whichever the site is of.
func TestReadyWithTwoEnvironments(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.write("other.yaml", testPolicy)
	s.config = s.caddyfile(siteOptions{
		bearer: "policy other " + s.path("other.yaml") + `
		environment production {
			issuer https://auth.example.com
			audience https://api.example.com
			policy other
			trading_tokens read:accounts
		}`,
		environment: "policy test", gate: "environment sandbox", issuerSite: "bearer_health {\n detail\n }",
	})
	s.config = replaced(t, s.config, "	bearer_issuer\n", "	bearer_issuer {\n environment sandbox\n }\n")
	s.start()
	s.failing(s.issuer+readyPath, "")
	s.write("other.yaml", strings.ReplaceAll(testPolicy, "read:accounts", "look:accounts"))
	_, said := s.failing(s.issuer+readyPath+"?verbose", "policies")
	if detail := said.Details["policies"]; !strings.Contains(detail, "environment production: trading_tokens") || strings.Contains(detail, "sandbox") {
		t.Errorf("detail: %s", detail)
	}
	s.write("other.yaml", testPolicy)
	s.failing(s.issuer+readyPath, "")
}

// What serves is asked: the configuration before after a reload that is rejected,
// the next one after one that is not.
func TestReadinessFollowsReloads(t *testing.T) {
	t.Parallel()
	s := withHealth(newServer(t)).start()
	good := s.config
	if complaint := s.reload(strings.Replace(good, s.path("root.key"), s.path("other.key"), 1)); complaint == "" {
		t.Fatal("the reload was accepted")
	}
	s.failing(s.issuer+readyPath, "")
	s.write("policy.yaml", "scopes: {")
	s.failing(s.issuer+readyPath, "policies")
	s.write("policy.yaml", testPolicy)
	s.failing(s.issuer+readyPath, "")

	elsewhere := strings.NewReplacer(s.path("bearer.db"), s.path("second.db"), s.path("revocations.journal"), s.path("second.journal")).Replace(good)
	if complaint := s.reload(elsewhere); complaint != "" {
		t.Fatal(complaint)
	}
	must(t, os.Rename(s.path("bearer.db"), s.path("first.db"))) // which is served no more
	s.failing(s.issuer+readyPath, "")
	must(t, os.Rename(s.path("second.db"), s.path("moved.db")))
	if status, _ := s.failing(s.issuer+readyPath, "store"); status != 503 {
		t.Errorf("status %d", status)
	}
}

// readyz asks a handler without a server.
func readyz(t *testing.T, h *Health, method, target string) (int, health) {
	t.Helper()
	recorder := httptest.NewRecorder()
	next := caddyhttp.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		w.WriteHeader(http.StatusTeapot)
		return nil
	})
	must(t, h.ServeHTTP(recorder, httptest.NewRequest(method, target, nil), next))
	var said health
	if recorder.Body.Len() > 0 {
		must(t, json.Unmarshal(recorder.Body.Bytes(), &said))
	}
	return recorder.Code, said
}

// Apps start in any order: the site may answer before the app has started, and
// after it has stopped.
func TestNotReadyBeforeTheStart(t *testing.T) {
	asked := func(when string, status int, word string) {
		t.Helper()
		if got, said := readyz(t, new(Health), "GET", readyPath); got != status || said.Status != word {
			t.Errorf("%s: %d %+v", when, got, said)
		}
		if got, said := readyz(t, new(Health), "GET", livePath); got != 200 || said.Status != isAlive {
			t.Errorf("%s, alive: %d %+v", when, got, said)
		}
	}
	asked("before the start", 503, isStarting)
	t.Run("started", func(t *testing.T) {
		newAdminWorld(t)
		asked("started", 200, isReady)
	})
	asked("after the stop", 503, isStarting)
}

// A rider that can't be cut holds up every revocation, and only a restart mends
// that.
func TestNotAliveWhenNothingCanBeCut(t *testing.T) {
	w := newAdminWorld(t)
	before := w.app.runtime.health.stuckAfter
	w.app.runtime.health.stuckAfter = time.Second
	t.Cleanup(func() { w.app.runtime.health.stuckAfter = before })
	hung := newHangingRider()
	var ride token.Ride
	w.authority().Join(&ride, hung, nil)
	awaitLiveness(t, 503, isStuck)
	close(hung.release)
	awaitLiveness(t, 200, isAlive)
	w.authority().Leave(&ride)
}

func awaitLiveness(t *testing.T, status int, word string) {
	t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		got, said := readyz(t, new(Health), "GET", livePath)
		if got == status && said.Status == word {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d %+v, want %d", got, said, status)
		}
	}
}

// hangingRider is a bug: a rider that does not answer a sweep until it is released.
type hangingRider struct{ asked, release chan struct{} }

func newHangingRider() *hangingRider {
	return &hangingRider{asked: make(chan struct{}, 1), release: make(chan struct{})}
}

func (r *hangingRider) Permitted() bool {
	select {
	case r.asked <- struct{}{}:
	default:
	}
	<-r.release
	return true
}
func (*hangingRider) Streaming() bool { return true }
func (*hangingRider) Cut(token.Cause) {}

// Describe implements token.Rider.
func (*hangingRider) Describe() (token.Description, bool) { return token.Description{}, false }

// A flood of questions is one look each second, and one COMMIT each five.
func TestFloodOfReadinessQuestionsCostsNothing(t *testing.T) {
	w := newAdminWorld(t)
	rt := w.app.runtime
	now := time.Now()
	rt.health.now = func() time.Time { return now }
	written := func() (at string) {
		must(t, rt.store.View(t.Context(), func(r store.Reader) (err error) {
			at, err = r.Meta(metaHealth)
			return err
		}))
		return at
	}
	flood := func() {
		for range 2000 {
			if status, said := readyz(t, new(Health), "GET", readyPath); status != 200 || said.Status != isReady {
				t.Fatalf("%d %+v", status, said)
			}
		}
	}
	flood()
	first := written()
	now = now.Add(commitEvery - time.Millisecond)
	flood()
	if again := written(); again != first {
		t.Errorf("written at %s and again at %s", first, again)
	}
	now = now.Add(checkEvery)
	flood()
	if later := written(); later != now.UTC().Format(time.RFC3339Nano) {
		t.Errorf("written at %s, want %s", later, now)
	}
}

// Looks are shared, what they find is believed for a second, and a check that
// hangs is failing, delays nobody for longer than a second and is not piled up.
func TestHealthLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var runs, hangs atomic.Int32
		release := make(chan struct{})
		failed := errors.New("out of order")
		checks := []check{
			{"fine", func(context.Context) error { runs.Add(1); return nil }},
			{"broken", func(context.Context) error { return failed }},
			{"hangs", func(context.Context) error { hangs.Add(1); <-release; return nil }},
		}
		all := func() []check { return checks }
		h := &healthLook{now: time.Now}
		began := time.Now()
		answers := make(chan findings)
		for range 100 {
			go func() { answers <- h.look(all) }()
		}
		for range 100 {
			found := <-answers
			if found["fine"] != nil || !errors.Is(found["broken"], failed) || !errors.Is(found["hangs"], errNoAnswer) {
				t.Fatalf("found %v", found)
			}
		}
		if waited := time.Since(began); waited != checkPatience || runs.Load() != 1 {
			t.Errorf("answered after %s and %d runs", waited, runs.Load())
		}
		began = time.Now()
		h.look(all)
		if waited := time.Since(began); waited != 0 || runs.Load() != 1 {
			t.Errorf("what is known: after %s and %d runs", waited, runs.Load())
		}
		time.Sleep(checkEvery)
		began = time.Now()
		if found := h.look(all); time.Since(began) != 0 || !errors.Is(found["hangs"], errNoAnswer) || hangs.Load() != 1 || runs.Load() != 2 {
			t.Errorf("while it hangs: after %s, found %v, %d and %d runs", time.Since(began), found, hangs.Load(), runs.Load())
		}
		close(release)
		time.Sleep(checkEvery)
		if found := h.look(all); found["hangs"] != nil || hangs.Load() != 2 {
			t.Errorf("when it hangs no more: %v, %d runs", found, hangs.Load())
		}
	})
}

func TestHealthRefusesAnUnknownCheck(t *testing.T) {
	err := fmt.Sprint((&Health{Require: []string{"store", "clocks"}}).Provision(caddy.Context{}))
	if !strings.Contains(err, `bearer_health requires the check "clocks", which is unknown; known: store, keys`) {
		t.Errorf("error: %s", err)
	}
}

// The command tells operators all, without a site that has the directive.
func TestHealthCommand(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	s.eventually("all is well", func() bool {
		out, _, code := s.run("", "bearer", "health")
		return code == 0 && strings.Contains(out, "live    alive\n") && strings.Contains(out, "status  ready\n") && strings.Contains(out, "store     ok")
	})
	s.write("policy.yaml", "scopes: {")
	s.eventually("the policy fails", func() bool {
		out, _, code := s.run("", "bearer", "health")
		return code == 0 && strings.Contains(out, "degraded") && strings.Contains(out, "failing") && strings.Contains(out, s.path("policy.yaml"))
	})
	out, _, code := s.run("", "bearer", "doctor", "--only", "server")
	if code != 1 || !strings.Contains(out, "its check policies fails: ") {
		t.Errorf("the doctor does not ask: exit %d\n%s", code, out)
	}
	var said shownHealth
	s.decode(s.ok("", "bearer", "health", "--json"), &said)
	if said.Status != isDegraded || said.Checks["policies"] != checkFailing || said.Checks["store"] != checkOK {
		t.Errorf("as JSON: %+v", said)
	}
	s.signal(syscall.SIGTERM)
	s.await("the process ends", s.exited)
	if _, errs, code := s.run("", "bearer", "health"); code != 1 || !strings.Contains(errs, "no answer") {
		t.Errorf("without a server: exit %d: %s", code, errs)
	}
}

func TestHealthCommandFailsWhenNothingIsServed(t *testing.T) {
	for _, h := range []shownHealth{{Live: isStuck, Status: isReady}, {Live: isAlive, Status: isStarting}, {Live: isAlive, Status: isEnding}} {
		if h.verdict() == nil {
			t.Errorf("%+v passes for well", h)
		}
	}
	if err := (&shownHealth{Live: isAlive, Status: isDegraded}).verdict(); err != nil {
		t.Error(err)
	}
}
