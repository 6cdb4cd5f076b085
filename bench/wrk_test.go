//go:build linux

package main

import (
	"strings"
	"testing"
)

func TestParseWrk(t *testing.T) {
	s, err := parseWrk("Running 3s test @ http://127.0.0.1:1/\n  1 threads and 32 connections\n" +
		`{"requests":30000,"micros":3000000,"p50":2100,"p99":15955,"errors":2}` + "\n")
	if err != nil {
		t.Fatal(err)
	}
	if want := (sample{Requests: 30000, Errors: 2, PerSecond: 10000, P50: 2100, P99: 15955}); s != want {
		t.Errorf("%+v, want %+v", s, want)
	}
}

func TestParseWrkRefuses(t *testing.T) {
	for name, said := range map[string]string{
		"nothing":        "",
		"no report":      "unable to connect to 127.0.0.1:1 Connection refused\n",
		"half a report":  `{"requests":30000,`,
		"no request":     `{"requests":0,"micros":3000000,"p50":0,"p99":0,"errors":32}`,
		"report of text": `{"requests":"many","micros":1,"p50":0,"p99":0,"errors":0}`,
	} {
		if _, err := parseWrk(said); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// What wrk is to report, and what we read, are written in two languages.
func TestScriptReportsWhatIsRead(t *testing.T) {
	for _, name := range []string{"requests", "micros", "p50", "p99", "errors"} {
		if !strings.Contains(loadScript, `"`+name+`":%d`) {
			t.Errorf("load.lua does not report %s", name)
		}
	}
}
