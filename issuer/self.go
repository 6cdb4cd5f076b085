package issuer

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// codeInvalidToken is that of RFC 6750 §3.1.
const codeInvalidToken = "invalid_token"

// codeAddressNotAllowed is ours, as the gate has it.
const codeAddressNotAllowed = "address_not_allowed"

// selfAnswer is what a token is good for. Members that it does not have are left
// out: a permanent token has no end, and only a personal one has limits.
type selfAnswer struct {
	Environment store.Environment `json:"environment"`
	Client      string            `json:"client"`
	Subject     string            `json:"subject"`
	Label       string            `json:"label,omitzero"`
	Scopes      []string          `json:"scopes"`
	Accounts    []string          `json:"accounts"`
	Expires     time.Time         `json:"expires,omitzero"`
	ExpiresIn   *int64            `json:"expires_in,omitzero"`
	Networks    []netip.Prefix    `json:"networks,omitempty"`
	Rate        selfRate          `json:"rate,omitzero"`
}

// selfRate is how often a token may be used: so many requests in so many seconds.
type selfRate struct {
	Requests int   `json:"requests"`
	Seconds  int64 `json:"seconds"`
}

// self tells who holds an access token what it is good for, and for how long. A
// personal token is answered within its networks only, and its rate, which is for
// the API, is not touched.
func (i *Issuer) self(x *exchange) (response, error) {
	if err := refuseQuery(x.URL.RawQuery); err != nil {
		return response{}, err
	}
	raw, err := bearerToken(x.Header)
	if err != nil {
		return response{}, err
	}
	lease, err := i.selfLease(x, raw)
	var invalid *token.Invalid
	switch {
	case errors.As(err, &invalid):
		return response{}, invalidToken(err)
	case err != nil:
		return response{}, fmt.Errorf("check token: %w", err)
	}
	x.client, x.grant = lease.Client, lease.Grant
	answer := selfAnswer{
		Environment: i.environment, Client: lease.Client, Subject: lease.Subject,
		Scopes: lease.Scopes, Accounts: lease.Accounts,
	}
	if !lease.Expires.IsZero() {
		left := int64(lease.Expires.Sub(x.now) / time.Second)
		answer.Expires, answer.ExpiresIn = lease.Expires.UTC(), &left
	}
	if own := lease.Personal; own != nil {
		if !own.Admits(x.ip) {
			return response{}, errAddress
		}
		answer.Label, answer.Networks = own.Label, own.Networks
		answer.Rate = selfRate{own.Rate.Requests, int64(own.Rate.Per / time.Second)}
		if i.authority.UseIsNews(lease, x.now) {
			i.authority.NoteUse(lease, x.now, x.ip)
		}
	}
	return jsonResponse(http.StatusOK, answer)
}

var errAddress error = &oauthError{
	status: http.StatusForbidden, code: codeAddressNotAllowed,
	description: "the token may not be used from this address",
}

// selfLease proves a signed or personal token and asks whether it lives now, as
// a gate does: what a personal one may do is looked up again where it is due.
func (i *Issuer) selfLease(x *exchange, raw string) (lease *token.Lease, err error) {
	if lease = i.authority.Cached(raw); lease == nil {
		if lease, err = i.authority.Prove(raw, x.ip); err != nil {
			return nil, err
		}
	}
	verdict := i.authority.Judge(lease, x.now)
	if lease.Renewable(verdict) {
		if lease, err = i.authority.Recheck(lease); err != nil {
			return nil, err
		}
		if verdict = i.authority.Judge(lease, x.now); lease.Renewable(verdict) {
			return nil, fmt.Errorf("%s again: %w", verdict, store.ErrUnavailable)
		}
	}
	return lease, dead(verdict)
}

// dead is nil for a token that lives.
func dead(verdict token.Verdict) error {
	if verdict == token.Live {
		return nil
	}
	return &token.Invalid{Reason: token.ReasonRevoked, Proven: true, Detail: verdict.String()}
}

// liveLease proves an access token that a client obtained and asks whether it
// lives now. It fails with *token.Invalid if it does not, or is no signed token:
// personal ones belong to no client.
func (i *Issuer) liveLease(raw string, now time.Time) (*token.Lease, error) {
	if token.LooksOpaque(raw) {
		return nil, &token.Invalid{Reason: token.ReasonClass}
	}
	lease, err := i.authority.Check(raw)
	if err != nil {
		return nil, err
	}
	return lease, dead(i.authority.Judge(lease, now))
}

// bearerToken reads the Authorization header (RFC 6750 §2.1). Without one, or
// with another scheme, the challenge has no error (§3.1).
func bearerToken(h http.Header) (string, error) {
	values := h.Values("Authorization")
	if len(values) > 1 {
		return "", invalidRequest("Authorization is repeated")
	}
	scheme, raw, _ := strings.Cut(strings.Join(values, ""), " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", &oauthError{
			status: http.StatusUnauthorized, code: codeInvalidToken, challenge: bearerChallenge,
			description: "there is no token: send Authorization: Bearer TOKEN",
		}
	}
	if raw == "" || strings.Contains(raw, " ") {
		return "", invalidRequest("write Authorization: Bearer TOKEN, with one blank between the two")
	}
	return raw, nil
}

const bearerChallenge = `Bearer realm="oauth2"`

func invalidToken(cause error) error {
	const description = "the token is not valid"
	return &oauthError{
		status: http.StatusUnauthorized, code: codeInvalidToken, description: description, cause: cause,
		challenge: bearerChallenge + `, error="` + codeInvalidToken + `", error_description="` + description + `"`,
	}
}
