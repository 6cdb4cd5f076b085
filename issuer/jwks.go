package issuer

import "net/http"

// jwks publishes the public keys (RFC 7517 §5), before they sign for the first
// time and as long as they verify.
func (i *Issuer) jwks(*exchange) (response, error) {
	return response{
		status: http.StatusOK, contentType: "application/jwk-set+json", cache: cacheable,
		header: map[string]string{"Access-Control-Allow-Origin": anyOrigin},
		body:   i.authority.JWKS(),
	}, nil
}
