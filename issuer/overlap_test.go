package issuer

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// replaceSecret gives a client another secret, beside which the present one is good
// for so much longer.
func (b *bank) replaceSecret(id, next string, overlap time.Duration) {
	b.Helper()
	b.update(func(tx store.Writer) error {
		c, err := tx.Client(b.env, id)
		if err != nil {
			return err
		}
		c.ReplaceSecret(b.authority.Keyring().HashSecret(next), b.clock.Now(), overlap)
		return tx.PutClient(c)
	})
}

// presenting are calls that authenticate a client, one for each way in.
func presenting(id, secret string) map[string]call {
	return map[string]call{
		"the token endpoint":        formCall(pathToken, formBasic(id, secret), "grant_type", "client_credentials", "scope", "read:eft"),
		"secret in the body":        formCall(pathToken, "", "grant_type", "client_credentials", "scope", "read:eft", "client_id", id, "client_secret", secret),
		"introspection":             formCall(pathIntrospect, formBasic(id, secret), "token", "x"),
		"revocation":                formCall(pathRevoke, formBasic(id, secret), "token", "x"),
		"the bank's code call":      codeCall().with("X-IBM-client-id", id).with("X-IBM-client-secret", secret),
		"the bank's token endpoint": redeemCall("x").with("Authorization", basic(id, secret)),
	}
}

// wantSecret checks at each endpoint whether a secret of a client is taken.
func (b *bank) wantSecret(what, id, secret string, good bool) {
	b.Helper()
	for name, c := range presenting(id, secret) {
		got := b.do(c)
		if refused := got.status == 401 && strings.Contains(got.body, "invalid_client"); refused == good {
			b.Errorf("%s at %s: %d %s", what, name, got.status, got.body)
		}
	}
	b.issuer.throttle = NewThrottle(b.clock.Now()) // nobody guesses here
}

func TestS3_6_OldSecretIsGoodUntilTheInstantAndNotAfter(t *testing.T) {
	b := newBank(t, nil)
	const next = "the next secret"
	b.replaceSecret(botID, next, time.Hour)
	b.wantSecret("the next one", botID, next, true)
	b.wantSecret("the old one", botID, botSecret, true)
	b.wantSecret("another", botID, "x", false)

	b.clock.advance(time.Hour - time.Microsecond)
	b.wantSecret("the old one in its last moment", botID, botSecret, true)
	b.clock.advance(time.Microsecond)
	b.wantSecret("the old one afterwards", botID, botSecret, false)
	b.wantSecret("the next one", botID, next, true)
}

func TestS3_6_AtMostTwoSecrets(t *testing.T) {
	b := newBank(t, nil)
	b.replaceSecret(botID, "second", 24*time.Hour)
	b.replaceSecret(botID, "third", 24*time.Hour)
	b.wantSecret("the oldest", botID, botSecret, false)
	b.wantSecret("the one before", botID, "second", true)
	b.wantSecret("the present one", botID, "third", true)
	b.replaceSecret(botID, "fourth", 0)
	b.wantSecret("the one before, without an overlap", botID, "third", false)
	b.wantSecret("the one before that", botID, "second", false)
	b.wantSecret("the present one", botID, "fourth", true)
}

// Being disabled, or public, leaves no secret, not the old one either.
func TestOldSecretOfWhoHasNone(t *testing.T) {
	b := newBank(t, nil)
	for name, change := range map[string]func(*store.Client){
		"disabled": func(c *store.Client) { c.Status = store.Disabled },
		"public":   func(c *store.Client) { c.Public = true },
		"without":  func(c *store.Client) { c.OldSecretHash = "" },
		"a hash of no generated secret": func(c *store.Client) {
			c.OldSecretHash = "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
		},
	} {
		b.update(func(tx store.Writer) error {
			c := b.client(botID, botSecret, "read:eft")
			c.ReplaceSecret(b.authority.Keyring().HashSecret("next"), b.clock.Now(), time.Hour)
			change(&c)
			return tx.PutClient(c)
		})
		b.wantSecret(name, botID, botSecret, false)
	}
}

func TestOldSecretOfAnApp(t *testing.T) {
	b := appBank(t)
	fields := b.sessionOf("alice").connected(appKey)
	b.replaceSecret(appKey, "next", time.Hour)
	b.do(exchangeCall("x", fields["accessCode"], fields["connectionID"])).wantStatus(t, 401)
	raw := b.do(exchangeCall(appSecret, fields["accessCode"], fields["connectionID"])).ok(t).field(t, "accessToken")
	b.clock.advance(time.Hour)
	b.do(delinkCall(raw, appSecret, fields["userSecret"])).wantStatus(t, 401)
	b.do(delinkCall(raw, "next", fields["userSecret"])).ok(t)
}

// wantStatus fails unless the answer has a status.
func (a *answer) wantStatus(t testing.TB, status int) {
	t.Helper()
	if a.status != status {
		t.Fatalf("got %d %s, want %d", a.status, a.body, status)
	}
}

// Whoever looks after a client sees that a program still uses the old secret.
func TestUseOfAnOldSecretIsTold(t *testing.T) {
	b := newBank(t, nil)
	b.replaceSecret(botID, "next", time.Hour)
	told := b.overhear()
	signIn := "client:bot-1|client.sign_in|endpoint:introspect|ok||127.0.0.1"
	for secret, want := range map[string][]string{
		"next":    {signIn},
		botSecret: {signIn, "client:bot-1|client.old_secret|client:bot-1|ok||127.0.0.1"},
	} {
		if got := told(formCall(pathIntrospect, formBasic(botID, secret), "token", "x")); !slices.Equal(got, want) {
			t.Errorf("%q: %q, want %q", secret, got, want)
		}
	}
	if got := told(formCall(pathIntrospect, formBasic(botID, "wrong"), "token", "x")); slices.ContainsFunc(got, func(line string) bool {
		return strings.Contains(line, "old_secret")
	}) {
		t.Errorf("a wrong one: %q", got)
	}
}
