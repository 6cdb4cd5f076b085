package caddymodule

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

const (
	// maxCounted bounds how many grants a dry run looks at.
	maxCounted = 10_000
	// maxNamed bounds how many of them it names.
	maxNamed = 20
)

// ending is what an operation would end, as a dry run of it tells.
type ending struct {
	DryRun     bool     `json:"dry_run"` // always true: nothing was changed
	Kind       string   `json:"kind"`    // what the operation is aimed at
	Target     string   `json:"target"`
	Principals []string `json:"principals"` // of the grants that would end
	Clients    []string `json:"clients"`
	Grants     int      `json:"grants"`
	GrantIDs   []string `json:"grant_ids"`      // the newest
	More       bool     `json:"more,omitempty"` // there are more grants than were counted
	Tokens     int      `json:"tokens"`         // long-lived ones: signed access tokens are not recorded
	Streams    int      `json:"streams"`        // that would be cut
	Requests   int      `json:"requests"`       // that would be cut if they take longer than half a second
	UnderWay   []riding `json:"under_way"`      // whose these are

	// Trading tokens among them, which end because a user knows their value.
	Shared []knownToken `json:"shared_tokens,omitempty"`
}

// riding counts the streams and requests under way of a client for a principal.
type riding struct {
	Principal string `json:"principal"`
	Client    string `json:"client"`
	Streams   int    `json:"streams"`
	Requests  int    `json:"requests"`
}

// reach says what an operation ends: which grants, and which of the exchanges
// that are under way.
type reach struct {
	kind   store.Kind
	target string
	grants store.GrantFilter // zero: none, unless kind is KindGrant
	alone  bool              // a long-lived token that dies without its grant
	shared []knownToken      // whose grants end too
	rides  func(*token.Facts) bool
}

// reachOf is that of a revocation, also of what a command does not revoke yet:
// who can answer c.wouldEnd with it has a dry run.
func reachOf(kind store.Kind, target string) reach {
	r := reach{kind: kind, target: target}
	switch kind {
	case store.KindToken:
		r.rides = func(f *token.Facts) bool { return f.ID == target }
	case store.KindGrant:
		r.rides = func(f *token.Facts) bool { return f.Grant == target }
	case store.KindPrincipal:
		r.grants.Principal = target
		r.rides = func(f *token.Facts) bool { return f.Subject == target }
	case store.KindClient:
		r.grants.Client = target
		r.rides = func(f *token.Facts) bool { return f.Client == target }
	case store.KindAccount:
		r.grants.Account = target
		r.rides = func(f *token.Facts) bool { return slices.Contains(f.Accounts, target) }
	case store.KindKey: // its grants stay, and can be renewed
		r.rides = func(f *token.Facts) bool { return f.KeyID == target }
	case store.KindRights: // likewise
		r.rides = func(f *token.Facts) bool { return f.Subject == target }
	case store.KindClientRights:
		r.rides = func(f *token.Facts) bool { return f.Client == target }
	case store.KindRightsGiven, store.KindClientRightsGiven: // these end nothing
		r.rides = func(*token.Facts) bool { return false }
	}
	return r
}

// reachOfUnbinding is that of taking an account from a principal: the grants for
// the account end, and all tokens of the principal are judged by its new rights.
func reachOfUnbinding(principal, account string) reach {
	r := reachOf(store.KindRights, principal)
	r.kind, r.target = "binding", principal+"/"+account
	r.grants = store.GrantFilter{Principal: principal, Account: account}
	return r
}

// readDryRun reads the one parameter that calls which change something have. A
// misspelt one is refused, because it would end what it should have counted, and
// so is one for what ends nothing: the caller believes that nothing happens.
func (c *adminCall) readDryRun(route *adminRoute) error {
	changes := route.method != "" && route.method != http.MethodGet
	if !changes || c.request.URL.RawQuery == "" {
		return nil
	}
	asked, err := c.query("dry_run")
	if err != nil {
		return err
	}
	if c.dry, err = strconv.ParseBool(asked["dry_run"]); err != nil {
		return refuse(http.StatusBadRequest, "dry_run %q: expected true or false", asked["dry_run"])
	}
	verb := route.path[strings.LastIndexByte(route.path, '/')+1:]
	if verb == "revoke" || verb == "disable" || route.method == http.MethodDelete || route.method == http.MethodPatch {
		return nil // whose change has none refuses it
	}
	return c.refuseDryRun()
}

// refuseDryRun is for what ends something and has none.
func (c *adminCall) refuseDryRun() error {
	if c.dry {
		return refuse(http.StatusBadRequest, "%s %s has no dry run", c.request.Method, c.request.URL.Path)
	}
	return nil
}

// wouldEnd answers a dry run. What prepare refuses would be refused without it
// too.
func (c *adminCall) wouldEnd(prepare func(store.Reader) (reach, error)) (any, error) {
	shown := ending{DryRun: true, Principals: []string{}, Clients: []string{}, GrantIDs: []string{}}
	var r reach
	err := c.view(func(tx store.Reader) (err error) {
		if r, err = prepare(tx); err != nil {
			return err
		}
		shown.Shared = r.shared
		return shown.countGrants(tx, c.env, &r)
	})
	if err != nil {
		return nil, err
	}
	shown.Kind, shown.Target = string(r.kind), r.target
	if r.alone {
		shown.Tokens++
	}
	shown.countRiders(c.authority.UnderWay(func(f *token.Facts) bool { return f != nil && (r.rides(f) || r.rideShared(f)) }))
	return shown, nil
}

// rideShared reports whether an exchange rides on one of the trading tokens that
// would end.
func (r *reach) rideShared(f *token.Facts) bool {
	return slices.ContainsFunc(r.shared, func(t knownToken) bool { return t.grant.ID == f.Grant })
}

// wouldEnd answers the dry run of an operation on the record that the path names.
func (k *recordKind[R]) wouldEnd(c *adminCall, allowed func(*R) error, keep bool) (any, error) {
	return c.wouldEnd(func(tx store.Reader) (reach, error) {
		id := c.request.PathValue("id")
		r := reachOf(k.kills, id)
		row, err := k.find(tx, c)
		if err == nil {
			err = allowed(&row)
		}
		if err == nil && k.shares && !keep {
			r.shared, err = knownTokens(tx, c.env, id, "", c.authority.Now())
		}
		return r, err
	})
}

func (e *ending) countGrants(tx store.Reader, env store.Environment, r *reach) error {
	now := time.Now()
	rows, err := r.liveGrants(tx, env, now)
	if err != nil {
		return err
	}
	for i := range r.shared {
		rows = append(rows, r.shared[i].grant)
	}
	if e.More = len(rows) > maxCounted; e.More {
		rows = rows[:maxCounted]
	}
	principals, clients := map[string]bool{}, map[string]bool{}
	for i := range rows {
		g, err := shownGrant(tx, &rows[i], now)
		if err != nil {
			return err
		}
		if g.Status != statusLive {
			continue
		}
		e.Grants++
		principals[g.Principal], clients[g.Client] = true, true
		if len(e.GrantIDs) < maxNamed {
			e.GrantIDs = append(e.GrantIDs, g.ID)
		}
		tokens, err := tx.TokensOf(env, g.ID)
		if err != nil {
			return err
		}
		for k := range tokens {
			if tokenStatus(&tokens[k], statusLive, now) == statusLive {
				e.Tokens++
			}
		}
	}
	e.Principals, e.Clients = sortedKeys(principals), sortedKeys(clients)
	return nil
}

// liveGrants reads the grants that would end, one more than are counted at most.
func (r *reach) liveGrants(tx store.Reader, env store.Environment, now time.Time) ([]store.Grant, error) {
	switch {
	case r.kind == store.KindGrant:
		one, err := tx.Grant(env, r.target)
		return []store.Grant{one}, err
	case r.grants == store.GrantFilter{}:
		return nil, nil
	}
	filter := r.grants
	filter.Live, filter.Limit = now, maxCounted+1
	return tx.Grants(env, filter)
}

func (e *ending) countRiders(riders []token.UnderWay) {
	type pair struct{ principal, client string }
	counts := map[pair]riding{}
	for _, one := range riders {
		who := pair{one.Facts.Subject, one.Facts.Client}
		count := counts[who]
		if one.Streaming {
			count.Streams++
			e.Streams++
		} else {
			count.Requests++
			e.Requests++
		}
		count.Principal, count.Client = who.principal, who.client
		counts[who] = count
	}
	e.UnderWay = slices.SortedFunc(maps.Values(counts), func(a, b riding) int {
		return cmp.Or(cmp.Compare(a.Principal, b.Principal), cmp.Compare(a.Client, b.Client))
	})
	if e.UnderWay == nil {
		e.UnderWay = []riding{}
	}
}
