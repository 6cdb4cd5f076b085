package audit

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

func TestUntouchedTrailIsSound(t *testing.T) {
	w, heads := newTrail(t)
	report := w.verify()
	if !report.Sound() || report.Rows != 10 || report.Unsealed != 1 || report.Seals != 3 || report.TailProven {
		t.Errorf("%+v", report)
	}
	if report.Head.Line() != heads[2].Line() {
		t.Errorf("the newest head is %s, want %s", report.Head.Line(), heads[2].Line())
	}
	if report := w.verify(heads...); !report.Sound() || !report.TailProven {
		t.Errorf("with all heads: %+v", report)
	}
}

func TestEmptyTrailIsSound(t *testing.T) {
	w := newWorld(t)
	if sealed := w.seal(); sealed.Rows != 0 || sealed.Head.Last != 0 {
		t.Errorf("sealed %+v", sealed)
	}
	if report := w.verify(); !report.Sound() || report.Rows+report.Unsealed+report.Seals != 0 {
		t.Errorf("%+v", report)
	}
}

// Every byte of a row and of a seal counts.
func TestTamperedTrailIsFoundOut(t *testing.T) {
	type test struct {
		statements []string
		problem    Problem
		sequence   int64
	}
	tests := map[string]test{
		"row deleted":                   {[]string{"DELETE FROM audit WHERE sequence = 7"}, RowMissing, 7},
		"first row deleted":             {[]string{"DELETE FROM audit WHERE sequence = 1"}, RowMissing, 1},
		"last row of a seal deleted":    {[]string{"DELETE FROM audit WHERE sequence = 5"}, RowMissing, 5},
		"all rows of a seal deleted":    {[]string{"DELETE FROM audit WHERE sequence BETWEEN 6 AND 8"}, RowMissing, 6},
		"sealed rows cut, seals left":   {[]string{"DELETE FROM audit WHERE sequence > 8"}, RowMissing, 9},
		"unsealed row deleted":          {[]string{"INSERT INTO audit (sequence, environment, at, actor, action, target, outcome, request_id) VALUES (13, 'sandbox', 1, '', '', '', '', '')"}, RowMissing, 12},
		"row deleted and put elsewhere": {[]string{"UPDATE audit SET sequence = 0 WHERE sequence = 7"}, RowInserted, 0},
		"row inserted before the first": {[]string{"INSERT INTO audit (sequence, environment, at, actor, action, target, outcome, request_id) VALUES (-3, 'sandbox', 1, '', '', '', '', '')"}, RowInserted, -3},
		"two rows swapped":              {[]string{"UPDATE audit SET target = CASE sequence WHEN 2 THEN 'grant:4' ELSE 'grant:2' END WHERE sequence IN (2, 4)"}, RowChanged, 2},
		"rows of two seals swapped":     {[]string{"UPDATE audit SET sequence = 99 WHERE sequence = 2", "UPDATE audit SET sequence = 2 WHERE sequence = 7", "UPDATE audit SET sequence = 7 WHERE sequence = 99"}, RowChanged, 2},
		"text moved between columns":    {[]string{"UPDATE audit SET actor = actor || 't', action = substr(action, 2) WHERE sequence = 3"}, RowChanged, 3},
		"row and its check changed":     {[]string{"UPDATE audit SET actor = 'x' WHERE sequence = 3", "UPDATE audit_seal SET checks = zeroblob(20) WHERE last = 5"}, RowChanged, 1},
		"first row changed":             {[]string{"UPDATE audit SET count = 2 WHERE sequence = 1"}, RowChanged, 1},
		"last sealed row changed":       {[]string{"UPDATE audit SET count = 2 WHERE sequence = 10"}, RowChanged, 10},
		"subject taken away":            {[]string{"UPDATE audit SET subject = '' WHERE sequence = 2"}, RowChanged, 2},
		"subject given":                 {[]string{"UPDATE audit SET subject = 'user:ann' WHERE sequence = 3"}, RowChanged, 3},
		"seal deleted":                  {[]string{"DELETE FROM audit_seal WHERE last = 8"}, SealMissing, 6},
		"first seal deleted":            {[]string{"DELETE FROM audit_seal WHERE last = 5"}, SealMissing, 1},
		"seal: first":                   {[]string{"UPDATE audit_seal SET first = 5 WHERE last = 8"}, SealChanged, 8},
		"seal: last":                    {[]string{"UPDATE audit_seal SET last = 7 WHERE last = 8"}, RowMissing, 0},
		"seal: at":                      {[]string{"UPDATE audit_seal SET at = at + 1 WHERE last = 8"}, SealChanged, 8},
		"seal: digest":                  {[]string{"UPDATE audit_seal SET digest = zeroblob(32) WHERE last = 8"}, SealChanged, 8},
		"seal: digest of the newest":    {[]string{"UPDATE audit_seal SET digest = zeroblob(32) WHERE last = 10"}, SealChanged, 10},
		"seal: checks":                  {[]string{"UPDATE audit_seal SET checks = zeroblob(12) WHERE last = 8"}, SealChanged, 8},
		"seal: checks cut":              {[]string{"UPDATE audit_seal SET checks = x'' WHERE last = 8"}, SealChanged, 8},
		"seal: signature":               {[]string{"UPDATE audit_seal SET signature = zeroblob(64) WHERE last = 8"}, SignatureWrong, 8},
		"seal: signature cut":           {[]string{"UPDATE audit_seal SET signature = x'' WHERE last = 10"}, SignatureWrong, 10},
		"seal: key of the newest":       {[]string{"UPDATE audit_seal SET key_id = 'mine' WHERE last = 10"}, KeyUnknown, 10},
		"seal that covers nothing yet":  {[]string{"INSERT INTO audit_seal SELECT 4611686018427387904, 12, at, digest, checks, key_id, signature FROM audit_seal WHERE last = 10"}, SealMissing, 11},
		"seal behind all":               {[]string{"INSERT INTO audit_seal SELECT 9223372036854775807, -9223372036854775807, at, digest, checks, key_id, signature FROM audit_seal WHERE last = 10"}, SealChanged, 9223372036854775807},
	}
	for column, value := range map[string]string{
		"environment": "'production'", "at": "at + 1", "actor": "'client:other'", "action": "'token.revoke'", "target": "'grant:0'",
		"outcome": "'reused'", "reason": "''", "address": "'192.0.2.2'", "request_id": "'s'", "count": "2", "subject": "'user:bob'",
	} {
		tests["row: "+column] = test{[]string{"UPDATE audit SET " + column + " = " + value + " WHERE sequence = 8"}, RowChanged, 8}
	}
	w, _ := newTrail(t)
	w.tamper("CREATE TABLE rows_before AS SELECT * FROM audit", "CREATE TABLE seals_before AS SELECT * FROM audit_seal")
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w.T = t
			w.tamper(test.statements...)
			defer w.tamper("DELETE FROM audit", "DELETE FROM audit_seal",
				"INSERT INTO audit SELECT * FROM rows_before", "INSERT INTO audit_seal SELECT * FROM seals_before")
			report := w.verify()
			if name == "seal: last" { // what that breaks first is a matter of taste
				if report.Sound() {
					t.Error("it is not found")
				}
				return
			}
			w.wantFirst(report, test.problem, test.sequence)
		})
	}
}

// A tail that was cut with its seals is found by a head from outside, and not
// without.
func TestCutTailNeedsAHead(t *testing.T) {
	w, heads := newTrail(t)
	w.tamper("DELETE FROM audit WHERE sequence > 8", "DELETE FROM audit_seal WHERE last > 8")
	if report := w.verify(); !report.Sound() || report.TailProven || report.Rows != 8 {
		t.Errorf("without a head: %+v", report)
	}
	report := w.verify(heads[2])
	w.wantFirst(report, TailCut, 9)
	if !strings.HasPrefix(report.Findings[0].Detail, "2 rows are missing") || report.TailProven {
		t.Errorf("%+v", report)
	}
	if report := w.verify(heads[1]); !report.Sound() || !report.TailProven {
		t.Errorf("with the head before the cut: %+v", report)
	}
}

func TestCutTailThatGrewAgainIsFound(t *testing.T) {
	w, heads := newTrail(t)
	w.tamper("DELETE FROM audit WHERE sequence > 8", "DELETE FROM audit_seal WHERE last > 8",
		"UPDATE sqlite_sequence SET seq = 8 WHERE name = 'audit'")
	w.add(4) // up to 12, beyond what the head knows
	w.seal()
	w.wantFirst(w.verify(heads[2]), HeadMismatch, 10)
	w.wantFirst(w.verify(heads[2], w.verify().Head), HeadMismatch, 10)
}

func TestSealsCutButRowsLeft(t *testing.T) {
	w, heads := newTrail(t)
	w.tamper("DELETE FROM audit_seal WHERE last > 5")
	if report := w.verify(); !report.Sound() || report.Unsealed != 6 {
		t.Errorf("without a head: %+v", report)
	}
	w.wantFirst(w.verify(heads[2]), SealMissing, 6)
}

// Who rewrites the whole trail needs the key to sign it.
func TestTrailRewrittenWithAnotherKeyIsFound(t *testing.T) {
	w, heads := newTrail(t)
	w.tamper("DELETE FROM audit_seal", "UPDATE audit SET actor = 'client:other' WHERE sequence = 4")
	owner := w.sealer.Key
	w.sealer.Key = testKey("thief")
	w.seal()
	w.sealer.Key = owner
	w.wantFirst(w.verify(), KeyUnknown, 11)
	w.tamper("UPDATE audit_seal SET key_id = '" + KeyID(public(owner)) + "'")
	w.wantFirst(w.verify(), SignatureWrong, 11)
	// With the key, which is not in the database, only a head tells.
	w.tamper("DELETE FROM audit_seal")
	w.seal()
	if report := w.verify(); !report.Sound() {
		t.Errorf("%+v", report)
	}
	w.wantFirst(w.verify(heads[2]), HeadMismatch, 10)
}

// After the root key was changed, seals under the old one are good because the
// newest stands for them.
func TestRetiredKeyIsCoveredByALaterSeal(t *testing.T) {
	w, heads := newTrail(t)
	w.sealer.Key = testKey("next root")
	w.wantFirst(w.verify(), KeyUnknown, 10) // nothing covers them yet
	w.seal()
	if report := w.verify(); !report.Sound() {
		t.Errorf("%+v", report)
	}
	if report := w.verify(heads[0]); !report.Sound() || !report.TailProven {
		t.Errorf("a head under the old key, which is in the trail: %+v", report)
	}
	w.tamper("UPDATE audit SET actor = 'x' WHERE sequence = 2")
	w.wantFirst(w.verify(), RowChanged, 2)
}

func TestHeadsThatProveNothing(t *testing.T) {
	w, heads := newTrail(t)
	forged, foreign, unknown := heads[2], heads[2], heads[2]
	forged.Last = 999
	foreign.Store = "store-2"
	unknown.KeyID, unknown.Last = "mine", 999
	w.wantFirst(w.verify(forged), SignatureWrong, 999)
	w.wantFirst(w.verify(foreign), HeadMismatch, 10)
	w.wantFirst(w.verify(unknown), KeyUnknown, 999)
}

// A trail of another store under the same root key is not taken for this one's.
func TestTrailOfAnotherStoreIsFound(t *testing.T) {
	w, _ := newTrail(t)
	w.sealer.Identity = "store-2"
	w.wantFirst(w.verify(), SignatureWrong, 5)
}

func TestFindingsAreBounded(t *testing.T) {
	w := newWorld(t)
	for range maxFindings + 5 {
		w.add(1)
		w.seal()
	}
	w.tamper("UPDATE audit SET actor = 'x'")
	if report := w.verify(); len(report.Findings) != maxFindings || report.Omitted != 5 {
		t.Errorf("%d findings, %d omitted", len(report.Findings), report.Omitted)
	}
}

// More rows than a page, more seals than a page.
func TestLongTrail(t *testing.T) {
	w := newWorld(t)
	for range sealPage + 2 {
		w.bulk(pageSize/4 + 1)
		w.seal()
	}
	w.bulk(2*pageSize + 1)
	sealed := (sealPage + 2) * (pageSize/4 + 1)
	if report := w.verify(); !report.Sound() || report.Rows != int64(sealed) || report.Unsealed != 2*pageSize+1 || report.Seals != sealPage+2 {
		t.Errorf("%+v", report)
	}
	w.tamper(fmt.Sprintf("UPDATE audit SET actor = 'x' WHERE sequence = %d", sealed))
	w.wantFirst(w.verify(), RowChanged, int64(sealed))
}

func TestEncodingIsUnambiguous(t *testing.T) {
	seen := map[store.Hash]string{}
	for _, row := range []store.AuditRow{
		{}, {Sequence: 1}, {Event: store.Event{Count: 1}}, {Event: store.Event{At: now}},
		{Event: store.Event{Environment: "ab"}}, {Event: store.Event{Environment: "a", Actor: "b"}}, {Event: store.Event{Actor: "ab"}},
		{Event: store.Event{Action: "ab"}}, {Event: store.Event{Target: "ab"}}, {Event: store.Event{Outcome: "ab"}},
		{Event: store.Event{Reason: "ab"}}, {Event: store.Event{Address: "ab"}}, {Event: store.Event{RequestID: "ab"}},
		{Event: store.Event{Subject: "ab"}}, {Event: store.Event{Subject: "a", Environment: "b"}},
		{Event: store.Event{Actor: "a\x00\x00\x00\x00\x00\x00\x00\x01b"}},
	} {
		sum := RowHash(&row)
		if other, twice := seen[sum]; twice {
			t.Errorf("%+v and %s are one", row, other)
		}
		seen[sum] = fmt.Sprintf("%+v", row)
	}
}

// The format is for archives: what was sealed once must verify with any later
// version.
func TestEncodingStays(t *testing.T) {
	row := store.AuditRow{Sequence: 7, Event: store.Event{
		Environment: store.Sandbox, At: now, Actor: "client:bot", Action: "token.renew", Target: "grant:g", Outcome: "ok",
		Reason: "r", Address: "192.0.2.1", RequestID: "id", Count: 3,
	}}
	sum := RowHash(&row)
	link := newLink(store.Hash{1}, 7, 7, now)
	link.add(sum)
	got := fmt.Sprintf("%x %x", sum, link.digest())
	const want = "88845d283ece843983d2473ae386f793a1bfa4f44a96f96b38064d9fa98518b3 6347b92fbeb072a7e3d09efbc8451ad8dea949f3a470b83b61e656979ecd3d49"
	if got != want {
		t.Errorf("got %s", got)
	}
	row.Subject = "user:ann"
	if got := fmt.Sprintf("%x", RowHash(&row)); got != "f63eb2a1d77380d0bc1fb552b478d90cb182a17d8488aaa0db4815d572cd71f2" {
		t.Errorf("with a subject: got %s", got)
	}
}
