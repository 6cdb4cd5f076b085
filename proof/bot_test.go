//go:build proof

package proof

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// bot is a program with a client and a service account of its own, and with
// connections of its own. Its methods say what was answered; an error means
// that there was no answer.
type bot struct {
	client, clientSecret   string
	service, serviceSecret string

	issuer, api, admin *connection
}

// tokens are the answer of a token endpoint.
type tokens struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
}

// newBot registers the parties of a bot by the admin API. (Secrets that the
// server generates are quick to check, also after a restart.)
func (s *server) newBot(t testing.TB, name string) *bot {
	t.Helper()
	b := s.connect(&bot{})
	const scopes = `"scopes":["read:accounts","read:market"]`
	var client, service struct{ ID, Secret string }
	b.mustCommand(t, "POST", "/clients", `{"id":"client-`+name+`",`+scopes+`}`, &client)
	b.mustCommand(t, "POST", "/service-accounts", `{"id":"service-`+name+`",`+scopes+`}`, &service)
	b.mustCommand(t, "PUT", "/service-accounts/"+service.ID+"/accounts/1", `{}`, nil)
	b.client, b.clientSecret, b.service, b.serviceSecret = client.ID, client.Secret, service.ID, service.Secret
	return b
}

// connect gives a copy of a bot connections of its own.
func (s *server) connect(b *bot) *bot {
	other := *b
	other.issuer = &connection{network: "tcp", address: s.issuer}
	other.api = &connection{network: "tcp", address: s.api}
	other.admin = &connection{network: "unix", address: s.path("admin.sock")}
	s.t.Cleanup(other.hangUp)
	return &other
}

func (b *bot) hangUp() {
	b.issuer.close()
	b.api.close()
	b.admin.close()
}

// code asks for a code by the bank's protocol.
func (b *bot) code() (string, answer, error) {
	a, err := b.issuer.send("GET", "/api/v1/s2s-oauth2/code", "",
		"X-Service-Account-ID", b.service, "X-Service-Account-Secret", b.serviceSecret,
		"X-Client-ID", b.client, "X-Client-Secret", b.clientSecret, "scope", "read:accounts read:market")
	var got struct{ Code string }
	a.decode(&got)
	return got.Code, a, err
}

func (b *bot) redeem(code string) (tokens, answer, error) {
	return b.token("/api/v1/s2s-oauth2/token", "grant_type=authorization_code&code="+code)
}

func (b *bot) refresh(token string) (tokens, answer, error) {
	return b.token("/api/v1/s2s-oauth2/token", "grant_type=refresh_token&refresh_token="+token)
}

// credentials gets a token of the client's own, with all its scopes.
func (b *bot) credentials() (tokens, answer, error) {
	return b.token("/oauth2/token", "grant_type=client_credentials")
}

func (b *bot) token(target, form string) (got tokens, a answer, err error) {
	a, err = b.form(target, form)
	a.decode(&got)
	return got, a, err
}

// revoke ends an access token, or by a refresh token its grant.
func (b *bot) revoke(token string) (answer, error) {
	return b.form("/oauth2/revoke", "token="+url.QueryEscape(token))
}

// introspect tells whether the issuer calls a token active.
func (b *bot) introspect(token string) (bool, answer, error) {
	a, err := b.form("/oauth2/introspect", "token="+url.QueryEscape(token))
	var got struct{ Active bool }
	a.decode(&got)
	return got.Active, a, err
}

func (b *bot) form(target, form string) (answer, error) {
	return b.issuer.send("POST", target, form, "Content-Type", "application/x-www-form-urlencoded",
		"Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte(b.client+":"+b.clientSecret)))
}

// use presents a token to the gate.
func (b *bot) use(target, token string, header ...string) (answer, error) {
	return b.api.send("GET", target, "", append(header, "Authorization", "Bearer "+token)...)
}

// command calls the admin API, below the environment.
func (b *bot) command(method, target, body string) (answer, error) {
	return b.admin.send(method, "/bearer/environments/sandbox"+target, body, "Content-Type", "application/json")
}

func (b *bot) mustCommand(t testing.TB, method, target, body string, into any) {
	t.Helper()
	a, err := b.command(method, target, body)
	if err != nil || a.status/100 != 2 {
		t.Fatalf("%s %s: %v, %s", method, target, err, a)
	}
	if into != nil {
		if err := json.Unmarshal(a.body, into); err != nil {
			t.Fatalf("%s %s: %v in %s", method, target, err, a.body)
		}
	}
}

// decode reads a good answer. What cannot be read leaves its target empty,
// which no caller takes for a token.
func (a answer) decode(into any) {
	if a.status == 200 {
		_ = json.Unmarshal(a.body, into)
	}
}

// refused is the error of a call that had to succeed and did not.
func (a answer) refused(what string, err error) error {
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", what, err)
	case a.status != 200:
		return fmt.Errorf("%s: %s", what, a)
	}
	return nil
}

// String is the answer in a complaint. Errors hold no token.
func (a answer) String() string {
	if a.status/100 == 2 {
		return fmt.Sprint(a.status)
	}
	return fmt.Sprintf("%d %.200s", a.status, a.body)
}

// claims are what the rows in the database know a signed token by.
type claims struct {
	ID    string `json:"jti"`
	Grant string `json:"grant"`
}

func claimsOf(access string) (c claims, err error) {
	parts := strings.Split(access, ".")
	if len(parts) != 3 {
		return c, fmt.Errorf("an access token of %d parts", len(parts))
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return c, err
	}
	return c, json.Unmarshal(payload, &c)
}
