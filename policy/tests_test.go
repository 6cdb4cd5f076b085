package policy

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

func TestTradingPasses(t *testing.T) {
	report := loadTrading(t).Test()
	if !report.OK() || report.Tests != 2 || report.Routes != 4 || report.Tested() != 2 || report.Coverage() != 50 {
		t.Errorf("%+v", report)
	}
	if want := []string{"market-stream", "health"}; !slices.Equal(report.Untested, want) {
		t.Errorf("untested %v, want %v", report.Untested, want)
	}
}

// Each test of the file fails; the lines below say how, in order.
func TestFailures(t *testing.T) {
	p := mustLoad(t, decidePolicy+`tests:
  - {request: "GET /a", expect: allow}
  - {request: "GET /a", scopes: [read:a], expect: deny}
  - {request: "GET /health", expect: allow, reason: allowed}
  - {request: "GET /a", scopes: [read:a], route: both, expect: allow}
  - {request: "GET /nowhere", route: read, expect: deny}
  - {request: "POST /a", expect: deny, missing: [[trade:a]]}
  - {request: "GET /a/1", scopes: [read:a], accounts: ["2"], expect: deny, missing: []}
  - {request: "GET /a", expect: deny, reason: account_not_granted}
`)
	want := []string{
		`GET /a: expected allow; got deny (insufficient_scope) by route read, missing [[read:a]]`,
		`GET /a: expected deny; got allow (allowed) by route read`,
		`GET /health: expected allow (allowed); got allow (public) by route health`,
		`GET /a: expected allow by route both; got allow (allowed) by route read`,
		`GET /nowhere: expected deny by route read; got deny (no_route)`,
		`POST /a: expected deny, missing [[trade:a]]; got deny (insufficient_scope) by route either, missing [[trade:a, send:a], [all:a]]`,
		`GET /a/1: expected deny, missing []; got deny (account_not_granted) by route account`,
		`GET /a: expected deny (account_not_granted); got deny (insufficient_scope) by route read, missing [[read:a]]`,
	}
	var got []string
	for _, f := range p.Test().Failures {
		got = append(got, f.String())
	}
	first := 21
	for i, line := range want {
		line = "p.yaml:" + string([]byte{byte('0' + (first+i)/10), byte('0' + (first+i)%10)}) + ":5: " + line
		if i >= len(got) || got[i] != line {
			t.Errorf("failure %d:\ngot  %v\nwant %s", i, got[min(i, len(got)-1)], line)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d failures, want %d", len(got), len(want))
	}
}

func TestPassingTests(t *testing.T) {
	p := mustLoad(t, decidePolicy+`tests:
  - {request: "GET /a", scopes: [trade:a], expect: allow, reason: allowed, route: read}
  - {request: "GET /health", expect: allow, reason: public}
  - {request: "HEAD /health", expect: allow}
  - {request: "POST /a", expect: deny, missing: [[all:a], [send:a, trade:a]]}
  - {request: "DELETE /a", expect: deny, missing: []}
  - {request: "GET /a/1", scopes: [read:a], accounts: ["2"], expect: deny, reason: account_not_granted}
  - {request: "GET /a/", expect: deny, reason: no_route}
`)
	if report := p.Test(); !report.OK() {
		t.Errorf("%v", report.Failures)
	}
}

func TestTestFile(t *testing.T) {
	p := loadTrading(t)
	report, err := p.TestFile("more.yaml", []byte(`
tests:
  - {request: "GET /health", expect: allow}
  - {request: "GET /api/v1/stream", scopes: [all:eft], expect: allow}
`))
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Failures) != 1 || report.Failures[0].File != "more.yaml" || report.Failures[0].Line != 4 {
		t.Errorf("%+v", report)
	}
	both := p.Test().Add(report)
	if both.Tests != 4 || both.Coverage() != 100 || len(both.Failures) != 1 {
		t.Errorf("together: %+v", both)
	}
}

func TestTestFileRefuses(t *testing.T) {
	p := loadTrading(t)
	tests := map[string]struct{ src, want string }{
		"a bare list":   {"- {}", "t.yaml:1:1: test file: found a list, expected a mapping with tests"},
		"other keys":    {"test: []", "t.yaml:1:1: unknown key \"test\" in test file; did you mean \"tests\"? (known: tests)\nt.yaml:1:1: test file needs \"tests\""},
		"unknown scope": {"tests: [{request: GET /health, expect: allow, scopes: [read:eftt]}]", `t.yaml:1:56: unknown scope "read:eftt"; did you mean "read:eft"?`},
		"unknown route": {"tests: [{request: GET /health, expect: allow, route: healthy}]", `t.yaml:1:54: unknown route "healthy"; did you mean "health"?`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := p.TestFile("t.yaml", []byte(test.src)); err == nil || err.Error() != test.want {
				t.Errorf("got  %v\nwant %s", err, test.want)
			}
		})
	}
}

func TestCoverageIsNeverRoundedUp(t *testing.T) {
	tests := []struct{ routes, untested, want int }{
		{1000, 1, 99}, {1000, 0, 100}, {3, 1, 66}, {3, 3, 0}, {0, 0, 100},
	}
	for _, test := range tests {
		r := Report{Routes: test.routes, Untested: make([]string, test.untested)}
		if got := r.Coverage(); got != test.want {
			t.Errorf("%d of %d untested: %d %%, want %d %%", test.untested, test.routes, got, test.want)
		}
	}
}

func TestReportAsJSON(t *testing.T) {
	p := mustLoad(t, "version: 1\n")
	got, err := json.Marshal(p.Test())
	if err != nil || string(got) != `{"tests":0,"failures":[],"routes":0,"untested":[]}` {
		t.Errorf("%s, %v", got, err)
	}
	_, err = Load("p.yaml", []byte("version: 2\n"))
	got, _ = json.Marshal(err)
	if !strings.Contains(string(got), `"severity":"error","code":"version"`) {
		t.Errorf("%s", got)
	}
}
