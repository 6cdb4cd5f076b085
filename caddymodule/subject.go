package caddymodule

import (
	"errors"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// subjectOf says for the audit trail whom a change of a target concerns: the user
// whose it is, or the account. "": nobody who could look at the portal.
func subjectOf(tx store.Reader, env store.Environment, target string) (string, error) {
	kind, id, _ := strings.Cut(target, ":")
	var owner string
	switch kind {
	case string(store.KindAccount):
		return store.AccountWord(id), nil
	case string(store.KindPrincipal), string(store.KindRights):
		owner = id
	case "binding":
		owner, _, _ = strings.Cut(id, "/")
	case string(store.KindClient), string(store.KindClientRights):
		client, err := tx.Client(env, id)
		if err != nil {
			return "", unlessUnknown(err)
		}
		owner = client.Owner
	}
	if owner == "" {
		return "", nil
	}
	p, err := tx.Principal(env, owner)
	switch {
	case err != nil && !errors.Is(err, store.ErrNotFound):
		return "", err
	case p.Kind == store.User:
		return store.UserWord(p.ID), nil
	case p.Kind == store.AccountPrincipal:
		return store.AccountWord(p.ID), nil
	}
	return "", nil
}
