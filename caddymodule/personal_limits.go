package caddymodule

import (
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// shownRate is a rate in the admin API.
type shownRate struct {
	Requests int    `json:"requests"`
	Per      string `json:"per"` // as in 1s, 30s, 1m, 1h, 1d
}

func showRate(r store.Rate) shownRate {
	if r == (store.Rate{}) {
		return shownRate{}
	}
	return shownRate{r.Requests, span(r.Per)}
}

// String is how commands take and print a rate: 10/s, 600/m, 5/30s.
func (r shownRate) String() string {
	if r == (shownRate{}) {
		return ""
	}
	per := r.Per
	if len(per) == len("1s") {
		per = strings.TrimPrefix(per, "1")
	}
	return strconv.Itoa(r.Requests) + "/" + per
}

// span writes whole seconds in the largest unit that fits.
func span(d time.Duration) string {
	for _, unit := range []struct {
		name string
		of   time.Duration
	}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}} {
		if d%unit.of == 0 {
			return strconv.FormatInt(int64(d/unit.of), 10) + unit.name
		}
	}
	return strconv.FormatInt(int64(d/time.Second), 10) + "s"
}

// read checks a rate that is given.
func (r *shownRate) read() (store.Rate, error) {
	if r == nil {
		return store.Rate{}, nil
	}
	per, err := caddy.ParseDuration(r.Per)
	if err != nil {
		return store.Rate{}, refuse(http.StatusBadRequest, "rate per %q: expected whole seconds from 1s to 1d, as in 1s, 30s, 1m, 1h", r.Per)
	}
	rate := store.Rate{Requests: r.Requests, Per: per}
	return rate, unfit(token.CheckRate(rate))
}

// parseRate reads what a command is given: requests, a slash, and a unit or span.
func parseRate(text string) (*shownRate, error) {
	requests, per, found := strings.Cut(text, "/")
	n, err := strconv.Atoi(requests)
	if !found || per == "" || err != nil {
		return nil, usagef("rate %q: expected requests per time, as in 10/s, 600/m or 5/30s", text)
	}
	if per[0] < '0' || per[0] > '9' {
		per = "1" + per
	}
	return &shownRate{n, per}, nil
}

// readNetworks checks an allow-list.
func readNetworks(given []string) ([]netip.Prefix, error) {
	if given != nil && len(given) == 0 {
		return nil, refuse(http.StatusBadRequest, "the list of networks is empty; leave it out for a token that is good from anywhere")
	}
	networks, err := token.ReadNetworks(given)
	return networks, unfit(err)
}

// readExpiry checks when a token is to end: at an instant, after a time, or not
// at all, which is the zero time.
func readExpiry(expires *time.Time, lifetime *string, now time.Time) (time.Time, error) {
	switch {
	case expires != nil && lifetime != nil:
		return time.Time{}, refuse(http.StatusBadRequest, "expires and lifetime say the same; give one")
	case lifetime != nil:
		life, err := caddy.ParseDuration(*lifetime)
		if err != nil || life < time.Second {
			return time.Time{}, refuse(http.StatusBadRequest, "lifetime %q: expected a time of at least 1s, as in 12h or 90d", *lifetime)
		}
		return now.Add(life).Truncate(time.Second), nil
	case expires == nil:
		return time.Time{}, nil
	case !expires.After(now):
		return time.Time{}, refuse(http.StatusBadRequest, "expires %s is past; it is %s", expires.UTC().Format(time.RFC3339), now.UTC().Format(time.RFC3339))
	}
	return expires.UTC(), nil
}

// parseExpiry reads what a command is given: a date, an instant or a time from
// now on, which the server counts by its own clock.
func (in *newPersonal) parseExpiry(text string) error {
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if at, err := time.Parse(layout, text); err == nil {
			in.Expires = &at
			return nil
		}
	}
	if _, err := caddy.ParseDuration(text); err != nil {
		return usagef("expiry %q: expected a time, a date or an instant, as in 90d, 2027-01-01 or 2027-01-01T08:00:00Z", text)
	}
	in.Lifetime = &text
	return nil
}
