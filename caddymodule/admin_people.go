package caddymodule

import (
	"net/http"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// peopleRoutes are those about how users sign in.
func peopleRoutes() []adminRoute {
	const one = inEnvironment + "/users/{id}"
	return []adminRoute{
		{"PUT", one + "/password", roleAdmin, setPassword},
		{"GET", one + "/sessions", roleRead, listSessions},
		{"POST", one + "/sessions/end", roleRevoke, endSessions},
	}
}

// passwordHash is what the store keeps of a password that a user may have.
func passwordHash(user, password string) (string, error) {
	if err := token.CheckPassword(user, password); err != nil {
		return "", refuse(http.StatusBadRequest, "%v", err)
	}
	hash, err := token.HashPassword(password)
	if err != nil {
		return "", refuse(http.StatusBadRequest, "the password cannot be used: %v", err)
	}
	return hash, nil
}

// setPassword lets a user sign in, by another password than before. Wherever the
// user is signed in, that ends.
func setPassword(c *adminCall) (any, error) {
	var in struct {
		Password string `json:"password"`
	}
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	hash, err := passwordHash(c.request.PathValue("id"), in.Password)
	if err != nil {
		return nil, err
	}
	return users.edit(c, "set_password", "", func(tx *change, row *store.Principal) error {
		row.SecretHash = hash
		_, err := tx.endSessions(row.ID, "")
		return err
	})
}

// openSession is a browser at which a user is signed in, as the admin API shows
// it. What the browser has is not among what is kept.
type openSession struct {
	ID      string    `json:"id"`
	Since   time.Time `json:"since"`
	Seen    time.Time `json:"seen"` // to the minute
	Expires time.Time `json:"expires"`
	Address string    `json:"address,omitzero"`
	Agent   string    `json:"agent,omitzero"` // what the browser says of itself
}

func listSessions(c *adminCall) (any, error) {
	shown := []openSession{}
	err := c.view(func(tx store.Reader) error {
		user, err := users.find(tx, c)
		if err != nil {
			return err
		}
		open, err := tx.Sessions(c.env, user.ID)
		now := c.authority.Now()
		for i := range open {
			if s := &open[i]; s.Lives(&user, now) {
				shown = append(shown, openSession{s.ID, s.Created, s.Seen, s.Expires, s.Address, s.Agent})
			}
		}
		return err
	})
	return map[string][]openSession{"sessions": shown}, err
}

// endSessions signs a user out: at one browser, or at all.
func endSessions(c *adminCall) (any, error) {
	var in struct {
		Session string `json:"session"`
	}
	if c.request.ContentLength != 0 {
		if err := c.decode(&in); err != nil {
			return nil, err
		}
	}
	id, ended := c.request.PathValue("id"), 0
	err := c.change("user.end_sessions", users.target(id), "", func(tx *change) error {
		user, err := users.find(tx, c)
		if err != nil {
			return err
		}
		ended, err = tx.endSessions(user.ID, in.Session)
		if err == nil && in.Session != "" && ended == 0 {
			return refuse(http.StatusNotFound, "user %s has no session %q", user.ID, in.Session)
		}
		return err
	})
	return map[string]int{"ended": ended}, err
}

// endSessions ends one session of a user, or all.
func (tx *change) endSessions(user, only string) (ended int, err error) {
	open, err := tx.Sessions(tx.env, user)
	if err != nil {
		return 0, err
	}
	for i := range open {
		if only != "" && open[i].ID != only {
			continue
		}
		if err := tx.DeleteSession(tx.env, open[i].Hash); err != nil {
			return ended, err
		}
		ended++
	}
	return ended, nil
}
