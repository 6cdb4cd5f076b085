// Package attacks runs what is known to break gateways and authorization servers
// against a whole server: testdata/attacks.jsonl lists the attacks, one row each,
// and docs/attacks.md tells what came of every one.
//
// Each row is run by a function of a rows_*_test.go, under its id:
//
//	func init() {
//		register(rows{
//			"JWT-CLAIMS-05": func(a *attack) {
//				claims := a.claims("accounts:read")
//				claims["exp"] = 0
//				a.get("/v1/accounts", a.mint(a.header(), claims)).refused(401, "invalid_token")
//			},
//		})
//	}
//
// An attack has the server (ports, keys, backend; see server_test.go), tokens
// (mint_test.go), ways to send requests, over bare sockets where a client would
// mend them (send_test.go), and what must come back: refused, passed and their
// kin (answer_test.go). Each of them also says how many requests the backend may
// have seen, and what they find makes up the page's column "result". A row with
// [n] has a case for each of the n, told apart by a.T.Run or by message.
//
// Around every row runExpecting makes sure that the backend saw nothing beyond
// that, that no answer was a 5xx or showed the inside, that the log holds neither a
// panic nor a token, and that the next good request is served.
//
// A row whose test lies in another package stands in testdata/elsewhere.txt, one
// that cannot be run in testdata/notrun.txt. A row that is in no place, or in two,
// fails TestEveryRowHasItsPlace. The page is written by
//
//	go test ./attacks -update
package attacks

import (
	"bufio"
	"encoding/json"
	"flag"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "rewrite docs/attacks.md")

// rows are attacks by the id that the corpus gives them.
type rows map[string]func(*attack)

var registered = rows{}

// register makes rows known; each file of them calls it once.
func register(more rows) {
	for id, run := range more {
		if registered[id] != nil {
			panic("attacks: " + id + " is registered twice")
		}
		registered[id] = run
	}
}

// corpusRow is a line of testdata/attacks.jsonl.
type corpusRow struct {
	ID, Area, Kind, Input, Expected, Src string
}

// corpus reads the list, without its first line, which describes the fixtures.
func corpus(t testing.TB) (list []corpusRow) {
	t.Helper()
	file, err := os.Open("testdata/attacks.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for lines := bufio.NewScanner(file); lines.Scan(); {
		var row corpusRow
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatal(err)
		}
		if row.ID != "META-0" {
			list = append(list, row)
		}
	}
	if len(list) != 250 {
		t.Fatalf("the corpus has %d rows; 250 are expected", len(list))
	}
	return list
}

// attack is one row as it is run.
type attack struct {
	*testing.T
	*server
	id string

	results []string // what came back, for the page
	seen    int      // requests of the backend that were accounted for
	logFrom int      // where the row's lines begin
}

// TestAttacks runs every row that has its test here, one after the other: the
// backend's requests are counted.
func TestAttacks(t *testing.T) {
	s := startServer(t)
	began := s.log.Len()
	results := map[string]string{}
	for _, row := range corpus(t) {
		if run := registered[row.ID]; run != nil {
			t.Run(row.ID, func(t *testing.T) {
				a := &attack{T: t, server: s, id: row.ID}
				a.runExpecting(run)
				results[row.ID] = strings.Join(a.results, "; ")
			})
		}
	}
	s.checkLog(t, began)
	if len(results) == len(registered) { // and -run chose none among them
		checkPage(t, results)
	}
}

// runExpecting runs a row and holds it against what must be true of all.
func (a *attack) runExpecting(run func(*attack)) {
	a.seen, a.logFrom = a.backend.count(), a.log.Len()
	run(a)
	a.noMoreReceived()
	a.stillServes()
	a.checkLog(a.T, a.logFrom)
}

// stillServes sends a good request, whose line in the log also tells that those
// of the row have been written.
func (a *attack) stillServes() {
	a.Helper()
	path := "/v1/accounts/after-" + a.id
	results := a.results
	a.get(path, a.tokenRead()).passed()
	a.results = results
	a.eventually(a.T, "the log has the row's requests", func() bool { return a.log.contains(path, a.logFrom) })
}

// result notes what came of the row, for the page.
func (a *attack) result(text string) {
	if !slices.Contains(a.results, text) {
		a.results = append(a.results, text)
	}
}
