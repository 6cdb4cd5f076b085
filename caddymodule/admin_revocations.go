package caddymodule

import (
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// revocation is a line of the record of what is revoked, as the admin API
// shows it.
type revocation struct {
	Kind    store.Kind `json:"kind"`
	Target  string     `json:"target"`
	Number  int64      `json:"number,omitzero"`
	At      time.Time  `json:"at"`
	Expires time.Time  `json:"expires,omitzero"` // forgotten after it; absent: kept for ever
	Reason  string     `json:"reason"`
}

func shownRevocation(rev store.Revocation) revocation {
	return revocation{rev.Kind, rev.Target, rev.Number, rev.At, rev.Expires, rev.Reason}
}

// revoke ends something outside of any other change. When it returns, nothing
// passes any more and the streams are cut.
func (c *adminCall) revoke(kind store.Kind, target, reason string) (any, error) {
	if err := c.refuseDryRun(); err != nil {
		return nil, err
	}
	rev := store.Revocation{Kind: kind, Target: target, Reason: reason}
	done, err := c.authority.Revoke(c.request.Context(), rev, c.event(string(kind)+".revoke", string(kind)+":"+target))
	if errors.Is(err, store.ErrNotFound) {
		return nil, refuse(http.StatusNotFound, "there is no %s %q in %s", kind, target, c.env)
	}
	if err != nil {
		return nil, err
	}
	return shownRevocation(done), nil
}

// listRevocations lists what is revoked, the newest first.
func listRevocations(c *adminCall) (any, error) {
	asked, err := c.query("limit")
	if err != nil {
		return nil, err
	}
	limit, err := parseLimit(asked["limit"])
	if err != nil {
		return nil, err
	}
	all, _, err := c.store().Snapshot(c.request.Context())
	if err != nil {
		return nil, err
	}
	shown := []revocation{}
	for _, rev := range slices.Backward(all) { // the log is in the order of commits
		if rev.Environment == c.env && len(shown) < limit {
			shown = append(shown, shownRevocation(rev))
		}
	}
	return map[string][]revocation{"revocations": shown}, nil
}
