package issuer

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// badInput is a call bent in one way, and what it meets.
type badInput struct {
	name   string
	call   call
	status int
	code   string
}

// Each of these is refused before anything is consumed: afterwards the good
// call works.
func TestBadInputConsumesNothing(t *testing.T) {
	b := newBank(t, nil)
	big := strings.Repeat("x", 1<<20)

	t.Run("code", func(t *testing.T) {
		c := codeCall()
		b.refuse(t, []badInput{
			{"PUT", c.by("PUT"), 405, "invalid_request"},
			{"DELETE", c.by("DELETE"), 405, "invalid_request"},
			{"OPTIONS", c.by("OPTIONS"), 405, "invalid_request"},
			{"body of 1 MB", c.by("POST").withBody(big), 413, "invalid_request"},
			{"account id twice", c.with("X-Service-Account-ID", publishedID, publishedID), 400, "invalid_request"},
			{"account secret twice", c.with("X-Service-Account-Secret", publishedSecret, publishedSecret), 400, "invalid_request"},
			{"client id twice", c.with("X-IBM-client-id", botID, botID), 400, "invalid_request"},
			{"client id and alias", c.with("X-Client-ID", botID), 400, "invalid_request"},
			{"client secret and alias", c.with("X-Client-Secret", botSecret), 400, "invalid_request"},
			{"scope twice", c.with("scope", "all:eft", "all:eft"), 400, "invalid_request"},
			{"scope of blanks", c.with("scope", "   "), 400, "invalid_request"},
			{"scope with a tab", c.with("scope", "all:eft\tread:accounts"), 400, "invalid_scope"},
			{"scopes with commas", c.with("scope", "all:eft,read:accounts"), 400, "invalid_scope"},
			{"id that is not UTF-8", c.with("X-IBM-client-id", "bot\xff"), 400, "invalid_request"},
			{"secret that is not UTF-8", c.with("X-Service-Account-Secret", "\xc3"), 400, "invalid_request"},
			{"id of 2 KB", c.with("X-IBM-client-id", big[:2048]), 400, "invalid_request"},
			{"Basic as well", c.with("Authorization", basic(botID, botSecret)), 400, "invalid_request"},
			{"credentials in the query", c.withQuery("client_secret=" + "x"), 400, "invalid_request"},
			{"header in the query", c.withQuery("X-Service-Account-Secret=x"), 400, "invalid_request"},
			{"scope in the query", c.withQuery("scope=all:eft"), 400, "invalid_request"},
			{"query behind a semicolon", c.withQuery("a=1;client_id=x"), 400, "invalid_request"},
			{"query that is not well-formed", c.withQuery("a=%zz"), 400, "invalid_request"},
		})
		b.do(c).ok(t)
	})

	t.Run("redeem", func(t *testing.T) {
		code := b.code()
		b.refuse(t, badForms(redeemCall(code), "code"))
		b.do(redeemCall(code)).ok(t)
	})
	t.Run("refresh", func(t *testing.T) {
		b.clock.advance(10 * time.Minute) // the throttle forgets
		refresh := b.tokens().refresh
		b.refuse(t, badForms(refreshCall(refresh), "refresh_token"))
		b.do(refreshCall(refresh)).ok(t)
	})
	t.Run("s4 only", func(t *testing.T) {
		code := b.code()
		c := redeemCall(code)
		b.refuse(t, []badInput{
			{"PUT", c.by("PUT"), 405, "invalid_request"},
			{"client_secret beside Basic", c.withBody(c.body + "&client_secret=x"), 400, "invalid_request"},
			{"client_assertion beside Basic", c.withBody(c.body + "&client_assertion=x"), 400, "invalid_request"},
			{"client_secret alone", c.with("Authorization").withBody(c.body + "&client_id=bot-1&client_secret=x"), 400, "invalid_request"},
			{"another client_id", c.withBody(c.body + "&client_id=bot-2"), 400, "invalid_request"},
			{"no grant_type", c.withBody("code=" + code), 400, "invalid_request"},
			{"empty grant_type", c.withBody("grant_type=&code=" + code), 400, "invalid_request"},
			{"unknown grant_type", c.withBody("grant_type=password&username=a&password=b"), 400, "unsupported_grant_type"},
			{"no code", c.withBody("grant_type=authorization_code"), 400, "invalid_request"},
			{"empty code", c.withBody("grant_type=authorization_code&code="), 400, "invalid_request"},
			{"no refresh_token", c.withBody("grant_type=refresh_token"), 400, "invalid_request"},
		})
		b.do(c.withBody(c.body + "&client_id=bot-1&state=x&&extra=%E2%82%AC")).ok(t)
	})
	t.Run("revoke", func(t *testing.T) {
		b.clock.advance(10 * time.Minute)
		tokens := b.tokens()
		c := revokeCall(tokens.refresh)
		b.refuse(t, badForms(c, "token"))
		b.refuse(t, clientAuthAttacks(c))
		b.refuse(t, []badInput{
			{"no token", c.withBody("token_type_hint=refresh_token"), 400, "invalid_request"},
			{"empty token", c.withBody("token="), 400, "invalid_request"},
		})
		b.wantVerdict(tokens.access, token.Live)
		b.do(c).ok(t)
	})
	t.Run("introspect", func(t *testing.T) {
		b.clock.advance(10 * time.Minute)
		c := introspectCall(b.tokens().access)
		b.refuse(t, badForms(c, "token"))
		b.refuse(t, clientAuthAttacks(c))
		b.do(c).ok(t)
	})
	t.Run("renew", func(t *testing.T) {
		b.clock.advance(10 * time.Minute)
		c := renewCall(b.tokens().refresh)
		b.refuse(t, badForms(c, "refresh_token"))
		b.refuse(t, clientAuthAttacks(c))
		b.refuse(t, []badInput{
			{"no grant_type", c.withBody("refresh_token=x"), 400, "invalid_request"},
			{"no refresh_token", c.withBody("grant_type=refresh_token"), 400, "invalid_request"},
			{"code", c.withBody("grant_type=authorization_code&code=x"), 400, "invalid_grant"},
			{"password", c.withBody("grant_type=password&username=a&password=b"), 400, "unsupported_grant_type"},
		})
		b.do(c).ok(t)
	})
	t.Run("client_credentials", func(t *testing.T) {
		b.clock.advance(10 * time.Minute)
		c := ownCall()
		b.refuse(t, badForms(c, "grant_type"))
		b.refuse(t, clientAuthAttacks(c))
		b.do(c.withBody(c.body + "&client_id=bot-1&state=x&&extra=%E2%82%AC&refresh_token=x")).ok(t)
	})
}

// clientAuthAttacks bend what the standard endpoints have in common: POST
// alone, and the client by one of two methods.
func clientAuthAttacks(c call) []badInput {
	return []badInput{
		{"GET", c.by("GET"), 405, "invalid_request"},
		{"PUT", c.by("PUT"), 405, "invalid_request"},
		{"Basic and client_secret", c.withBody(c.body + "&client_id=bot-1&client_secret=x"), 400, "invalid_request"},
		{"Basic and the right client_secret", c.withBody(c.body + "&client_id=bot-1&client_secret=" + url.QueryEscape(botSecret)), 400, "invalid_request"},
		{"client_assertion", c.withBody(c.body + "&client_assertion=x"), 400, "invalid_request"},
		{"another client_id", c.withBody(c.body + "&client_id=bot-2"), 400, "invalid_request"},
		{"no authentication", c.with("Authorization"), 401, "invalid_client"},
		{"client_id alone", c.with("Authorization").withBody(c.body + "&client_id=bot-1"), 401, "invalid_client"},
		{"client_secret_post, wrong", c.with("Authorization").withBody(c.body + "&client_id=bot-1&client_secret=wrong"), 401, "invalid_client"},
		{"disabled client", c.with("Authorization", basic("off", "off secret")), 401, "invalid_client"},
		{"client without a secret", c.with("Authorization", basic("secretless", "x")), 401, "invalid_client"},
		{"Basic not form-encoded", c.with("Authorization", basic(botID, "%zz")), 401, "invalid_client"},
	}
}

// badForms bends what all forms have in common. The parameter is the one that
// could be consumed.
func badForms(c call, parameter string) []badInput {
	big := strings.Repeat("x", 1<<20)
	return []badInput{
		{"JSON", c.with("Content-Type", "application/json").withBody(`{"` + parameter + `":"x"}`), 400, "invalid_request"},
		{"multipart", c.with("Content-Type", "multipart/form-data; boundary=x"), 400, "invalid_request"},
		{"no content type", c.with("Content-Type"), 400, "invalid_request"},
		{"content type twice", c.with("Content-Type", "application/x-www-form-urlencoded", "application/x-www-form-urlencoded"), 400, "invalid_request"},
		{"content type with a boundary", c.with("Content-Type", "application/x-www-form-urlencoded; boundary=x"), 400, "invalid_request"},
		{"content type in two", c.with("Content-Type", "application/x-www-form-urlencoded, application/json"), 400, "invalid_request"},
		{"gzip", c.with("Content-Encoding", "gzip"), 400, "invalid_request"},
		{"body of 1 MB", c.withBody(c.body + "&x=" + big), 413, "invalid_request"},
		{"empty body", c.withBody(""), 400, "invalid_request"},
		{"parameter twice", c.withBody(c.body + "&" + parameter + "=x"), 400, "invalid_request"},
		{"parameter twice, once empty", c.withBody(c.body + "&" + parameter + "="), 400, "invalid_request"},
		{"parameter twice, spelt otherwise", c.withBody(c.body + "&%" + hex(parameter[0]) + parameter[1:] + "=x"), 400, "invalid_request"},
		{"another parameter twice", c.withBody(c.body + "&a=1&a=1"), 400, "invalid_request"},
		{"invalid UTF-8", c.withBody(c.body + "&a=%ff"), 400, "invalid_request"},
		{"NUL", c.withBody(c.body + "&a=%00"), 400, "invalid_request"},
		{"NUL in a name", c.withBody(c.body + "&a%00=1"), 400, "invalid_request"},
		{"bad escape", c.withBody(c.body + "&a=%zz"), 400, "invalid_request"},
		{"credentials in the query", c.withQuery("client_id=bot-1&client_secret=x"), 400, "invalid_request"},
		{"parameter in the query", c.withQuery(parameter + "=x"), 400, "invalid_request"},
		{"parameter in the query in capitals", c.withQuery(strings.ToUpper(parameter) + "=x"), 400, "invalid_request"},
		{"parameter in the query, escaped", c.withQuery("%" + hex(parameter[0]) + parameter[1:] + "=x"), 400, "invalid_request"},
		{"parameter in the query, behind a semicolon", c.withQuery("a=1;" + parameter + "=x"), 400, "invalid_request"},
		{"Authorization twice", c.with("Authorization", c.header.Get("Authorization"), c.header.Get("Authorization")), 400, "invalid_request"},
		{"Bearer", c.with("Authorization", "Bearer x"), 401, "invalid_client"},
		{"Basic without credentials", c.with("Authorization", "Basic"), 401, "invalid_client"},
		{"Basic that is not base64", c.with("Authorization", "Basic !!!!"), 401, "invalid_client"},
		{"Basic without a colon", c.with("Authorization", "Basic Ym90LTE="), 401, "invalid_client"},
		{"Basic without an id", c.with("Authorization", basic("", botSecret)), 401, "invalid_client"},
		{"Basic without a secret", c.with("Authorization", basic(botID, "")), 401, "invalid_client"},
		{"Basic with NUL", c.with("Authorization", basic(botID, "x\x00")), 401, "invalid_client"},
		{"Basic that is not UTF-8", c.with("Authorization", basic("\xff", "x")), 401, "invalid_client"},
		{"Basic of 2 KB", c.with("Authorization", basic(botID, big[:2048])), 401, "invalid_client"},
		{"Digest beside Basic", c.with("Authorization", c.header.Get("Authorization"), "Digest x"), 400, "invalid_request"},
		{"wrong secret", c.with("Authorization", basic(botID, "wrong")), 401, "invalid_client"},
	}
}

func hex(c byte) string {
	const digits = "0123456789ABCDEF"
	return string([]byte{digits[c>>4], digits[c&15]})
}

func (b *bank) refuse(t *testing.T, inputs []badInput) {
	t.Helper()
	for _, bad := range inputs {
		t.Run(bad.name, func(t *testing.T) {
			got := b.do(bad.call)
			got.wantError(t, bad.status, bad.code)
			if (got.header.Get("Allow") != "") != (bad.status == 405) {
				t.Errorf("Allow %q", got.header.Get("Allow"))
			}
		})
	}
}

// A body that ends before its announced length was not understood completely.
func TestBodyCutShort(t *testing.T) {
	b := newBank(t, nil)
	code := b.code()
	c := redeemCall(code)
	conn := b.dial()
	defer conn.Close()
	conn.send("POST " + c.path + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n" +
		"Authorization: " + c.header.Get("Authorization") + "\r\nContent-Length: 1000\r\n\r\n" + c.body)
	if err := conn.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	conn.read().wantError(t, 400, "invalid_request")
	b.do(c).ok(t)
}
