package caddymodule

import (
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/caddy-bearer/caddy-bearer/store/journal"
	"github.com/caddy-bearer/caddy-bearer/token"
)

func TestPersonalTokenIsRotatedWithOverlap(t *testing.T) {
	w := newAdminWorld(t)
	made := w.issuePersonal(`,"lifetime":"90d","networks":["192.0.2.0/24"],"rate":{"requests":600,"per":"60s"}`)
	answer := w.ok("POST", "/personal-tokens/"+made.ID+"/rotate", `{"overlap":"24h"}`)
	var got rotatedToken
	answer.decode(t, &got)
	if answer.status != http.StatusCreated || got.Replaces != made.ID || got.ID == made.ID || got.Token == "" || got.Label != made.Label ||
		got.Rate != made.Rate || len(got.Networks) != 1 || !strings.HasPrefix(got.Token, "cb_test_personal_") {
		t.Errorf("%d %+v", answer.status, got)
	}
	if left := time.Until(got.Ends); left > 24*time.Hour || left < 24*time.Hour-time.Minute {
		t.Errorf("the old one ends in %s", left)
	}
	lease, err := w.authority().Check(made.Token)
	must(t, err)
	if lease, err = w.authority().Recheck(lease); err != nil || w.authority().Judge(lease, time.Now()) != token.Live || !lease.Expires.Equal(got.Ends) {
		t.Errorf("the old one: %+v, %v", lease, err)
	}
	listed := w.listPersonal("?principal=" + serviceID)
	if len(listed) != 2 || listed[0].ID != got.ID || listed[1].Rotated.IsZero() || !listed[1].Expires.Equal(got.Ends) {
		t.Errorf("listed %+v", listed)
	}
	event := w.audited("personal_token.rotate")
	if event.Target != "token:"+made.ID || event.Actor != "operator:socket" || !strings.Contains(event.Reason, got.ID) {
		t.Errorf("audit trail: %+v", event)
	}
	if issued := w.audited("personal_token.issue"); issued.Target != "token:"+got.ID {
		t.Errorf("audit trail: %+v", issued)
	}
	content, err := journal.Read(w.app.RevocationJournalFile)
	must(t, err)
	if !slices.ContainsFunc(content.Notes, func(n journal.Note) bool { return n.Target == "token:"+made.ID }) {
		t.Errorf("the journal has %+v", content.Notes)
	}
}

func TestRotationOfAPersonalTokenThatCannotBe(t *testing.T) {
	w := newAdminWorld(t)
	made, ended := w.issuePersonal(""), w.issuePersonal("")
	w.ok("POST", "/tokens/revoke", `{"id":"`+ended.ID+`"}`)
	w.ok("POST", "/personal-tokens/"+made.ID+"/rotate", `{"overlap":"0s"}`)
	if lease, err := w.authority().Check(made.Token); err == nil && w.authority().Judge(lease, time.Now()) == token.Live {
		t.Error("the old one lives without an overlap")
	}
	fresh := w.issuePersonal("")
	w.ok("POST", "/personal-tokens/"+fresh.ID+"/rotate", `{"overlap":"1h"}`)
	for name, tt := range map[string]struct {
		id, body string
		status   int
		says     string
	}{
		"rotated before":      {fresh.ID, `{"overlap":"1h"}`, 409, "was rotated before; rotate its successor"},
		"ended":               {ended.ID, `{"overlap":"1h"}`, 409, "has ended"},
		"unknown":             {"nothing", `{"overlap":"1h"}`, 404, "no personal token"},
		"no overlap named":    {fresh.ID, `{}`, 400, "expected a time from 0s to 30d"},
		"overlap too long":    {fresh.ID, `{"overlap":"31d"}`, 400, "expected a time from 0s to 30d"},
		"overlap of the past": {fresh.ID, `{"overlap":"-1h"}`, 400, "expected a time from 0s to 30d"},
		"misspelt":            {fresh.ID, `{"overlapp":"1h"}`, 400, "not what is expected"},
	} {
		got := w.try("POST", "/personal-tokens/"+tt.id+"/rotate", tt.body)
		if got.status != tt.status || !strings.Contains(got.body, tt.says) {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

// A stream on a token that was rotated ends with the overlap, in the real program.
func TestRotatedTokenCutsItsStreamsWhenTheOverlapIsOver(t *testing.T) {
	s := newServer(t).start()
	shown := s.ok("", "bearer", "token", "issue", "--principal", serviceID, "--label", "Recorder", "--scopes", "read:accounts read:market")
	value := regexp.MustCompile(`(?m)^token +(cb_test_personal_\w+)$`)
	id := regexp.MustCompile(`(?m)^id +(\w+)$`)
	old, oldID := value.FindStringSubmatch(shown)[1], id.FindStringSubmatch(shown)[1]
	ws := s.openWebSocket(old)
	ws.alive(t)
	rotated := s.ok("", "bearer", "token", "rotate", oldID, "--overlap", "3s")
	if !strings.Contains(rotated, "replaces") || !strings.Contains(rotated, oldID) || !strings.Contains(rotated, "never shown again") {
		t.Errorf("token rotate printed\n%s", rotated)
	}
	next := value.FindStringSubmatch(rotated)[1]
	other := s.openWebSocket(next)
	s.answer(s.call("GET", "/api/v1/accounts", old), 200, nil)
	if took, err := ws.end(); took > 5*time.Second || websocket.CloseStatus(err) != websocket.StatusPolicyViolation {
		t.Errorf("WebSocket after %s: %v", took, err)
	}
	if _, code := s.refused(s.call("GET", "/api/v1/accounts", old), 401); code != "invalid_token" && code != "token_expired" {
		t.Errorf("after the overlap: %s", code)
	}
	other.alive(t)
	if _, complaint, code := s.run("", "bearer", "token", "rotate", oldID); code == 0 || !strings.Contains(complaint, "has ended") {
		t.Errorf("rotated again: %d %s", code, complaint)
	}
}
