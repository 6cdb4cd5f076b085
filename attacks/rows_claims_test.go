package attacks

import "time"

func init() {
	register(rows{
		"JWT-CLAIMS-01": claimLeftOut("exp"),
		"JWT-CLAIMS-03": claimed("exp", nil, true, []any{}, members{}),
		"JWT-CLAIMS-05": claimed("exp", 0),
		"JWT-CLAIMS-06": func(a *attack) { a.refusesClaim("exp", time.Now().Unix()-61) },
		"JWT-CLAIMS-07": expiresInAFraction,
		"JWT-CLAIMS-08": claimed("exp", 1e300),
		"JWT-CLAIMS-14": func(a *attack) {
			claims := a.claims("admin").with("iat", time.Now().AddDate(-10, 0, 0).Unix()).with("exp", time.Now().Add(time.Hour).Unix())
			a.get("/v1/admin/users", a.mint(a.header(), claims)).refused(401, invalidToken)
		},
		"JWT-CLAIMS-17": claimed("iss", "http://as.test"),
		"JWT-CLAIMS-19": claimed("iss", "https://as.test@attacker.test"),
		"JWT-CLAIMS-20": claimLeftOut("iss"),
		"JWT-CLAIMS-21": claimed("iss", []string{issuerURL}),
		"JWT-CLAIMS-22": claimLeftOut("aud"),
		"JWT-CLAIMS-24": func(a *attack) {
			a.get("/v1/admin/users", a.mint(a.header(), a.claims("admin").with("aud", []string{"https://other.test", gateURL}))).passed()
		},
		"JWT-CLAIMS-25": claimed("aud", []string{}),
		"JWT-CLAIMS-26": claimed("aud", []any{1, gateURL}),
		"JWT-CLAIMS-28": claimed("aud", members{gateURL: 1}),
		"JWT-CLAIMS-31": func(a *attack) {
			a.get("/v1/accounts", a.mint(a.header(), a.claims("").without("scope"))).refused(403, insufficientScope)
		},
		"JWT-CLAIMS-34": claimed("scope", "accounts:read\tadmin"),

		"JWT-TYP-03": func(a *attack) { a.refusesHeader(a.header().without("typ")) },
		"JWT-TYP-04": func(a *attack) {
			token := a.mint(a.header().with("typ", "JWT"), a.claims("admin").with("aud", machineID).with("nonce", "n").with("at_hash", "h"))
			a.get("/v1/admin/users", token).refused(401, invalidToken)
		},
		"JWT-TYP-05": func(a *attack) {
			a.get("/v1/admin/users", a.mint(a.header().with("typ", "JWT"), a.claims("admin").with("nonce", "n"))).refused(401, invalidToken)
		},
		"JWT-TYP-06": func(a *attack) {
			a.get("/v1/accounts", a.obtainRefresh("accounts:read")).refused(401, invalidToken)
		},
		"JWT-TYP-10": func(a *attack) {
			for _, typ := range []string{"logout+jwt", "secevent+jwt", "statuslist+jwt", "token-introspection+jwt"} {
				a.refusesHeader(a.header().with("typ", typ))
			}
		},
		// The log says why: "check" comes before the look-up, "unknown" after it.
		"JWT-TYP-12": func(a *attack) {
			token := a.personalToken("desk")
			a.get("/v1/accounts", token).passed()
			a.results = nil // that was to show that the rest is right
			last := len(token) - 1
			a.get("/v1/accounts", token[:last]+other(token[last:])).refused(401, invalidToken)
			a.eventually(a.T, "the log says why", func() bool { return a.log.contains(`"reason":"check"`, a.logFrom) })
		},
		"JWT-TYP-13": func(a *attack) {
			claims := members{"iss": issuerURL, "aud": gateURL, "iat": time.Now().Unix(),
				"token_introspection": a.claims("admin").with("active", true)}
			a.get("/v1/admin/users", a.mint(a.header().with("typ", "token-introspection+jwt"), claims)).refused(401, invalidToken)
			a.get("/v1/admin/users", a.mint(a.header(), claims)).refused(401, invalidToken)
		},
		"JWT-TYP-15": func(a *attack) {
			a.get("/v1/accounts", "urn:ietf:params:oauth:request_uri:6esc_11ACC5bwc014ltc14eY22c").refused(401, invalidToken)
		},

		"JWT-CRIT-02": func(a *attack) { a.refusesHeader(a.header().with("crit", []string{"exp"})) },
		"JWT-CRIT-04": func(a *attack) { a.refusesHeader(a.header().with("crit", "b64")) },
		"JWT-CRIT-05": func(a *attack) {
			a.refusesHeader(a.header().with("crit", []string{"b64", "b64"}).with("b64", true))
		},
		"JWT-CRIT-06": func(a *attack) {
			token := a.signedText(b64(a.encode(a.header().with("crit", []string{"b64"}).with("b64", false))), a.encode(a.claims("admin")))
			a.get("/v1/admin/users", token).refused(401, invalidToken)
		},
		"JWT-CRIT-07": func(a *attack) {
			header := a.header().with("b64", false)
			a.refusesHeader(header)
			a.get("/v1/admin/users", a.signedText(b64(a.encode(header)), a.encode(a.claims("admin")))).refused(401, invalidToken)
		},
		"JWT-CRIT-10": func(a *attack) {
			header := a.header().with("zip", "DEF")
			a.refusesHeader(header)
			a.get("/v1/admin/users", a.compact(a.encode(header), string(deflated(a, a.encode(a.claims("admin")))), a.sign)).refused(401, invalidToken)
		},
	})
}

// claimed presents admin's claims with another value of one, for each value.
func claimed(name string, values ...any) func(*attack) {
	return func(a *attack) {
		for _, value := range values {
			a.refusesClaim(name, value)
		}
	}
}

func claimLeftOut(name string) func(*attack) {
	return func(a *attack) {
		a.get("/v1/admin/users", a.mint(a.header(), a.claims("admin").without(name))).refused(401, invalidToken)
	}
}

func (a *attack) refusesClaim(name string, value any) {
	a.Helper()
	a.get("/v1/admin/users", a.mint(a.header(), a.claims("admin").with(name, value))).refused(401, invalidToken)
}

// expiresInAFraction has an exp that is no integer. A token ends with the second
// before it, so it must be sent early enough: what came too late is tried again.
func expiresInAFraction(a *attack) {
	for {
		end := time.Now().Add(900 * time.Millisecond)
		token := a.mint(a.header(), a.claims("admin").with("exp", float64(end.UnixMilli())/1000))
		got := a.get("/v1/admin/users", token)
		if late := !time.Now().Before(end.Truncate(time.Second)); got.status == 401 && late {
			time.Sleep(20 * time.Millisecond) // until another part of the second; nothing depends on how long
			continue
		}
		got.passed()
		a.eventually(a.T, "the token expires", func() bool {
			sent := time.Now()
			got = a.get("/v1/admin/users", token)
			if got.status == 200 && !sent.Before(end) {
				a.Fatal("the token lives longer than its exp says")
			}
			a.received()
			return got.status != 200
		})
		got.refused(401, invalidToken)
		return
	}
}

// other is another character of base62.
func other(character string) string {
	if character == "0" {
		return "1"
	}
	return "0"
}
