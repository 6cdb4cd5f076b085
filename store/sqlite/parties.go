package sqlite

import "github.com/caddy-bearer/caddy-bearer/store"

// maxParties bounds how many of each kind are remembered.
const maxParties = 10_000

// parties are the principals and clients that the committer read last, and what
// the grants that are shared stand on. All writes pass through it, so it knows
// when they change and can spare every flow the same look-ups. Only what is
// committed, or written by the job under way, is ever in here: what may change a
// party, an account or a binding, and what is rolled back, empties it.
type parties struct {
	principals map[party]store.Principal
	clients    map[party]store.Client
	standings  map[likeness]store.Standing // what grants that are shared stand on
	accounts   int                         // of all standings together
	changed    bool                        // in the transaction under way, perhaps
}

type party struct {
	env store.Environment
	id  string
}

// forget also says that readers must not go by what they remember.
func (p *parties) forget() {
	clear(p.principals)
	clear(p.clients)
	clear(p.standings)
	p.accounts = 0
	p.changed = true
}

// principal reads a principal as it is in this transaction.
func (t *tx) principal(env store.Environment, id string) (store.Principal, error) {
	return recall(&t.parties.principals, party{env, id}, func() (store.Principal, error) {
		return reader{t.session}.Principal(env, id)
	})
}

// client reads a client as it is in this transaction.
func (t *tx) client(env store.Environment, id string) (store.Client, error) {
	return recall(&t.parties.clients, party{env, id}, func() (store.Client, error) {
		return reader{t.session}.Client(env, id)
	})
}

// standing recalls what all grants stand on that are alike. Its Grant has the
// accounts alone, as they are on file.
func (p *parties) standing(like likeness, read func() (store.Standing, error)) (store.Standing, error) {
	if found, ok := p.standings[like]; ok {
		return found, nil
	}
	found, err := read()
	if err != nil {
		return found, err
	}
	found.Grant = store.Grant{Accounts: found.Grant.Accounts}
	if p.accounts += len(found.Grant.Accounts); p.standings == nil || len(p.standings) >= maxParties || p.accounts > maxParties {
		p.standings, p.accounts = make(map[likeness]store.Standing), len(found.Grant.Accounts)
	}
	p.standings[like] = found
	return found, nil
}

func recall[T any](known *map[party]T, who party, read func() (T, error)) (T, error) {
	if found, ok := (*known)[who]; ok {
		return found, nil
	}
	found, err := read()
	if err != nil {
		return found, err
	}
	if *known == nil || len(*known) >= maxParties {
		*known = make(map[party]T)
	}
	(*known)[who] = found
	return found, nil
}
