package policy

import (
	"errors"
	"testing"
)

// FuzzTestFile: a file of tests runs, or says where it does not.
func FuzzTestFile(f *testing.F) {
	for _, src := range []string{
		`tests: [{request: "GET /health", expect: allow}]`, `tests: []`, ``, `tests:`, `tests: {}`, `test: []`,
		`tests: [{request: "GET /accounts", scopes: [read:accounts], accounts: ["1"], expect: deny, reason: insufficient_scope, missing: [[trade:orders]]}]`,
		`tests: [{request: "get /health", expect: allow}]`, `tests: [{request: "GET health", expect: maybe, route: nowhere}]`,
		`tests: [{request: "GET /../health", expect: allow}]`, `tests: [&a {request: "GET /health", expect: allow}, *a]`,
		"tests: []\n---\ntests: []", `{"tests":[{"request":"GET /a","request":"GET /b"}]}`, "tests: [{request: \"GET /\xff\", expect: allow}]",
	} {
		f.Add([]byte(src))
	}
	p := loadTrading(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		report, err := p.TestFile("t.yaml", src)
		if err == nil {
			if len(report.Failures) > report.Tests || report.Coverage() < 0 || report.Coverage() > 100 || report.OK() != (len(report.Failures) == 0) {
				t.Errorf("%+v", report)
			}
			return
		}
		var findings Findings
		if !errors.As(err, &findings) || len(findings) == 0 {
			t.Fatalf("%#v is no Findings", err)
		}
		for _, finding := range findings {
			if finding.Line < 1 || finding.Column < 1 || finding.Severity != SeverityError || finding.Code == "" || finding.File != "t.yaml" {
				t.Errorf("%#v", finding)
			}
		}
	})
}
