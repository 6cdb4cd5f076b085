package policy

import (
	"errors"
	"net/url"
	"strconv"
	"strings"
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

// FuzzOrigin: an origin that a policy may name is what a browser writes, and no
// more than one page's.
func FuzzOrigin(f *testing.F) {
	for _, origin := range []string{
		"https://app.test", "https://app.test:8443", "http://localhost:3000", "http://[::1]", "http://127.0.0.1", "*", "null", "https://*.test", "https://app.test/",
		"https://app.test:443", "https://APP.test", "https://a@b", "https://a?b", "https://a#b", "http://app.test", "https://127.1", "https://[::ffff:127.0.0.1]",
		"https://0x7f.1", "https://b\u00fccher.test", "https://app.test.", "https://[fe80::1%25eth0]", "https://app.test:08443", "file:///a", "https:app.test", "https://a\\b", "https://a:",
	} {
		f.Add(origin)
	}
	f.Fuzz(func(t *testing.T, origin string) {
		if checkOrigin(origin) != nil {
			return
		}
		u, err := url.Parse(origin)
		if err != nil || u.String() != origin || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.Scheme+"://"+u.Host != origin {
			t.Fatalf("%q is accepted: %v", origin, err)
		}
		if strings.ToLower(origin) != origin || strings.ContainsAny(origin, " *,\t\r\n\\\x00") || strings.ContainsFunc(origin, func(c rune) bool { return c >= 0x80 }) {
			t.Errorf("%q is accepted", origin)
		}
		port, portErr := strconv.Atoi(u.Port())
		if u.Port() != "" && (portErr != nil || port < 1 || port > 65535 || strconv.Itoa(port) != u.Port() || u.Scheme == "https" && port == 443 || u.Scheme == "http" && port == 80) {
			t.Errorf("%q is accepted", origin)
		}
		if u.Scheme == "http" && !isLoopback(u.Hostname()) || u.Scheme != "http" && u.Scheme != "https" {
			t.Errorf("%q is accepted", origin)
		}
	})
}
