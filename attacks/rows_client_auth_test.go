package attacks

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

const tokenPath = "/oauth2/token"

// own asks for a token for the client itself.
func own(more ...string) url.Values {
	fields := url.Values{"grant_type": {"client_credentials"}, "scope": {"accounts:read"}}
	for k := 0; k < len(more); k += 2 {
		fields.Set(more[k], more[k+1])
	}
	return fields
}

func init() {
	register(rows{
		"CLIENT-AUTH-01": func(a *attack) {
			for _, secret := range []string{machineSecret, "wrong"} {
				a.form(tokenPath, machineID, machineSecret, own("client_id", machineID, "client_secret", secret)).refusedByIssuer(400, invalidRequest)
				a.form(tokenPath, machineID, machineSecret, own("client_secret", secret)).refusedByIssuer(400, invalidRequest)
			}
		},
		"CLIENT-AUTH-03": func(a *attack) {
			for _, other := range []string{appID, spaID, "nobody"} {
				a.form(tokenPath, machineID, machineSecret, own("client_id", other)).refusedByIssuer(400, invalidRequest)
			}
		},
		"CLIENT-AUTH-06": func(a *attack) {
			fields := own("client_id", machineID, "client_secret", machineSecret) // which the log does not get either
			got := a.request("GET", issuerURL+tokenPath+"?"+fields.Encode(), "", nil).refusedByIssuer(405, invalidRequest)
			if got.header.Get("Allow") != "POST" {
				a.Errorf("Allow %q", got.header.Get("Allow"))
			}
			a.request("HEAD", issuerURL+tokenPath, "", nil).status405()
		},
		// Nobody can be registered for private_key_jwt; but a client with a secret is
		// nobody without it, however it pretends.
		"CLIENT-AUTH-09": func(a *attack) {
			a.form(tokenPath, "", "", own("client_id", machineID)).refusedByIssuer(401, invalidClient)
			a.form(tokenPath, machineID, "wrong", own()).refusedByIssuer(401, invalidClient)
			a.form(tokenPath, "", "", own()).refusedByIssuer(401, invalidClient)
			for _, url := range []string{issuerURL + "/.well-known/oauth-authorization-server", rsaIssuerMetadata} {
				if text := string(a.fetch(a.T, url)); strings.Contains(text, "_jwt") {
					a.Errorf("a method is announced that there is not: %s", text)
				}
			}
		},
		// There are no assertions: none of them is looked into.
		"CLIENT-AUTH-11": func(a *attack) {
			claims := a.assertion(nil)
			public := string(a.rsaPublic)
			a.asserted(a.compact(a.encode(members{"alg": "none"}), claims, unsigned), "")
			a.asserted(a.compact(a.encode(members{"alg": "HS256"}), claims, signHS256([]byte(public))), "")
			key := attackerES256()
			a.asserted(a.compact(a.encode(members{"alg": "ES256", "jwk": members{"kty": "EC", "crv": "P-256"}}), claims, a.signES256(key)), "")
		},
		"CLIENT-AUTH-13": func(a *attack) {
			signed := a.goodAssertion(nil)
			a.asserted(signed, "")
			a.asserted(signed, "")
		},
		"CLIENT-AUTH-14": func(a *attack) {
			now := time.Now()
			for _, changes := range []members{
				{"exp": now.Add(2 * time.Hour).Unix()}, {"exp": now.Add(-time.Minute).Unix()}, {"nbf": now.Add(61 * time.Second).Unix()},
				{"exp": nil}, {"sub": nil}, {"iss": "nobody"},
			} {
				a.asserted(a.goodAssertion(changes), "")
			}
		},
		"CLIENT-AUTH-15": func(a *attack) { a.asserted(a.goodAssertion(nil), appID) },
		// That the comparison costs the same is for the tests of token.Secrets, which
		// need no clock: here nothing but the time could tell how much was right.
		"CLIENT-AUTH-18": func(a *attack) {
			bodies := map[string]bool{}
			for length := range len(machineSecret) {
				address := fmt.Sprintf("127.0.18.%d", 1+length)
				got := a.formFrom(address, tokenPath, machineID, machineSecret[:length], own()).refusedByIssuer(401, invalidClient)
				bodies[got.body] = true
			}
			if got := a.formFrom("127.0.18.200", tokenPath, "nobody", machineSecret, own()).refusedByIssuer(401, invalidClient); !bodies[got.body] || len(bodies) != 1 {
				a.Errorf("the answers differ: %v", bodies)
			}
		},
		"CLIENT-AUTH-19": func(a *attack) {
			refused := map[int]int{}
			for n := range 100 {
				got := a.formFrom("127.0.19.1", tokenPath, machineID, fmt.Sprintf("wrong %d", n), own())
				if refused[got.status]++; got.status == http.StatusTooManyRequests && got.header.Get("Retry-After") == "" {
					a.Fatalf("nobody is told how long to wait: %s", got)
				}
			}
			if refused[401] > 20 || refused[401]+refused[429] != 100 {
				a.Errorf("answers %v", refused)
			}
			a.formFrom("127.0.19.1", tokenPath, machineID, machineSecret, own()).refusedByIssuer(429, "temporarily_unavailable")
			if got := a.formFrom("127.0.19.2", tokenPath, machineID, machineSecret, own()); got.status != 200 {
				a.Errorf("the client is locked out elsewhere: %s", got)
			}
			if got := a.formFrom("127.0.19.1", tokenPath, appID, appSecret, own()); got.status != 200 {
				a.Errorf("another client of that address is locked out: %s", got)
			}
		},
		"CLIENT-AUTH-20": func(a *attack) {
			got := a.form(tokenPath, machineID, machineSecret, own())
			for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache"} {
				if found := got.header.Get(name); found != want {
					a.Errorf("%s: %q", name, found)
				}
			}
			var tokens struct {
				Access  string  `json:"access_token"`
				Type    string  `json:"token_type"`
				Expires float64 `json:"expires_in"`
			}
			if got.decode(&tokens); tokens.Type != "Bearer" || tokens.Expires <= 0 || tokens.Access == "" {
				a.Errorf("%s", got)
			}
			a.forbid(tokens.Access)
			a.result("200 no-store")
		},
	})
}

const (
	invalidClient     = "invalid_client"
	invalidGrant      = "invalid_grant"
	rsaIssuerMetadata = "https://rsa.as.test/.well-known/oauth-authorization-server/t1"
)

// assertion are the claims by which the client "machine" would authenticate
// (RFC 7523 §3), with changes; nil leaves one out.
func (a *attack) assertion(changes members) string {
	claims := members{
		"iss": machineID, "sub": machineID, "aud": issuerURL, "jti": a.id, "iat": time.Now().Unix(), "exp": time.Now().Add(time.Minute).Unix(),
	}
	for name, value := range changes {
		if claims[name] = value; value == nil {
			delete(claims, name)
		}
	}
	return a.encode(claims)
}

func (a *attack) goodAssertion(changes members) string {
	return a.compact(a.encode(members{"alg": "ES256", "kid": "machine"}), a.assertion(changes), a.signES256(attackerES256()))
}

// asserted presents an assertion, which must be no credential, whoever else is
// named.
func (a *attack) asserted(assertion, client string) {
	a.Helper()
	fields := own("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer", "client_assertion", assertion)
	if client != "" {
		fields.Set("client_id", client)
	}
	a.form(tokenPath, "", "", fields).refusedByIssuer(401, invalidClient)
	a.result("assertions are not supported")
}

// decode reads a JSON body.
func (got *answer) decode(into any) {
	got.a.Helper()
	if err := json.Unmarshal([]byte(got.body), into); err != nil {
		got.a.Errorf("%v in %s", err, got)
	}
}

// status405 wants a method to be refused whose answer has no body.
func (got *answer) status405() {
	got.a.Helper()
	if got.status != http.StatusMethodNotAllowed {
		got.a.Errorf("%s", got)
	}
}
