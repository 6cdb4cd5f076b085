package issuer

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// setBack ends the process and starts it again an hour, say, earlier. (While it
// runs its time is not set back: see token's clock.)
func (b *bank) setBack(by time.Duration) {
	b.Helper()
	b.clock.advance(-by)
	b.restart()
}

// What was used up or revoked stays so whatever the clock says, no window opens
// wider, and new tokens are to be had.
func TestClockStepsAtTheIssuer(t *testing.T) {
	refused := func(t *testing.T, b *bank, c call, want error) {
		t.Helper()
		if err := said(t, b.do(c)); !errors.Is(err, want) {
			t.Errorf("got %v, want %v", err, want)
		}
	}
	for name, test := range map[string]func(*testing.T, *bank){
		"ahead: a code has expired": func(t *testing.T, b *bank) {
			code := b.code()
			b.clock.advance(time.Hour)
			b.do(redeemCall(code)).wantError(t, http.StatusBadRequest, "invalid_grant")
			b.wantVerdict(b.tokens().access, token.Live)
		},
		"ahead: a used code is a replay": func(t *testing.T, b *bank) {
			code := b.code()
			got := b.pairOf(b.do(redeemCall(code)))
			b.clock.advance(time.Hour)
			refused(t, b, redeemCall(code), store.ErrReplayed)
			refused(t, b, refreshCall(got.refresh), store.ErrRevoked)
		},
		"back: a used code is a replay": func(t *testing.T, b *bank) {
			code := b.code()
			got := b.pairOf(b.do(redeemCall(code)))
			b.setBack(time.Hour)
			refused(t, b, redeemCall(code), store.ErrReplayed)
			refused(t, b, refreshCall(got.refresh), store.ErrRevoked)
		},
		"back: a rotated token is reuse": func(t *testing.T, b *bank) {
			first := b.tokens()
			second := b.pairOf(b.do(refreshCall(first.refresh)))
			b.setBack(time.Hour)
			refused(t, b, refreshCall(first.refresh), store.ErrReused)
			refused(t, b, refreshCall(second.refresh), store.ErrRevoked)
		},
		"back: a head is renewed": func(t *testing.T, b *bank) {
			first := b.tokens()
			b.setBack(time.Hour)
			b.wantVerdict(b.pairOf(b.do(refreshCall(first.refresh))).access, token.Live)
		},
		"ahead and back: a head is renewed, a dead one is not": func(t *testing.T, b *bank) {
			alive, dead := b.tokens(), b.tokens()
			b.do(revokeCall(dead.refresh)).ok(t)
			b.clock.advance(1000 * time.Hour)
			b.do(refreshCall(alive.refresh)).wantError(t, http.StatusBadRequest, "invalid_grant")
			b.setBack(1000 * time.Hour)
			b.pairOf(b.do(refreshCall(alive.refresh)))
			refused(t, b, refreshCall(dead.refresh), store.ErrRevoked)
		},
		// Nothing tells this hour from the one before: that is the limit.
		"ahead and back: an unused code is good until its time": func(t *testing.T, b *bank) {
			code := b.code()
			b.clock.advance(time.Hour)
			b.do(redeemCall(code)).wantError(t, http.StatusBadRequest, "invalid_grant")
			b.setBack(time.Hour)
			b.pairOf(b.do(redeemCall(code)))
			b.clock.advance(time.Minute)
			refused(t, b, redeemCall(code), store.ErrReplayed)
		},
		"back: new tokens live": func(t *testing.T, b *bank) {
			b.setBack(time.Hour)
			b.wantVerdict(b.tokens().access, token.Live)
		},
		"a little back, as clocks of racing callers are: a retry": func(t *testing.T, b *bank) {
			first := b.tokens()
			second := b.pairOf(b.do(refreshCall(first.refresh)))
			b.setBack(time.Second)
			if again := b.pairOf(b.do(refreshCall(first.refresh))); again.refresh != second.refresh {
				t.Error("another successor")
			}
		},
	} {
		t.Run(name, func(t *testing.T) { test(t, newBank(t, nil)) })
	}
}
