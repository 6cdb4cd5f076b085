package issuer

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// token answers at the token endpoint of RFC 6749 (§3.2).
func (i *Issuer) token(x *exchange) (response, error) {
	f, err := readForm(x.Request)
	if err != nil {
		return response{}, err
	}
	answerGrant, err := i.standardGrant(f)
	if err != nil {
		return response{}, err
	}
	own, err := i.identifyClient(x, f)
	if err != nil {
		return response{}, err
	}
	if err := checkResource(f, i.authority.Settings().Audience); err != nil {
		return response{}, err
	}
	return answerGrant(x, &own, f)
}

// standardGrant finds what the grant type asks for, and that its parameter is
// there.
func (i *Issuer) standardGrant(f form) (func(*exchange, *store.Party, form) (response, error), error) {
	switch f["grant_type"] {
	case "":
		return nil, invalidRequest("grant_type is missing")
	case "authorization_code":
		if f["code"] == "" {
			return nil, invalidRequest("code is missing")
		}
		return i.authorizationCode, nil
	case "client_credentials":
		return i.clientCredentials, nil
	case "refresh_token":
		if f["refresh_token"] == "" {
			return nil, invalidRequest("refresh_token is missing")
		}
		return i.standardRefresh, nil
	}
	return nil, oauthRefusal(codeUnsupportedGrantType, "grant_type must be authorization_code, client_credentials or refresh_token")
}

// standardRefresh renews, as refresh.go has it.
func (i *Issuer) standardRefresh(x *exchange, own *store.Party, f form) (response, error) {
	rule := confidentialRetry
	if own.Client.Public {
		rule = publicRetry
	}
	renewed, err := i.renew(x, f, rule)
	if err != nil {
		return response{}, err
	}
	x.issued = GrantRefreshToken
	return i.tokenAnswer(x, &renewed.standing, renewed.refresh)
}

// tokenAnswer mints the access token and answers as RFC 6749 §5.1 has it. The
// scope is stated always: it is what the token carries, which may be less than
// was asked for if the parties may do less now.
func (i *Issuer) tokenAnswer(x *exchange, standing *store.Standing, refresh string) (response, error) {
	x.grant = standing.Grant.ID
	minted, err := i.authority.Mint(standing, standing.Grant.Expires)
	if err != nil {
		return response{}, fmt.Errorf("mint access token: %w", err)
	}
	return jsonResponse(http.StatusOK, struct {
		AccessToken  string `json:"access_token"`
		TokenType    string `json:"token_type"`
		ExpiresIn    int64  `json:"expires_in"`
		Scope        string `json:"scope"`
		RefreshToken string `json:"refresh_token,omitzero"`
	}{
		AccessToken: minted.Raw, TokenType: tokenType,
		ExpiresIn: int64(minted.Lifetime / time.Second),
		Scope:     strings.Join(minted.Scopes, " "), RefreshToken: refresh,
	})
}

// tokenType is what RFC 6750 §4 calls itself.
const tokenType = "Bearer"
