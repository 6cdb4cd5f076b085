package attacks

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net/http"
	"net/url"
	"time"
)

func init() {
	register(rows{
		// There is no DPoP: a token that is bound to a key opens nothing, whatever the
		// proof beside it.
		"SENDER-CONSTRAINT-EXT-02": func(a *attack) {
			token := a.bound("jkt")
			proof := a.proof(token)
			for range 2 {
				a.proves("DPoP "+token, proof).refused(401, noCredentials)
				a.proves("Bearer "+token, proof).refused(401, invalidToken)
			}
		},
		"SENDER-CONSTRAINT-EXT-03": func(a *attack) {
			for _, hashed := range []string{"", a.tokenRead()} {
				token := a.bound("jkt")
				a.proves("DPoP "+token, a.proof(hashed)).refused(401, noCredentials)
				a.proves("Bearer "+token, a.proof(hashed)).refused(401, invalidToken)
			}
		},
		"SENDER-CONSTRAINT-EXT-08": func(a *attack) {
			a.get("/v1/accounts", a.bound("jkt")).refused(401, invalidToken)
			a.authorized("DPoP "+a.bound("jkt")).refused(401, noCredentials)
			a.authorized("DPoP "+a.tokenRead()).refused(401, noCredentials)
		},
		"SENDER-CONSTRAINT-EXT-10": func(a *attack) {
			a.get("/v1/accounts", a.bound("x5t#S256")).refused(401, invalidToken)
			a.request("GET", gateURL+"/v1/accounts", "", map[string][]string{"Authorization": {"Bearer " + a.bound("x5t#S256")}}).refused(401, invalidToken)
		},
		"SENDER-CONSTRAINT-EXT-11": func(a *attack) {
			for _, name := range []string{"X-Client-Cert", "X-SSL-Client-Cert", "X-Forwarded-Client-Cert", "Client-Cert"} {
				a.raw("GET /v1/accounts HTTP/1.1\r\nHost: gw.test\r\n"+name+": :MIIB:\r\nAuthorization: Bearer "+a.bound("x5t#S256")+"\r\n\r\n").
					refused(401, invalidToken)
			}
		},
		"SENDER-CONSTRAINT-EXT-18": func(a *attack) {
			for _, resource := range []string{gateURL + "#fragment", "/v1/accounts", "gw.test", "https://other.test"} {
				a.form("/oauth2/token", machineID, machineSecret, url.Values{
					"grant_type": {"client_credentials"}, "scope": {"accounts:read"}, "resource": {resource},
				}).refusedByIssuer(400, "invalid_target")
			}
		},
		"SENDER-CONSTRAINT-EXT-19": func(a *attack) {
			a.form("/oauth2/token", machineID, machineSecret, url.Values{
				"grant_type": {"refresh_token"}, "refresh_token": {a.obtainRefresh("accounts:read")}, "resource": {"https://other.test"},
			}).refusedByIssuer(400, "invalid_target")
		},
	})
}

// bound is a token that only the holder of a key may use (RFC 7800): none of the
// ways to prove that is known here.
func (a *attack) bound(method string) string {
	a.Helper()
	return a.mint(a.header(), a.claims("accounts:read").with("cnf", members{method: b64("a thumbprint of thirty-two bytes")}))
}

// proof is a DPoP proof for a token (RFC 9449 §4.2); without ath if that is empty.
func (a *attack) proof(token string) string {
	a.Helper()
	key := attackerES256()
	point, err := key.PublicKey.Bytes()
	if err != nil {
		a.Fatal(err)
	}
	header := members{"typ": "dpop+jwt", "alg": "ES256", "jwk": members{
		"kty": "EC", "crv": "P-256", "x": b64(string(point[1:33])), "y": b64(string(point[33:])),
	}}
	claims := members{"jti": rand.Text(), "htm": "GET", "htu": gateURL + "/v1/accounts", "iat": time.Now().Unix()}
	if token != "" {
		sum := sha256.Sum256([]byte(token))
		claims["ath"] = b64(string(sum[:]))
	}
	input := b64(a.encode(header)) + "." + b64(a.encode(claims)) // no secret: logs may have it
	return input + "." + b64(string(a.signES256(key)(input)))
}

// proves presents a token with a proof of its key.
func (a *attack) proves(authorization, proof string) *answer {
	a.Helper()
	return a.raw("GET /v1/accounts HTTP/1.1\r\nHost: gw.test\r\nAuthorization: " + authorization + "\r\nDPoP: " + proof + "\r\n\r\n")
}

// refusedByIssuer wants an error of RFC 6749 §5.2.
func (got *answer) refusedByIssuer(status int, code string) *answer {
	got.a.Helper()
	var problem struct{ Error string }
	if err := json.Unmarshal([]byte(got.body), &problem); err != nil || problem.Error != code || got.status != status {
		got.a.Errorf("%v; wanted %d %s: %s", err, status, code, got)
	}
	if cache := got.header.Get("Cache-Control"); cache != "no-store" {
		got.a.Errorf("Cache-Control %q", cache)
	}
	if got.status == http.StatusUnauthorized && got.header.Get("Www-Authenticate") == "" {
		got.a.Errorf("a 401 without a challenge: %s", got)
	}
	got.a.result("refused: " + number(got.status) + " " + problem.Error)
	return got
}
