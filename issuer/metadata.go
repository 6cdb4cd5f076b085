package issuer

import "net/http"

// wellKnown comes before the path of the issuer's URL (RFC 8414 §3).
const wellKnown = "/.well-known/oauth-authorization-server"

// metadata says what there is (RFC 8414 §2), and only that: each endpoint works,
// and what is not named is refused. All URLs are below the configured issuer,
// whatever Host the request names.
//
// The bank's endpoints are not named: they are a dialect, and who speaks it knows
// where they are.
func (i *Issuer) metadata(*exchange) (response, error) {
	answer, err := jsonResponse(http.StatusOK, struct {
		Issuer                string   `json:"issuer"`
		AuthorizationEndpoint string   `json:"authorization_endpoint"`
		TokenEndpoint         string   `json:"token_endpoint"`
		TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
		JWKSURI               string   `json:"jwks_uri"`
		Scopes                []string `json:"scopes_supported"`
		ResponseTypes         []string `json:"response_types_supported"`
		ResponseModes         []string `json:"response_modes_supported"`
		GrantTypes            []string `json:"grant_types_supported"`
		ChallengeMethods      []string `json:"code_challenge_methods_supported"`
		NamesIssuer           bool     `json:"authorization_response_iss_parameter_supported"`
		RevocationEndpoint    string   `json:"revocation_endpoint"`
		RevocationAuthMethods []string `json:"revocation_endpoint_auth_methods_supported"`
		IntrospectionEndpoint string   `json:"introspection_endpoint"`
		IntrospectionMethods  []string `json:"introspection_endpoint_auth_methods_supported"`
	}{
		Issuer:                i.url,
		AuthorizationEndpoint: i.url + pathAuthorize,
		TokenEndpoint:         i.url + pathToken,
		TokenAuthMethods:      publicMethods,
		JWKSURI:               i.url + pathJWKS,
		Scopes:                i.visibleScopes(),
		ResponseTypes:         []string{"code"},
		ResponseModes:         []string{"query"},
		GrantTypes:            []string{"authorization_code", "client_credentials", "refresh_token"},
		ChallengeMethods:      []string{"S256"},
		NamesIssuer:           true,
		RevocationEndpoint:    i.url + pathRevoke,
		RevocationAuthMethods: publicMethods,
		IntrospectionEndpoint: i.url + pathIntrospect,
		IntrospectionMethods:  standardMethods,
	})
	answer.cache = cacheable
	answer.header = map[string]string{"Access-Control-Allow-Origin": anyOrigin}
	return answer, err
}

func (i *Issuer) visibleScopes() []string {
	names := []string{}
	for _, scope := range i.policy().Scopes() {
		if !scope.Hidden {
			names = append(names, scope.Name)
		}
	}
	return names
}
