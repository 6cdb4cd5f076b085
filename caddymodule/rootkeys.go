package caddymodule

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// bindRoot opens the root key of a configuration. While the process runs, only
// rotateRoot makes another key the current one: a configuration that brought one
// along and is rejected later could not take it back.
func (rt *runtime) bindRoot(ctx context.Context, path string) error {
	if rt.root != nil {
		root, err := token.LoadRootKey(path)
		if err != nil {
			return err
		}
		if root.ID() != rt.root.ID() {
			return fmt.Errorf("root key %s: the file must begin with key %s, which is in use, but it holds key %s; a new one is made by: caddy bearer key rotate-root",
				path, rt.root.ID(), strings.Join(root.IDs(), ", "))
		}
	}
	root, err := token.BindRootKey(ctx, rt.store, path)
	if err != nil {
		return err
	}
	rt.useRoot(root)
	return nil
}

// useRoot has everything made with a root key from now on, in all environments.
func (rt *runtime) useRoot(root *token.RootKey) {
	rt.root = root
	for _, w := range rt.worlds {
		w.authority.UseRootKey(root)
	}
	rt.trail.useRoot(root)
}

// rotateRoot makes a new root key. First it is on the disk, then in use, then
// the store belongs to it: wherever this is interrupted, the next start finds
// both keys in the file and finishes it, and so does the command when it is
// repeated.
func (rt *runtime) rotateRoot(ctx context.Context, events []store.Event) (*token.RootKey, error) {
	if !rt.applying.TryLock() { // two commands at once must not make two keys
		return nil, refuse(http.StatusConflict, "the configuration or the root key is being changed at this moment; nothing was changed, look again")
	}
	defer rt.applying.Unlock()
	if !rt.rotatingRoot {
		root, err := token.RotateRootKey(rt.applied.Load().RootKeyFile, rt.root)
		if err != nil {
			return nil, refuse(http.StatusConflict, "%v", err)
		}
		rt.rotatingRoot = true
		rt.useRoot(root)
	}
	for i := range events {
		events[i].Target = "root_key:" + rt.root.ID()
	}
	if err := token.AdoptRootKey(ctx, rt.store, rt.root, events...); err != nil {
		return nil, refuse(http.StatusServiceUnavailable,
			"the new root key %s is in the file and in use, but the database could not follow (%v); repeat the command, or the next start will do it", rt.root.ID(), err)
	}
	rt.rotatingRoot = false
	return rt.root, nil
}

// rootNeeds counts what is worth nothing without an old root key.
type rootNeeds struct {
	Tokens  int `json:"tokens"`  // codes and sessions too
	Secrets int `json:"secrets"` // of clients, service accounts and connections
}

func (n rootNeeds) any() bool { return n != rootNeeds{} }

func (n rootNeeds) String() string {
	return fmt.Sprintf("%d tokens and %d secrets", n.Tokens, n.Secrets)
}

// needsOf counts what was made with the key alone, in every environment of the
// store, configured or not.
func (rt *runtime) needsOf(ctx context.Context, key *token.RootKey) (n rootNeeds, err error) {
	err = rt.store.View(ctx, func(tx store.Reader) error {
		for env, keyID := range key.KeyIDs() {
			tokens, err := tx.MadeWith(env, keyID, time.Now())
			if err != nil {
				return err
			}
			secrets, err := secretHashes(tx, env)
			if err != nil {
				return err
			}
			n.Tokens += tokens
			for _, hash := range secrets {
				if token.SecretKeyID(hash) == keyID {
					n.Secrets++
				}
			}
		}
		return nil
	})
	return n, err
}

func secretHashes(tx store.Reader, env store.Environment) (hashes []string, err error) {
	clients, err := tx.Clients(env)
	if err != nil {
		return nil, err
	}
	principals, err := tx.Principals(env)
	if err != nil {
		return nil, err
	}
	connections, err := tx.Connections(env)
	for i := range clients {
		hashes = append(hashes, clients[i].SecretHash, clients[i].OldSecret(time.Now()))
	}
	for i := range principals {
		hashes = append(hashes, principals[i].SecretHash)
	}
	for i := range connections {
		hashes = append(hashes, connections[i].UserSecret)
	}
	return hashes, err
}

// forgetRoot takes an old root key out of the file and out of use. What still
// needs it is counted first, and is the reason to refuse unless it is forced.
func (rt *runtime) forgetRoot(ctx context.Context, id string, force bool) (needs rootNeeds, err error) {
	rt.applying.Lock()
	defer rt.applying.Unlock()
	at := slices.Index(rt.root.IDs(), id)
	switch {
	case at < 0:
		return needs, refuse(http.StatusNotFound, "there is no root key %q; there are: %s", id, strings.Join(rt.root.IDs(), ", "))
	case at == 0:
		return needs, refuse(http.StatusConflict, "root key %s is the current one, with which everything is made; make another first: caddy bearer key rotate-root", id)
	}
	// Signing keys that are sealed with it are no reason: they can follow.
	if err := token.AdoptRootKey(ctx, rt.store, rt.root); err != nil {
		return needs, err
	}
	if needs, err = rt.needsOf(ctx, rt.root.All()[at]); err != nil {
		return needs, err
	}
	if needs.any() && !force {
		return needs, refuse(http.StatusConflict, "root key %s is still needed by %s; wait for the tokens to expire and rotate the secrets, or end them with --force", id, needs)
	}
	root, err := token.ForgetRootKey(rt.applied.Load().RootKeyFile, id)
	if err != nil {
		return needs, refuse(http.StatusConflict, "%v", err)
	}
	rt.useRoot(root)
	return needs, nil
}

// rootKeys are the root keys in use, the current one first.
func (rt *runtime) rootKeys() []*token.RootKey {
	rt.applying.Lock()
	defer rt.applying.Unlock()
	return rt.root.All()
}
