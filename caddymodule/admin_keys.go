package caddymodule

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

func keyRoutes() []adminRoute {
	return []adminRoute{
		{"GET", inEnvironment + "/keys", roleRead, listKeys},
		{"POST", inEnvironment + "/keys", roleAdmin, rotateKey},
		{"GET", inEnvironment + "/keys/{id}", roleRead, showKey},
		{"POST", inEnvironment + "/keys/{id}/revoke", roleRevoke, revokeKey},
		{"GET", "/root-keys", roleRead, listRootKeys},
		{"POST", "/root-keys", roleAdmin, rotateRootKey},
		{"POST", "/root-keys/{id}/forget", roleAdmin, forgetRootKey},
	}
}

// shownKey is a signing key as the admin API shows it.
type shownKey struct {
	ID        string         `json:"id"` // the kid
	Algorithm string         `json:"algorithm"`
	State     token.KeyState `json:"state"`
	Source    string         `json:"source"` // generated or file
	Created   time.Time      `json:"created"`
	SignFrom  time.Time      `json:"sign_from"`
	SignUntil time.Time      `json:"sign_until,omitzero"` // absent: until a newer one takes over
	Retires   time.Time      `json:"retires,omitzero"`    // absent: not known yet
	JWK       jsontext.Value `json:"jwk,omitempty"`       // if it is published and shown alone
}

func shownSigningKey(r *store.SigningKey, life token.KeyLife) shownKey {
	source := "generated"
	if r.SealKeyID == "" {
		source = "file"
	}
	return shownKey{
		ID: r.ID, Algorithm: r.Algorithm, State: life.State, Source: source,
		Created: r.Created, SignFrom: r.SignFrom, SignUntil: life.Stops, Retires: life.Retires,
	}
}

// keys lists the signing keys of the environment, the newest first.
func (c *adminCall) keys() ([]shownKey, error) {
	records, lives, err := c.authority.Keys(c.request.Context())
	shown := []shownKey{}
	for i := range records {
		shown = append(shown, shownSigningKey(&records[i], lives[records[i].ID]))
	}
	slices.SortStableFunc(shown, func(a, b shownKey) int { return b.SignFrom.Compare(a.SignFrom) })
	return shown, err
}

func listKeys(c *adminCall) (any, error) {
	keys, err := c.keys()
	return map[string][]shownKey{"keys": keys}, err
}

// key finds one of the signing keys.
func (c *adminCall) key(id string) (shownKey, error) {
	keys, err := c.keys()
	if err != nil {
		return shownKey{}, err
	}
	at := slices.IndexFunc(keys, func(k shownKey) bool { return k.ID == id })
	if at < 0 {
		return shownKey{}, refuse(http.StatusNotFound, "there is no signing key %q in %s", id, c.env)
	}
	return keys[at], nil
}

func showKey(c *adminCall) (any, error) {
	key, err := c.key(c.request.PathValue("id"))
	if err != nil {
		return nil, err
	}
	key.JWK, err = c.authority.JWK(key.ID)
	return key, err
}

func rotateKey(c *adminCall) (any, error) {
	var in struct {
		Now bool `json:"now"`
	}
	if c.request.ContentLength != 0 {
		if err := c.decode(&in); err != nil {
			return nil, err
		}
	}
	next, err := c.authority.RotateKey(c.request.Context(), in.Now, c.actor)
	switch {
	case errors.Is(err, token.ErrKeyFile):
		return nil, refuse(http.StatusConflict, "the signing key of %s comes from a file, %s; put another key there and reload", c.env, c.app.Environments[c.env].SigningKeyFile)
	case errors.Is(err, token.ErrKeyComing):
		return nil, refuse(http.StatusConflict, "%v; with --now it signs at once", err)
	case errors.Is(err, token.ErrKeysChanged):
		return nil, refuse(http.StatusConflict, "%v; look at them again", err)
	case err != nil:
		return nil, err
	}
	c.status = http.StatusCreated
	return c.key(next.ID)
}

func revokeKey(c *adminCall) (any, error) {
	reason, err := c.decodeReason()
	if err != nil {
		return nil, err
	}
	id := c.request.PathValue("id")
	if c.dry {
		if _, err := c.key(id); err != nil {
			return nil, err
		}
		return c.wouldEnd(func(store.Reader) (reach, error) { return reachOf(store.KindKey, id), nil })
	}
	done, err := c.authority.RevokeKey(c.request.Context(), id, reason, c.event("key.revoke", "key:"+id))
	if errors.Is(err, store.ErrNotFound) {
		return nil, refuse(http.StatusNotFound, "there is no signing key %q in %s", id, c.env)
	}
	if err != nil {
		return nil, err
	}
	return shownRevocation(done), nil
}

// shownRootKey is a root key as the admin API shows it.
type shownRootKey struct {
	ID     string    `json:"id"`
	State  string    `json:"state"` // rootCurrent or rootOld
	Needed rootNeeds `json:"needed_by"`
}

// What a root key of the file is: new things are made with the current one alone.
const (
	rootCurrent = "current"
	rootOld     = "old"
)

func listRootKeys(c *adminCall) (any, error) {
	rt := c.app.runtime
	shown := []shownRootKey{}
	for i, key := range rt.rootKeys() {
		needs, err := rt.needsOf(c.request.Context(), key)
		if err != nil {
			return nil, err
		}
		state := rootOld
		if i == 0 {
			state = rootCurrent
		}
		shown = append(shown, shownRootKey{key.ID(), state, needs})
	}
	return map[string][]shownRootKey{"root_keys": shown}, nil
}

// rootEvents are the lines of the audit trail for what concerns the root key: one
// for each environment that is served.
func (c *adminCall) rootEvents(action, id string) (events []store.Event) {
	now := time.Now().UTC()
	for _, env := range sortedKeys(c.app.Environments) {
		event := c.event(action, "root_key:"+id)
		event.Environment, event.At = env, now
		events = append(events, event)
	}
	return events
}

// rotateRootKey can't be stopped by a caller that hangs up: half of it would be
// done.
func rotateRootKey(c *adminCall) (any, error) {
	ctx := context.WithoutCancel(c.request.Context())
	root, err := c.app.runtime.rotateRoot(ctx, c.rootEvents("root_key.rotate", ""))
	if err != nil {
		return nil, err
	}
	c.status = http.StatusCreated
	return shownRootKey{ID: root.ID(), State: rootCurrent}, nil
}

func forgetRootKey(c *adminCall) (any, error) {
	var in struct {
		Force bool `json:"force"`
	}
	if c.request.ContentLength != 0 {
		if err := c.decode(&in); err != nil {
			return nil, err
		}
	}
	id := c.request.PathValue("id")
	ctx := context.WithoutCancel(c.request.Context())
	ended, err := c.app.runtime.forgetRoot(ctx, id, in.Force)
	if err != nil {
		return nil, err
	}
	err = c.store().Update(ctx, func(tx store.Writer) error {
		for _, event := range c.rootEvents("root_key.forget", id) {
			if err := tx.Record(event); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, refuse(http.StatusServiceUnavailable, "root key %s was taken out of the file, but the audit trail could not be written: %v", id, err)
	}
	return shownRootKey{ID: id, State: "forgotten", Needed: ended}, nil
}
