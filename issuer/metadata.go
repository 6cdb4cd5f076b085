package issuer

import "net/http"

// wellKnown comes before the path of the issuer's URL (RFC 8414 §3).
const wellKnown = "/.well-known/oauth-authorization-server"

// metadata says what there is (RFC 8414 §2), and only that: each endpoint works,
// and what is not named is refused. All URLs are below the configured issuer,
// whatever Host the request names.
//
// There is no authorization endpoint, so no response type. The bank's endpoints
// are not named: they are a dialect, and who speaks it knows where they are.
func (i *Issuer) metadata(*exchange) (response, error) {
	answer, err := jsonResponse(http.StatusOK, struct {
		Issuer                string   `json:"issuer"`
		TokenEndpoint         string   `json:"token_endpoint"`
		TokenAuthMethods      []string `json:"token_endpoint_auth_methods_supported"`
		JWKSURI               string   `json:"jwks_uri"`
		Scopes                []string `json:"scopes_supported"`
		ResponseTypes         []string `json:"response_types_supported"`
		GrantTypes            []string `json:"grant_types_supported"`
		RevocationEndpoint    string   `json:"revocation_endpoint"`
		RevocationAuthMethods []string `json:"revocation_endpoint_auth_methods_supported"`
		IntrospectionEndpoint string   `json:"introspection_endpoint"`
		IntrospectionMethods  []string `json:"introspection_endpoint_auth_methods_supported"`
	}{
		Issuer:                i.url,
		TokenEndpoint:         i.url + pathToken,
		TokenAuthMethods:      standardMethods,
		JWKSURI:               i.url + pathJWKS,
		Scopes:                i.visibleScopes(),
		ResponseTypes:         []string{},
		GrantTypes:            []string{"client_credentials", "refresh_token"},
		RevocationEndpoint:    i.url + pathRevoke,
		RevocationAuthMethods: standardMethods,
		IntrospectionEndpoint: i.url + pathIntrospect,
		IntrospectionMethods:  standardMethods,
	})
	answer.cache = cacheable
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
