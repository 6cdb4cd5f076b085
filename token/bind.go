package token

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// metaRootKey is where a store remembers the fingerprint of its root key.
const metaRootKey = "root_key"

// BindRootKey opens the root key that belongs to the store. A store that has
// none yet gets a new one, made at path; one that has is never served with
// another, because nothing in it could be opened. The key that it belongs to may
// stand anywhere in the file: if another comes first, a rotation was interrupted
// and is finished here.
func BindRootKey(ctx context.Context, st store.Store, path string) (*RootKey, error) {
	bound, err := boundRootKey(ctx, st)
	if err != nil {
		return nil, err
	}
	root, err := LoadRootKey(path)
	switch {
	case errors.Is(err, ErrNoRootKey) && bound != "":
		return nil, fmt.Errorf("%w: the database was made with root key %s; put that file back", err, bound)
	case errors.Is(err, ErrNoRootKey):
		if root, err = CreateRootKey(path); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	}
	if bound != "" && !root.holds(bound) {
		return nil, fmt.Errorf("root key %s: the file holds key %s, but the database was made with key %s", path, strings.Join(root.IDs(), ", "), bound)
	}
	if err := AdoptRootKey(ctx, st, root); err != nil {
		return nil, fmt.Errorf("root key %s: %w", path, err)
	}
	return root, nil
}

func boundRootKey(ctx context.Context, st store.Store) (id string, err error) {
	err = st.View(ctx, func(tx store.Reader) error {
		id, err = tx.Meta(metaRootKey)
		if errors.Is(err, store.ErrNotFound) {
			return nil
		}
		return err
	})
	return id, err
}

// IDs are the ids of the key and of the older ones of its file.
func (k *RootKey) IDs() []string {
	var ids []string
	for _, one := range k.All() {
		ids = append(ids, one.ID())
	}
	return ids
}
