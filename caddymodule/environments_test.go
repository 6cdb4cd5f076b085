package caddymodule

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/internal/freeport"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// realm is one environment of a server that has both: the same ids in each, and
// other secrets.
type realm struct {
	*server               // with the addresses of this realm
	env                   store.Environment
	botSecret, deskSecret string
}

// startTwoRealms runs one Caddy with production and sandbox: an issuer and a gate
// for each, on one host.
func startTwoRealms(t *testing.T) (production, sandbox *realm) {
	t.Helper()
	s := newServer(t)
	other := *s
	other.api, other.issuer = "http://127.0.0.1:"+freeport.Find(t), "http://127.0.0.1:"+freeport.Find(t)
	production = &realm{s, store.Production, "production's bot", "production's desk"}
	sandbox = &realm{&other, store.Sandbox, "the sandbox's bot", "the sandbox's desk"}
	s.config = `{
	admin unix/` + s.path("admin.sock") + `|0600
	persist_config off
	default_bind 127.0.0.1
	skip_install_trust
	bearer {
		store sqlite ` + s.path("bearer.db") + `
		root_key file ` + s.path("root.key") + `
		revocation_journal file ` + s.path("revocations.journal") + `
		operator_token file ` + s.path("operator.token") + `
		policy test ` + s.path("policy.yaml") + `
		` + production.environment() + sandbox.environment() + `
	}
}
` + production.sites() + sandbox.sites()
	s.start()
	other.output = s.output
	return production, sandbox
}

func (r *realm) environment() string {
	const scopes = "scopes read:accounts read:eft read:market\n"
	// Codes are kept until all else was tried.
	return fmt.Sprintf("environment %s {\n issuer %s\n audience %s\n code_lifetime 1h\n account 1\n account 2\n", r.env, r.issuer, r.api) +
		"service_account desk {\n secret_hash " + hashOf(r.deskSecret) + "\n accounts 1 2\n " + scopes + "}\n" +
		"client bot {\n secret_hash " + hashOf(r.botSecret) + "\n " + scopes + "}\n}\n"
}

func (r *realm) sites() string {
	return r.api + " {\n bearer_gate test {\n environment " + string(r.env) + "\n }\n reverse_proxy " + r.backend.address() + "\n}\n" +
		r.issuer + " {\n bearer_issuer {\n environment " + string(r.env) + "\n }\n respond 404\n}\n"
}

// command runs one of the commands that are about an environment.
func (r *realm) command(args ...string) string {
	r.t.Helper()
	return r.ok("", append([]string{"bearer", args[0], args[1], "--environment", string(r.env)}, args[2:]...)...)
}

// codeRequest asks for a code of this realm, with secrets that may be another's.
func (r *realm) codeRequest(deskSecret, botSecret string) *http.Request {
	request := r.request("GET", r.issuer+"/api/v1/s2s-oauth2/code", nil)
	for name, value := range map[string]string{
		"X-Service-Account-ID": "desk", "X-Service-Account-Secret": deskSecret,
		"X-Client-ID": "bot", "X-Client-Secret": botSecret, "scope": "read:accounts read:market",
	} {
		request.Header.Set(name, value)
	}
	return request
}

func (r *realm) code() string {
	r.t.Helper()
	var got struct{ Code string }
	r.answer(r.codeRequest(r.deskSecret, r.botSecret), 200, &got)
	return got.Code
}

// ask is a POST by the bot.
func (r *realm) ask(path, body string) *http.Request {
	request := r.form(path, body)
	request.SetBasicAuth("bot", r.botSecret)
	return request
}

// holdings are one of each thing that a realm hands out.
type holdings struct {
	code, access, refresh, own, personal, personalID, grant string
}

func (r *realm) hold() (h holdings) {
	r.t.Helper()
	h.code = r.code()
	var got, own tokens
	r.answer(r.ask("/api/v1/s2s-oauth2/token", "grant_type=authorization_code&code="+r.code()), 200, &got)
	r.answer(r.ask("/oauth2/token", "grant_type=client_credentials&scope=read:market"), 200, &own)
	h.access, h.refresh, h.own = got.Access, got.Refresh, own.Access
	var made personalToken
	r.decode(r.command("token", "issue", "--principal", "desk", "--label", "x", "--scopes", "read:accounts", "--json"), &made)
	h.personal, h.personalID = made.Token, made.ID
	var listed struct{ Grants []grant }
	r.decode(r.command("grant", "list", "--principal", "desk", "--client", "bot", "--json"), &listed)
	if len(listed.Grants) == 0 {
		r.t.Fatal("no grant is listed")
	}
	h.grant = listed.Grants[0].ID
	return h
}

// kept is what a realm knows of grants, tokens and revocations.
func (r *realm) kept() string {
	r.t.Helper()
	return r.command("grant", "list", "--all", "--json") + r.command("token", "list", "--all", "--json") + r.command("revocation", "list", "--json") +
		r.command("key", "list", "--json")
}

// active is what introspection says of a token.
func (r *realm) active(raw string) bool {
	r.t.Helper()
	var said struct{ Active bool }
	r.answer(r.ask("/oauth2/introspect", "token="+raw), 200, &said)
	return said.Active
}

func (r *realm) wantError(request *http.Request, status int, code string) {
	r.t.Helper()
	var said struct{ Error string }
	r.answer(request, status, &said)
	if said.Error != code {
		r.t.Errorf("%s %s: %s, want %s", request.Method, request.URL.Path, said.Error, code)
	}
}

// claim is a member of a signed token's header (0) or claims (1).
func (r *realm) claim(raw string, part int, member string) string {
	r.t.Helper()
	decoded, err := base64.RawURLEncoding.DecodeString(strings.Split(raw, ".")[part])
	if err != nil {
		r.t.Fatal(err)
	}
	var said map[string]any
	r.decode(string(decoded), &said)
	return fmt.Sprint(said[member])
}

// Nothing of one environment is good in the other, and nothing that is tried there
// changes anything, in either.
func TestS2_1_EnvironmentsAreTwoWorlds(t *testing.T) {
	t.Parallel()
	production, sandbox := startTwoRealms(t)
	of := map[*realm]holdings{production: production.hold(), sandbox: sandbox.hold()}
	t.Run("what is issued says where it is from", func(t *testing.T) {
		for _, r := range []*realm{production, sandbox} {
			r.saysWhereItIsFrom(t, of[r])
		}
		if a, b := production.claim(of[production].access, 0, "kid"), sandbox.claim(of[sandbox].access, 0, "kid"); a == b {
			t.Errorf("one key signs for both: %s", a)
		}
	})
	before := map[*realm]string{production: production.kept(), sandbox: sandbox.kept()}
	for _, way := range []struct{ from, to *realm }{{production, sandbox}, {sandbox, production}} {
		t.Run(string(way.from.env)+" in "+string(way.to.env), func(t *testing.T) {
			way.to.refuses(t, of[way.from])
			t.Run("secrets", func(t *testing.T) { way.to.refusesSecretsOf(way.from) })
			for r := range of {
				if after := r.kept(); after != before[r] {
					t.Errorf("something was changed in %s:\n%s\nbefore:\n%s", r.env, after, before[r])
				}
			}
		})
	}
	t.Run("all is good at home", func(t *testing.T) {
		for r, h := range of {
			r.isGood(h)
		}
	})
}

// saysWhereItIsFrom looks at prefixes, iss and aud.
func (r *realm) saysWhereItIsFrom(t *testing.T, h holdings) {
	prefix := map[store.Environment]string{store.Production: "cb_live_", store.Sandbox: "cb_test_"}[r.env]
	for what, raw := range map[string]string{"code": h.code, "refresh": h.refresh, "personal": h.personal} {
		if !strings.HasPrefix(raw, prefix) {
			t.Errorf("%s of %s begins with %.12s", what, r.env, raw)
		}
	}
	for _, raw := range []string{h.access, h.own} {
		if r.claim(raw, 1, "iss") != r.issuer || !strings.Contains(r.claim(raw, 1, "aud"), r.api) {
			t.Errorf("token of %s has iss %s and aud %s", r.env, r.claim(raw, 1, "iss"), r.claim(raw, 1, "aud"))
		}
	}
}

// refuses presents what another realm handed out, at every place.
func (r *realm) refuses(t *testing.T, h holdings) {
	for kind, raw := range map[string]string{
		"access token": h.access, "own token": h.own, "personal token": h.personal, "refresh token": h.refresh, "code": h.code,
	} {
		t.Run(kind+" at the gate", func(t *testing.T) {
			hits := r.backend.hits("/api/v1/accounts")
			if _, code := r.refused(r.call("GET", "/api/v1/accounts", raw), 401); code != "invalid_token" {
				t.Errorf("refused as %s", code)
			}
			if r.backend.hits("/api/v1/accounts") != hits {
				t.Error("the API was called")
			}
		})
		t.Run(kind+" at self", func(t *testing.T) {
			request := r.request("GET", r.issuer+"/token/self", nil)
			request.Header.Set("Authorization", "Bearer "+raw)
			r.wantError(request, 401, "invalid_token")
		})
		t.Run(kind+" at introspection", func(t *testing.T) {
			if r.active(raw) {
				t.Error("is active")
			}
		})
		t.Run(kind+" at revocation", func(t *testing.T) {
			r.answer(r.ask("/oauth2/revoke", "token="+raw), 200, nil) // as one that nobody knows (RFC 7009 §2.2)
		})
		t.Run(kind+" at the admin API", func(t *testing.T) {
			if _, stderr, code := r.run(raw, "bearer", "token", "revoke", "--environment", string(r.env)); code == 0 || strings.Contains(stderr, raw) {
				t.Errorf("exit %d %s", code, stderr)
			}
		})
		t.Run(kind+" as a refresh token", func(t *testing.T) {
			r.wantError(r.ask("/oauth2/token", "grant_type=refresh_token&refresh_token="+raw), 400, "invalid_grant")
			r.wantError(r.ask("/api/v1/s2s-oauth2/token", "grant_type=refresh_token&refresh_token="+raw), 400, "invalid_grant")
		})
		t.Run(kind+" as a code", func(t *testing.T) {
			r.wantError(r.ask("/api/v1/s2s-oauth2/token", "grant_type=authorization_code&code="+raw), 400, "invalid_grant")
		})
	}
	t.Run("grant", func(t *testing.T) {
		if _, _, code := r.run("", "bearer", "grant", "revoke", h.grant, "--environment", string(r.env)); code != 1 {
			t.Errorf("revoked: exit %d", code)
		}
	})
}

// refusesSecretsOf presents the secrets of another realm, under the same ids.
func (r *realm) refusesSecretsOf(other *realm) {
	r.t.Helper()
	r.wantError(r.codeRequest(other.deskSecret, r.botSecret), 401, "invalid_client")
	r.wantError(r.codeRequest(r.deskSecret, other.botSecret), 401, "invalid_client")
	for path, body := range map[string]string{
		"/oauth2/token": "grant_type=client_credentials", "/oauth2/revoke": "token=x", "/oauth2/introspect": "token=x",
		"/api/v1/s2s-oauth2/token": "grant_type=authorization_code&code=x",
	} {
		request := r.form(path, body)
		request.SetBasicAuth("bot", other.botSecret)
		r.wantError(request, 401, "invalid_client")
	}
}

// isGood uses up what a realm handed out.
func (r *realm) isGood(h holdings) {
	r.t.Helper()
	for path, raw := range map[string]string{"/api/v1/accounts": h.access, "/api/v1/events": h.own} {
		if !r.active(raw) {
			r.t.Errorf("the token for %s is dead in %s", path, r.env)
		}
	}
	r.answer(r.call("GET", "/api/v1/accounts", h.access), 200, nil)
	r.answer(r.call("GET", "/api/v1/accounts", h.personal), 200, nil)
	r.answer(r.ask("/api/v1/s2s-oauth2/token", "grant_type=authorization_code&code="+h.code), 200, nil)
	r.answer(r.ask("/oauth2/token", "grant_type=refresh_token&refresh_token="+h.refresh), 200, nil)
}

// Whatever is ended in one environment, under ids that both have, lives on in the
// other.
func TestS2_1_RevokingInOneLeavesTheOtherAlone(t *testing.T) {
	t.Parallel()
	production, sandbox := startTwoRealms(t)
	lives := func(t *testing.T, r *realm, raw string, want bool) {
		t.Helper()
		status := map[bool]int{true: 200, false: 401}[want]
		if got := r.answerStatus(r.call("GET", "/api/v1/accounts", raw)); got != status {
			t.Errorf("in %s: %d, want %d", r.env, got, status)
		}
	}
	for _, test := range []struct {
		name string
		end  func(h holdings)
		ends func(h holdings) string
	}{
		{"client", func(holdings) { sandbox.command("client", "revoke", "bot") }, func(h holdings) string { return h.access }},
		{"service account", func(holdings) { sandbox.command("service-account", "revoke", "desk") }, func(h holdings) string { return h.personal }},
		{"account", func(holdings) { sandbox.command("account", "revoke", "1") }, func(h holdings) string { return h.access }},
		{"by the client", func(h holdings) { sandbox.answer(sandbox.ask("/oauth2/revoke", "token="+h.refresh), 200, nil) }, func(h holdings) string { return h.access }},
		{"by id", func(h holdings) { sandbox.command("token", "revoke", "--id", h.personalID) }, func(h holdings) string { return h.personal }},
		{"signing key", func(h holdings) {
			sandbox.command("key", "rotate")
			sandbox.command("key", "revoke", "--", sandbox.claim(h.access, 0, "kid"))
		}, func(h holdings) string { return h.access }},
	} {
		t.Run(test.name, func(t *testing.T) {
			mine, theirs := sandbox.hold(), production.hold()
			stream := production.openWebSocket(theirs.access)
			stream.alive(t)
			lives(t, sandbox, test.ends(mine), true)
			test.end(mine)
			lives(t, sandbox, test.ends(mine), false)
			lives(t, production, theirs.access, true)
			lives(t, production, theirs.personal, true)
			stream.alive(t)
			production.isGood(theirs)
		})
	}
}

// Each issuer says of itself what is configured, whatever a request names,
// and publishes its own keys only.
func TestS2_1_IssuersPublishTheirOwn(t *testing.T) {
	t.Parallel()
	production, sandbox := startTwoRealms(t)
	kids := map[*realm][]string{}
	for _, r := range []*realm{production, sandbox} {
		request := r.request("GET", r.issuer+"/.well-known/oauth-authorization-server", nil)
		request.Header.Set("X-Forwarded-Host", "evil.test")
		request.Header.Set("Forwarded", "host=evil.test")
		var said map[string]any
		r.answer(request, 200, &said)
		if said["issuer"] != r.issuer {
			t.Errorf("%s says it is %s", r.env, said["issuer"])
		}
		var set struct{ Keys []struct{ Kid string } }
		r.answer(r.request("GET", r.issuer+"/oauth2/jwks", nil), 200, &set)
		for _, key := range set.Keys {
			kids[r] = append(kids[r], key.Kid)
		}
	}
	if len(kids[production]) == 0 || len(kids[sandbox]) == 0 || slices.ContainsFunc(kids[production], func(kid string) bool { return slices.Contains(kids[sandbox], kid) }) {
		t.Errorf("keys %v and %v", kids[production], kids[sandbox])
	}
}

// visitor is a browser, whose cookies are by host: it does not care for ports.
type visitor struct {
	t      *testing.T
	client http.Client
}

func newVisitor(t *testing.T) *visitor {
	jar, err := cookiejar.New(nil)
	must(t, err)
	return &visitor{t, http.Client{Jar: jar, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}}
}

// open returns the status and the body of a page.
func (v *visitor) open(url string) (int, string) {
	v.t.Helper()
	response, err := v.client.Get(url)
	must(v.t, err)
	return v.read(response)
}

func (v *visitor) send(url string, fields url.Values) (int, string) {
	v.t.Helper()
	response, err := v.client.PostForm(url, fields)
	must(v.t, err)
	return v.read(response)
}

func (v *visitor) read(response *http.Response) (int, string) {
	v.t.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	must(v.t, err)
	return response.StatusCode, string(body)
}

// isAt reports whether the visitor is signed in at an issuer: the sign-in page
// leads whoever is on.
func (v *visitor) isAt(r *realm) bool {
	v.t.Helper()
	status, _ := v.open(r.issuer + "/login")
	return status == http.StatusSeeOther
}

func (v *visitor) wantAt(when string, where map[*realm]bool) {
	v.t.Helper()
	for r, want := range where {
		if got := v.isAt(r); got != want {
			v.t.Errorf("%s: signed in at %s: %t, want %t", when, r.env, got, want)
		}
	}
}

func (v *visitor) signIn(r *realm, password string) int {
	v.t.Helper()
	status, _ := v.send(r.issuer+"/login", url.Values{"user": {"alice"}, "password": {password}})
	return status
}

var csrfField = regexp.MustCompile(`name="csrf" value="([^"]+)"`)

// Two issuers on one host share its cookies. Each has a name of its own for its
// session, and a session of one is none at the other, whatever its name.
func TestS2_1_SessionsOfOneHostDontMix(t *testing.T) {
	t.Parallel()
	production, sandbox := startTwoRealms(t)
	for _, r := range []*realm{production, sandbox} {
		r.command("user", "add", "alice", "--scopes", "read:accounts")
		r.ok(r.botSecret+"\n", "bearer", "user", "password", "--environment", string(r.env), "alice")
	}
	v := newVisitor(t)
	if status := v.signIn(production, sandbox.botSecret); status != http.StatusForbidden {
		t.Errorf("signed in with the other environment's password: %d", status)
	}
	if status := v.signIn(sandbox, sandbox.botSecret); status != http.StatusSeeOther {
		t.Fatalf("sign-in: %d", status)
	}
	v.wantAt("after signing in at one", map[*realm]bool{sandbox: true, production: false})

	// The same session under the other's name, as somebody plants it.
	at, err := url.Parse(production.issuer)
	must(t, err)
	planted := newVisitor(t)
	for _, cookie := range v.client.Jar.Cookies(at) {
		for _, name := range []string{"bearer-production", "__Host-bearer-production"} {
			planted.client.Jar.SetCookies(at, []*http.Cookie{{Name: name, Value: cookie.Value, Path: "/"}})
		}
	}
	planted.wantAt("with a planted session", map[*realm]bool{sandbox: false, production: false})

	if status := v.signIn(production, production.botSecret); status != http.StatusSeeOther {
		t.Fatalf("sign-in: %d", status)
	}
	v.wantAt("after signing in at both", map[*realm]bool{sandbox: true, production: true})
	if status, body := v.open(sandbox.issuer + "/applications"); status != 200 || !strings.Contains(body, "sandbox") {
		t.Errorf("the sandbox's page does not say that it is: %d", status)
	}

	// A form of one is none of the other.
	_, page := v.open(sandbox.issuer + "/applications")
	form := csrfField.FindStringSubmatch(page)
	if form == nil {
		t.Fatalf("no form in %s", page)
	}
	if status, _ := v.send(production.issuer+"/logout", url.Values{"csrf": {form[1]}}); status != http.StatusForbidden {
		t.Errorf("production took the sandbox's form: %d", status)
	}
	if status, _ := v.send(sandbox.issuer+"/logout", url.Values{"csrf": {form[1]}}); status != http.StatusSeeOther {
		t.Errorf("sign-out: %d", status)
	}
	v.wantAt("after signing out at one", map[*realm]bool{sandbox: false, production: true})
	sandbox.command("user", "disable", "alice")
	v.wantAt("after the other's user was disabled", map[*realm]bool{production: true})
	production.command("user", "disable", "alice")
	v.wantAt("after the user was disabled", map[*realm]bool{production: false})
}
