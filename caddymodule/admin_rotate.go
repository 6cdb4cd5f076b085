package caddymodule

import (
	"net/http"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Clients and apps may have two secrets while one replaces the other, so that their
// programs can be changed one after the other.

// decodeOverlap reads how long the secret before stays good. Without a body: not at
// all.
func (c *adminCall) decodeOverlap() (time.Duration, error) {
	if c.request.ContentLength == 0 {
		return 0, nil
	}
	var in struct {
		Overlap string `json:"overlap"`
	}
	if err := c.decode(&in); err != nil {
		return 0, err
	}
	return parseOverlap(in.Overlap)
}

// parseOverlap reads a duration as Go writes it; empty: none.
func parseOverlap(given string) (time.Duration, error) {
	if given == "" {
		return 0, nil
	}
	overlap, err := time.ParseDuration(given)
	if err != nil || overlap < 0 || overlap > store.MaxSecretOverlap {
		return 0, refuse(http.StatusBadRequest, "overlap %q: expected a duration from 0 to %s, for example 24h", given, "168h")
	}
	return overlap, nil
}

func rotateClientSecret(c *adminCall) (any, error) { return rotateOverlapping(c, &clients) }

func rotateAppSecret(c *adminCall) (any, error) { return rotateOverlapping(c, &apps) }

// rotateOverlapping is rotateSecret for who may have two secrets for a while, or none.
func rotateOverlapping(c *adminCall, kind *recordKind[store.Client]) (any, error) {
	overlap, err := c.decodeOverlap()
	if err != nil {
		return nil, err
	}
	secret, hash := c.newSecret()
	reason := ""
	if overlap > 0 {
		reason = "the secret before stays good for " + overlap.String()
	}
	shown, err := kind.edit(c, "rotate_secret", reason, func(tx *change, row *store.Client) error {
		if row.Public {
			return refuse(http.StatusConflict, "client %s is public: it has no secret; turn it into one that has with public false", row.ID)
		}
		row.ReplaceSecret(hash, tx.now, overlap)
		return nil
	})
	shown.Secret = secret
	return shown, err
}

// shownOverlap is until when a client's secret before is good, zero if it is no
// more.
func shownOverlap(c *store.Client) time.Time {
	if c.OldSecret(time.Now()) == "" {
		return time.Time{}
	}
	return c.OldSecretUntil
}
