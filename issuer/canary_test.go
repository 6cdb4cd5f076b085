package issuer

import (
	"bytes"
	"strings"
	"sync"
	"testing"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// sink collects a log.
type sink struct {
	mu sync.Mutex
	bytes.Buffer
}

func (s *sink) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Buffer.Write(p)
}

func (s *sink) Sync() error { return nil }

// Whatever is asked, rightly or wrongly, the log at its most talkative names
// nothing that opens anything.
func TestCanaryNothingSecretIsLogged(t *testing.T) {
	var log sink
	encoder := zapcore.NewJSONEncoder(zap.NewDevelopmentEncoderConfig())
	b := newBank(t, func(b *bank) {
		b.logger = zap.New(zapcore.NewCore(encoder, &log, zapcore.DebugLevel), zap.AddCaller(), zap.AddStacktrace(zapcore.DebugLevel))
	})
	const marker = "canary-6f1e"
	var secrets []string
	keep := func(raw ...string) { secrets = append(secrets, raw...) }

	b.user("alice", []string{"read:accounts", "all:eft"}, "A1")
	b.app(appKey, appSecret, "read:accounts", "all:eft")
	alice := b.sessionOf("alice")
	fields, connected := alice.access()
	_, secret := alice.registered()
	keep(fields["accessCode"], fields["userSecret"], connected, appSecret, secret, alice.csrf, alice.cookie)

	code := b.code()
	first := b.pairOf(b.do(redeemCall(code)))
	second := b.pairOf(b.do(refreshCall(first.refresh)))
	keep(code, first.access, first.refresh, second.access, second.refresh, botSecret, publishedSecret, otherSecret, marker)

	for _, c := range []call{
		redeemCall(code), refreshCall(first.refresh), redeemCall(marker), refreshCall(marker), revokeCall(marker),
		revokeCall(first.access), revokeCall(second.refresh), refreshCall(second.refresh),
		ownCall(), ownCall("scope", marker), renewCall(marker), renewCall(second.refresh), introspectCall(marker), introspectCall(first.access),
		selfCall(marker), selfCall(first.access), selfCall(first.access).withQuery("access_token=" + marker),
		formCall(pathToken, "", "grant_type", marker, "client_id", marker, "client_secret", marker),
		codeCall().with("X-Service-Account-Secret", marker), codeCall().with("X-IBM-client-secret", marker),
		codeCall().with("X-IBM-client-id", marker), codeCall().with("scope", marker), codeCall().with("scope", marker+"\\"),
		codeCall().withQuery("code=" + marker), codeCall().withQuery("a=%zz" + marker), codeCall().with("Authorization", basic(marker, marker)),
		codeCall().by(marker), codeCall().with("X-IBM-client-id", marker+"\xff"),
		redeemCall(code).with("Content-Type", marker), redeemCall(code).with("Content-Type", "a/b;"+marker+"="+marker),
		redeemCall(code).with("Authorization", "Basic "+marker), redeemCall(code).with("Authorization", marker),
		redeemCall(code).with("Authorization", basic(botID, marker)), redeemCall(code).withBody("a=%zz" + marker),
		redeemCall(code).withBody(marker + "=1&" + marker + "=2"), redeemCall(code).withBody("grant_type=" + marker),
		formCall(pathRevoke, "", "token", marker, "client_id", marker, "client_secret", marker),
		formCall(pathRevoke, basic("%zz", marker), "token", marker),
		exchangeCall(marker, fields["accessCode"], fields["connectionID"]), exchangeCall(appSecret, marker, fields["connectionID"]),
		exchangeCall(appSecret, fields["accessCode"], marker), exchangeCall(appSecret, fields["accessCode"], fields["connectionID"]),
		exchangeCall(marker, marker, marker).withBody(`{"` + marker + `":1}`), exchangeCall(marker, marker, marker).withQuery("appSecret=" + marker),
		delinkCall(connected, appSecret, marker), delinkCall(connected, marker, fields["userSecret"]), delinkCall(marker, marker, marker),
		alice.get(connectPath(marker, marker, marker)), alice.form(connectPath(appKey, appAddress, goodState), "csrf", marker, marker, marker),
		alice.form(pathApplications, "name", marker, "redirect_uris", marker), alice.form(pathStaticTokens + "/" + marker + "/revoke"),
		{method: "GET", path: "/" + marker}, {method: "GET", path: pathProblems + marker},
	} {
		b.do(c)
	}
	keep(b.tokens().refresh)
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	b.do(redeemCall(code))

	text := log.String()
	if lines := strings.Count(text, "\n"); lines < 35 {
		t.Fatalf("%d lines are too few to prove anything", lines)
	}
	for _, secret := range secrets {
		if strings.Contains(text, secret) {
			t.Errorf("the log holds %s", secret)
		}
		// Not the part either that is a token's whole strength.
		if len(secret) > 60 && strings.Contains(text, secret[len(secret)-27:]) {
			t.Errorf("the log holds the end of %s", secret)
		}
	}
}
