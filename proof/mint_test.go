//go:build proof

package proof

import (
	"database/sql"
	"encoding/json"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// many callers do the same at the same time.
const many = 50

// crowd is one bot on many connections.
type crowd []*bot

func (s *server) newCrowd(b *bot) crowd {
	c := make(crowd, many)
	for i := range c {
		c[i] = s.connect(b)
	}
	return c
}

// together lets all begin at the same moment, and returns when all are done.
func (c crowd) together(do func(i int, b *bot)) {
	c.start(do)()
}

// start lets all begin at the same moment; the function that it returns waits.
func (c crowd) start(do func(i int, b *bot)) (wait func()) {
	var all sync.WaitGroup
	begin := make(chan struct{})
	for i, b := range c {
		all.Go(func() {
			<-begin
			do(i, b)
		})
	}
	close(begin)
	return all.Wait
}

// Fifty refreshes of one token at the same time have one outcome: all get the
// same successor, there is one head, and nobody is locked out.
func TestParallelRefreshesGiveOneHead(t *testing.T) {
	const rounds = 10
	s := newServer(t, binary()).start()
	b := s.newBot(t, "refresh")
	c := s.newCrowd(b)
	got, err := b.authorize()
	if err != nil {
		t.Fatal(err)
	}
	known, err := claimsOf(got.Access)
	if err != nil {
		t.Fatal(err)
	}
	head := got.Refresh
	for round := 1; round <= rounds; round++ {
		var results [many]tokens
		c.together(func(i int, b *bot) {
			got, a, err := b.refresh(head)
			if err != nil || a.status != 200 {
				t.Errorf("round %d: locked out: %v %s", round, err, a)
			}
			results[i] = got
		})
		for i, r := range results {
			if r.Refresh != results[0].Refresh || r.Refresh == "" || r.Refresh == head {
				t.Fatalf("round %d: caller %d has another refresh token than caller 0", round, i)
			}
		}
		c.together(func(i int, b *bot) {
			if a, err := b.use("/accounts", results[i].Access); err != nil || a.status != 200 {
				t.Errorf("round %d: the access token that came with it: %v %s", round, err, a)
			}
		})
		if all, heads := s.family(t, known.Grant); all != round+1 || heads != 1 {
			t.Fatalf("round %d: the family has %d refresh tokens and %d heads, want %d and 1", round, all, heads, round+1)
		}
		head = results[0].Refresh
	}
}

// family counts the refresh tokens of a grant, in the database that the server
// is writing to.
func (s *server) family(t testing.TB, grant string) (all, heads int) {
	t.Helper()
	db, err := sql.Open("sqlite", "file:"+s.path("bearer.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	err = db.QueryRow(`SELECT count(*), sum(successor IS NULL) FROM token WHERE grant_id = ?`, grant).Scan(&all, &heads)
	if err != nil {
		t.Fatal(err)
	}
	return all, heads
}

// minted is what a crowd got while something was taken away.
type minted struct {
	mu     sync.Mutex
	tokens []string
	asked  []time.Time // when the request for each was sent
}

func (m *minted) add(token string, sent time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tokens = append(m.tokens, token)
	m.asked = append(m.asked, sent)
}

// noneAfter fails if a token was given to a request that was sent after the
// acknowledgement.
func (m *minted) noneAfter(t *testing.T, end time.Time) {
	t.Helper()
	for _, sent := range m.asked {
		if sent.After(end) {
			t.Errorf("a token was given to a request sent %s after the acknowledgement", sent.Sub(end))
		}
	}
}

// refusedAtOnce fails if one of the latest tokens passes the gate right after the
// acknowledgement.
func (m *minted) refusedAtOnce(t *testing.T, b *bot) {
	t.Helper()
	m.mu.Lock()
	latest := slices.Clone(m.tokens[max(0, len(m.tokens)-3):])
	m.mu.Unlock()
	for _, token := range latest {
		if a, err := b.use("/accounts", token); err != nil || a.status != 401 && a.status != 403 {
			t.Errorf("a token that was made before passes the gate right afterwards: %v %s", err, a)
		}
	}
}

// nonePasses fails if one of them passes the gate now.
func (m *minted) nonePasses(t *testing.T, c crowd) {
	t.Helper()
	c.together(func(i int, b *bot) {
		for k := i; k < len(m.tokens); k += many {
			if a, err := b.use("/accounts", m.tokens[k]); err != nil || a.status != 401 && a.status != 403 {
				t.Errorf("a token that was made meanwhile passes the gate: %v %s", err, a)
			}
		}
	})
}

// A grant is revoked while fifty callers renew its refresh token.
func TestRenewingAgainstRevoking(t *testing.T) {
	const rounds = 15
	s := newServer(t, binary()).start()
	b := s.newBot(t, "renew")
	c := s.newCrowd(b)
	total := 0
	for range rounds {
		got, err := b.authorize()
		if err != nil {
			t.Fatal(err)
		}
		var meanwhile minted
		var enough sync.WaitGroup // each caller got one
		enough.Add(many)
		var over atomic.Bool
		wait := c.start(func(_ int, b *bot) {
			for n := 0; ; n++ {
				last := over.Load() // asked for after the end: the last try
				fresh, a, err := b.refresh(got.Refresh)
				if err != nil || a.status != 200 && a.status != 400 {
					t.Errorf("renewal: %v %s", err, a)
				}
				if a.status == 200 {
					meanwhile.add(fresh.Access, a.sent)
				}
				if n == 0 {
					enough.Done()
				}
				if last || err != nil {
					return
				}
			}
		})
		enough.Wait()
		a, err := b.revoke(got.Refresh)
		if err != nil || a.status != 200 {
			t.Errorf("revocation: %v %s", err, a)
		}
		meanwhile.refusedAtOnce(t, b)
		over.Store(true)
		wait()
		meanwhile.noneAfter(t, a.read)
		meanwhile.nonePasses(t, c)
		total += len(meanwhile.tokens)
	}
	t.Logf("%d tokens made against %d revocations", total, rounds)
}

// What a code stands on is killed while fifty callers redeem a code each.
func TestRedeemingAgainstRevoking(t *testing.T) {
	const rounds = 15
	s := newServer(t, binary()).start()
	b := s.newBot(t, "redeem")
	c := s.newCrowd(b)
	targets := []string{"/clients/" + b.client, "/service-accounts/" + b.service}
	before, after := 0, 0
	for round := range rounds {
		var codes [many]string
		c.together(func(i int, b *bot) {
			var a answer
			var err error
			if codes[i], a, err = b.code(); err != nil || a.status != 200 {
				t.Errorf("code: %v %s", err, a)
			}
		})
		var meanwhile minted
		var refused atomic.Int32
		wait := c.start(func(i int, b *bot) {
			got, a, err := b.redeem(codes[i])
			switch {
			case err != nil || a.status != 200 && a.status != 400:
				t.Errorf("redemption: %v %s", err, a)
			case a.status == 200:
				meanwhile.add(got.Access, a.sent)
			default:
				refused.Add(1)
			}
		})
		time.Sleep(rand.N(5 * time.Millisecond)) // a random moment: some have their answer, some do not
		a, err := b.command("POST", targets[round%2]+"/revoke", `{}`)
		if err != nil || a.status != 200 {
			t.Errorf("kill: %v %s", err, a)
		}
		meanwhile.refusedAtOnce(t, b)
		wait()
		meanwhile.noneAfter(t, a.read)
		meanwhile.nonePasses(t, c)
		before += len(meanwhile.tokens)
		after += int(refused.Load())
	}
	t.Logf("%d redeemed before and %d refused after %d kills", before, after, rounds)
}

// Fifty callers redeem one code while its grant is revoked: at most one gets
// tokens, and they are dead.
func TestRedeemingOneCodeAgainstRevokingItsGrant(t *testing.T) {
	const rounds = 15
	s := newServer(t, binary()).start()
	b := s.newBot(t, "one")
	c := s.newCrowd(b)
	redeemed := 0
	for range rounds {
		code, a, err := b.code()
		if err != nil || a.status != 200 {
			t.Fatalf("code: %v %s", err, a)
		}
		grant := b.newestGrant(t)
		var meanwhile minted
		wait := c.start(func(_ int, b *bot) {
			got, a, err := b.redeem(code)
			if err != nil || a.status != 200 && a.status != 400 {
				t.Errorf("redemption: %v %s", err, a)
			}
			if a.status == 200 {
				meanwhile.add(got.Access, a.sent)
			}
		})
		end, err := b.command("POST", "/grants/"+grant+"/revoke", `{}`)
		if err != nil || end.status != 200 {
			t.Errorf("revocation: %v %s", err, end)
		}
		meanwhile.refusedAtOnce(t, b)
		wait()
		if n := len(meanwhile.tokens); n > 1 {
			t.Errorf("one code was redeemed %d times", n)
		}
		meanwhile.noneAfter(t, end.read)
		meanwhile.nonePasses(t, c)
		redeemed += len(meanwhile.tokens)
	}
	t.Logf("%d of %d codes were redeemed before their grant was revoked", redeemed, rounds)
}

func (b *bot) newestGrant(t testing.TB) string {
	t.Helper()
	var list struct{ Grants []struct{ ID string } }
	b.mustCommand(t, "GET", "/grants?limit=1&client="+b.client, "", &list)
	if len(list.Grants) != 1 {
		t.Fatalf("%d grants", len(list.Grants))
	}
	return list.Grants[0].ID
}

// An operator takes a scope away while fifty callers get tokens with it: after
// the answer no token opens a route that needs it, whenever it was made. Given
// back, new tokens open it again.
func TestMintingAgainstAChangeOfRights(t *testing.T) {
	const rounds = 10
	s := newServer(t, binary()).start()
	b := s.newBot(t, "rights")
	c := s.newCrowd(b)
	got, err := b.authorize()
	if err != nil {
		t.Fatal(err)
	}
	targets := []string{"/clients/" + b.client, "/service-accounts/" + b.service}
	total := 0
	for round := range rounds {
		target := targets[round%2]
		head, a, err := b.refresh(got.Refresh)
		if err != nil || a.status != 200 {
			t.Fatalf("renewal: %v %s", err, a)
		}
		got = head
		meanwhile, reduced := mintWhile(t, b, c, got.Refresh, round%2 == 0, func() answer {
			return b.setScopes(t, target, "read:market")
		})
		meanwhile.nonePasses(t, c)
		total += len(meanwhile.tokens)
		if reduced == "" {
			t.Fatal("no token was made after the change")
		}
		if a, err := b.use("/market", reduced); err != nil || a.status != 200 {
			t.Errorf("a token with the rest of the rights: %v %s", err, a)
		}
		b.setScopes(t, target, "read:accounts", "read:market")
		whole, a, err := b.refresh(got.Refresh)
		if err != nil || a.status != 200 {
			t.Fatalf("renewal: %v %s", err, a)
		}
		if a, err := b.use("/accounts", whole.Access); err != nil || a.status != 200 {
			t.Errorf("a token with the rights that were given back: %v %s", err, a)
		}
		got = whole
	}
	t.Logf("%d tokens made against %d changes", total, rounds)
}

// mintWhile has the crowd get tokens, half of it by renewal and, if own, half for
// the client itself, before, during and after a change. It returns all of them,
// and one that was asked for after the change.
func mintWhile(t *testing.T, b *bot, c crowd, refresh string, own bool, change func() answer) (*minted, string) {
	t.Helper()
	meanwhile := new(minted)
	var enough sync.WaitGroup // each caller got one
	enough.Add(many)
	var over atomic.Bool
	var after atomic.Value
	wait := c.start(func(i int, b *bot) {
		for n := 0; ; n++ {
			last := over.Load()
			mint := func() (tokens, answer, error) { return b.refresh(refresh) }
			if own && i%2 == 0 {
				mint = b.credentials
			}
			got, a, err := mint()
			if err != nil || a.status != 200 {
				t.Errorf("token: %v %s", err, a)
			}
			meanwhile.add(got.Access, a.sent)
			if n == 0 {
				enough.Done()
			}
			if last || err != nil {
				after.Store(got.Access)
				return
			}
		}
	})
	enough.Wait()
	change()
	meanwhile.refusedAtOnce(t, b)
	over.Store(true)
	wait()
	reduced, _ := after.Load().(string)
	return meanwhile, reduced
}

// setScopes is what an operator does to a client or service account.
func (b *bot) setScopes(t testing.TB, target string, scopes ...string) answer {
	t.Helper()
	list, err := json.Marshal(scopes)
	if err != nil {
		t.Fatal(err)
	}
	a, err := b.command("PATCH", target, `{"scopes":`+string(list)+`}`)
	if err != nil || a.status != 200 {
		t.Errorf("change of scopes: %v %s", err, a)
	}
	return a
}
