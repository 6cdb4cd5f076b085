package audit

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

func testHead(identity string, last int64) Head {
	key := testKey("root")
	h := Head{Store: identity, Last: last, At: now.Add(1234567 * time.Microsecond), Digest: store.Hash{byte(last), 2}, KeyID: KeyID(public(key))}
	h.Signature = make([]byte, 64)
	return h
}

func TestHeadLineIsReadBack(t *testing.T) {
	want := testHead("store-1", 5)
	got, err := ParseHead(want.Line())
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	const line = `{"v":1,"store":"store-1","last":5,"at":"2026-05-04T12:00:01.234567Z","digest":"0502000000000000000000000000000000000000000000000000000000000000","key":"`
	if !strings.HasPrefix(want.Line(), line) {
		t.Errorf("line %s", want.Line())
	}
}

func TestLinesThatAreNoHead(t *testing.T) {
	h := testHead("store-1", 5)
	good := h.Line()
	for name, line := range map[string]string{
		"empty":          "",
		"cut short":      good[:len(good)-1],
		"version":        strings.Replace(good, `"v":1`, `"v":2`, 1),
		"unknown member": strings.Replace(good, `"v":1`, `"v":1,"x":1`, 1),
		"member twice":   strings.Replace(good, `"v":1`, `"v":1,"last":6`, 1),
		"digest short":   strings.Replace(good, `"0502`, `"02`, 1),
		"digest no hex":  strings.Replace(good, `"0502`, `"zz02`, 1),
		"signature":      strings.Replace(good, `"AAAA`, `"`, 1),
		"no store":       strings.Replace(good, `"store-1"`, `""`, 1),
		"last zero":      strings.Replace(good, `"last":5`, `"last":0`, 1),
		"last negative":  strings.Replace(good, `"last":5`, `"last":-5`, 1),
		"two lines":      good + "\n" + good,
		"too long":       good + strings.Repeat(" ", maxHeadLine),
	} {
		if line == good {
			t.Fatalf("%s: nothing was replaced", name)
		}
		if h, err := ParseHead(line); err == nil {
			t.Errorf("%s: %+v", name, h)
		}
	}
}

// Of a sink's file count the newest head of each store, and those behind which
// the trail went back.
func TestHeadsOfASinksFile(t *testing.T) {
	line := func(identity string, last int64) string {
		h := testHead(identity, last)
		return h.Line()
	}
	other := testHead("a", 7)
	other.Digest[31] = 1
	for name, test := range map[string]struct {
		lines   []string
		want    []int64 // of store a
		skipped int
	}{
		"newest":                   {[]string{line("a", 1), line("a", 5), line("a", 9)}, []int64{9}, 0},
		"delivered twice":          {[]string{line("a", 5), line("a", 5)}, []int64{5}, 0},
		"went back":                {[]string{line("a", 1), line("a", 9), line("a", 4), line("a", 12)}, []int64{9, 12}, 0},
		"another of the same rows": {[]string{line("a", 7), other.Line()}, []int64{7, 7}, 0},
		"other stores":             {[]string{line("a", 9), line("b", 4), line("a", 10)}, []int64{10}, 0},
		"syslog":                   {[]string{"May  4 12:00:00 host caddy-bearer[7]: " + line("a", 9), "May  4 12:00:00 host sshd[7]: hello"}, []int64{9}, 1},
		"cut short":                {[]string{line("a", 9), line("a", 10)[:80]}, []int64{9}, 1},
		"nothing":                  {nil, nil, 0},
		"a line of a megabyte":     {[]string{strings.Repeat("x", 1<<20), line("a", 9)}, []int64{9}, 1},
	} {
		heads, skipped, err := ReadHeads(strings.NewReader(strings.Join(test.lines, "\n")))
		var got []int64
		for _, h := range heads {
			if h.Store == "a" {
				got = append(got, h.Last)
			}
		}
		if err != nil || !reflect.DeepEqual(got, test.want) || skipped != test.skipped {
			t.Errorf("%s: %v, %d skipped, %v; want %v, %d skipped", name, got, skipped, err, test.want, test.skipped)
		}
	}
}

func TestHeadsThatAreKeptAreBounded(t *testing.T) {
	var lines strings.Builder
	for i := range int64(1000) {
		h := testHead("a", 1+i%2)
		lines.WriteString(h.Line() + "\n")
	}
	heads, _, err := ReadHeads(strings.NewReader(lines.String()))
	if err != nil || len(heads) != maxTelling+1 {
		t.Errorf("%d heads, %v", len(heads), err)
	}
}

func FuzzParseHead(f *testing.F) {
	h := testHead("store-1", 5)
	f.Add(h.Line())
	f.Add(`{"v":1}`)
	f.Add(`{"v":1,"store":"s","last":9223372036854775807,"at":"0001-01-01T00:00:00Z"}`)
	f.Fuzz(func(t *testing.T, line string) {
		h, err := ParseHead(line)
		if err != nil {
			return
		}
		again, err := ParseHead(h.Line())
		if err != nil || !reflect.DeepEqual(again, h) {
			t.Errorf("%q is read as %+v, and its line as %+v, %v", line, h, again, err)
		}
		if _, genuine := h.genuine(NewKeys(public(testKey("root")))); genuine {
			t.Errorf("%q is genuine", line)
		}
	})
}
