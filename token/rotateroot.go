package token

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/internal/durable"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// RotateRootKey puts a new root key before those of the file, which go on
// opening what they made, and returns it with them. When it returns without
// error the file is on the disk; the store still has to follow (AdoptRootKey).
//
// inUse is the key that the process runs with. If the file begins with another,
// of a rotation that was interrupted, that one is returned and none is made.
func RotateRootKey(path string, inUse *RootKey) (*RootKey, error) {
	inFile, err := LoadRootKey(path)
	if err != nil {
		return nil, err
	}
	if !inFile.holds(inUse.ID()) {
		return nil, fmt.Errorf("root key %s: the file no longer holds key %s, which is in use; put its line back", path, inUse.ID())
	}
	if inFile.ID() != inUse.ID() {
		return inFile, nil
	}
	older := inFile.All()
	if len(older) == maxRootKeys {
		return nil, fmt.Errorf("root key %s: the file holds %d keys, the most there may be; forget an old one first", path, maxRootKeys)
	}
	next := generateRootKey(older...)
	next.older = older
	if err := next.replaceFile(path); err != nil {
		return nil, err
	}
	return next, nil
}

// ForgetRootKey takes an older root key out of the file and returns those that
// are left. What it made is worth nothing afterwards.
func ForgetRootKey(path, id string) (*RootKey, error) {
	root, err := LoadRootKey(path)
	if err != nil {
		return nil, err
	}
	if root.ID() == id {
		return nil, fmt.Errorf("root key %s is the current one, with which everything is made", id)
	}
	if !root.holds(id) {
		return nil, fmt.Errorf("root key %s: the file does not hold key %s", path, id)
	}
	root.older = slices.DeleteFunc(root.older, func(k *RootKey) bool { return k.ID() == id })
	if err := root.replaceFile(path); err != nil {
		return nil, err
	}
	return root, nil
}

func (k *RootKey) holds(id string) bool { return slices.Contains(k.IDs(), id) }

// KeyIDs are the ids of the subkeys that the key alone, without older ones,
// gives each environment.
func (k *RootKey) KeyIDs() map[store.Environment]string {
	ids := map[store.Environment]string{}
	for _, env := range environments {
		ids[env] = subkeyID(k, env)
	}
	return ids
}

// replaceFile writes the keys to a file that exists, whole or not at all. A link
// stays one: what it leads to is replaced.
func (k *RootKey) replaceFile(path string) error {
	var text strings.Builder
	for _, one := range k.All() {
		text.WriteString(one.text())
	}
	target, err := filepath.EvalSymlinks(path)
	if err == nil {
		err = replace(target, text.String())
	}
	if err != nil {
		return fmt.Errorf("root key %s: the file can't be replaced, nothing was changed: %w", path, err)
	}
	if err := durable.SyncFolder(filepath.Dir(target)); err != nil {
		return fmt.Errorf("root key %s: the file was replaced, but that may not outlive a power cut; try again: %w", path, err)
	}
	return nil
}

func replace(path, text string) error {
	written, err := durable.Draft(path, text)
	if err != nil {
		return err
	}
	if err := os.Rename(written, path); err != nil {
		return errors.Join(err, os.Remove(written))
	}
	return nil
}

// AdoptRootKey makes the first key of root the one that the store belongs to,
// and seals under it what is sealed under older ones. It may be called again at
// any time, and finishes what was interrupted. events are recorded with it.
func AdoptRootKey(ctx context.Context, st store.Store, root *RootKey, events ...store.Event) error {
	var keyrings []*Keyring
	for _, env := range environments {
		keyrings = append(keyrings, NewKeyring(root, env))
	}
	return st.Update(ctx, func(tx store.Writer) error {
		for _, keyring := range keyrings {
			if err := errors.Join(keyring.reseal(tx), keyring.resealWebhooks(tx)); err != nil {
				return err
			}
		}
		for _, event := range events {
			if err := tx.Record(event); err != nil {
				return err
			}
		}
		return tx.SetMeta(metaRootKey, root.ID())
	})
}

// reseal seals the signing keys of the environment under the current subkeys: a
// few hundred bytes each, which takes microseconds. Keys that are out of use are
// left as they are: nobody opens them any more.
func (k *Keyring) reseal(tx store.Writer) error {
	records, err := tx.SigningKeys(k.environment)
	if err != nil {
		return err
	}
	current := k.current()
	for _, r := range records {
		if !usable(&r) || len(r.Sealed) == 0 || r.SealKeyID == current.keyID {
			continue
		}
		der, err := k.Unseal(r.SealKeyID, r.Sealed, []byte(r.ID))
		if err != nil {
			return fmt.Errorf("signing key %q of %s: %w; put the line of the older root key back into the file", r.ID, k.environment, err)
		}
		r.Sealed, r.SealKeyID = current.sealed(der, []byte(r.ID)), current.keyID
		if err := tx.PutSigningKey(r); err != nil {
			return err
		}
	}
	return nil
}
