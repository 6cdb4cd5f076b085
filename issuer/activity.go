package issuer

import (
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// activityPerPage is how many events a page shows.
const activityPerPage = 50

// activityQuery is what somebody wants to see of what happened.
type activityQuery struct {
	kind        activityKind // empty: all
	from, until time.Time    // days, both included; zero: no limit
	before      int64        // only older ones; 0: from the newest on
}

// activity shows what happened to what is a user's: what the user did, and what
// others did to the user's things, or to an account that is open to the user in
// full at this moment.
func (i *Issuer) activity(x *exchange, p *person) (response, error) {
	q, sent, field, problem := readActivityQuery(x.URL.RawQuery)
	d := pages.ActivityData{
		Layout: i.layoutIn(p, pages.SectionActivity), Kind: sent["kind"], From: sent["from"], Until: sent["until"],
		Kinds: activityKindNames(), Problem: problem, Field: field, Filtered: q.kind != "" || !q.from.IsZero() || !q.until.IsZero(),
	}
	if problem != "" {
		return pageResponse(http.StatusBadRequest, pages.Activity(d)), nil
	}
	err := i.store.View(x.Context(), func(tx store.Reader) error {
		t, err := i.newTeller(tx, p.user.ID)
		if err != nil {
			return err
		}
		filter := q.filter()
		filter.User, filter.Accounts, filter.Limit = p.user.ID, t.accounts, activityPerPage+1
		rows, err := tx.Audit(i.environment, filter)
		if err != nil {
			return err
		}
		if len(rows) > activityPerPage {
			rows = rows[:activityPerPage]
			d.Older = i.base + pathActivity + "?" + q.older(rows[len(rows)-1].Sequence)
		}
		for k := range rows {
			told, err := t.tell(&rows[k])
			if err != nil {
				return err
			}
			d.Add(told)
		}
		return nil
	})
	if err != nil {
		return response{}, fmt.Errorf("read the audit trail: %w", err)
	}
	if q.before > 0 {
		d.Newest = i.base + pathActivity + "?" + q.older(0)
	}
	return pageResponse(http.StatusOK, pages.Activity(d)), nil
}

// readActivityQuery reads the form of the page, which comes in the address. Whatever
// it cannot be is told beside the field.
func readActivityQuery(raw string) (q activityQuery, sent form, field string, problem pages.ActivityProblem) {
	sent, err := parseForm(raw)
	if err != nil {
		return q, nil, "", pages.ActivityMalformed
	}
	q.kind = activityKind(sent["kind"])
	if _, known := activityActions[q.kind]; q.kind != "" && q.kind != activityRefusals && !known {
		return q, sent, "kind", pages.ActivityKindUnknown
	}
	for _, day := range []struct {
		name string
		into *time.Time
	}{{"from", &q.from}, {"until", &q.until}} {
		if sent[day.name] == "" {
			continue
		}
		if *day.into, err = time.Parse(time.DateOnly, sent[day.name]); err != nil || day.into.Year() < 1970 { // no browser sends it
			return q, sent, day.name, pages.ActivityNoDay
		}
	}
	if !q.until.IsZero() && q.until.Before(q.from) {
		return q, sent, "until", pages.ActivityDaysSwapped
	}
	if sent["before"] != "" {
		q.before, err = strconv.ParseInt(sent["before"], 10, 64)
		if err != nil || q.before < 1 {
			return q, sent, "", pages.ActivityNoPlace
		}
	}
	return q, sent, "", ""
}

// filter is the query as the store knows it.
func (q *activityQuery) filter() store.AuditFilter {
	f := store.AuditFilter{Since: q.from, Before: q.before, Actions: activityActions[q.kind], Refused: q.kind == activityRefusals}
	if !q.until.IsZero() {
		f.Until = q.until.AddDate(0, 0, 1)
	}
	return f
}

// older is the address of what comes behind a row; 0: of the newest.
func (q *activityQuery) older(sequence int64) string {
	values := url.Values{}
	set := func(name, value string) {
		if value != "" {
			values.Set(name, value)
		}
	}
	set("kind", string(q.kind))
	for name, day := range map[string]time.Time{"from": q.from, "until": q.until} {
		if !day.IsZero() {
			set(name, day.Format(time.DateOnly))
		}
	}
	if sequence > 0 {
		set("before", strconv.FormatInt(sequence, 10))
	}
	return values.Encode()
}
