package issuer

import (
	"errors"
	"net/http"
	"net/netip"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// What is recorded here changes nothing in the store: sign-ins, and refusals.
// (What changes something has its row in the transaction that changes it.)
// Whoever calls chooses nothing of what is written: endpoints, outcomes and
// reasons are words of ours, and an id is written only if somebody has it.

// The actors who have not named a client, or a user, that exists.
const (
	unknownClient = "client:unknown"
	unknownUser   = "user:unknown"
)

// signedIn records that a client has proved who it is, and for whom it asks.
func (i *Issuer) signedIn(x *exchange, target string) {
	e := store.Event{
		Environment: i.environment, At: x.now, Actor: "client:" + x.client, Action: "client.sign_in", Target: target,
		Outcome: "ok", Address: address(x.ip), RequestID: x.requestID,
	}
	i.audit(e)
	if !x.oldSecret.IsZero() {
		i.throttle.noteOldSecret(x.client, x.oldSecret, x.now)
		e.Action, e.Target = actionOldSecret, "client:"+x.client
		i.audit(e)
	}
}

// actionOldSecret says that a secret was used that has been replaced and ends soon.
// It is an action of its own, so that its last row is found at once.
const actionOldSecret = "client.old_secret"

// personEvent is the audit row for what the person who is signed in does.
func (i *Issuer) personEvent(x *exchange, action, target string) store.Event {
	return store.Event{
		Environment: i.environment, At: x.now,
		Actor: "user:" + x.person, Action: action, Target: target,
		Outcome: "ok", Address: address(x.ip), RequestID: x.requestID,
	}
}

// refused records a refusal of an endpoint that asks for credentials.
func (i *Issuer) refused(x *exchange, err error) {
	if !x.private || errors.Is(err, store.ErrReplayed) || errors.Is(err, store.ErrReused) {
		return // those two have rows, written with the revocation that they brought about
	}
	answered := asOAuthError(err)
	if answered.status == http.StatusMethodNotAllowed {
		return
	}
	e := store.Event{
		Environment: i.environment, At: x.now, Actor: unknownClient, Action: "request.refuse", Target: "endpoint:" + x.endpoint,
		Outcome: answered.code, Reason: reasonOf(x, answered), RequestID: x.requestID,
	}
	switch {
	case x.page:
		whoWasRefused(x, answered, &e)
	case x.client != "":
		e.Actor, e.Address = "client:"+x.client, address(x.ip)
	case answered.code == codeInvalidClient || answered.status == http.StatusTooManyRequests:
		e.Action, e.Address = "client.sign_in", address(x.ip)
		if x.named != "" {
			e.Actor = "client:" + x.named
		}
	}
	i.audit(e)
}

// whoWasRefused fills in who a person is, or wanted to sign in as.
func whoWasRefused(x *exchange, answered *oauthError, e *store.Event) {
	e.Actor = unknownUser
	if x.person != "" {
		e.Actor, e.Address = "user:"+x.person, address(x.ip)
	}
	if answered.code == codeInvalidUser || answered.status == http.StatusTooManyRequests {
		e.Action, e.Address = "user.sign_in", address(x.ip)
		if x.named != "" {
			e.Actor = "user:" + x.named
		}
	}
}

// reasonOf says more exactly why, in one of a few words.
func reasonOf(x *exchange, answered *oauthError) string {
	var invalid *token.Invalid
	switch {
	case answered.status == http.StatusTooManyRequests && errors.Is(answered, token.ErrBusy):
		return "busy"
	case answered.status == http.StatusTooManyRequests:
		return "throttled"
	case errors.As(answered, &invalid):
		return string(invalid.Reason)
	}
	for _, known := range []struct {
		err  error
		word string
	}{
		{store.ErrNotFound, "unknown"}, {store.ErrExpired, "expired"}, {store.ErrRevoked, "revoked"},
		{store.ErrResent, "resent"}, {store.ErrOtherClient, "other_client"}, {store.ErrMismatch, "mismatch"},
	} {
		if errors.Is(answered, known.err) {
			return known.word
		}
	}
	return x.wrong
}

// address is an address and nothing else: behind some listeners a request comes
// from a path or from nowhere.
func address(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil {
		return ""
	}
	return addr.Unmap().WithZone("").String()
}
