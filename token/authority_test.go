package token

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite"
	"github.com/caddy-bearer/caddy-bearer/store/sqlite/sqlitetest"
)

// node is an Authority on a real database.
type node struct {
	*Authority
	store store.Store
	clock *clock
	root  string // the root key's file
}

func openNode(t testing.TB) *node {
	t.Helper()
	clock := newClock()
	n := openNodeAt(t, steady(clock.now))
	n.clock = clock
	return n
}

// openNodeAt is a node whose time is told by any clock.
func openNodeAt(t testing.TB, clock *steadyClock) *node {
	t.Helper()
	a := newAuthority(store.Sandbox, clock)
	dir := t.TempDir()
	st, err := sqlite.Open(context.Background(), sqlite.Options{Path: sqlitetest.Path(t), Committed: a.Apply})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	vocabulary, err := policy.Load("test.yaml", []byte(`
version: 1
scopes:
  read:a: {title: A, risk: read}
  write:a: {title: B, risk: trade}
  all:a: {title: C, risk: trade, implies: [read:a, write:a]}
routes:
  - {id: a, match: {methods: [GET], path: /a}, require: {scopes: [read:a]}}
`))
	if err != nil {
		t.Fatal(err)
	}
	root, err := BindRootKey(context.Background(), st, filepath.Join(dir, "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Configure(Settings{
		Issuer: "https://as.test", Audience: "https://gw.test", AccessLifetime: time.Hour, Algorithm: ES256, CacheBytes: 1 << 20,
		Policy: func() *policy.Policy { return vocabulary },
	}); err != nil {
		t.Fatal(err)
	}
	if err := a.Open(context.Background(), st, root); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	n := &node{Authority: a, store: st, root: filepath.Join(dir, "root.key")}
	n.update(t, func(tx store.Writer) error {
		return errors.Join(
			tx.PutPrincipal(store.Principal{Environment: store.Sandbox, ID: "alice", Kind: store.Service, MaxScopes: []string{"all:a"}, Status: store.Active}),
			tx.PutClient(store.Client{Environment: store.Sandbox, ID: "bot", MaxScopes: []string{"all:a"}, Status: store.Active}),
			tx.PutAccount(store.Account{Environment: store.Sandbox, ID: "1", Kind: store.Bank, Status: store.Active}),
			tx.PutBinding(store.Binding{Environment: store.Sandbox, Principal: "alice", Account: "1", Access: store.Full}),
		)
	})
	return n
}

func (n *node) update(t testing.TB, change func(store.Writer) error) {
	t.Helper()
	if err := n.store.Update(context.Background(), change); err != nil {
		t.Fatal(err)
	}
}

// grant issues a grant of all:a, with opaque tokens if any are given.
func (n *node) grant(t testing.TB, tokens ...store.Token) store.Standing {
	t.Helper()
	standing, err := n.store.Issue(context.Background(), store.Issue{
		Grant: store.Grant{
			Environment: store.Sandbox, ID: NewID(), Principal: "alice", Client: "bot",
			Scopes: []string{"all:a"}, Accounts: []string{"1"}, Created: n.Now(),
		},
		Tokens: tokens,
	})
	if err != nil {
		t.Fatal(err)
	}
	return standing
}

func (n *node) access(t testing.TB) Minted {
	t.Helper()
	standing := n.grant(t)
	minted, err := n.Mint(&standing, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	return minted
}

// judge checks and judges as a gate does.
func (n *node) judge(t testing.TB, raw string) Verdict {
	t.Helper()
	lease, err := n.Check(raw)
	if err != nil {
		t.Fatal(err)
	}
	return n.Judge(lease, n.Now())
}

func (n *node) revoke(t testing.TB, kind store.Kind, target string) {
	t.Helper()
	if _, err := n.Revoke(context.Background(), store.Revocation{Kind: kind, Target: target, Reason: "test"}, store.Event{}); err != nil {
		t.Fatal(err)
	}
}

// leaseOf is a lease that shares nothing.
func leaseOf(raw string, facts Facts, now time.Time) *Lease {
	return newLease(raw, facts, newCommon(&facts), now)
}

func (n *node) loseCache() {
	cache := n.settings.Load().cache
	cache.leases.Wait()
	cache.leases.Clear()
	clear(cache.latest[:])
	cache.near.clear()
}

func TestRevokedTokenIsDeadWhenRevokeReturns(t *testing.T) {
	for name, kill := range map[string]func(testing.TB, *node, *Lease){
		"token":     func(t testing.TB, n *node, l *Lease) { n.revoke(t, store.KindToken, l.ID) },
		"grant":     func(t testing.TB, n *node, l *Lease) { n.revoke(t, store.KindGrant, l.Grant) },
		"principal": func(t testing.TB, n *node, _ *Lease) { n.revoke(t, store.KindPrincipal, "alice") },
		"client":    func(t testing.TB, n *node, _ *Lease) { n.revoke(t, store.KindClient, "bot") },
		"account":   func(t testing.TB, n *node, _ *Lease) { n.revoke(t, store.KindAccount, "1") },
		"key":       func(t testing.TB, n *node, l *Lease) { n.revoke(t, store.KindKey, l.KeyID) },
	} {
		t.Run(name, func(t *testing.T) {
			n := openNode(t)
			raw := n.access(t).Raw
			if got := n.judge(t, raw); got != Live {
				t.Fatalf("fresh token: %s", got)
			}
			lease, _ := n.Check(raw)
			kill(t, n, lease)
			if got := n.Judge(lease, n.clock.now()); got != Revoked {
				t.Errorf("lease held since before: %s", got)
			}
			if got := n.judge(t, raw); got != Revoked {
				t.Errorf("presented again: %s", got)
			}
		})
	}
}

func TestMintedAfterAKillIsAlive(t *testing.T) {
	n := openNode(t)
	n.revoke(t, store.KindPrincipal, "alice")
	if got := n.judge(t, n.access(t).Raw); got != Live {
		t.Errorf("a token of a new grant: %s", got)
	}
}

// Proof is under way when the revocation comes; the lease enters the cache
// afterwards, as valid as ever. It must not be believed.
func TestLateCacheFillAfterARevocation(t *testing.T) {
	n := openNode(t)
	standing := n.grant(t)
	minted, err := n.Mint(&standing, time.Time{})
	if err != nil {
		t.Fatal(err)
	}
	n.beforeFill = func() {
		n.beforeFill = nil
		n.revoke(t, store.KindGrant, standing.Grant.ID)
	}
	if got := n.judge(t, minted.Raw); got != Revoked {
		t.Errorf("the request that filled the cache: %s", got)
	}
	n.settings.Load().cache.leases.Wait()
	if got := n.judge(t, minted.Raw); got != Revoked {
		t.Errorf("a request that hits the cache: %s", got)
	}
}

func TestLosingTheCacheChangesNoVerdict(t *testing.T) {
	n := openNode(t)
	dead, alive := n.access(t), n.access(t)
	n.revoke(t, store.KindToken, dead.ID)
	n.loseCache()
	if got := n.judge(t, dead.Raw); got != Revoked {
		t.Errorf("revoked: %s", got)
	}
	if got := n.judge(t, alive.Raw); got != Live {
		t.Errorf("alive: %s", got)
	}
}

// Two tokens share the last 32 bytes: the cache must not mix them up (REVOCATION-13).
func TestCacheKeyCollisionGivesNoForeignIdentity(t *testing.T) {
	c, err := newCache(1 << 20)
	if err != nil {
		t.Fatal(err)
	}
	defer c.close()
	tail := strings.Repeat("x", keyBytes)
	c.put(leaseOf("alice."+tail, Facts{Subject: "alice"}, noon))
	c.leases.Wait()
	for _, lose := range []func(){func() { clear(c.latest[:]) }, c.near.clear, func() {}} { // each table, then ristretto
		c.near.put(c.get("alice."+tail), markOf(tail))
		if lease := c.get("mallory." + tail); lease != nil {
			t.Errorf("got the lease of %s", lease.Subject)
		}
		lose()
	}
	if lease := c.get("alice." + tail); lease == nil || lease.Subject != "alice" {
		t.Error("the right token misses")
	}
}

func TestClientMaximumCutsTheNextToken(t *testing.T) {
	n := openNode(t)
	raw := n.access(t).Raw
	n.update(t, func(tx store.Writer) error {
		client, err := tx.Client(store.Sandbox, "bot")
		if err != nil {
			return err
		}
		client.MaxScopes = []string{"read:a"}
		_, err = tx.Revoke(store.Revocation{Environment: store.Sandbox, Kind: store.KindClientRights, Target: "bot", At: n.clock.now()})
		return errors.Join(err, tx.PutClient(client))
	})
	if got := n.judge(t, raw); got != RightsChanged {
		t.Errorf("the token from before: %s", got)
	}
	minted := n.access(t)
	if len(minted.Scopes) != 1 || minted.Scopes[0] != "read:a" {
		t.Errorf("the next token carries %q", minted.Scopes)
	}
}

func TestPersonalTokenIsLookedUp(t *testing.T) {
	n := openNode(t)
	raw, hash := n.Keyring().NewOpaque(store.Personal)
	standing := n.grant(t, store.Token{
		Environment: store.Sandbox, ID: NewID(), Hash: hash, Class: store.Personal,
		KeyID: n.Keyring().KeyID(), Created: n.clock.now(), Expires: n.clock.now().Add(24 * time.Hour),
	})
	if got := n.judge(t, raw); got != Live {
		t.Fatalf("judged %s", got)
	}
	lease, err := n.Check(raw)
	if err != nil || lease.Subject != "alice" || lease.Scopes[0] != "all:a" || lease.Accounts[0] != "1" {
		t.Fatalf("facts %+v, %v", lease.Facts, err)
	}
	n.revoke(t, store.KindGrant, standing.Grant.ID)
	if got := n.Judge(lease, n.clock.now()); got != Revoked {
		t.Errorf("after its grant was revoked: %s", got)
	}
}

func TestFactsOfAnOpaqueTokenGrowStale(t *testing.T) {
	n := openNode(t)
	raw, hash := n.Keyring().NewOpaque(store.Personal)
	n.grant(t, store.Token{
		Environment: store.Sandbox, ID: NewID(), Hash: hash, Class: store.Personal,
		KeyID: n.Keyring().KeyID(), Created: n.clock.now(), Expires: n.clock.now().Add(24 * time.Hour),
	})
	lease, err := n.Check(raw)
	if err != nil {
		t.Fatal(err)
	}
	n.clock.advance(opaqueFactsLife - time.Second)
	if got := n.Judge(lease, n.clock.now()); got != Live {
		t.Errorf("before: %s", got)
	}
	n.clock.advance(time.Second)
	if got := n.Judge(lease, n.clock.now()); got != Stale {
		t.Errorf("after: %s", got)
	}
	if lease, err = n.Recheck(lease); err != nil {
		t.Fatal(err)
	}
	if got := n.Judge(lease, n.clock.now()); got != Live {
		t.Errorf("looked up again: %s", got)
	}
}

func TestOpaqueTokensThatAreNoAccessTokens(t *testing.T) {
	n := openNode(t)
	other := NewKeyring(foreignRoot(t), store.Production)
	for name, test := range map[string]struct {
		keyring *Keyring
		class   store.Class
		reason  Reason
	}{
		"refresh token":            {n.Keyring(), store.Refresh, ReasonClass},
		"authorization code":       {n.Keyring(), ClassCode, ReasonClass},
		"client secret":            {n.Keyring(), ClassSecret, ReasonClass},
		"well-formed but unknown":  {n.Keyring(), store.Personal, ReasonUnknown},
		"of the other environment": {other, store.Personal, ReasonEnvironment},
	} {
		raw, _ := test.keyring.NewOpaque(test.class)
		_, err := n.Check(raw)
		var invalid *Invalid
		if !errors.As(err, &invalid) || invalid.Reason != test.reason {
			t.Errorf("%s: %v, want %s", name, err, test.reason)
		}
	}
}

// root is a root key of somebody else.
func foreignRoot(t testing.TB) *RootKey {
	t.Helper()
	root, err := CreateRootKey(filepath.Join(t.TempDir(), "root.key"))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestStoreAwayIsUnavailableAndNeverInvalid(t *testing.T) {
	n := openNode(t)
	raw, _ := n.Keyring().NewOpaque(store.Personal)
	cached := n.access(t).Raw
	n.judge(t, cached)
	if err := n.store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := n.Check(raw); !errors.Is(err, store.ErrUnavailable) {
		t.Errorf("opaque token that is not cached: %v", err)
	}
	if got := n.judge(t, cached); got != Live {
		t.Errorf("signed token: %s", got)
	}
}

// Facts proven for one audience prove nothing for another.
func TestNewAudienceForgetsOldProofs(t *testing.T) {
	n := openNode(t)
	raw := n.access(t).Raw
	n.judge(t, raw)
	n.settings.Load().cache.leases.Wait()
	next := n.settings.Load().Settings
	next.Audience = "https://other.test"
	if err := n.Configure(next); err != nil {
		t.Fatal(err)
	}
	var invalid *Invalid
	if _, err := n.Check(raw); !errors.As(err, &invalid) || invalid.Reason != ReasonAudience {
		t.Errorf("%v, want %s", err, ReasonAudience)
	}
}

func TestRootKeyAndDatabaseBelongTogether(t *testing.T) {
	n := openNode(t)
	dir := t.TempDir()
	ctx := context.Background()
	if _, err := BindRootKey(ctx, n.store, filepath.Join(dir, "none.key")); !errors.Is(err, ErrNoRootKey) || !strings.Contains(err.Error(), "none.key") {
		t.Errorf("missing: %v", err)
	}
	other := filepath.Join(dir, "other.key")
	if _, err := CreateRootKey(other); err != nil {
		t.Fatal(err)
	}
	if _, err := BindRootKey(ctx, n.store, other); err == nil || !strings.Contains(err.Error(), other) {
		t.Errorf("wrong: %v", err)
	}
}

func BenchmarkCheckHot(b *testing.B) {
	n := openNode(b)
	raw := n.access(b).Raw
	n.judge(b, raw)
	n.settings.Load().cache.leases.Wait()
	now := n.clock.now()
	b.ReportAllocs()
	for b.Loop() {
		lease, err := n.Check(raw)
		if err != nil || n.Judge(lease, now) != Live {
			b.Fatal("refused")
		}
	}
}
