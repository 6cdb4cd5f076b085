package issuer

import (
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"
)

// fromHeader lets a test say where it calls from.
func fromHeader(b *bank) {
	b.clientIP = func(r *http.Request) string {
		if ip := r.Header.Get("Test-From"); ip != "" {
			return ip
		}
		return peerIP(r)
	}
}

func (c call) from(ip string) call { return c.with("Test-From", ip) }

func (b *bank) wantThrottled(c call) {
	b.Helper()
	got := b.do(c)
	got.wantError(b, 429, "temporarily_unavailable")
	if seconds, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 60 {
		b.Errorf("Retry-After %q", got.header.Get("Retry-After"))
	}
}

func TestThrottlePerPair(t *testing.T) {
	calls := map[string]struct{ wrong, right, neighbour call }{
		"token": {
			wrong:     redeemCall("x").with("Authorization", basic(botID, "wrong")),
			right:     redeemCall("x"),
			neighbour: redeemCall("x").with("Authorization", basic(otherID, otherSecret)),
		},
		"code, client": {
			wrong:     codeCall().with("X-IBM-client-secret", "wrong"),
			right:     codeCall(),
			neighbour: codeCall().with("X-IBM-client-id", otherID).with("X-IBM-client-secret", otherSecret).with("scope", "all:eft"),
		},
		"code, service account": {
			wrong:     codeCall().with("X-Service-Account-Secret", "wrong"),
			right:     codeCall(),
			neighbour: redeemCall("x"),
		},
		"revoke": {
			wrong:     formCall(pathRevoke, formBasic(botID, "wrong"), "token", "x"),
			right:     revokeCall("x"),
			neighbour: formCall(pathRevoke, formBasic(otherID, otherSecret), "token", "x"),
		},
		"unknown client": {
			wrong:     redeemCall("x").with("Authorization", basic("nobody", "x")),
			right:     redeemCall("x").with("Authorization", basic("nobody", "y")),
			neighbour: redeemCall("x"),
		},
	}
	for name, c := range calls {
		t.Run(name, func(t *testing.T) {
			b := newBank(t, fromHeader)
			b.TB = t
			for range wrongPerPair {
				b.do(c.wrong).wantError(t, 401, "invalid_client")
			}
			b.wantThrottled(c.wrong)
			b.wantThrottled(c.right) // or guessing were not slowed
			if got := b.do(c.neighbour); got.status == 429 {
				t.Error("another id at the same address is throttled")
			}
			if got := b.do(c.right.from("198.51.100.7")); got.status == 429 {
				t.Error("the same id at another address is throttled")
			}
			b.clock.advance(6 * time.Second) // one drop has leaked
			if got := b.do(c.right); got.status == 429 {
				t.Errorf("still throttled after 6 s: %s", got.body)
			}
		})
	}
}

// Blanks around the colon make no new id, and both readings are one attempt.
func TestS4_5_BothReadingsAreOneAttempt(t *testing.T) {
	b := newBank(t, nil)
	for n := range wrongPerPair {
		blanks := fmt.Sprintf("%*s", n, "")
		b.do(redeemCall("x").with("Authorization", basic(botID+blanks, blanks+"wrong"))).wantError(t, 401, "invalid_client")
	}
	b.wantThrottled(redeemCall("x"))
	b.wantThrottled(redeemCall("x").with("Authorization", basic(botID+" ", " "+botSecret)))
}

func TestThrottlePerAddress(t *testing.T) {
	b := newBank(t, fromHeader)
	attempt := func(n int, ip string) call {
		return redeemCall("x").with("Authorization", basic(fmt.Sprint("nobody-", n), "x")).from(ip)
	}
	for n := range wrongPerAddress {
		b.do(attempt(n, fmt.Sprintf("2001:db8:1:2::%x", n))).wantError(t, 401, "invalid_client")
	}
	b.wantThrottled(attempt(1000, "2001:db8:1:2:ffff::1"))
	b.wantThrottled(redeemCall("x").from("2001:db8:1:2::9"))
	b.do(redeemCall("x").from("2001:db8:1:3::9")).wantError(t, 400, "invalid_grant")
	b.clock.advance(time.Second)
	b.do(redeemCall("x").from("2001:db8:1:2::9")).wantError(t, 400, "invalid_grant")
}

func TestRightSecretsAreNotThrottled(t *testing.T) {
	b := newBank(t, nil)
	for range 3 * wrongPerAddress {
		b.do(redeemCall("x")).wantError(t, 400, "invalid_grant")
	}
}

// Guesses sent all at once learn no more than guesses sent in a row.
func TestThrottleParallelGuesses(t *testing.T) {
	b := newBank(t, nil)
	var mu sync.Mutex
	statuses := make(map[int]int)
	var all sync.WaitGroup
	for n := range 30 {
		all.Go(func() {
			got := b.do(redeemCall("x").with("Authorization", basic(botID, fmt.Sprint("wrong-", n))))
			mu.Lock()
			statuses[got.status]++
			mu.Unlock()
		})
	}
	all.Wait()
	if statuses[401] > wrongPerPair || statuses[401]+statuses[429] != 30 {
		t.Errorf("statuses %v", statuses)
	}
}

func TestThrottleSettlesByTheStateAtTheEnd(t *testing.T) {
	now := time.Now()
	th := NewThrottle(now)
	bot := []party{{kindClient, "bot"}}
	if err := th.admit(now, "a", bot...); err != nil {
		t.Fatal(err)
	}
	for range wrongPerPair {
		if err := th.settle(now, "a", bot, bot); err != nil {
			t.Fatal(err)
		}
	}
	var refused *oauthError
	if err := th.settle(now, "a", bot, nil); !errors.As(err, &refused) || refused.status != http.StatusTooManyRequests {
		t.Errorf("a right guess that was under way must not be told: %v", err)
	}
	if err := th.settle(now, "a", []party{{kindPrincipal, "bot"}}, nil); err != nil {
		t.Errorf("a principal of the same id: %v", err)
	}
}

// The table is full when every bucket is: then newcomers wait, and nobody who
// was throttled is let off.
func TestThrottleFull(t *testing.T) {
	now := time.Now()
	th := NewThrottle(now)
	for k := range th.pairs {
		th.pairs[k], th.addresses[k] = bucket(time.Minute), bucket(time.Minute)
	}
	newcomer := party{kindClient, "newcomer"}
	if err := th.admit(now, "192.0.2.1", newcomer); err == nil {
		t.Error("a newcomer passes a full table")
	}
	if err := th.admit(now.Add(time.Minute), "192.0.2.1", newcomer); err != nil {
		t.Error(err)
	}
}

func TestThrottledAddress(t *testing.T) {
	for ip, want := range map[string]string{
		"192.0.2.1":         "192.0.2.1",
		"::ffff:192.0.2.1":  "192.0.2.1",
		"2001:db8:1:2:3::4": "2001:db8:1:2::/64",
		"fe80::1%eth0":      "fe80::/64",
		"unix":              "unix",
		"":                  "",
	} {
		if got := throttledAddress(ip); got != want {
			t.Errorf("%q: %q, want %q", ip, got, want)
		}
	}
}

func TestPeerAddress(t *testing.T) {
	for remote, want := range map[string]string{
		"192.0.2.1:99": "192.0.2.1", "[2001:db8::1]:99": "2001:db8::1", "@": "@", "": "",
	} {
		if got := peerIP(&http.Request{RemoteAddr: remote}); got != want {
			t.Errorf("%q: %q, want %q", remote, got, want)
		}
	}
}
