package issuer

import (
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// overhear makes the issuer tell its sign-ins and refusals, and returns those
// of one call.
func (b *bank) overhear() func(call) []string {
	b.Helper()
	var mu sync.Mutex
	var told []store.Event
	o := b.options
	o.Throttle = b.issuer.throttle
	o.Audit = func(e store.Event) {
		mu.Lock()
		defer mu.Unlock()
		told = append(told, e)
	}
	is, err := New(o)
	if err != nil {
		b.Fatal(err)
	}
	b.server.Config.Handler = is
	return func(c call) (lines []string) {
		b.Helper()
		mu.Lock()
		told = nil
		mu.Unlock()
		b.do(c)
		mu.Lock()
		defer mu.Unlock()
		for _, e := range told {
			if e.Environment != b.env || !e.At.Equal(b.clock.Now()) || e.RequestID != "request-1" {
				b.Errorf("event %+v", e)
			}
			lines = append(lines, strings.Join([]string{e.Actor, e.Action, e.Target, e.Outcome, e.Reason, e.Address}, "|"))
		}
		return lines
	}
}

// Who signs in and who is refused is told in words of ours; an id only if
// somebody has it.
func TestSignInsAndRefusalsAreTold(t *testing.T) {
	b := newBank(t, nil)
	tokens, code := b.tokens(), b.code()
	told := b.overhear()
	const here = "127.0.0.1"
	signIn := func(endpoint string) string {
		return "client:bot-1|client.sign_in|endpoint:" + endpoint + "|ok||" + here
	}
	for _, test := range []struct {
		name string
		call call
		want []string
	}{
		{"code", codeCall(), []string{"client:bot-1|client.sign_in|principal:" + publishedID + "|ok||" + here}},
		{"wrong secret of the client", codeCall().with("X-IBM-client-secret", "x"),
			[]string{"client:bot-1|client.sign_in|endpoint:s4.code|invalid_client|client|" + here}},
		{"wrong secret of the service account", codeCall().with("X-Service-Account-Secret", "x"),
			[]string{"client:bot-1|client.sign_in|endpoint:s4.code|invalid_client|service account|" + here}},
		{"unknown client", codeCall().with("X-IBM-client-id", "who"),
			[]string{"client:unknown|client.sign_in|endpoint:s4.code|invalid_client|client|" + here}},
		{"unknown scope", codeCall().with("scope", "who"),
			[]string{"client:bot-1|client.sign_in|principal:" + publishedID + "|ok||" + here, "client:bot-1|request.refuse|endpoint:s4.code|invalid_scope||" + here}},
		{"header missing", codeCall().with("X-IBM-client-id"), []string{"client:unknown|request.refuse|endpoint:s4.code|invalid_request||"}},
		{"redeemed", redeemCall(code), []string{signIn("s4.token")}},
		{"sent again", redeemCall(code), []string{signIn("s4.token"), "client:bot-1|request.refuse|endpoint:s4.token|invalid_grant|resent|" + here}},
		{"made-up code", redeemCall("who"), []string{signIn("s4.token"), "client:bot-1|request.refuse|endpoint:s4.token|invalid_grant|malformed|" + here}},
		{"client that is disabled", formCall(pathToken, basic("off", "off secret"), "grant_type", "client_credentials"),
			[]string{"client:off|client.sign_in|endpoint:token|invalid_client||" + here}},
		{"form-encoded id", formCall(pathToken, formBasic(botID, botSecret), "grant_type", "client_credentials"), []string{signIn("token")}},
		{"grant type", formCall(pathToken, formBasic(botID, botSecret), "grant_type", "who"),
			[]string{"client:unknown|request.refuse|endpoint:token|unsupported_grant_type||"}},
		{"token of another client", formCall(pathRevoke, basic(otherID, otherSecret), "token", tokens.access),
			[]string{"client:bot-2|client.sign_in|endpoint:revoke|ok||" + here, "client:bot-2|request.refuse|endpoint:revoke|invalid_grant||" + here}},
		{"made-up token", selfCall("who"), []string{"client:unknown|request.refuse|endpoint:self|invalid_token|malformed|"}},
		{"good token", selfCall(tokens.access), nil},
		{"method", codeCall().by("PUT"), nil},
		{"public document", call{method: "GET", path: pathJWKS}, nil},
		{"no endpoint", call{method: "GET", path: "/who"}, nil},
	} {
		if got := told(test.call); strings.Join(got, "\n") != strings.Join(test.want, "\n") {
			t.Errorf("%s: told\n%s\nwant\n%s", test.name, strings.Join(got, "\n"), strings.Join(test.want, "\n"))
		}
	}
	for range wrongPerPair {
		told(redeemCall("x").with("Authorization", basic(botID, "wrong")))
	}
	throttled := told(redeemCall("x"))
	if len(throttled) != 1 || throttled[0] != "client:unknown|client.sign_in|endpoint:s4.token|temporarily_unavailable|throttled|"+here {
		t.Errorf("throttled: %q", throttled)
	}
	b.clock.advance(time.Hour)
	b.do(redeemCall(code)) // replayed: the store writes the row
	if got := told(redeemCall(code)); len(got) != 1 || got[0] != signIn("s4.token") {
		t.Errorf("replayed: %q", got)
	}
}

func TestAddressIsAnAddressOrNothing(t *testing.T) {
	for given, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "fe80::1%canary": "fe80::1", "2001:db8::1": "2001:db8::1",
		"@": "", "": "", "/run/socket": "", "canary": "",
	} {
		if got := address(given); got != want {
			t.Errorf("%q: %q, want %q", given, got, want)
		}
	}
}
