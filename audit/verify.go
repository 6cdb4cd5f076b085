package audit

import (
	"bytes"
	"context"
	"fmt"
	"math"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Problem is a kind of damage.
type Problem string

// The problems that Verify finds.
const (
	RowChanged     Problem = "row changed"
	RowMissing     Problem = "row missing"
	RowInserted    Problem = "row inserted behind a seal"
	SealChanged    Problem = "seal changed"
	SealMissing    Problem = "seal missing"
	SignatureWrong Problem = "signature wrong"
	KeyUnknown     Problem = "unknown key"
	TailCut        Problem = "tail cut"
	HeadMismatch   Problem = "head not of this trail"
)

// Finding is one problem, and where it is.
type Finding struct {
	Problem  Problem
	Sequence int64 // of the first row that it is about
	Detail   string
}

func (f Finding) String() string {
	return fmt.Sprintf("row %d: %s: %s", f.Sequence, f.Problem, f.Detail)
}

// maxFindings is how many findings a report has: the first one counts.
const maxFindings = 20

// Report is what Verify found out.
type Report struct {
	Rows     int64 // that are sealed
	Unsealed int64 // that are not sealed yet
	Seals    int64
	Head     Head // newest; zero: nothing is sealed
	Findings []Finding
	Omitted  int // further findings

	// TailProven tells that a head from outside was given and is in the chain. If
	// it is false and nothing was found, nobody can say whether the tail was cut.
	TailProven bool
}

// Sound reports whether nothing is wrong.
func (r *Report) Sound() bool { return len(r.Findings) == 0 }

func (r *Report) found(problem Problem, sequence int64, format string, args ...any) {
	if len(r.Findings) == maxFindings {
		r.Omitted++
		return
	}
	r.Findings = append(r.Findings, Finding{problem, sequence, fmt.Sprintf(format, args...)})
}

// How many rows and seals are held in memory at a time. (A seal has up to 40 KB.)
const (
	pageSize = 1000
	sealPage = 10
)

// Verify walks the whole chain of a store, beside the writers and in bounded
// memory. Heads are what sinks outside of the store have kept of it.
//
// What counts is the signature of the newest seal, because it stands for all
// that is before it. So a seal that was signed with a key that is not known any
// more, since the root key was changed, is good if a later one is. A signature
// that is wrong, though its key is known, is always reported.
//
// The error is of reading; what is wrong with the trail is in the report.
func Verify(ctx context.Context, st store.Directory, identity string, keys Keys, heads []Head) (Report, error) {
	v := &verification{
		ctx: ctx, store: st, identity: identity, keys: keys, heads: heads,
		matched: make([]bool, len(heads)), page: rowPage{after: math.MinInt64},
	}
	if err := v.sealed(); err != nil {
		return Report{}, fmt.Errorf("read the audit trail: %w", err)
	}
	if err := v.unsealed(); err != nil {
		return Report{}, fmt.Errorf("read the audit trail: %w", err)
	}
	v.compareHeads()
	return v.report, nil
}

// verification is a walk along the chain.
type verification struct {
	ctx      context.Context
	store    store.Directory
	identity string
	keys     Keys
	heads    []Head
	matched  []bool // which heads are in the chain

	unknown string // the key of seals that no seal with a known key covers yet

	page   rowPage
	last   int64      // of the seal before
	digest store.Hash // of the seal before
	newest int64      // sequence of the last row seen
	report Report
}

// rowPage is the part of the rows that is in memory.
type rowPage struct {
	rows  []store.AuditRow
	after int64 // of the last row that was read
	end   bool  // there are no more
}

// peek returns the next row, nil at the end.
func (v *verification) peek() (*store.AuditRow, error) {
	p := &v.page
	if len(p.rows) == 0 && !p.end {
		err := v.store.View(v.ctx, func(r store.Reader) (err error) {
			p.rows, err = r.AuditRows(p.after, pageSize)
			return err
		})
		if err != nil {
			return nil, err
		}
		p.end = len(p.rows) < pageSize
		if len(p.rows) > 0 {
			p.after = p.rows[len(p.rows)-1].Sequence
		}
	}
	if len(p.rows) == 0 {
		return nil, nil
	}
	return &p.rows[0], nil
}

// take moves on behind the row that peek returned.
func (v *verification) take() {
	v.newest = v.page.rows[0].Sequence
	v.page.rows = v.page.rows[1:]
}

// sealed goes from seal to seal, up to the one that is the newest now.
func (v *verification) sealed() error {
	var end store.AuditSeal
	err := v.store.View(v.ctx, func(r store.Reader) (err error) {
		end, err = lastSeal(r)
		return err
	})
	if err != nil {
		return err
	}
	for after, done := int64(math.MinInt64), false; !done; {
		var seals []store.AuditSeal
		err := v.store.View(v.ctx, func(r store.Reader) (err error) {
			seals, err = r.AuditSeals(after, sealPage)
			return err
		})
		if err != nil {
			return err
		}
		for i := range seals {
			if seals[i].Last > end.Last {
				break
			}
			if err := v.seal(&seals[i]); err != nil {
				return err
			}
			after = seals[i].Last
		}
		done = len(seals) < sealPage || seals[len(seals)-1].Last >= end.Last
	}
	if v.unknown != "" {
		v.report.found(KeyUnknown, v.last, "the newest seal is signed with the key %s, which is not derived from a root key of this server", v.unknown)
	}
	return nil
}

// seal checks one seal with its rows.
func (v *verification) seal(s *store.AuditSeal) error {
	r := &v.report
	r.Seals++
	findings := len(r.Findings) + r.Omitted
	switch {
	case s.First > v.last+1:
		r.found(SealMissing, v.last+1, "no seal covers the rows from %d to %d", v.last+1, s.First-1)
	case s.First <= v.last || s.Last < s.First:
		r.found(SealChanged, s.Last, "the seal says that it covers the rows from %d to %d, and the one before ends with %d", s.First, s.Last, v.last)
	}
	if err := v.rows(s); err != nil {
		return err
	}
	head := headOf(v.identity, s)
	problem, genuine := head.genuine(v.keys)
	switch {
	case genuine:
		v.unknown = ""
	case problem == KeyUnknown:
		v.unknown = s.KeyID
	case len(r.Findings)+r.Omitted == findings: // else it is wrong because of what was found
		r.found(SignatureWrong, s.Last, "the seal of the rows up to %d was not signed with the key that it names, %s", s.Last, s.KeyID)
	}
	for i := range v.heads {
		if v.heads[i].Last == s.Last && v.heads[i].Digest == s.Digest {
			v.matched[i] = true
		}
	}
	v.last, v.digest, r.Head = s.Last, s.Digest, head
	return nil
}

// rows checks the rows of one seal against its digest and, to say which row is
// wrong, against its checks.
func (v *verification) rows(s *store.AuditSeal) error {
	w := sealWalk{report: &v.report, seal: s, next: max(s.First, v.last+1)}
	digest := newLink(v.digest, s.First, s.Last, s.At)
	for {
		row, err := v.peek()
		if err != nil {
			return err
		}
		if row == nil || row.Sequence > s.Last {
			break
		}
		if row.Sequence < w.next {
			if row.Sequence < 1 {
				v.report.found(RowInserted, row.Sequence, "rows are counted from 1")
			} // else no seal covers it, which was reported
			v.take()
			continue
		}
		sum := RowHash(row)
		digest.add(sum)
		w.row(row.Sequence, sum)
		v.take()
	}
	w.end(digest.digest() == s.Digest)
	return nil
}

// sealWalk goes along the rows that a seal should have.
type sealWalk struct {
	report *Report
	seal   *store.AuditSeal
	next   int64 // the sequence that comes next
	seen   int   // rows
	gap    int64 // the first row that is not there; 0: none
	odd    int64 // the first row that is not as the checks say; 0: none
}

func (w *sealWalk) row(sequence int64, sum store.Hash) {
	if sequence != w.next && w.gap == 0 {
		w.gap = w.next
	}
	place := int64(w.seen)
	if w.whole() {
		place = sequence - w.seal.First
	}
	if !w.check(place, sum) && w.odd == 0 {
		w.odd = sequence
	}
	w.next = sequence + 1
	w.seen++
	w.report.Rows++
}

// whole reports whether a row was there for each sequence when the seal was
// made: then the place of each row's check is known.
func (w *sealWalk) whole() bool {
	return int64(len(w.seal.Checks)/checkSize) == w.seal.Last-w.seal.First+1
}

func (w *sealWalk) check(place int64, sum store.Hash) bool {
	if place < 0 || place >= int64(len(w.seal.Checks)/checkSize) {
		return false
	}
	check := w.seal.Checks[place*checkSize:]
	return bytes.Equal(check[:checkSize], sum[:checkSize])
}

// end says what is wrong, given whether the digest is what it should be.
func (w *sealWalk) end(right bool) {
	if w.next <= w.seal.Last && w.gap == 0 {
		w.gap = w.next
	}
	if right {
		w.endRight()
	} else {
		w.endWrong()
	}
}

// had is how many rows were sealed.
func (w *sealWalk) had() int { return len(w.seal.Checks) / checkSize }

// endRight is about rows that are what was sealed.
func (w *sealWalk) endRight() {
	if w.gap != 0 {
		w.report.found(RowMissing, w.gap, "it was not there when the rows around it were sealed, at %s", w.when())
	}
	if w.odd != 0 || w.seen != w.had() {
		w.misfit()
	}
}

// endWrong is about rows that are not what was sealed, or a seal that is not
// what it was.
func (w *sealWalk) endWrong() {
	switch {
	case w.gap != 0:
		w.report.found(RowMissing, w.gap, "of %d rows that were sealed at %s, %d are left", w.had(), w.when(), w.seen)
	case w.seen > w.had():
		w.report.found(RowInserted, w.odd, "%d rows were sealed at %s, and now there are %d", w.had(), w.when(), w.seen)
	case w.odd == 0:
		w.misfit()
	}
	// Where rows were missing from the start, none has a place of its own.
	if w.odd != 0 && (w.whole() || w.gap == 0 && w.seen == w.had()) {
		w.report.found(RowChanged, w.odd, "it is not what was sealed at %s", w.when())
	}
}

func (w *sealWalk) misfit() {
	w.report.found(SealChanged, w.seal.Last, "the seal of the rows from %d to %d does not fit them", w.seal.First, w.seal.Last)
}

func (w *sealWalk) when() string { return w.seal.At.UTC().Format("2006-01-02T15:04:05Z") }

// unsealed counts the rows behind the newest seal, which must follow each other
// too.
func (v *verification) unsealed() error {
	next := v.last + 1
	for {
		row, err := v.peek()
		if err != nil || row == nil {
			return err
		}
		switch {
		case row.Sequence < 1:
			v.report.found(RowInserted, row.Sequence, "rows are counted from 1")
		case row.Sequence > next:
			v.report.found(RowMissing, next, "the next row has the sequence %d", row.Sequence)
		}
		if row.Sequence >= next {
			next = row.Sequence + 1
			v.report.Unsealed++
		}
		v.take()
	}
}

// compareHeads holds the chain against what sinks have kept of it.
func (v *verification) compareHeads() {
	proven := len(v.heads) > 0
	for i := range v.heads {
		h := &v.heads[i]
		problem, genuine := h.genuine(v.keys)
		switch {
		case h.Store != v.identity:
			v.report.found(HeadMismatch, h.Last, "the head that was given is of another store, %s", h.Store)
		case problem == KeyUnknown && !v.matched[i]:
			v.report.found(KeyUnknown, h.Last, "the head that was given is signed with the key %s, which is not derived from a root key of this server", h.KeyID)
		case !genuine && problem != KeyUnknown:
			v.report.found(SignatureWrong, h.Last, "the head that was given was not signed with the key that it names, %s", h.KeyID)
		case v.matched[i]:
			continue
		case h.Last > max(v.last, v.newest):
			v.report.found(TailCut, max(v.last, v.newest)+1, "%d rows are missing: row %d was sealed at %s", h.Last-max(v.last, v.newest), h.Last, h.At.UTC().Format("2006-01-02T15:04:05Z"))
		case h.Last > v.last:
			v.report.found(SealMissing, v.last+1, "the rows up to %d had been sealed, and their seals are missing", h.Last)
		default:
			v.report.found(HeadMismatch, h.Last, "a head of %s says otherwise of the rows up to %d: the trail was cut or rewritten, or a backup restored since (store.restore)", h.At.UTC().Format("2006-01-02T15:04:05Z"), h.Last)
		}
		proven = false
	}
	v.report.TailProven = proven
}
