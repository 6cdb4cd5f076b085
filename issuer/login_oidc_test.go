package issuer

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-bearer/caddy-bearer/store"
)

func TestProviderSignsIn(t *testing.T) {
	f := newFederation(t, "sub")
	v := f.visitor()
	host := strings.TrimPrefix(f.provider.server.URL, "http://")
	page := v.get(pathLogin+"?next=/x").wantPage(t, 200, "Continue to "+host)
	if csp := page.header.Get("Content-Security-Policy"); !strings.HasSuffix(csp, "form-action 'self' "+f.provider.server.URL) {
		t.Errorf("Content-Security-Policy %q", csp)
	}
	asked := f.leave(v, "next", "/x")
	for name, want := range map[string]string{
		"response_type": "code", "client_id": "gateway", "redirect_uri": f.server.URL + "/login/callback", "scope": "openid email",
		"code_challenge_method": "S256", "prompt": "", "max_age": "",
	} {
		if got := asked.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	for _, name := range []string{"state", "nonce", "code_challenge"} {
		if len(asked.Get(name)) < 26 { // 128 bits, in base32
			t.Errorf("%s %q can be guessed", name, asked.Get(name))
		}
	}
	got := f.back(v, asked).wantRedirect(t, "/x")
	if cookies := got.header.Values("Set-Cookie"); len(cookies) != 2 || !strings.Contains(cookies[1], "Max-Age=0") {
		t.Errorf("cookies %q", cookies)
	}
	if !v.isSignedIn() {
		t.Fatal("not signed in")
	}
	if again := f.leave(f.visitor()); again.Get("state") == asked.Get("state") || again.Get("nonce") == asked.Get("nonce") || again.Get("code_challenge") == asked.Get("code_challenge") {
		t.Error("two sign-ins have a secret in common")
	}
	// The password from before opens nothing now.
	if got := f.visitor().signIn(aliceID, alicePassword); got.header.Get("Location") == "/" {
		t.Error("signed in by a password")
	}
}

func TestProviderFlowCookieIsOutOfReach(t *testing.T) {
	f := newFederation(t, "sub")
	got := f.visitor().post(pathLogin)
	cookie := got.header.Get("Set-Cookie")
	if !strings.HasPrefix(cookie, "bearer-sandbox-sign-in=") || !strings.HasSuffix(cookie, "; Path=/; Max-Age=600; HttpOnly; SameSite=Lax") {
		t.Errorf("cookie %q", cookie)
	}
	location, err := url.Parse(got.header.Get("Location"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"state", "nonce"} {
		if strings.Contains(cookie, location.Query().Get(name)) {
			t.Errorf("%s stands in the cookie as it is", name)
		}
	}
}

// What comes back is no answer to what this browser asked for, or was cheated
// with: nobody is signed in.
func TestProviderAnswersThatAreRefused(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	claim := func(name string, value any) func(*federation) {
		return func(f *federation) { f.provider.claims[name] = value }
	}
	for name, test := range map[string]struct {
		cheat  func(*federation)
		change []string
		status int
		says   string
	}{
		"wrong state":              {change: []string{"state", "x"}, status: 400, says: "did not begin in this browser"},
		"no state":                 {change: []string{"state", ""}, status: 400, says: "did not begin in this browser"},
		"wrong nonce":              {cheat: claim("nonce", "x"), status: 403, says: "cannot be relied on"},
		"no nonce":                 {cheat: claim("nonce", nil), status: 403, says: "cannot be relied on"},
		"for another client":       {cheat: claim("aud", "somebody"), status: 403, says: "cannot be relied on"},
		"for two clients":          {cheat: claim("aud", []string{"gateway", "somebody"}), status: 403, says: "cannot be relied on"},
		"authorized another party": {cheat: claim("azp", "somebody"), status: 403, says: "cannot be relied on"},
		"of another provider":      {cheat: claim("iss", "https://evil.test"), status: 403, says: "cannot be relied on"},
		"expired":                  {cheat: func(f *federation) { f.provider.claims["exp"] = f.clock.Now().Add(-time.Second).Unix() }, status: 403, says: "cannot be relied on"},
		"without an end":           {cheat: claim("exp", nil), status: 403, says: "cannot be relied on"},
		"alg none": {cheat: func(f *federation) {
			f.provider.sign = func(c jwt.MapClaims) string {
				return f.provider.signed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, c)
			}
		}, status: 403, says: "cannot be relied on"},
		"signed with the client's secret": {cheat: func(f *federation) {
			f.provider.sign = func(c jwt.MapClaims) string {
				return f.provider.signed(jwt.SigningMethodHS256, []byte(providerSecret), c)
			}
		}, status: 403, says: "cannot be relied on"},
		"signed with another key": {cheat: func(f *federation) {
			f.provider.sign = func(c jwt.MapClaims) string { return f.provider.signed(jwt.SigningMethodES256, other, c) }
		}, status: 403, says: "cannot be relied on"},
		"no ID token":                 {cheat: func(f *federation) { f.provider.sign = func(jwt.MapClaims) string { return "" } }, status: 403, says: "cannot be relied on"},
		"made-up code":                {change: []string{"code", "x"}, status: 403, says: "cannot be relied on"},
		"no code":                     {change: []string{"code", ""}, status: 403, says: "cannot be relied on"},
		"mix-up: of another issuer":   {change: []string{"iss", "https://evil.test"}, status: 403, says: "cannot be relied on"},
		"unknown user":                {cheat: claim("sub", "bob"), status: 403, says: "You have signed in as bob"},
		"a program":                   {cheat: claim("sub", publishedID), status: 403, says: "ask your operator"},
		"nobody":                      {cheat: claim("sub", ""), status: 403, says: "cannot be relied on"},
		"a name to escape":            {cheat: claim("sub", "<script>alert(1)</script>"), status: 403, says: "signed in as <script>alert(1)</script>,"},
		"claims of other types":       {cheat: claim("email_verified", "true"), status: 403, says: "cannot be relied on"},
		"the person said no":          {change: []string{"error", "access_denied", "code", ""}, status: 403, says: `says “access_denied”`},
		"UI-06 an error to escape":    {change: []string{"error", "x", "error_description", "<svg onload=1>\u202e"}, status: 403, says: `says “x: <svg onload=1>”`},
		"UI-06 an error without end":  {change: []string{"error", strings.Repeat("x", 10<<10)}, status: 403, says: strings.Repeat("x", 200) + "…"},
		"an error that nobody asked":  {change: []string{"error", "Call 0900-EVIL", "state", "x"}, status: 400, says: "did not begin in this browser"},
		"a query that cannot be read": {change: []string{"code", "\xff"}, status: 403, says: "cannot be relied on"},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFederation(t, "sub")
			f.TB = t
			if test.cheat != nil {
				test.cheat(f)
			}
			v := f.visitor()
			got := f.back(v, f.leave(v), test.change...).wantPage(t, test.status, test.says)
			if v.isSignedIn() || strings.Contains(got.body, "<svg onload") || strings.Contains(withoutOwnScript(got.body), "<script") || strings.Contains(got.body, "canary") {
				t.Errorf("signed in, or not escaped: %s", got.body)
			}
		})
	}
}

func TestProviderAnswerOfAnotherBrowser(t *testing.T) {
	f := newFederation(t, "sub")
	mallory, v := f.visitor(), f.visitor()
	asked := f.leave(mallory)
	// Mallory makes a browser finish what began in his: it would be signed in as him.
	f.back(v, asked).wantPage(t, 400, "did not begin in this browser")
	f.leave(v)
	f.back(v, asked).wantPage(t, 400, "did not begin in this browser")
	if v.isSignedIn() {
		t.Error("signed in")
	}
}

func TestProviderAnswerThatIsReplayed(t *testing.T) {
	f := newFederation(t, "sub")
	v := f.visitor()
	before := v.jar.Cookies(v.at())
	asked := f.leave(v)
	flow := v.jar.Cookies(v.at())
	code := f.provider.code(asked)
	replay := func() *answer { return v.get(pathCallback + "?state=" + asked.Get("state") + "&code=" + code) }
	replay().wantRedirect(t, "/")
	v.post(pathLogout, "csrf", v.csrf()).wantRedirect(t, "/login")
	replay().wantPage(t, 400, "did not begin in this browser")
	// With the cookie from before, the code is still good once only.
	v.jar.SetCookies(v.at(), flow)
	replay().wantPage(t, 403, "cannot be relied on")
	if len(before) != 0 || v.isSignedIn() {
		t.Error("signed in")
	}
	// Too late.
	late := f.visitor()
	asked = f.leave(late)
	f.clock.advance(flowLife)
	f.back(late, asked).wantPage(t, 400, "longer than 10 minutes")
	// Sealed for something else, or of a browser that made it up.
	for _, cookie := range []string{"x", "x.y", f.issuer.keyring.KeyID() + ".AAAA", late.session()} {
		v.jar.SetCookies(v.at(), []*http.Cookie{{Name: f.issuer.flowCookie(), Value: cookie}})
		f.back(v, asked).wantPage(t, 400, "did not begin in this browser")
	}
}

func TestProviderClaims(t *testing.T) {
	for name, test := range map[string]struct {
		claim  string
		claims jwt.MapClaims
		status int
	}{
		"sub":                    {"sub", jwt.MapClaims{"email": "bob"}, 303},
		"preferred_username":     {"preferred_username", jwt.MapClaims{"sub": "248289", "preferred_username": aliceID}, 303},
		"no preferred_username":  {"preferred_username", nil, 403},
		"email":                  {"email", jwt.MapClaims{"sub": "248289", "email": aliceID, "email_verified": true}, 303},
		"email not verified":     {"email", jwt.MapClaims{"email": aliceID, "email_verified": false}, 403},
		"email, nobody knows":    {"email", jwt.MapClaims{"email": aliceID}, 403},
		"no email":               {"email", jwt.MapClaims{"email_verified": true}, 403},
		"two audiences, for us":  {"sub", jwt.MapClaims{"aud": []string{"gateway", "somebody"}, "azp": "gateway"}, 303},
		"another case of the id": {"sub", jwt.MapClaims{"sub": "Alice"}, 403},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFederation(t, test.claim)
			f.TB = t
			for name, value := range test.claims {
				f.provider.claims[name] = value
			}
			v := f.visitor()
			if got := f.back(v, f.leave(v)); got.status != test.status || v.isSignedIn() != (test.status == 303) {
				t.Errorf("got %d %s", got.status, got.body)
			}
		})
	}
	f := newFederation(t, "sub")
	f.changeUser(func(p *store.Principal) { p.Status = store.Disabled })
	v := f.visitor()
	f.back(v, f.leave(v)).wantPage(t, 403, "not open here")
}

// RFC 9207: a provider that says that it names itself must.
func TestProviderThatNamesItself(t *testing.T) {
	f := newFederation(t, "sub")
	f.provider.more = map[string]any{"authorization_response_iss_parameter_supported": true}
	v := f.visitor()
	f.back(v, f.leave(v)).wantPage(t, 403, "cannot be relied on")
	f.back(v, f.leave(v), "iss", f.provider.server.URL).wantRedirect(t, "/")
}

func TestProviderThatWantsTheSecretInTheForm(t *testing.T) {
	f := newFederation(t, "sub")
	f.provider.more = map[string]any{"token_endpoint_auth_methods_supported": []string{"client_secret_post"}}
	v := f.visitor()
	f.back(v, f.leave(v)).wantRedirect(t, "/")
}

// A provider that is away stops no start, and is not asked by everybody.
func TestProviderThatIsAway(t *testing.T) {
	f := newFederation(t, "sub")
	f.provider.away = true
	v := f.visitor()
	for range 3 {
		got := v.get(pathLogin).wantPage(t, 503, "does not answer at the moment")
		if got.header.Get("Retry-After") != "5" {
			t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
		}
		v.post(pathLogin).wantPage(t, 503, "does not answer at the moment")
	}
	if f.provider.asked != 1 {
		t.Errorf("asked %d times", f.provider.asked)
	}
	f.provider.away = false
	v.get(pathLogin).wantPage(t, 503, "does not answer at the moment")
	f.clock.advance(providerPause)
	v.get(pathLogin).wantPage(t, 200, "Continue to")
	asked := f.leave(v)
	f.provider.server.Close()
	f.back(v, asked).wantPage(t, 503, "does not answer at the moment")
	if f.provider.asked != 2 {
		t.Errorf("asked %d times", f.provider.asked)
	}
}

// A document that is of another provider than the one that is asked.
func TestProviderWhoseMetadataIsOfAnother(t *testing.T) {
	f := newFederation(t, "sub")
	for _, more := range []map[string]any{
		{"issuer": "https://evil.test"}, {"authorization_endpoint": "javascript:alert(1)"}, {"authorization_endpoint": nil},
	} {
		f.provider.more = more
		f.clock.advance(providerPause)
		f.visitor().get(pathLogin).wantPage(t, 503, "does not answer")
	}
}

func TestProviderStepUp(t *testing.T) {
	f := newFederation(t, "sub")
	f.issuer.mux.Handle("/vault", f.issuer.handlePage("vault", []string{"GET"}, func(x *exchange) (response, error) {
		p, away, err := f.issuer.mustSignIn(x)
		if away != nil || err != nil {
			return deref(away), err
		}
		if away, err := f.issuer.mustStepUp(x, p); away != nil || err != nil {
			return deref(away), err
		}
		return response{status: 200, contentType: "text/plain", body: []byte("gold")}, nil
	}))
	v := f.visitor()
	f.back(v, f.leave(v, "next", "/vault")).wantRedirect(t, "/vault")
	// Signed in, but nobody knows when the password was given.
	v.get("/vault").wantRedirect(t, "/login?confirm=1&next=%2Fvault")
	v.get("/login?confirm=1&next=%2Fvault").wantPage(t, 200, "Sign in once more")
	v.post(pathLogin, "confirm", "1", "next", "/vault").wantPage(t, 403, "not of your present session")

	confirm := func(claims jwt.MapClaims, change ...string) *answer {
		t.Helper()
		f.provider.claims = claims
		asked := f.leave(v, "confirm", "1", "next", "/vault", "csrf", v.csrf())
		if asked.Get("prompt") != "login" || asked.Get("max_age") != "60" {
			t.Errorf("asked for %v", asked)
		}
		return f.back(v, asked, change...)
	}
	ago := func(d time.Duration) jwt.MapClaims {
		return jwt.MapClaims{"auth_time": f.clock.Now().Add(-d).Unix()}
	}
	f.putUser("mallory", "")
	confirm(ago(61*time.Second)).wantPage(t, 403, "did not ask for your password again")
	confirm(ago(-11*time.Second)).wantPage(t, 403, "did not ask for your password again")
	confirm(jwt.MapClaims{"auth_time": nil}).wantPage(t, 403, "did not ask for your password again")
	confirm(jwt.MapClaims{"sub": "mallory"}).wantPage(t, 403, "It was not you who signed in")
	confirm(nil, "error", "login_required", "code", "").wantPage(t, 403, "login_required")
	v.get("/vault").wantRedirect(t, "/login?confirm=1&next=%2Fvault")
	f.clock.advance(time.Minute) // those were many
	for _, passed := range []time.Duration{0, 59 * time.Second, -9 * time.Second} {
		f.clock.advance(2 * stepUpLife)
		before := v.session()
		confirm(ago(passed)).wantRedirect(t, "/vault")
		if got := v.get("/vault"); got.body != "gold" || v.session() == before {
			t.Fatalf("got %d %s", got.status, got.body)
		}
	}
	// Who signed out meanwhile confirms nothing.
	f.clock.advance(2 * stepUpLife)
	f.provider.claims = nil
	asked := f.leave(v, "confirm", "1", "csrf", v.csrf())
	v.post(pathLogout, "csrf", v.csrf()).wantRedirect(t, "/login")
	f.back(v, asked).wantPage(t, 403, "It was not you")
}

// Wrong answers cost a call to the provider each, so they are throttled.
func TestProviderAnswersAreThrottled(t *testing.T) {
	f := newFederation(t, "sub")
	v := f.visitor()
	for range wrongPerPair {
		f.back(v, f.leave(v), "code", "x").wantPage(t, 403, "cannot be relied on")
	}
	if got := f.back(v, f.leave(v)).wantPage(t, 429, "try again later"); got.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	v.ip = "198.51.100.7"
	f.back(v, f.leave(v)).wantRedirect(t, "/")
}
