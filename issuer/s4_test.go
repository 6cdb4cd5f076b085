package issuer

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

func TestS4_1_BothPairsInHeaders(t *testing.T) {
	b := newBank(t, nil)
	for _, method := range []string{"GET", "POST"} {
		t.Run(method, func(t *testing.T) { b.do(codeCall().by(method)).ok(t) })
	}
	t.Run("alias without the vendor's name", func(t *testing.T) {
		c := codeCall().with("X-IBM-client-id").with("X-IBM-client-secret").
			with("X-Client-ID", botID).with("X-Client-Secret", botSecret)
		b.do(c).ok(t)
	})
	t.Run("one pair does not do for the other", func(t *testing.T) {
		b.do(codeCall().with("X-Service-Account-Secret", "wrong")).wantError(t, 401, "invalid_client")
		b.do(codeCall().with("X-IBM-client-secret", "wrong")).wantError(t, 401, "invalid_client")
		b.do(codeCall().with("X-IBM-client-id", publishedID).with("X-IBM-client-secret", publishedSecret)).wantError(t, 401, "invalid_client")
	})
	t.Run("a person is no service account", func(t *testing.T) {
		c := codeCall().with("X-Service-Account-ID", "person").with("X-Service-Account-Secret", "person secret")
		b.do(c).wantError(t, 401, "invalid_client")
	})
}

func TestS4_2_ScopeIsAHeader(t *testing.T) {
	b := newBank(t, nil)
	tests := []struct{ header, granted string }{
		{pageScopes, pageScopes},
		{"all:eft read:accounts", "all:eft read:accounts"},
		{"  all:eft   read:accounts ", "all:eft read:accounts"},
		{"all:eft all:eft read:accounts all:eft", "all:eft read:accounts"}, // twice counts once
		{"read:eft all:eft", "read:eft all:eft"},
	}
	for _, test := range tests {
		code := b.do(codeCall().with("scope", test.header)).ok(t).field(t, "code")
		if got := b.do(redeemCall(code)).ok(t).field(t, "scope"); got != test.granted {
			t.Errorf("asked %q, granted %q, want %q", test.header, got, test.granted)
		}
	}
}

func TestS4_3_CodeAnswer(t *testing.T) {
	b := newBank(t, nil)
	got := b.do(codeCall()).ok(t)
	if !regexp.MustCompile(`^\{"code":"cb_test_code_[0-9A-Za-z]{40}"\}$`).MatchString(got.body) {
		t.Errorf("body %s", got.body)
	}
	for name, want := range map[string]string{"Content-Type": "application/json", "Cache-Control": "no-store", "Pragma": "no-cache"} {
		if got.header.Get(name) != want {
			t.Errorf("%s: %q, want %q", name, got.header.Get(name), want)
		}
	}
	t.Run("lives 60 seconds", func(t *testing.T) {
		inTime, late := b.code(), b.code()
		b.clock.advance(59 * time.Second)
		b.do(redeemCall(inTime)).ok(t)
		b.clock.advance(time.Second)
		b.do(redeemCall(late)).wantError(t, 400, "invalid_grant")
	})
	t.Run("HEAD is 405 and consumes nothing", func(t *testing.T) {
		head := b.do(codeCall().by("HEAD"))
		if head.status != 405 || head.header.Get("Allow") != "GET, POST" {
			t.Errorf("HEAD code: %d, Allow %q", head.status, head.header.Get("Allow"))
		}
		code := b.code()
		if got := b.do(redeemCall(code).by("HEAD")); got.status != 405 {
			t.Errorf("HEAD token: %d", got.status)
		}
		b.do(redeemCall(code)).ok(t)
	})
	t.Run("bound to the service account", func(t *testing.T) {
		lease, err := b.authority.Check(b.tokens().access)
		if err != nil {
			t.Fatal(err)
		}
		if lease.Subject != publishedID || lease.Client != botID || !slices.Equal(lease.Accounts, []string{"TR01"}) {
			t.Errorf("token of %s by %s for %v", lease.Subject, lease.Client, lease.Accounts)
		}
	})
}

func TestS4_4_TokenByGETWithFormBody(t *testing.T) {
	b := newBank(t, nil)
	for _, method := range []string{"GET", "POST"} {
		b.do(redeemCall(b.code()).by(method)).ok(t)
	}
	t.Run("chunked GET", func(t *testing.T) {
		c := redeemCall(b.code())
		b.raw(fmt.Sprintf("GET %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nAuthorization: %s\r\n"+
			"Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
			c.path, c.header.Get("Authorization"), len(c.body), c.body)).ok(t)
	})
	t.Run("never from the query", func(t *testing.T) {
		code := b.code()
		c := redeemCall(code)
		b.do(c.withQuery(c.body).withBody("")).wantError(t, 400, "invalid_request")
		b.do(c.withQuery("code="+code).withBody("grant_type=authorization_code")).wantError(t, 400, "invalid_request")
		b.do(c.withQuery("code="+code)).wantError(t, 400, "invalid_request")
		b.do(c.withQuery("utm_source=page")).ok(t) // others are ignored
	})
	t.Run("64 KiB at most", func(t *testing.T) {
		c := redeemCall(b.code())
		fill := func(n int) call { return c.withBody(c.body + "&x=" + strings.Repeat("y", n-len(c.body)-len("&x="))) }
		b.do(fill(maxBody+1)).wantError(t, 413, "invalid_request")
		b.do(fill(maxBody)).ok(t)
	})
}

func TestS4_5_BasicIsReadRaw(t *testing.T) {
	b := newBank(t, nil)
	with := func(authorization string) *answer {
		return b.do(redeemCall(b.code()).with("Authorization", authorization))
	}
	pack := func(s string) string { return "Basic " + base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, authorization := range map[string]string{
		"plain":                basic(botID, botSecret),
		"as the page prints":   pack(botID + " :  " + botSecret),
		"blank behind":         pack(botID + ": " + botSecret),
		"blank before":         pack(botID + " :" + botSecret),
		"scheme in lower case": strings.Replace(basic(botID, botSecret), "Basic", "basic", 1),
	} {
		t.Run(name, func(t *testing.T) { with(authorization).ok(t) })
	}
	t.Run("not form-decoded", func(t *testing.T) {
		with(formBasic(botID, botSecret)).wantError(t, 401, "invalid_client")
	})
	t.Run("a secret that begins with a blank is read strictly first", func(t *testing.T) {
		b.update(func(tx store.Writer) error { return tx.PutClient(b.client("blank", " blank", "all:eft")) })
		b.do(redeemCall("x").with("Authorization", basic("blank", " blank"))).wantError(t, 400, "invalid_grant")
		b.do(redeemCall("x").with("Authorization", basic("blank", "blank"))).wantError(t, 401, "invalid_client")
	})
	t.Run("charset parameter", func(t *testing.T) {
		b.do(redeemCall(b.code()).with("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")).ok(t)
		b.do(redeemCall(b.code()).with("Content-Type", "Application/X-WWW-Form-urlencoded;charset=ISO-8859-1")).ok(t)
	})
	t.Run("Accept is not looked at", func(t *testing.T) {
		b.do(redeemCall(b.code()).with("Accept", "text/html")).ok(t)
		b.do(redeemCall(b.code()).with("Accept")).ok(t)
	})
}

func TestS4_6_TokenAnswer(t *testing.T) {
	b := newBank(t, nil)
	code := b.code()
	consented := b.clock.Now().Unix()
	b.clock.advance(7 * time.Second)
	got := b.do(redeemCall(code)).ok(t)
	want := regexp.MustCompile(fmt.Sprintf(`^\{"token_type":"bearer","access_token":"[\w.-]+","expires_in":1095,"consented_on":%d,`+
		`"scope":"%s","refresh_token":"cb_test_refresh_[0-9A-Za-z]{40}","refresh_token_expires_in":2682000\}$`, consented, pageScopes))
	if !want.MatchString(got.body) {
		t.Errorf("body %s", got.body)
	}
	if got.header.Get("Cache-Control") != "no-store" || got.header.Get("Content-Type") != "application/json" {
		t.Errorf("header %v", got.header)
	}
	b.wantVerdict(got.field(t, "access_token"), token.Live)
	t.Run("scope is cut to present rights", func(t *testing.T) {
		code := b.code()
		b.update(func(tx store.Writer) error {
			return tx.PutClient(b.client(botID, botSecret, "read:accounts", "read:eft"))
		})
		if got := b.do(redeemCall(code)).ok(t).field(t, "scope"); got != "read:accounts read:eft" {
			t.Errorf("scope %q", got)
		}
	})
}

func TestS4_7_RefreshRotates(t *testing.T) {
	b := newBank(t, nil)
	first := b.do(redeemCall(b.code())).ok(t)
	consented := regexp.MustCompile(`"consented_on":\d+`).FindString(first.body)
	b.clock.advance(1000 * time.Second)
	second := b.do(refreshCall(first.field(t, "refresh_token"))).ok(t)

	members := regexp.MustCompile(`"(\w+)":`)
	if a, z := members.FindAllString(first.body, -1), members.FindAllString(second.body, -1); !slices.Equal(a, z) {
		t.Errorf("members %v, then %v", a, z)
	}
	if !strings.Contains(second.body, consented) {
		t.Errorf("%s is not in %s", consented, second.body)
	}
	if !strings.Contains(second.body, `"refresh_token_expires_in":2682000`) {
		t.Errorf("the successor does not live as long as its predecessor: %s", second.body)
	}
	if second.field(t, "refresh_token") == first.field(t, "refresh_token") {
		t.Error("did not rotate")
	}
	b.wantVerdict(second.field(t, "access_token"), token.Live)
	b.wantVerdict(first.field(t, "access_token"), token.Live)

	t.Run("a retry shows the remaining time", func(t *testing.T) {
		b.clock.advance(20 * time.Second)
		again := b.do(refreshCall(first.field(t, "refresh_token"))).ok(t)
		if again.field(t, "refresh_token") != second.field(t, "refresh_token") {
			t.Error("a retry must give the family's head")
		}
		if again.field(t, "access_token") == second.field(t, "access_token") {
			t.Error("a retry must give a fresh access token")
		}
		if !strings.Contains(again.body, `"refresh_token_expires_in":2681980`) {
			t.Errorf("body %s", again.body)
		}
	})
	t.Run("also by GET", func(t *testing.T) {
		b.do(refreshCall(second.field(t, "refresh_token")).by("GET")).ok(t)
	})
	t.Run("lives 2682000 seconds", func(t *testing.T) {
		inTime, late := b.tokens(), b.tokens()
		b.clock.advance(2681999 * time.Second)
		b.do(refreshCall(inTime.refresh)).ok(t)
		b.clock.advance(time.Second)
		b.do(refreshCall(late.refresh)).wantError(t, 400, "invalid_grant")
	})
}

func TestS4_8_AllCoversEveryAction(t *testing.T) {
	b := newBank(t, nil)
	carries := func(scopes string) []string {
		code := b.do(codeCall().with("scope", scopes)).ok(t).field(t, "code")
		lease, err := b.authority.Check(b.do(redeemCall(code)).ok(t).field(t, "access_token"))
		if err != nil {
			t.Fatal(err)
		}
		return lease.Scopes
	}
	for _, test := range []struct {
		asked, scope string
		want         bool
	}{
		{"all:eft", "read:eft", true},
		{"all:eft", "write:eft", true},
		{"read:eft", "read:eft", true}, // the client may have all:eft, so it may ask for a part
		{"read:eft", "write:eft", false},
		{"write:eft", "read:eft", false},
	} {
		if got := b.policy.Covers(carries(test.asked), test.scope); got != test.want {
			t.Errorf("%s covers %s: %v", test.asked, test.scope, got)
		}
	}
}

func TestS4_9_PublishedPairWorksInTheSandbox(t *testing.T) {
	b := newBank(t, nil)
	c := codeCall()
	if c.header.Get("X-Service-Account-ID") != publishedID || c.header.Get("X-Service-Account-Secret") != publishedSecret {
		t.Fatal("the test does not use the published pair")
	}
	b.do(redeemCall(b.do(c).ok(t).field(t, "code"))).ok(t)

	t.Run("a sandbox code or refresh token is nothing in production", func(t *testing.T) {
		sandboxCode, sandboxTokens := b.code(), b.tokens()
		production := newBank(t, func(b *bank) { b.env = store.Production })
		production.do(redeemCall(sandboxCode)).wantError(t, 400, "invalid_grant")
		production.do(refreshCall(sandboxTokens.refresh)).wantError(t, 400, "invalid_grant")
		b.do(redeemCall(sandboxCode)).ok(t)
	})
}

func TestS4_10_Errors(t *testing.T) {
	t.Run("unknown, wrong, disabled: one answer", func(t *testing.T) {
		b := newBank(t, nil)
		same := func(calls map[string]call) {
			t.Helper()
			var first *answer
			for name, c := range calls {
				got := b.do(c)
				got.wantError(t, 401, "invalid_client")
				got.header.Del("Date")
				if first == nil {
					first = got
				}
				if got.body != first.body || fmt.Sprint(got.header) != fmt.Sprint(first.header) {
					t.Errorf("%s: %v %s, others: %v %s", name, got.header, got.body, first.header, first.body)
				}
			}
		}
		same(map[string]call{
			"unknown account":  codeCall().with("X-Service-Account-ID", "nobody"),
			"wrong account":    codeCall().with("X-Service-Account-Secret", "wrong"),
			"disabled account": codeCall().with("X-Service-Account-ID", "off").with("X-Service-Account-Secret", "off secret"),
			"unknown client":   codeCall().with("X-IBM-client-id", "nobody"),
			"wrong client":     codeCall().with("X-IBM-client-secret", "wrong"),
			"disabled client":  codeCall().with("X-IBM-client-id", "off").with("X-IBM-client-secret", "off secret"),
			"no secret":        codeCall().with("X-IBM-client-id", "secretless"),
		})
		redeem := redeemCall(b.code())
		same(map[string]call{
			"unknown":  redeem.with("Authorization", basic("nobody", botSecret)),
			"wrong":    redeem.with("Authorization", basic(botID, "wrong")),
			"disabled": redeem.with("Authorization", basic("off", "off secret")),
			"none":     redeem.with("Authorization", basic("secretless", "x")),
		})
		b.do(redeem).ok(t)
	})
	t.Run("scope", func(t *testing.T) {
		b := newBank(t, nil)
		for _, test := range []struct{ scope, description string }{
			{"read:acounts", "scope 'read:acounts' is not known; did you mean 'read:accounts'?"},
			{"zzz", "scope 'zzz' is not known"},
			{"read:accounts zzz", "scope 'zzz' is not known"},
			{"write:loans", "scope 'write:loans' is more than is allowed here"}, // the client may, the account may not
			{"admin:eft", "scope 'admin:eft' is not known"},                     // hidden
			{"admin:efz", "scope 'admin:efz' is not known"},                     // near a hidden one
			{strings.Repeat("z", 100), "scope '" + strings.Repeat("z", 64) + "...' is not known"},
			{"read\\accounts", "the scope list holds characters that no scope has"},
			{"read:\xc3\xa4", "the scope list holds characters that no scope has"},
			{strings.Repeat("a ", 3000), "the scope list is longer than 4 KiB"},
		} {
			got := b.do(codeCall().with("scope", test.scope))
			got.wantError(t, 400, "invalid_scope")
			if description := got.field(t, "error_description"); description != test.description {
				t.Errorf("%.20q: %q, want %q", test.scope, description, test.description)
			}
		}
	})
	t.Run("a hidden scope that is allowed is granted", func(t *testing.T) {
		b := newBank(t, nil)
		b.update(func(tx store.Writer) error {
			return errors.Join(tx.PutClient(b.client(botID, botSecret, "admin:eft")),
				tx.PutPrincipal(b.principal(publishedID, publishedSecret, store.Service, "admin:eft")))
		})
		b.do(codeCall().with("scope", "admin:eft")).ok(t)
	})
	t.Run("missing header", func(t *testing.T) {
		b := newBank(t, nil)
		for name := range codeCall().header {
			b.do(codeCall().with(name)).wantError(t, 400, "invalid_request")
			b.do(codeCall().with(name, "")).wantError(t, 400, "invalid_request")
		}
		code := b.code()
		b.do(redeemCall(code).with("Authorization")).wantError(t, 400, "invalid_request")
		b.do(redeemCall(code).with("Content-Type")).wantError(t, 400, "invalid_request")
		b.do(redeemCall(code)).ok(t)
	})
}

func TestS4_10_CodeReplay(t *testing.T) {
	t.Run("sent again by the same client within 5 s", func(t *testing.T) {
		b := newBank(t, nil)
		code := b.code()
		first := b.pairOf(b.do(redeemCall(code)))
		b.clock.advance(5 * time.Second)
		b.do(redeemCall(code)).wantError(t, 400, "invalid_grant")
		b.wantVerdict(first.access, token.Live)
		b.do(refreshCall(first.refresh)).ok(t)
	})
	t.Run("later", func(t *testing.T) {
		b := newBank(t, nil)
		code := b.code()
		first := b.pairOf(b.do(redeemCall(code)))
		b.clock.advance(6 * time.Second)
		b.do(redeemCall(code)).wantError(t, 400, "invalid_grant")
		b.wantVerdict(first.access, token.Revoked)
		b.do(refreshCall(first.refresh)).wantError(t, 400, "invalid_grant")
	})
	t.Run("by another client", func(t *testing.T) {
		b := newBank(t, nil)
		code := b.code()
		b.do(redeemCall(code).with("Authorization", basic(otherID, otherSecret))).wantError(t, 400, "invalid_grant")
		b.do(redeemCall(code)).wantError(t, 400, "invalid_grant") // burnt
	})
	t.Run("redeemed, then by another client", func(t *testing.T) {
		b := newBank(t, nil)
		code := b.code()
		first := b.pairOf(b.do(redeemCall(code)))
		b.do(redeemCall(code).with("Authorization", basic(otherID, otherSecret))).wantError(t, 400, "invalid_grant")
		b.wantVerdict(first.access, token.Live) // a stranger cannot kill it
	})
	t.Run("made up, cut, of another class", func(t *testing.T) {
		b := newBank(t, nil)
		code := b.code()
		for _, bad := range []string{"x", code[1:], code[:len(code)-1], code + "0", b.tokens().refresh, strings.ToUpper(code)} {
			b.do(redeemCall(bad)).wantError(t, 400, "invalid_grant")
		}
		b.do(redeemCall(code)).ok(t)
	})
}

func TestS4_3_OneOfFiftyRedemptionsWins(t *testing.T) {
	b := newBank(t, nil)
	code := b.code()
	var mu sync.Mutex
	var won []pair
	var lost int
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			got := b.do(redeemCall(code))
			mu.Lock()
			defer mu.Unlock()
			if got.status == http.StatusOK {
				won = append(won, b.pairOf(got))
				return
			}
			got.wantError(t, 400, "invalid_grant")
			lost++
		})
	}
	all.Wait()
	if len(won) != 1 || lost != 49 {
		t.Fatalf("%d won and %d lost", len(won), lost)
	}
	b.wantVerdict(won[0].access, token.Live)
}

func TestS4_7_RetryAndReuse(t *testing.T) {
	t.Run("while the head is unused, three times within 10 min", func(t *testing.T) {
		b := newBank(t, nil)
		first := b.tokens()
		second := b.pairOf(b.do(refreshCall(first.refresh)))
		for range 3 {
			b.clock.advance(time.Minute)
			if got := b.pairOf(b.do(refreshCall(first.refresh))); got.refresh != second.refresh {
				t.Error("a retry must give the head")
			}
		}
		b.do(refreshCall(first.refresh)).wantError(t, 400, "invalid_grant")
		b.wantVerdict(second.access, token.Revoked)
		b.do(refreshCall(second.refresh)).wantError(t, 400, "invalid_grant")
	})
	t.Run("within 30 s through two generations", func(t *testing.T) {
		b := newBank(t, nil)
		first := b.tokens()
		second := b.pairOf(b.do(refreshCall(first.refresh)))
		third := b.pairOf(b.do(refreshCall(second.refresh)))
		b.clock.advance(30 * time.Second)
		if got := b.pairOf(b.do(refreshCall(first.refresh))); got.refresh != third.refresh {
			t.Error("a retry must give the head, however far it is")
		}
	})
	t.Run("reuse after the head was used kills all", func(t *testing.T) {
		b := newBank(t, nil)
		first := b.tokens()
		second := b.pairOf(b.do(refreshCall(first.refresh)))
		third := b.pairOf(b.do(refreshCall(second.refresh)))
		b.clock.advance(31 * time.Second)
		b.do(refreshCall(first.refresh)).wantError(t, 400, "invalid_grant")
		for _, access := range []string{first.access, second.access, third.access} {
			b.wantVerdict(access, token.Revoked)
		}
		b.do(refreshCall(third.refresh)).wantError(t, 400, "invalid_grant")
	})
	t.Run("by another client nothing changes", func(t *testing.T) {
		b := newBank(t, nil)
		first := b.tokens()
		c := refreshCall(first.refresh).with("Authorization", basic(otherID, otherSecret))
		b.do(c).wantError(t, 400, "invalid_grant")
		b.do(c.withBody(c.body+"&scope=zzz")).wantError(t, 400, "invalid_grant")
		b.do(refreshCall(first.refresh)).ok(t)
	})
	t.Run("a lost answer after a restart", func(t *testing.T) {
		b := newBank(t, nil)
		first := b.tokens()
		second := b.pairOf(b.do(refreshCall(first.refresh)))
		b.restart()
		if got := b.pairOf(b.do(refreshCall(first.refresh))); got.refresh != second.refresh {
			t.Error("the head must be derived again after a restart")
		}
	})
	t.Run("twenty at once agree on one head", func(t *testing.T) {
		b := newBank(t, nil)
		first := b.tokens()
		var mu sync.Mutex
		heads := make(map[string]int)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				got := b.pairOf(b.do(refreshCall(first.refresh)))
				mu.Lock()
				heads[got.refresh]++
				mu.Unlock()
			})
		}
		all.Wait()
		if len(heads) != 1 {
			t.Errorf("%d heads", len(heads))
		}
	})
}

func TestRefreshNarrowsScope(t *testing.T) {
	b := newBank(t, nil)
	first := b.tokens()
	narrow := refreshCall(first.refresh)
	b.do(narrow.withBody(narrow.body+"&scope=write:loans")).wantError(t, 400, "invalid_scope")
	b.do(narrow.withBody(narrow.body+"&scope=%22")).wantError(t, 400, "invalid_scope")
	got := b.do(narrow.withBody(narrow.body + "&scope=read:eft")).ok(t)
	if got.field(t, "scope") != "read:eft" {
		t.Errorf("scope %q", got.field(t, "scope"))
	}
	again := b.do(refreshCall(got.field(t, "refresh_token"))).ok(t)
	if again.field(t, "scope") != pageScopes {
		t.Errorf("the refresh token must keep all: %q", again.field(t, "scope"))
	}
}

// The two calls exactly as the bank's page prints them.
func TestS4_ThePageAsPrinted(t *testing.T) {
	b := newBank(t, nil)
	code := b.raw("GET /api/v1/s2s-oauth2/code HTTP/1.1\r\nHost: api.test\r\n"+
		"X-Service-Account-ID: 12a42d02-0845-46f8-b6e2-202e1e792364\r\n"+
		"X-Service-Account-Secret: AQvfpNrjQAiOcQQxKdwGoC860yVdvE3D2iRGsjZ2qwoeYlZ5po\r\n"+
		"X-IBM-client-id: "+botID+" \r\n"+
		"X-IBM-client-secret: "+botSecret+"\r\n"+
		"scope:read:accounts all:remittance all:eft\r\n\r\n").ok(t).field(t, "code")

	body := "grant_type=authorization_code&code=" + code
	got := b.raw("GET /api/v1/s2s-oauth2/token HTTP/1.1\r\nHost: api.test\r\n" +
		"Content-Type:application/x-www-form-urlencoded\r\n" +
		"Accept:application/json\r\n" +
		"Authorization:Basic " + base64.StdEncoding.EncodeToString([]byte(botID+" :  "+botSecret)) + "\r\n" +
		fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)).ok(t)
	if got.field(t, "scope") != pageScopes || got.field(t, "token_type") != "bearer" {
		t.Errorf("body %s", got.body)
	}
}

func TestStoreAway(t *testing.T) {
	b := newBank(t, nil)
	code, first := b.code(), b.tokens()
	if err := b.store.Close(); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]call{
		"code": codeCall(), "redeem": redeemCall(code), "refresh": refreshCall(first.refresh), "revoke": revokeCall(first.refresh),
	} {
		t.Run(name, func(t *testing.T) {
			got := b.do(c)
			got.wantError(t, 503, "temporarily_unavailable")
			if got.header.Get("Retry-After") != "1" {
				t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
			}
		})
	}
}

func TestAuditNamesWhoDidWhat(t *testing.T) {
	b := newBank(t, nil)
	first := b.tokens()
	b.do(refreshCall(first.refresh)).ok(t)
	b.do(revokeCall(first.access)).ok(t)
	b.do(revokeCall(first.refresh)).ok(t)
	var got []string
	err := b.store.View(context.Background(), func(tx store.Reader) error {
		events, err := tx.Audit(b.env, store.AuditFilter{})
		for _, e := range slices.Backward(events) {
			if e.Actor == "config" {
				continue // the first signing key, at the start
			}
			if e.RequestID != "request-1" || !e.At.Equal(b.clock.Now()) {
				t.Errorf("event %+v", e)
			}
			kind, _, _ := strings.Cut(e.Target, ":")
			got = append(got, strings.Join([]string{e.Actor, e.Action, kind, e.Outcome}, " "))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"client:bot-1 code.issue grant ok", "client:bot-1 code.redeem grant ok", "client:bot-1 token.renew grant ok",
		"client:bot-1 token.revoke token ok", "client:bot-1 grant.revoke grant ok",
	}
	if !slices.Equal(got, want) {
		t.Errorf("audit trail %q, want %q", got, want)
	}
}

func TestPrincipalKilledBetweenCodeAndToken(t *testing.T) {
	b := newBank(t, nil)
	code, first := b.code(), b.tokens()
	_, err := b.authority.Revoke(context.Background(),
		store.Revocation{Kind: store.KindPrincipal, Target: publishedID, Reason: "test"}, store.Event{Actor: "operator:test"})
	if err != nil {
		t.Fatal(err)
	}
	b.do(redeemCall(code)).wantError(t, 400, "invalid_grant")
	b.do(refreshCall(first.refresh)).wantError(t, 400, "invalid_grant")
	b.wantVerdict(first.access, token.Revoked)
	b.wantVerdict(b.tokens().access, token.Live) // what is granted afterwards is good
}
