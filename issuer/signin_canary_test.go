package issuer

import (
	"strings"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Whatever people and providers send, rightly or wrongly, the log at its most
// talkative names nothing that opens anything.
func TestCanaryNothingOfASignInIsLogged(t *testing.T) {
	const marker = "canary-6f1e"
	var log sink
	logger := zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(zap.NewDevelopmentEncoderConfig()), &log, zapcore.DebugLevel))
	f := newFederation(t, "sub")
	local := f.options
	local.Log = logger
	provider := Provider{Issuer: f.provider.server.URL, ClientID: "gateway", ClientSecret: providerSecret, Claim: "sub"}

	is, err := New(local)
	if err != nil {
		t.Fatal(err)
	}
	f.issuer, f.server.Config.Handler = is, is
	secrets := []string{marker, alicePassword, providerSecret}
	v := f.signedIn(aliceID, alicePassword)
	secrets = append(secrets, v.session(), v.csrf())
	v.signIn(marker, marker)
	v.signIn(aliceID, marker)
	v.post(pathLogin, marker, marker)
	v.post(pathLogin, "confirm", "1", "csrf", v.csrf(), "password", marker)
	v.post(pathLogin, "user", aliceID, "password", alicePassword, "next", "https://"+marker)
	v.post(pathLogout, "csrf", marker)
	v.get(pathLogin + "?next=" + marker + "&" + marker + "=" + marker)
	v.get(pathLogin + "?%zz" + marker)
	v.send(call{method: "GET", path: pathLogin, header: map[string][]string{"Cookie": {f.issuer.sessionCookie() + "=" + marker}}})

	f.options = local
	f.join(provider)
	v = f.visitor()
	asked := f.leave(v)
	secrets = append(secrets, asked.Get("state"), asked.Get("nonce"), v.jar.Cookies(v.at())[0].Value)
	code := f.provider.code(asked)
	secrets = append(secrets, code)
	v.get(pathCallback+"?state="+asked.Get("state")+"&code="+code).wantRedirect(t, "/")
	f.back(v, f.leave(v), "code", marker)
	f.back(v, f.leave(v), "state", marker)
	f.back(v, f.leave(v), "error", marker, "error_description", marker)
	f.back(v, f.leave(v), "iss", marker)
	for _, claim := range []string{"sub", "nonce", "azp"} {
		f.provider.claims = map[string]any{claim: marker}
		f.back(v, f.leave(v))
	}
	f.provider.claims = map[string]any{"email_verified": marker}
	f.back(v, f.leave(v))
	f.provider.claims = nil
	f.provider.server.Close()
	f.back(v, asked)

	text := log.String()
	if lines := strings.Count(text, "\n"); lines < 25 {
		t.Fatalf("%d lines are too few to prove anything", lines)
	}
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds %q:\n%s", secret, text)
		}
	}
}

// A store that is away lets nobody in, and signs nobody out.
func TestSignInWhenTheStoreIsAway(t *testing.T) {
	var away *truant
	b := newTown(t, func(b *bank) {
		b.wrap = func(s store.Store) store.Store {
			away = &truant{Store: s}
			return away
		}
	})
	v := b.signedIn(aliceID, alicePassword)
	away.away.Store(true)
	for _, got := range []*answer{v.get(pathLogin), v.post(pathLogout, "csrf", v.csrf()), b.visitor().signIn(aliceID, alicePassword)} {
		got.wantPage(t, 503, "not available now")
		if got.header.Get("Retry-After") == "" || len(got.header.Values("Set-Cookie")) > 0 {
			t.Errorf("header %v", got.header)
		}
	}
	away.away.Store(false)
	if !v.isSignedIn() {
		t.Error("signed out")
	}
	v.post(pathLogout, "csrf", v.csrf()).wantRedirect(t, "/login")
}
