package sqlite

import "github.com/caddy-bearer/caddy-bearer/store"

// maxParties bounds how many of either kind are remembered.
const maxParties = 10_000

// parties are the principals and clients that the committer read last. All
// writes pass through it, so it knows when they change and can spare every flow
// the same two look-ups. Only what is committed, or written by the job under
// way, is ever in here: what may change a party, and what is rolled back, empties it.
type parties struct {
	principals map[party]store.Principal
	clients    map[party]store.Client
	changed    bool // in the transaction under way, perhaps
}

type party struct {
	env store.Environment
	id  string
}

// forget also says that readers must not go by what they remember.
func (p *parties) forget() {
	clear(p.principals)
	clear(p.clients)
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
