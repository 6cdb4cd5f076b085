package attacks

import (
	"strings"
)

func init() {
	register(rows{
		"JWT-ENCODING-01": func(a *attack) {
			for _, padding := range []string{"=", "=="} {
				a.get("/v1/accounts", a.tokenRead()+padding).refused(401, invalidToken)
			}
		},
		"JWT-ENCODING-02": func(a *attack) {
			header, payload := b64(a.encode(a.header())), b64(a.encode(a.claims("accounts:read").with("note", "\u00fb\u00ff\u00bf~~~???>>>")))
			other := strings.NewReplacer("-", "+", "_", "/").Replace(payload)
			if other == payload {
				a.Fatal("nothing was to be replaced")
			}
			a.get("/v1/accounts", a.signedText(header, payload)).passed()
			a.results = nil // that was to show that the other alphabet is all
			signed := a.signedText(header, payload)
			a.get("/v1/accounts", strings.Replace(signed, payload, other, 1)).refused(401, invalidToken)
			a.get("/v1/accounts", a.signedText(header, other)).refused(401, invalidToken)
		},
		// A blank or TAB ends the word that a token is: the header is malformed, not
		// the token. CR and LF never make a request.
		"JWT-ENCODING-04": func(a *attack) {
			token := a.tokenRead()
			at := strings.IndexByte(token, '.') + 5
			for _, white := range []string{" ", "\t"} {
				a.get("/v1/accounts", token[:at]+white+token[at:]).refusedCredential()
			}
			for _, white := range []string{"\r", "\n", "\r\n"} {
				a.get("/v1/accounts", token[:at]+white+token[at:]).refused(400, notByGate)
			}
			a.get("/v1/accounts", token[:at]+"\r\n "+token[at:]).refusedCredential() // obs-fold, which becomes a blank
		},
		"JWT-ENCODING-06": func(a *attack) { a.get("/v1/accounts", a.tokenRead()+".").refused(401, invalidToken) },
		"JWT-ENCODING-07": func(a *attack) { a.get("/v1/accounts", a.tokenRead()+".AAAA").refused(401, invalidToken) },
		"JWT-ENCODING-13": func(a *attack) {
			part := strings.Split(a.tokenAdmin(), ".")
			flattened := a.encode(members{"protected": part[0], "payload": part[1], "signature": part[2]})
			general := a.encode(members{"payload": part[1], "signatures": []members{{"protected": part[0], "signature": part[2]}}})
			for _, token := range []string{flattened, general, b64(flattened), b64(general)} {
				a.get("/v1/admin/users", token).refused(401, invalidToken)
			}
		},
		"JWT-ENCODING-14": func(a *attack) {
			a.get("/v1/accounts", a.tokenRead()+"%00").refused(401, invalidToken)
			a.get("/v1/accounts", a.tokenRead()+"\x00").refused(400, notByGate)
		},
		"JWT-ENCODING-16": func(a *attack) {
			token := a.tokenRead()
			a.get("/v1/accounts", token+"."+token).refused(401, invalidToken)
		},

		"JWT-JSON-01": func(a *attack) {
			for _, algorithms := range []string{`"alg":"none","alg":"RS256"`, `"alg":"RS256","alg":"none"`} {
				header := `{` + algorithms + `,"typ":"at+jwt","kid":"` + a.rsaID + `"}`
				for _, sign := range []func(string) []byte{a.signRS256(a.rsa), unsigned} {
					a.getRSA("/v1/admin/users", a.compact(header, a.encode(a.rsaClaims("admin")), sign)).refused(401, invalidToken)
				}
			}
			a.refusesPayload(strings.Replace(a.encode(a.claims("accounts:read")), `"scope":`, `"scope":"admin","scope":`, 1))
			a.refusesPayload(strings.Replace(a.encode(a.claims("admin")), `"scope":`, `"scope":"accounts:read","scope":`, 1))
		},
		"JWT-JSON-06": func(a *attack) {
			a.refusesHeader(a.header().without("kid").with("\u212aid", a.es256ID))
			a.refusesHeader(a.header().with("\u212aid", a.es256ID))
			a.refusesPayload(a.encode(a.claims("accounts:read").with("\u017fcope", "admin"))) // LONG S
			a.refusesPayload(a.encode(a.claims("accounts:read").with("Scope", "admin")))
		},
		"JWT-JSON-11": func(a *attack) { a.refusesPayload("null") },
		"JWT-JSON-13": func(a *attack) {
			a.refusesPayload(strings.Replace(a.encode(a.claims("admin")), ",", ", // a comment\n", 1))
			a.refusesPayload(strings.Replace(a.encode(a.claims("admin")), ",", ", /* a comment */", 1))
		},
	})
}

// refusesPayload wants a token with this payload to be refused, with a good
// signature over it.
func (a *attack) refusesPayload(payload string) {
	a.Helper()
	for _, path := range []string{"/v1/admin/users", "/v1/accounts"} {
		a.get(path, a.compact(a.encode(a.header()), payload, a.sign)).refused(401, invalidToken)
	}
}

// signedText signs parts that are encoded already, or never were.
func (a *attack) signedText(header, payload string) string {
	input := header + "." + payload
	token := input + "." + b64(string(a.sign(input)))
	a.forbid(token)
	return token
}
