package journal

import (
	"bytes"
	"encoding/hex"
	"reflect"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// someContent is a journal with a line of each kind.
func someContent() *Content {
	return &Content{
		Store: "store-1", Generation: 7, At: start,
		Notes: []Note{{env, "client.disable", "client:bot", start, 6}},
		Revocations: []store.Revocation{
			{Environment: env, Kind: store.KindGrant, Target: "g1", At: start, Expires: start.AddDate(0, 1, 0), Reason: "stolen"},
			{Environment: env, Kind: store.KindClient, Target: "bot\xff\n\"", Number: 3, At: start},
		},
	}
}

// written is a journal as it stands in its file.
func written(tb testing.TB, c *Content) []byte {
	tb.Helper()
	var sum chain
	text, err := sum.encode(nil, c.lines())
	if err != nil {
		tb.Fatal(err)
	}
	return text
}

// FuzzJournal: a file is read as a journal, and written again as the same one, or
// it is refused as damaged. What is cut off its end never brings another line.
func FuzzJournal(f *testing.F) {
	whole := written(f, someContent())
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(append(bytes.Clone(whole), whole...))
	f.Add([]byte(`{"journal":1,"store":"s","generation":1,"sum":"00000000"}` + "\n"))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, text []byte) {
		content, _, err := parse(bytes.NewReader(text))
		if err == nil {
			checkContent(t, content)
		}
	})
}

// FuzzJournalLines is FuzzJournal with checksums that are right: whoever can write
// the file can compute them.
func FuzzJournalLines(f *testing.F) {
	var lines strings.Builder
	for line := range bytes.Lines(written(f, someContent())) {
		lines.Write(line[:len(line)-sumLength-1])
		lines.WriteString("}\n")
	}
	f.Add(lines.String())
	f.Add(`{"journal":1,"store":"s","generation":1}` + "\n" + `{"generation":2,"at":"2026-05-04T12:00:00Z"}` + "\n" + `{"generation":1}`)
	f.Add(`{"journal":2,"store":"s","generation":1}`)
	f.Add(`{"journal":1,"store":"s","generation":1,"journal":1}`)
	f.Add(`{"journal":1,"store":"s","generation":1}` + "\n" + `{"Kind":"grant","target":"g","environment":"production"}`)
	f.Add(`{"journal":1,"store":"s","generation":9223372036854775807,"at":"9999-12-31T23:59:59Z"}`)
	f.Fuzz(func(t *testing.T, lines string) {
		var sum chain
		var text []byte
		for line := range strings.SplitSeq(strings.TrimSuffix(lines, "\n"), "\n") {
			body, ok := strings.CutSuffix(line, "}")
			if !ok {
				return
			}
			check := sum.add([]byte(line))
			text = appendSum(append(text, body...), check)
		}
		content, _, err := parse(bytes.NewReader(text))
		if err != nil {
			return
		}
		checkContent(t, content)
		end := bytes.LastIndexByte(text[:len(text)-1], '\n') + 1
		shorter, _, err := parse(bytes.NewReader(text[:len(text)-1]))
		if end == 0 {
			if err == nil {
				t.Errorf("half a first line is read as %+v", shorter)
			}
			return
		}
		if err != nil || len(shorter.Revocations) > len(content.Revocations) || len(shorter.Notes) > len(content.Notes) || shorter.Generation > content.Generation {
			t.Errorf("without its end %q is read as %+v, %v", text, shorter, err)
		}
	})
}

// checkContent writes content again, and wants it back.
func checkContent(t *testing.T, c *Content) {
	t.Helper()
	if c.Store == "" || c.Generation < 1 {
		t.Errorf("a journal of store %q, generation %d", c.Store, c.Generation)
	}
	again, number, err := parse(bytes.NewReader(written(t, c)))
	if err != nil {
		t.Fatalf("%+v, written again: line %d: %v", c, number, err)
	}
	if !reflect.DeepEqual(again, c) {
		t.Errorf("%+v came back as %+v", c, again)
	}
}

// appendSum ends a line.
func appendSum(to []byte, sum [4]byte) []byte {
	return append(hex.AppendEncode(append(to, sumBefore...), sum[:]), sumAfter+"\n"...)
}
