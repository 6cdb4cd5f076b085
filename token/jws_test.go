package token

import (
	"encoding/base64"
	"testing"
)

func TestDecodeCanonical(t *testing.T) {
	for name, tc := range map[string]struct {
		encoded string
		ok      bool
	}{
		"empty":                   {"", true},
		"one byte":                {"AA", true},
		"two bytes":               {"AAA", true},
		"three bytes":             {"AAAA", true},
		"URL alphabet":            {"-_-_", true},
		"standard alphabet":       {"+/+/", false},
		"one character":           {"A", false},
		"four bits left over":     {"AB", false},
		"two bits left over":      {"AAB", false},
		"padding":                 {"AA==", false},
		"padding where none is":   {"AAAA=", false},
		"LF at the end":           {"AAAA\n", false},
		"CR at the end":           {"AAAA\r", false},
		"CRLF inside":             {"AA\r\nAA", false},
		"LF alone":                {"\n", false},
		"blank":                   {"AA AA", false},
		"NUL":                     {"AA\x00A", false},
		"percent-encoded padding": {"AA%3D%3D", false},
		"not ASCII":               {"AAAé", false},
	} {
		if _, ok := decodeCanonical(base64.RawURLEncoding, tc.encoded); ok != tc.ok {
			t.Errorf("%s: %v", name, ok)
		}
	}
}

func TestLookUpName(t *testing.T) {
	known := []string{"sub", "SUB", "kid"}
	for name, want := range map[string]struct {
		match string
		exact bool
	}{
		"sub": {"sub", true}, "SUB": {"SUB", true}, "Sub": {"sub", false}, "ſub": {"sub", false},
		"\u212aid": {"kid", false}, "su": {"", false}, "subs": {"", false}, "": {"", false}, "sub\x00": {"", false},
	} {
		if match, exact := lookUpName(known, name); match != want.match || exact != want.exact {
			t.Errorf("%q: %q, %v", name, match, exact)
		}
	}
}
