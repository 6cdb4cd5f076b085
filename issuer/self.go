package issuer

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// codeInvalidToken is that of RFC 6750 §3.1.
const codeInvalidToken = "invalid_token"

// self tells who holds an access token what it is good for, and for how long.
func (i *Issuer) self(x *exchange) (response, error) {
	if err := refuseQuery(x.URL.RawQuery); err != nil {
		return response{}, err
	}
	raw, err := bearerToken(x.Header)
	if err != nil {
		return response{}, err
	}
	lease, err := i.liveLease(raw, x.now)
	var invalid *token.Invalid
	switch {
	case errors.As(err, &invalid):
		return response{}, invalidToken(err)
	case err != nil:
		return response{}, fmt.Errorf("check token: %w", err)
	}
	x.client, x.grant = lease.Client, lease.Grant
	return jsonResponse(http.StatusOK, struct {
		Environment store.Environment `json:"environment"`
		Client      string            `json:"client"`
		Subject     string            `json:"subject"`
		Scopes      []string          `json:"scopes"`
		Accounts    []string          `json:"accounts"`
		Expires     time.Time         `json:"expires"`
		ExpiresIn   int64             `json:"expires_in"`
	}{
		Environment: i.environment, Client: lease.Client, Subject: lease.Subject,
		Scopes: lease.Scopes, Accounts: lease.Accounts,
		Expires: lease.Expires.UTC(), ExpiresIn: int64(lease.Expires.Sub(x.now) / time.Second),
	})
}

// liveLease proves an access token and asks whether it lives now, as a gate
// does. It fails with *token.Invalid if it does not, or is no signed token: the
// issuer issues no others that open the API.
func (i *Issuer) liveLease(raw string, now time.Time) (*token.Lease, error) {
	if token.LooksOpaque(raw) {
		return nil, &token.Invalid{Reason: token.ReasonClass}
	}
	lease, err := i.authority.Check(raw)
	if err != nil {
		return nil, err
	}
	if verdict := i.authority.Judge(lease, now); verdict != token.Live {
		return nil, &token.Invalid{Reason: token.ReasonRevoked, Proven: true, Detail: verdict.String()}
	}
	return lease, nil
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
