package token

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// mint is a crowd that mints until it is stopped.
type mint struct {
	minting sync.WaitGroup
	stop    chan struct{}
	stopped sync.Once
	minted  chan struct{} // holds something if there is a new one

	mu  sync.Mutex
	all []Minted
}

func (m *mint) add(one Minted) {
	m.mu.Lock()
	m.all = append(m.all, one)
	m.mu.Unlock()
	select {
	case m.minted <- struct{}{}:
	default:
	}
}

// before waits for a new token and returns all that there are.
func (m *mint) before() []Minted {
	<-m.minted
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.all)
}

func (m *mint) end() []Minted {
	m.stopped.Do(func() { close(m.stop) })
	m.minting.Wait()
	return m.all
}

// wholeLife is longer than any token of a test lives.
const wholeLife = 2 * time.Hour

// mintShared issues a grant of all:a, or shares one if share is not zero, and
// mints a token from it.
func (n *node) mintShared(share time.Duration) (Minted, string, error) {
	standing, err := n.store.Issue(context.Background(), store.Issue{Share: share, Grant: store.Grant{
		Environment: store.Sandbox, ID: NewID(), Principal: "alice", Client: "bot",
		Scopes: []string{"all:a"}, Accounts: []string{"1"}, Created: n.clock.now(), Expires: n.clock.now().Add(wholeLife),
	}})
	if err != nil {
		return Minted{}, "", err
	}
	one, err := n.Mint(&standing, standing.Grant.Expires)
	return one, standing.Grant.ID, err
}

// eachWayToMint runs a test with a grant for each token, and with a shared one.
func eachWayToMint(t *testing.T, test func(t *testing.T, n *node, share time.Duration)) {
	t.Run("a grant each", func(t *testing.T) { test(t, openNode(t), 0) })
	t.Run("a shared grant", func(t *testing.T) { test(t, openNode(t), 24*time.Hour) })
}

// openMint has four mint, until the test ends at the latest.
func (n *node) openMint(t testing.TB, share time.Duration) *mint {
	m := &mint{stop: make(chan struct{}), minted: make(chan struct{}, 1)}
	for range 4 {
		m.minting.Go(func() {
			for {
				select {
				case <-m.stop:
					return
				default:
				}
				one, _, err := n.mintShared(share)
				if err != nil {
					panic(err)
				}
				m.add(one)
			}
		})
	}
	t.Cleanup(func() { m.end() })
	return m
}

// A token carries the rights that stood when its number did: never old rights
// under a new number.
func TestMintAgainstChangesOfRights(t *testing.T) {
	eachWayToMint(t, mintAgainstChangesOfRights)
}

func mintAgainstChangesOfRights(t *testing.T, n *node, share time.Duration) {
	const changes = 60
	// What the client, the principal and the binding allow, by turns.
	ceilings := [][]string{{"read:a"}, {"all:a"}, {"write:a"}, {"all:a"}}
	type era struct {
		from   int64 // the number that began it
		scopes string
	}
	history := []era{{0, "all:a"}}

	m := n.openMint(t, share)
	for k := range changes {
		m.before()
		ceiling := ceilings[k%len(ceilings)]
		var number int64
		n.update(t, func(tx store.Writer) (err error) {
			number, err = changeRights(tx, k/len(ceilings)%3, ceiling, n.clock.now())
			return err
		})
		history = append(history, era{number, strings.Join(ceiling, " ")})
	}
	all := m.end()

	seen := map[int64]bool{}
	for _, m := range all {
		lease, err := n.Check(m.Raw)
		if err != nil {
			t.Fatal(err)
		}
		at := len(history) - 1
		for history[at].from > lease.Rights {
			at--
		}
		seen[lease.Rights] = true
		if got := strings.Join(lease.Scopes, " "); got != history[at].scopes {
			t.Errorf("number %d carries %q; rights were %q then", lease.Rights, got, history[at].scopes)
		}
		// What was only given refuses nobody; all else does.
		want := Live
		for _, later := range history[at+1:] {
			if later.scopes != "all:a" {
				want = RightsChanged
			}
		}
		if got := n.Judge(lease, n.clock.now()); got != want {
			t.Errorf("number %d is %s, want %s", lease.Rights, got, want)
		}
	}
	if len(seen) < len(ceilings) {
		t.Errorf("%d tokens of %d eras: the test has tested nothing", len(all), len(seen))
	}
}

// changeRights gives a ceiling to one of the three that have one. The two others
// allow all:a then: each has its four in a row, of which the last is that.
func changeRights(tx store.Writer, which int, ceiling []string, now time.Time) (int64, error) {
	taken, given := store.KindRights, store.KindRightsGiven
	target := "alice"
	var err error
	switch which {
	case 0:
		taken, given, target = store.KindClientRights, store.KindClientRightsGiven, "bot"
		err = tx.PutClient(store.Client{Environment: store.Sandbox, ID: "bot", MaxScopes: ceiling, Status: store.Active})
	case 1:
		err = tx.PutPrincipal(store.Principal{Environment: store.Sandbox, ID: "alice", Kind: store.Service, MaxScopes: ceiling, Status: store.Active})
	case 2:
		err = tx.PutBinding(store.Binding{Environment: store.Sandbox, Principal: "alice", Account: "1", Access: store.Partial, Scopes: ceiling})
	}
	kind := taken
	if slices.Equal(ceiling, []string{"all:a"}) {
		kind = given
	}
	rev, revokeErr := tx.Revoke(store.Revocation{Environment: store.Sandbox, Kind: kind, Target: target, At: now})
	return rev.Number, errors.Join(err, revokeErr)
}

// What was handed out when a kill began is dead when it returns, and what was
// minted after it lives.
func TestMintAgainstKills(t *testing.T) { eachWayToMint(t, mintAgainstKills) }

func mintAgainstKills(t *testing.T, n *node, share time.Duration) {
	m := n.openMint(t, share)
	targets := []struct {
		kind   store.Kind
		target string
	}{{store.KindPrincipal, "alice"}, {store.KindClient, "bot"}, {store.KindAccount, "1"}}
	var last int64
	for k := range 30 {
		before := m.before()
		victim := targets[k%len(targets)]
		rev, err := n.Revoke(context.Background(), store.Revocation{Kind: victim.kind, Target: victim.target}, store.Event{})
		if err != nil {
			t.Fatal(err)
		}
		last = rev.Number
		for _, one := range before {
			if got := n.judge(t, one.Raw); got != Revoked {
				t.Fatalf("kill %d of %s returned, and a token from before is %s", k, victim.kind, got)
			}
		}
	}
	for _, one := range m.end() {
		lease, err := n.Check(one.Raw)
		if err != nil {
			t.Fatal(err)
		}
		want := Live
		if lease.Epoch < last {
			want = Revoked
		}
		if got := n.Judge(lease, n.clock.now()); got != want {
			t.Errorf("epoch %d is %s under %d", lease.Epoch, got, last)
		}
	}
	if after := n.access(t); n.judge(t, after.Raw) != Live {
		t.Error("a token minted after all kills is dead")
	}
}

// The grant that all mint from is revoked: what was handed out before is dead when
// the revocation returns, and so is all that is minted from that grant afterwards.
// Whoever asks later gets another one, and a token that lives.
func TestMintAgainstRevocationsOfTheSharedGrant(t *testing.T) {
	n := openNode(t)
	m := n.openMint(t, 24*time.Hour)
	revoked := map[string]bool{}
	for len(revoked) < 30 {
		before := m.before()
		lease, err := n.Check(before[len(before)-1].Raw)
		if err != nil {
			t.Fatal(err)
		}
		if revoked[lease.Grant] {
			continue // of one who was slow to mint
		}
		n.revoke(t, store.KindGrant, lease.Grant)
		revoked[lease.Grant] = true
		after, grant, err := n.mintShared(24 * time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		if got := n.judge(t, after.Raw); revoked[grant] || got != Live {
			t.Fatalf("revocation %d returned, and a token minted after it is %s; of a dead grant: %v", len(revoked), got, revoked[grant])
		}
		for _, one := range before {
			if lease, err := n.Check(one.Raw); err != nil || revoked[lease.Grant] && n.Judge(lease, n.Now()) != Revoked {
				t.Fatalf("revocation %d returned, and a token from before lives; %v", len(revoked), err)
			}
		}
	}
	shared := map[string]int{}
	for _, one := range m.end() {
		lease, err := n.Check(one.Raw)
		if err != nil {
			t.Fatal(err)
		}
		want := Live
		if revoked[lease.Grant] {
			want = Revoked
		}
		if got := n.Judge(lease, n.Now()); got != want {
			t.Errorf("a token is %s, want %s", got, want)
		}
		shared[lease.Grant]++
	}
	if len(shared) > len(revoked)+1 {
		t.Errorf("%d grants for %d revocations: they are not shared", len(shared), len(revoked))
	}
}

// One token is revoked by its id: those that share its grant live on, and so does
// the grant.
func TestRevokedTokenSparesThoseThatShareItsGrant(t *testing.T) {
	n := openNode(t)
	dead, grant, err := n.mintShared(24 * time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	alive, _, err := n.mintShared(24 * time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	found, err := n.Find(context.Background(), dead.Raw, "")
	if err != nil || found.Kind != store.KindToken || found.Target != dead.ID {
		t.Fatalf("found %+v, %v", found, err)
	}
	n.revoke(t, found.Kind, found.Target)
	after, same, err := n.mintShared(24 * time.Hour)
	if err != nil || same != grant {
		t.Errorf("the next token is of grant %s, %v; want %s", same, err, grant)
	}
	for raw, want := range map[string]Verdict{dead.Raw: Revoked, alive.Raw: Live, after.Raw: Live} {
		if got := n.judge(t, raw); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	n.revoke(t, store.KindGrant, grant)
	for _, one := range []Minted{alive, after} {
		if got := n.judge(t, one.Raw); got != Revoked {
			t.Errorf("the grant was revoked, and a token of it is %s", got)
		}
	}
}
