package caddymodule

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddy-bearer/caddy-bearer/store"
)

var appProofs = []proof{
	{
		keys:    []string{"json bearer.store", "json bearer.store.path", "Caddyfile bearer store"},
		outcome: "the database file",
		see:     func(v *variant) string { return v.made(".db") },
		first:   "first.db", second: "second.db",
	},
	{
		keys:    []string{"json bearer.store.driver"},
		outcome: "what caddy validate says",
		apart: func(t *testing.T) (first, second string) {
			driver := func(name string) string {
				app, gate := sound(t)
				app.Store.Driver = name
				return fmt.Sprint(validate(app, gate))
			}
			return driver("sqlite"), after("bearer app module: ", driver("postgres"))
		},
		first: "<nil>", second: `provision bearer: store driver "postgres" is unknown; known: sqlite`,
	},
	{
		keys:    []string{"json bearer.root_key_file", "Caddyfile bearer root_key"},
		outcome: "the file with the root key",
		see:     func(v *variant) string { return v.made(".key") },
		first:   "first.key", second: "second.key",
	},
	{
		keys:    []string{"json bearer.operator_token_file", "Caddyfile bearer operator_token"},
		outcome: "the file with the operator tokens",
		see:     func(v *variant) string { return v.made(".token") },
		first:   "first.token", second: "second.token",
	},
	{
		keys:    []string{"json bearer.revocation_journal_file", "Caddyfile bearer revocation_journal"},
		outcome: "the file with the revocation journal",
		see:     func(v *variant) string { return v.made(".journal") },
		first:   "first.journal", second: "second.journal",
	},
	{
		keys:    []string{"json bearer.audit", "json bearer.audit.files", "Caddyfile bearer audit", "Caddyfile bearer audit file"},
		outcome: "the file in which a head of the audit trail appears",
		see: func(v *variant) string {
			v.eventually("a head arrives in a file", func() bool {
				return v.newestHead("first.heads") != nil || v.newestHead("second.heads") != nil
			})
			return v.made(".heads")
		},
		first: "first.heads", second: "second.heads",
	},
	{
		keys:    []string{"json bearer.audit.syslog", "Caddyfile bearer audit syslog"},
		outcome: "the socket at which a head of the audit trail arrives",
		see:     func(v *variant) string { return v.receiver() },
		first:   "first.syslog", second: "second.syslog",
	},
	{
		keys:    []string{"json bearer.cache_size", "Caddyfile bearer cache_size"},
		outcome: "over 64 MiB in use, by Caddy's heap profile: two caches, whose books take a twentieth of their size",
		see:     func(v *variant) string { return fmt.Sprint(v.heap() > 64<<20) },
		first:   "false", second: "true",
	},
	{
		keys:    []string{"json bearer.policies", "Caddyfile bearer policy"},
		outcome: "what a gate answers to requests that one of the two files allows",
		see: func(v *variant) string {
			return v.get("/policies/narrow", true) + " " + v.get("/policies/rights", true)
		},
		first: "200 403", second: "403 200",
	},
	{
		keys:    []string{"json bearer.environments", "Caddyfile bearer environment"},
		outcome: "the environment in which a command finds the client",
		see: func(v *variant) string {
			var found []string
			for _, env := range []string{"sandbox", "production"} {
				if strings.Contains(v.ok("", "bearer", "client", "list", "--environment", env), v.client) {
					found = append(found, env)
				}
			}
			return strings.Join(found, " ")
		},
		first: "sandbox", second: "production",
	},
}

var environmentProofs = []proof{
	{
		keys:    []string{"json bearer.environments.*.issuer", "Caddyfile bearer environment issuer"},
		outcome: "issuer in the token",
		see:     func(v *variant) string { return v.inToken(1, "iss") },
		first:   "https://auth.first.test", second: "https://auth.second.test",
	},
	{
		keys:    []string{"json bearer.environments.*.audience", "Caddyfile bearer environment audience"},
		outcome: "audience in the token",
		see:     func(v *variant) string { return v.inToken(1, "aud") },
		first:   "https://api.first.test", second: "https://api.second.test",
	},
	{
		keys:    []string{"json bearer.environments.*.policy", "Caddyfile bearer environment policy"},
		outcome: "scopes_supported in the issuer's metadata",
		see:     func(v *variant) string { return v.metadata("scopes_supported") },
		first:   "[base sees extra broad bold shy]", second: "[base extra sees broad]",
	},
	{
		keys:    []string{"json bearer.environments.*.code_lifetime", "Caddyfile bearer environment code_lifetime"},
		outcome: "the answer to a code that is redeemed after 3.1 s",
		see:     (*variant).redeemLate,
		first:   "200", second: "400",
	},
	{
		keys:    []string{"json bearer.environments.*.access_token_lifetime", "Caddyfile bearer environment access_token_lifetime"},
		outcome: "expires_in of the token endpoint",
		see:     func(v *variant) string { return fmt.Sprint(v.issued.ExpiresIn) },
		first:   "420", second: "480",
	},
	{
		keys:    []string{"json bearer.environments.*.refresh_token_lifetime", "Caddyfile bearer environment refresh_token_lifetime"},
		outcome: "refresh_token_expires_in of the token endpoint",
		see:     func(v *variant) string { return fmt.Sprint(v.issued.RefreshExpires) },
		first:   "25200", second: "28800",
	},
	{
		keys:    []string{"json bearer.environments.*.signing_algorithm", "Caddyfile bearer environment signing_algorithm"},
		outcome: "alg in the token's header",
		see:     func(v *variant) string { return v.inToken(0, "alg") },
		first:   "PS256", second: "EdDSA",
	},
	{
		keys:    []string{"json bearer.environments.*.signing_key_rotation", "Caddyfile bearer environment signing_key_rotation"},
		outcome: "the states of the signing keys when housekeeping has come by a day later",
		apart: func(t *testing.T) (first, second string) {
			return keysADayLater(t, "24h"), keysADayLater(t, "off")
		},
		first: "future signing", second: "signing",
	},
	{
		keys:    []string{"json bearer.environments.*.signing_key_file", "Caddyfile bearer environment signing_key"},
		outcome: "the PEM file whose thumbprint is the id of the key that signs",
		see:     func(v *variant) string { return v.keyFile() },
		first:   "first.pem", second: "second.pem",
	},
	{
		keys:    []string{"json bearer.environments.*.trading_tokens", "Caddyfile bearer environment trading_tokens"},
		outcome: "the most that the client of trading tokens may carry, by a command",
		see:     func(v *variant) string { return fmt.Sprint(*v.declared("client", store.TradingClient).Scopes) },
		first:   "[base]", second: "[sees extra]",
	},
	{
		keys:    []string{"json bearer_issuer.environment", "Caddyfile bearer_issuer environment"},
		outcome: "environment at /token/self",
		see:     func(v *variant) string { return v.own.Environment },
		first:   "sandbox", second: "production",
	},
}

// keysADayLater are the states of the signing keys, the newest first, under a
// schedule as it stands in a Caddyfile.
func keysADayLater(t *testing.T, schedule string) string {
	parsed := new(Environment)
	d := caddyfile.NewTestDispenser("sandbox {\nsigning_key_rotation " + schedule + "\n}")
	d.Next()
	must(t, readBlock(d, "sandbox", parsed.options()))
	var states []string
	t.Run(schedule, func(t *testing.T) {
		w := newAdminWorld(t, func(app *App) {
			app.Environments[store.Sandbox].SigningKeyRotation = parsed.SigningKeyRotation
		})
		w.app.runtime.keepKeys(t.Context(), time.Now().Add(24*time.Hour))
		var listed struct{ Keys []shownKey }
		w.ok("GET", "/keys", "").decode(t, &listed)
		for _, key := range listed.Keys {
			states = append(states, string(key.State))
		}
	})
	return strings.Join(states, " ")
}

// after is what follows a text, or all if it is not there.
func after(mark, text string) string {
	if _, rest, found := strings.Cut(text, mark); found {
		return rest
	}
	return text
}
