package caddymodule

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	otlp "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/tracing"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// logged are the lines of one logger with one message, as they are now.
func (s *server) logged(logger, message string) (lines []map[string]any) {
	s.t.Helper()
	for line := range strings.Lines(s.output.String()) {
		var fields map[string]any
		if json.Unmarshal([]byte(line), &fields) != nil {
			continue // a part of a line, or none of Caddy's
		}
		if strings.HasPrefix(asText(fields["logger"]), logger) && fields["msg"] == message {
			lines = append(lines, fields)
		}
	}
	return lines
}

func asText(v any) string {
	text, _ := v.(string)
	return text
}

// wantLine waits for a line in which all of these fields are so.
func (s *server) wantLine(logger, message string, want map[string]any) (found map[string]any) {
	s.t.Helper()
	s.eventually(message, func() bool {
		for _, line := range s.logged(logger, message) {
			fits := true
			for key, value := range want {
				fits = fits && line[key] == value
			}
			if fits {
				found = line
				return true
			}
		}
		return false
	})
	return found
}

const ourGate = "http.handlers.bearer_gate"

// Each decision is a line of ours, and in the line of Caddy's access log.
func TestDecisionsInTheLogs(t *testing.T) {
	t.Parallel()
	s := newServer(t).start()
	good := s.obtain("read:accounts read:market")
	lease := s.factsOf(good.Access)
	s.answer(s.call("GET", "/api/v1/accounts", good.Access), 200, nil)
	s.answer(s.call("GET", "/api/v1/eft", good.Access), 403, nil)
	s.answer(s.call("GET", "/api/v1/accounts", ""), 401, nil)
	known := map[string]any{"client": clientID, "user_id": serviceID, "token_id": lease, "environment": "sandbox", "client_ip": "127.0.0.1"}
	with := func(more map[string]any) map[string]any {
		all := map[string]any{}
		for _, fields := range []map[string]any{known, more} {
			for key, value := range fields {
				all[key] = value
			}
		}
		return all
	}
	line := s.wantLine(ourGate, "allowed", with(map[string]any{"level": "debug", "decision": "allow", "reason": "allowed", "route": "accounts"}))
	if line["duration"].(float64) <= 0 || line["request_id"] == "" {
		t.Errorf("%v", line)
	}
	s.wantLine(ourGate, "refused", with(map[string]any{
		"level": "info", "decision": "deny", "reason": "insufficient_scope", "code": "insufficient_scope", "route": "eft", "status": 403.0,
	}))
	s.wantLine(ourGate, "refused", map[string]any{"decision": "deny", "reason": "no_credentials", "route": "accounts", "client": "", "user_id": "", "token_id": ""})

	const access = "http.log.access"
	s.wantLine(access, "handled request", map[string]any{
		"status": 200.0, "user_id": serviceID, "bearer_decision": "allow", "bearer_reason": "allowed", "bearer_route": "accounts",
		"bearer_client": clientID, "bearer_token_id": lease, "bearer_environment": "sandbox",
	})
	s.wantLine(access, "handled request", map[string]any{
		"status": 403.0, "bearer_decision": "deny", "bearer_reason": "insufficient_scope", "bearer_route": "eft", "bearer_client": clientID, "bearer_token_id": lease,
	})
	s.wantLine(access, "handled request", map[string]any{"status": 401.0, "bearer_decision": "deny", "bearer_reason": "no_credentials", "bearer_client": ""})

	st := s.openWebSocket(good.Access)
	s.wantLine(ourGate, "stream begins", with(map[string]any{"level": "info", "route": "stream"}))
	s.revoke(good.Access)
	_, _ = st.end()
	ended := s.wantLine(ourGate, "stream has ended", with(map[string]any{"route": "stream", "ended": "revoked"}))
	if ended["lasted"].(float64) <= 0 {
		t.Errorf("%v", ended)
	}
	s.wantLine("bearer.issuer", "issuer", map[string]any{"endpoint": "s4.token", "client": clientID, "issued": "service_account_code"})
}

// factsOf is the id of a token, as the command tells it.
func (s *server) factsOf(raw string) (id string) {
	s.t.Helper()
	var self struct {
		ID string `json:"jti"`
	}
	payload := strings.Split(raw, ".")
	if len(payload) != 3 {
		s.t.Fatalf("no signed token: %d parts", len(payload))
	}
	if err := json.Unmarshal(unbase64(s.t, payload[1]), &self); err != nil || self.ID == "" {
		s.t.Fatalf("no jti: %v", err)
	}
	return self.ID
}

// A flood of refusals is a few lines, which count the others, and hides no other
// reason.
func TestFloodOfRefusalsIsAFewLines(t *testing.T) {
	var l refusalLog
	now := time.Unix(1_000_000_000, 0)
	written := 0
	for range 1000 {
		if write, leftOut := l.admit("no_route", now); write {
			written++
			if leftOut != 0 {
				t.Errorf("%d left out before any was", leftOut)
			}
		}
	}
	if write, leftOut := l.admit("store", now); !write || leftOut != 0 {
		t.Error("a flood hides another reason")
	}
	if written != refusalsPerSecond {
		t.Errorf("%d lines in a second", written)
	}
	now = now.Add(time.Second)
	if write, leftOut := l.admit("no_route", now); !write || leftOut != 1000-refusalsPerSecond {
		t.Errorf("the next line: %t, %d left out", write, leftOut)
	}
	if write, leftOut := l.admit("no_route", now); !write || leftOut != 0 {
		t.Errorf("the line after: %t, %d left out", write, leftOut)
	}
}

// receiver is a collector of traces (OTLP over HTTP).
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	raw   []byte
	spans []map[string]string // the attributes of each
}

func newReceiver(t testing.TB) *receiver {
	r := new(receiver)
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
		body, err := io.ReadAll(request.Body)
		var got otlp.ExportTraceServiceRequest
		if err == nil {
			err = proto.Unmarshal(body, &got)
		}
		if err != nil || request.URL.Path != "/v1/traces" {
			t.Errorf("%s: %v", request.URL.Path, err)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		r.raw = append(r.raw, body...)
		for _, resource := range got.GetResourceSpans() {
			for _, scope := range resource.GetScopeSpans() {
				for _, span := range scope.GetSpans() {
					attributes := map[string]string{}
					for _, kv := range span.GetAttributes() {
						attributes[kv.GetKey()] = kv.GetValue().GetStringValue()
					}
					r.spans = append(r.spans, attributes)
				}
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	t.Cleanup(r.Close)
	return r
}

// environment has Caddy's tracing send spans here.
func (r *receiver) environment() []string {
	return []string{
		"OTEL_EXPORTER_OTLP_ENDPOINT=" + r.URL, "OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf", "OTEL_EXPORTER_OTLP_COMPRESSION=none",
		"OTEL_BSP_SCHEDULE_DELAY=50", "OTEL_TRACES_EXPORTER=otlp",
	}
}

// has reports whether a span has exactly these of bearer's attributes.
func (r *receiver) has(want map[string]string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, span := range r.spans {
		fits := true
		for key, value := range want {
			got, there := span[key]
			fits = fits && there == (value != "") && got == value
		}
		if fits {
			return true
		}
	}
	return false
}

// With Caddy's directive tracing each span says how the gate decided.
func TestDecisionsInTraces(t *testing.T) {
	t.Parallel()
	collector := newReceiver(t)
	s := newServer(t)
	s.env = collector.environment()
	s.config = s.caddyfile(siteOptions{site: "tracing {\n span api\n }"})
	s.start()
	good := s.obtain("read:accounts")
	id := s.factsOf(good.Access)
	s.answer(s.call("GET", "/api/v1/accounts", good.Access), 200, nil)
	s.answer(s.call("GET", "/api/v1/eft", good.Access), 403, nil)
	s.answer(s.call("GET", "/api/v1/nowhere", "a.b.c"), 403, nil)
	s.revoke(good.Access)
	s.answer(s.call("GET", "/api/v1/accounts", good.Access), 401, nil)
	mine := map[string]string{"bearer.client": clientID, "enduser.id": serviceID, "bearer.token_id": id, "bearer.environment": "sandbox"}
	for _, want := range []map[string]string{
		{"bearer.decision": "allow", "bearer.reason": "allowed", "bearer.route": "accounts"},
		{"bearer.decision": "deny", "bearer.reason": "insufficient_scope", "bearer.route": "eft"},
		{"bearer.decision": "deny", "bearer.reason": token.Revoked.String(), "bearer.route": "accounts"},
	} {
		for key, value := range mine {
			want[key] = value
		}
		s.eventually("a span says "+want["bearer.reason"], func() bool { return collector.has(want) })
	}
	s.eventually("a span says that no route matched", func() bool {
		return collector.has(map[string]string{"bearer.decision": "deny", "bearer.reason": "no_route", "enduser.id": "", "bearer.client": "", "bearer.token_id": ""})
	})
	collector.mu.Lock()
	defer collector.mu.Unlock()
	if strings.Contains(string(collector.raw), good.Access[len(good.Access)-40:]) {
		t.Error("a span holds the token")
	}
}

func unbase64(t testing.TB, text string) []byte {
	t.Helper()
	plain, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}
