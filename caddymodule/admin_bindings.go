package caddymodule

import (
	"errors"
	"net/http"
	"slices"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// binding is an account that is open to a principal, as the list of all shows it.
type binding struct {
	boundAccount `json:",inline"`

	Principal string `json:"principal"`
}

// boundAccount is an account that is open to a user, service account or client.
type boundAccount struct {
	Account string       `json:"account"`
	Access  store.Access `json:"access"`
	Scopes  []string     `json:"scopes,omitempty"` // the most that partial access allows
	Source  store.Source `json:"source"`
}

// boundAccounts lists the accounts that are open to a principal.
func boundAccounts(tx store.Reader, env store.Environment, principal string) ([]boundAccount, error) {
	bindings, err := tx.Bindings(env, principal)
	open := make([]boundAccount, 0, len(bindings))
	for _, b := range bindings {
		open = append(open, boundAccount{b.Account, b.Access, b.Scopes, b.Source})
	}
	return open, err
}

func listBindings(c *adminCall) (any, error) {
	asked, err := c.query("principal", "account")
	if err != nil {
		return nil, err
	}
	shown := []binding{}
	err = c.view(func(tx store.Reader) error {
		rows, err := tx.Bindings(c.env, asked["principal"])
		for _, b := range rows {
			if b.Source == store.BuiltIn {
				continue // an account that acts for itself is open to itself
			}
			if asked["account"] == "" || asked["account"] == b.Account {
				shown = append(shown, binding{boundAccount{b.Account, b.Access, b.Scopes, b.Source}, b.Principal})
			}
		}
		return err
	})
	return map[string][]binding{"bindings": shown}, err
}

// binder changes the bindings of the principals that find finds.
type binder struct {
	find func(store.Reader, *adminCall) (owner, error)
}

// owner is a principal that accounts are bound to.
type owner struct {
	id   string
	word string // user, service account or client
	show func(store.Reader) (record, error)
}

// anyOwner finds the principal that the path names, whatever its kind.
func anyOwner(tx store.Reader, c *adminCall) (owner, error) {
	id := c.request.PathValue("id")
	p, err := tx.Principal(c.env, id)
	switch {
	case errors.Is(err, store.ErrNotFound), err == nil && p.Kind == store.AccountPrincipal:
		return owner{}, refuse(http.StatusNotFound, "there is no user, service account or client %q in %s", id, c.env)
	case err != nil:
		return owner{}, err
	case p.Kind != store.ClientPrincipal:
		return principalOwner(p), nil
	}
	client, err := tx.Client(c.env, id)
	return owner{id, clients.word, func(tx store.Reader) (record, error) { return clients.show(tx, &client) }}, err
}

// serviceAccountOwner finds the service account that the path names.
func serviceAccountOwner(tx store.Reader, c *adminCall) (owner, error) {
	p, err := serviceAccounts.find(tx, c)
	return principalOwner(p), err
}

func principalOwner(p store.Principal) owner {
	return owner{p.ID, principalWords[p.Kind], func(tx store.Reader) (record, error) { return showPrincipal(tx, &p) }}
}

// bind gives an account to a principal, or changes how much of it is open: all,
// or what some scopes allow.
func (b binder) bind(c *adminCall) (any, error) {
	var in struct {
		Scopes *[]string `json:"scopes"`
	}
	if c.request.ContentLength != 0 {
		if err := c.decode(&in); err != nil {
			return nil, err
		}
	}
	wanted := store.Binding{Access: store.Full}
	if in.Scopes != nil {
		wanted.Access, wanted.Scopes = store.Partial, *in.Scopes
		if len(wanted.Scopes) == 0 {
			return nil, refuse(http.StatusBadRequest, "scopes is empty; name some, or leave it out to open the account in full")
		}
	}
	if err := c.checkScopes(wanted.Scopes); err != nil {
		return nil, err
	}
	return b.rebind(c, "account.bind", "accounts were changed", func(tx *change, who owner, old *store.Binding) error {
		_, err := tx.Account(c.env, c.request.PathValue("account"))
		if errors.Is(err, store.ErrNotFound) {
			return refuse(http.StatusNotFound, "there is no account %q in %s", c.request.PathValue("account"), c.env)
		}
		if err != nil {
			return err
		}
		next := store.Binding{
			Environment: c.env, Principal: who.id, Account: c.request.PathValue("account"),
			Access: wanted.Access, Scopes: wanted.Scopes, Source: store.FromCommand,
		}
		if old != nil && old.Access == store.Full && next.Access == store.Partial {
			// Trading tokens open the account in full.
			if err := tx.endKnown(c, next.Principal, next.Account, false); err != nil {
				return err
			}
		}
		return tx.bind(next, old)
	})
}

// unbind takes an account away from a principal and ends what it granted for
// that, with the account's trading tokens whose value it knows.
func (b binder) unbind(c *adminCall) (any, error) {
	reason, keep, err := c.decodeEnding()
	if err != nil {
		return nil, err
	}
	if c.dry {
		return c.wouldEnd(func(tx store.Reader) (reach, error) {
			who, err := b.find(tx, c)
			if err != nil {
				return reach{}, err
			}
			account := c.request.PathValue("account")
			r := reachOfUnbinding(who.id, account)
			if _, err = unbindable(tx, c, who); err == nil && !keep {
				r.shared, err = knownTokens(tx, c.env, who.id, account, c.authority.Now())
			}
			return r, err
		})
	}
	return b.rebind(c, "account.unbind", reason, func(tx *change, who owner, _ *store.Binding) error {
		old, err := unbindable(tx, c, who)
		if err != nil {
			return err
		}
		if err := tx.unbind(old.Principal, old.Account); err != nil {
			return err
		}
		if err := tx.endKnown(c, old.Principal, old.Account, keep); err != nil {
			return err
		}
		return tx.raise(store.KindRights, old.Principal)
	})
}

// unbindable returns the binding that the path names, if a command may end it.
func unbindable(tx store.Reader, c *adminCall, who owner) (store.Binding, error) {
	old, err := commandsBinding(tx, c, who)
	switch {
	case err != nil:
		return store.Binding{}, err
	case old == nil:
		return store.Binding{}, refuse(http.StatusNotFound, "%s %s does not own account %q", who.word, who.id, c.request.PathValue("account"))
	}
	return *old, nil
}

// commandsBinding returns the binding that the path names, nil if there is none.
// Bindings have an owner of their own: a principal of the configuration may be
// given further accounts by command.
func commandsBinding(tx store.Reader, c *adminCall, who owner) (*store.Binding, error) {
	account := c.request.PathValue("account")
	present, err := tx.Bindings(c.env, who.id)
	at := slices.IndexFunc(present, func(b store.Binding) bool { return b.Account == account })
	switch {
	case err != nil || at < 0:
		return nil, err
	case present[at].Source == store.FromConfig:
		return nil, refuse(http.StatusConflict, "account %s of %s %s is declared in the configuration; change it there", account, who.word, who.id)
	}
	return &present[at], nil
}

// rebind changes the binding that the path names.
func (b binder) rebind(c *adminCall, action, reason string, apply func(*change, owner, *store.Binding) error) (any, error) {
	var shown record
	target := "binding:" + c.request.PathValue("id") + "/" + c.request.PathValue("account")
	err := c.change(action, target, reason, func(tx *change) error {
		who, err := b.find(tx, c)
		if err != nil {
			return err
		}
		old, err := commandsBinding(tx, c, who)
		if err != nil {
			return err
		}
		if err := apply(tx, who, old); err != nil {
			return err
		}
		shown, err = who.show(tx)
		return err
	})
	return shown, err
}
