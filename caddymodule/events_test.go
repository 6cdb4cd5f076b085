package caddymodule

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyevents/eventsconfig"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

func init() {
	if os.Getenv(asCaddy) != "" { // else it would pass for one of ours
		caddy.RegisterModule(new(eventRecorder))
	}
}

// eventRecorder is a handler of Caddy's events app that appends to a file.
type eventRecorder struct {
	File string `json:"file"`
}

func (*eventRecorder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.record", New: func() caddy.Module { return new(eventRecorder) }}
}

func (r *eventRecorder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	if !d.Args(&r.File) {
		return d.ArgErr()
	}
	return nil
}

// recordedEvent is a line of the file.
type recordedEvent struct {
	Name   string            `json:"name"`
	Origin string            `json:"origin"`
	Data   map[string]string `json:"data"`
}

func (r *eventRecorder) Handle(_ context.Context, e caddy.Event) error {
	recorded := recordedEvent{Name: e.Name(), Data: map[string]string{}}
	if origin := e.Origin(); origin != nil {
		recorded.Origin = string(origin.CaddyModule().ID)
	}
	for key, value := range e.Data {
		recorded.Data[key] = fmt.Sprint(value)
	}
	line, err := json.Marshal(recorded)
	if err != nil {
		return err
	}
	file, err := os.OpenFile(r.File, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(append(line, '\n'))
	return firstOf(err, file.Close())
}

func firstOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// recordingEvents is the global option by which they are recorded.
func (s *server) recordingEvents() string {
	var b strings.Builder
	for _, name := range eventNames {
		fmt.Fprintf(&b, "on %s record %s\n", name, s.path("events.jsonl"))
	}
	return "events {\n" + b.String() + "}"
}

// wantEvent waits for an event with these data, among others.
func (s *server) wantEvent(name string, data map[string]string) {
	s.t.Helper()
	s.eventually(fmt.Sprintf("the event %s %v", name, data), func() bool {
		text, _ := os.ReadFile(s.path("events.jsonl")) // not there yet: no event
		for line := range bytes.Lines(text) {
			var e recordedEvent
			if json.Unmarshal(line, &e) != nil || e.Name != name {
				continue
			}
			fits := e.Origin == appName
			for key, value := range data {
				fits = fits && e.Data[key] == value
			}
			if fits {
				return true
			}
		}
		return false
	})
}

// Operators' handlers are told what happens, also after a reload.
func TestEventsOfARealServer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.config = s.caddyfile(siteOptions{global: s.recordingEvents()})
	s.start()
	s.wantEvent("bearer_policy_loaded", map[string]string{"policy": "test"})
	first := s.obtain("read:accounts")
	s.revoke(first.Access)
	s.wantEvent("bearer_revoked", map[string]string{"environment": "sandbox", "kind": "token", "target": s.factsOf(first.Access)})

	app := s.app("budget", "--name", "Budget", "--scopes", "read:accounts read:market")
	fields, _ := s.browserOf("alice", "read:accounts read:market", "1").access(app)
	s.post("/auth/ExchangeToken", "", map[string]string{
		"appSecret": app.Secret, "accessCode": fields["accessCode"], "connectionID": fields["connectionID"],
	}, 400, nil)
	s.wantEvent("bearer_reuse_detected", map[string]string{"environment": "sandbox", "what": "code_replayed"})
	s.wantEvent("bearer_revoked", map[string]string{"kind": "grant"})

	s.write("policy.yaml", "version: 1\nnonsense")
	s.wantEvent("bearer_policy_rejected", map[string]string{"policy": "test", "file": s.path("policy.yaml")})
	s.write("policy.yaml", testPolicy+"\n# changed\n")
	s.wantEvent("bearer_policy_loaded", map[string]string{"policy": "test", "revision": s.revisionOf("policy.yaml")})

	if complaint := s.reload(s.caddyfile(siteOptions{global: s.recordingEvents() + "\ngrace_period 1s"})); complaint != "" {
		t.Fatal(complaint)
	}
	s.ok("", "bearer", "key", "rotate", "--now")
	signer := ""
	for id, state := range s.keyStates() {
		if state == "signing" {
			signer = id
		}
	}
	s.wantEvent("bearer_key_rotated", map[string]string{"environment": "sandbox", "key_id": signer})
	second := s.obtain("read:accounts")
	s.revoke(second.Access)
	s.wantEvent("bearer_revoked", map[string]string{"kind": "token", "target": s.factsOf(second.Access)})
	s.move("bearer.db", "bearer.db.away")
	response := s.answerStatus(s.codeRequest())
	s.wantEvent("bearer_store_unavailable", nil)
	s.move("bearer.db.away", "bearer.db")
	s.obtain("read:accounts")
	s.wantEvent("bearer_store_available", nil)
	if response != 503 {
		t.Errorf("without a database: %d", response)
	}
}

func (s *server) move(from, to string) {
	s.t.Helper()
	if err := os.Rename(s.path(from), s.path(to)); err != nil {
		s.t.Fatal(err)
	}
}

func (s *server) revisionOf(file string) string {
	s.t.Helper()
	loaded, err := loadPolicyFile(s.path(file))
	if err != nil {
		s.t.Fatal(err)
	}
	return loaded.policy.Revision()
}

// Handlers that hang delay nobody: what there is no room for is dropped and counted.
func TestSlowEventHandlersDelayNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := newAnnouncer() // nothing takes events out
		begin := time.Now()
		for range eventsWaiting + 3 {
			a.revoked(&store.Revocation{Environment: store.Sandbox, Kind: store.KindToken, Target: "x"})
		}
		if took := time.Since(begin); took != 0 {
			t.Errorf("who revokes waited for %s", took)
		}
		if dropped := a.dropped.Load(); dropped != 3 {
			t.Errorf("%d dropped", dropped)
		}
	})
}

// A revocation that is committed waits as long as it is not put into effect.
func TestStalenessIsReal(t *testing.T) {
	rt := newRuntime("test", "test.db")
	w := rt.worlds[store.Sandbox]
	rider := newHangingRider()
	var ride token.Ride
	w.authority.Join(&ride, rider, nil)
	if got := w.seen.staleness(time.Now()); got != 0 {
		t.Fatalf("%s before anything was revoked", got)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		rt.takeEffect([]store.Revocation{{Environment: store.Sandbox, Kind: store.KindToken, Target: "x", Expires: time.Now().Add(time.Hour)}})
	}()
	<-rider.asked
	now := time.Now()
	early, late := w.seen.staleness(now.Add(time.Minute)), w.seen.staleness(now.Add(2*time.Minute))
	if early < time.Minute || late-early != time.Minute {
		t.Errorf("it waits for %s, and a minute later for %s", early, late)
	}
	if other := rt.worlds[store.Production].seen.staleness(now.Add(time.Minute)); other != 0 {
		t.Errorf("the other environment waits for %s", other)
	}
	close(rider.release)
	<-done
	if got := w.seen.staleness(time.Now()); got != 0 {
		t.Errorf("%s after it was put into effect", got)
	}
	if n := w.seen.revoked[store.KindToken].Load(); n != 1 || w.authority.Revocations() != 1 {
		t.Errorf("%d counted, %d in the set", n, w.authority.Revocations())
	}
	w.authority.Leave(&ride)
}
