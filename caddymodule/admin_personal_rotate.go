package caddymodule

import (
	"errors"
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-bearer/caddy-bearer/issuer"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// rotatedToken is the answer to a rotation: the successor, with its value for the
// only time, and when the old one ends.
type rotatedToken struct {
	personalToken `json:",inline"`

	Replaces string    `json:"replaces"`
	Ends     time.Time `json:"replaced_ends"`
}

// rotatePersonal issues the successor of a personal token.
func rotatePersonal(c *adminCall) (any, error) {
	var in struct {
		Overlap string `json:"overlap"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	overlap, err := caddy.ParseDuration(in.Overlap)
	if err != nil || overlap < 0 || overlap > token.MaxOverlap {
		return nil, refuse(http.StatusBadRequest, "overlap %q: expected a time from 0s to 30d, as in 0s, 1h, 24h, 7d", in.Overlap)
	}
	id := c.request.PathValue("id")
	done, err := c.authority.RotatePersonal(c.request.Context(), token.Rotation{
		Token: id, Successor: token.NewID(), Overlap: overlap, Event: c.event,
	})
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, refuse(http.StatusNotFound, "there is no personal token %q in %s", id, c.env)
	case errors.Is(err, token.ErrEnded):
		return nil, refuse(http.StatusConflict, "personal token %s has ended; issue a new one", id)
	case errors.Is(err, token.ErrRotated):
		return nil, refuse(http.StatusConflict, "personal token %s was rotated before; rotate its successor", id)
	case errors.Is(err, token.ErrNoPolicy):
		return nil, c.checkScopes(nil)
	case errors.Is(err, store.ErrRevoked):
		return nil, refuse(http.StatusConflict, "the owner of personal token %s is disabled", id)
	case err != nil:
		return nil, unfit(err)
	}
	if overlap > 0 { // a copy of the database from before would let it live for longer
		c.app.runtime.note(c.env, "personal_token.rotate", "token:"+id)
	}
	c.app.runtime.worlds[c.env].seen.issuedFor(issuer.GrantPersonal)
	c.status = http.StatusCreated
	shown := shownPersonal(&done.Grant, &done.Token, statusLive)
	shown.Token = done.Value
	return rotatedToken{shown, id, done.Ends}, nil
}
