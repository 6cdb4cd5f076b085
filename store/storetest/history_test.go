package storetest

import (
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// told is a history in which each call ended before the next began, or, where
// together is set, all calls overlapped.
func told(together bool, pairs ...any) *History {
	h := new(History)
	for i := 0; i < len(pairs); i += 2 {
		call := porcupine.Operation{Input: pairs[i], Output: pairs[i+1], Call: int64(i), Return: int64(i) + 1}
		if together {
			call.Call, call.Return = 0, 1
		}
		h.calls = append(h.calls, call)
	}
	return h
}

// The models must tell a wrong store from a right one, or the histories prove
// nothing.
func TestModelsTellWrongHistoriesFromRightOnes(t *testing.T) {
	codes, families := CodeModel(app, 5*time.Second), FamilyModel(func(string) string { return "first" }, 30*time.Second)
	redeem := func(after time.Duration) Asked {
		return Asked{Grant: "g", Verb: Redeem, Client: app, Now: now.Add(after)}
	}
	misuse := Asked{Grant: "g", Verb: Redeem, Client: app, Wrong: true, Now: now}
	steal := Asked{Grant: "g", Verb: Redeem, Client: thief, Now: now}
	renew := func(token string, after time.Duration) Asked {
		return Asked{Grant: "g", Verb: Renew, Client: app, Token: token, Now: now.Add(after)}
	}
	judge := Asked{Grant: "g", Verb: Judge}
	won, replayed, resent := Answer{Token: "t"}, Answer{Err: store.ErrReplayed}, Answer{Err: store.ErrResent}
	revoked, other, fine := Answer{Err: store.ErrRevoked}, Answer{Err: store.ErrOtherClient}, Answer{}
	mismatch := Answer{Err: store.ErrMismatch}
	for name, c := range map[string]struct {
		model   porcupine.Model
		history *History
		want    bool
	}{
		"replay after the grace":                 {codes, told(false, redeem(0), won, redeem(6*time.Second), replayed, renew("t", 0), revoked, judge, revoked), true},
		"sent again within the grace":            {codes, told(false, redeem(0), won, redeem(5*time.Second), resent, renew("t", 0), fine, judge, fine), true},
		"two winners":                            {codes, told(false, redeem(0), won, redeem(0), Answer{Token: "u"}), false},
		"two winners at once":                    {codes, told(true, redeem(0), won, redeem(0), Answer{Token: "u"}), false},
		"resent before anybody won":              {codes, told(false, redeem(0), resent, redeem(0), won), false},
		"resent beside the winner":               {codes, told(true, redeem(0), resent, redeem(0), won), true},
		"replay that is taken for sent again":    {codes, told(false, redeem(0), won, redeem(time.Minute), resent), false},
		"refresh token that outlives the replay": {codes, told(false, redeem(0), won, redeem(6*time.Second), replayed, renew("t", 0), fine), false},
		"refresh token beside the replay":        {codes, told(true, redeem(0), won, redeem(6*time.Second), replayed, renew("t", 0), fine), true},
		"access token that outlives the replay":  {codes, told(false, redeem(0), won, redeem(6*time.Second), replayed, judge, fine), false},
		"refresh token of a loser":               {codes, told(false, redeem(0), won, renew("u", 0), fine), false},
		"stolen code that is redeemed":           {codes, told(false, steal, other, redeem(0), won), false},
		"stolen code that its owner brings":      {codes, told(false, steal, other, redeem(0), replayed), true},
		"wrong verifier that wins":               {codes, told(false, misuse, won), false},
		"right verifier after a wrong one":       {codes, told(false, misuse, mismatch, redeem(0), won), false},
		"burnt code that comes back":             {codes, told(false, misuse, mismatch, redeem(0), replayed, judge, revoked), true},
		"burnt code that passes for sent again":  {codes, told(false, misuse, mismatch, redeem(0), resent), false},

		"retry gets the head":           {families, told(false, renew("first", 0), Answer{Token: "2"}, renew("2", 0), Answer{Token: "3"}, renew("first", 30*time.Second), Answer{Token: "3"}), true},
		"two heads":                     {families, told(false, renew("first", 0), Answer{Token: "2"}, renew("first", 0), Answer{Token: "3"}), false},
		"two heads at once":             {families, told(true, renew("first", 0), Answer{Token: "2"}, renew("first", 0), Answer{Token: "3"}), false},
		"one head at once":              {families, told(true, renew("first", 0), Answer{Token: "2"}, renew("first", 0), Answer{Token: "2"}), true},
		"stale head":                    {families, told(false, renew("first", 0), Answer{Token: "2"}, renew("2", 0), Answer{Token: "3"}, renew("first", 0), Answer{Token: "2"}), false},
		"reuse that nobody notices":     {families, told(false, renew("first", 0), Answer{Token: "2"}, renew("first", time.Minute), Answer{Token: "2"}), false},
		"family that outlives a reuse":  {families, told(false, renew("first", 0), Answer{Token: "2"}, renew("first", time.Minute), Answer{Err: store.ErrReused}, renew("2", 0), Answer{Token: "3"}), false},
		"family that dies of its reuse": {families, told(false, renew("first", 0), Answer{Token: "2"}, renew("first", time.Minute), Answer{Err: store.ErrReused}, renew("2", 0), revoked), true},
		"answer that never was":         {families, told(false, renew("first", 0), Answer{Err: store.ErrReused}), false},
		"empty answer":                  {families, told(false, renew("first", 0), fine), false},
	} {
		if got := c.history.explained(c.model); got != c.want {
			t.Errorf("%s: explained %v, want %v", name, got, c.want)
		}
	}
}
