package caddymodule

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/coder/websocket"

	"github.com/caddy-bearer/caddy-bearer/issuer"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// canary collects what must be found nowhere.
type canary struct {
	*server
	secrets map[string]string // what it is, by value
	before  string            // what the process wrote that ran before
}

func (c *canary) keep(what string, values ...string) {
	for _, value := range values {
		if len(value) < 10 {
			c.t.Fatalf("%s: %q is none", what, value)
		}
		c.secrets[value] = what
	}
}

// marker is a wrong secret, kept like the right ones.
func (c *canary) marker(what string) string {
	value := "canary-" + hex.EncodeToString([]byte(what)) + "-0f9b2c7d51e84a36"
	c.keep("wrong "+what, value)
	return value
}

// forms are the ways in which a secret could stand somewhere: as it is, encoded, and
// each half, which is too much of it already.
func forms(secret string) []string {
	parts := []string{secret}
	if half := len(secret) / 2; half >= 16 {
		parts = append(parts, secret[:half], secret[half:])
	}
	all := parts
	for _, part := range parts {
		raw := []byte(part)
		all = append(all, hex.EncodeToString(raw), strings.ToUpper(hex.EncodeToString(raw)), url.QueryEscape(part), url.PathEscape(part))
		// Of base64 whatever stands before the part: three ways, without the ends that
		// depend on what stands beside it.
		for shift := range 3 {
			for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
				text := encoding.EncodeToString(append(make([]byte, shift), raw...))
				all = append(all, text[(shift*4+2)/3:len(text)-2])
			}
		}
	}
	return all
}

// wantNowhere looks for all secrets in all sinks.
func (c *canary) wantNowhere(sinks map[string]string) {
	c.t.Helper()
	for secret, what := range c.secrets {
		for sink, text := range sinks {
			for _, form := range forms(secret) {
				if at := strings.Index(text, form); at >= 0 {
					c.t.Errorf("%s holds %s (%.40q…) behind\n%s", sink, what, form, text[max(0, at-300):at])
					break
				}
			}
		}
	}
}

// send sends a request whatever the answer, which need not be good.
func (c *canary) send(method, where string, header http.Header, body string) {
	c.t.Helper()
	request := c.request(method, where, strings.NewReader(body))
	for name, values := range header {
		request.Header[name] = values
	}
	if body != "" && request.Header.Get("Content-Type") == "" {
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	response, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		c.t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, response.Body)
	response.Body.Close()
}

// dial opens a WebSocket with its token among the subprotocols.
func (c *canary) dial(token string) error {
	conn, _, err := websocket.Dial(context.Background(), strings.Replace(c.api, "http", "ws", 1)+"/api/v1/stream",
		&websocket.DialOptions{Subprotocols: []string{"bearer", token}})
	if err != nil {
		return err
	}
	_, _, err = conn.Read(context.Background())
	_ = conn.CloseNow()
	return err
}

var sessionCookie = regexp.MustCompile(`bearer-sandbox=([^;]+)`)

// TestCanaryOfAWholeServer uses every kind of secret, rightly and wrongly, with all
// logs at their most talkative, and looks for it in all that leaves the server but
// for the answers to who owns it.
func TestCanaryOfAWholeServer(t *testing.T) {
	t.Parallel()
	for name, errorRoutes := range map[string]string{"plain": "", "with error routes": "handle_errors {\n respond \"{err.status_code}\"\n }"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			traces, hooks := newReceiver(t), newHookServer(t)
			s := newServer(t)
			s.env = traces.environment()
			s.config = s.caddyfile(siteOptions{
				global: "debug\n" + s.recordingEvents(), site: "tracing\n" + errorRoutes, issuerSite: "tracing\n" + onTheSite + "\n" + errorRoutes,
				bearer: "audit {\n file " + s.path("heads.jsonl") + "\n }",
				environment: "trading_tokens read:market\naccount T1 {\n kind trading\n}\nwebhooks {\n allow 127.0.0.1\n ca " +
					hooks.authority(t, s.path("ca.pem")) + "\n}\nclient " + payerID + " {\n name Payer\n secret_hash " + hashOf(payerSecret) +
					"\n redirect_uri " + payerURI + "\n scopes read:accounts read:market\n}\n",
			})
			s.start()
			c := &canary{server: s, secrets: map[string]string{}}
			c.useAll(hooks)
			c.misuseAll()
			c.wantNowhere(c.sinks(traces))
		})
	}
}

// useAll goes through the flows with good secrets.
func (c *canary) useAll(hooks *hookServer) {
	c.keep("client secret", clientSecret, payerSecret)
	c.keep("service account's secret", serviceSecret)
	operator, err := os.ReadFile(c.path("operator.token"))
	must(c.t, err)
	for line := range strings.Lines(string(operator)) {
		if fields := strings.Fields(line); len(fields) > 1 && !strings.HasPrefix(line, "#") {
			c.keep("operator token", fields[len(fields)-1])
			c.admin("/bearer/environments", fields[len(fields)-1])
		}
	}

	// The bank's two calls, a renewal, a stream, and the end.
	pair := c.obtain("read:accounts read:market")
	c.keep("access token", pair.Access)
	c.keep("refresh token", pair.Refresh)
	next := c.renew(pair)
	c.keep("access token", next.Access)
	c.keep("refresh token", next.Refresh)
	var own tokens
	c.answer(c.form("/oauth2/token", "grant_type=client_credentials"), 200, &own)
	c.keep("access token", own.Access)
	c.answer(c.form("/oauth2/introspect", "token="+next.Access), 200, nil)
	ended := make(chan error, 1)
	go func() { ended <- c.dial(next.Access) }()
	if err := <-ended; err != nil {
		c.t.Fatal(err)
	}
	c.answer(c.call("GET", "/api/v1/accounts", next.Access), 200, nil)
	c.answer(c.call("GET", "/api/v1/eft", next.Access), 403, nil)
	c.ok(next.Access, "bearer", "token", "show")
	c.revoke(next.Access)
	c.answer(c.form("/oauth2/revoke", "token="+next.Refresh), 200, nil)
	c.answer(c.call("GET", "/api/v1/accounts", next.Access), 401, nil)
	if c.dial(next.Access) == nil {
		c.t.Error("a revoked token opens a WebSocket")
	}

	// People: a session, a consent, a connection, personal and trading tokens, webhooks.
	alice := c.browserOf("alice", "read:accounts read:market", "1", "T1")
	c.keep("password", userPassword)
	at, err := url.Parse(c.issuer)
	must(c.t, err)
	for _, cookie := range alice.client.Jar.Cookies(at) {
		c.keep("session", cookie.Value)
	}
	page := alice.fill("/static-tokens", "/static-tokens", 201, "label", "Reports")
	static := regexp.MustCompile(`cb_test_personal_\w+`).FindString(page)
	c.keep("personal token", static)
	c.answer(c.call("GET", "/api/v1/accounts", static), 200, nil)
	page = alice.fill("/settings/notifications", "/settings/notifications", 201, "url", hooks.URL+"/in-9c1f0be7d2a44c55", "kind.issued", "on")
	c.keep("webhook secret", strings.TrimPrefix(html.UnescapeString(hookSecret.FindString(page)), "whsec_"))
	byCommand, _ := c.personal("--principal", "alice", "--scopes", "read:market")
	c.keep("personal token", byCommand)
	if err := c.dial(byCommand); err != nil {
		c.t.Fatal(err)
	}
	c.eventually("a notification was delivered", func() bool { return len(hooks.take()) > 0 })
	app := c.app("budget", "--name", "Budget", "--scopes", "read:accounts read:market")
	fields, connection := alice.access(app)
	c.keep("app secret", app.Secret)
	c.keep("access code", fields["accessCode"])
	c.keep("user secret", fields["userSecret"])
	c.keep("token of a connection", connection)
	c.answer(c.call("GET", "/api/v1/accounts", connection), 200, nil)
	c.post("/users/DelinkUser", connection, map[string]string{"appSecret": app.Secret, "userSecret": fields["userSecret"]}, 200, nil)

	w := c.surfer("alice", userPassword)
	_, back := w.consent(payerID, payerURI, "read:accounts", "account:1", "on")
	c.keep("code", back.Get("code"))
	c.keep("verifier", pkceVerifier)
	got := c.redeemCode(payerID, payerSecret, payerURI, back.Get("code"))
	c.keep("access token", got.Access)
	c.keep("refresh token", got.Refresh)
	got = c.renewApp(payerID, payerSecret, got.Refresh)
	c.keep("refresh token", got.Refresh)

	issued := c.samples()
	c.before = c.output.String()
	cookie := c.signedIn("alice", store.Sandbox)[store.Sandbox]
	c.keep("session", sessionCookie.FindStringSubmatch(cookie)[1])
	_, trading := c.newTrading(c.issuer, cookie, "T1")
	c.keep("trading token", trading)
	c.answer(c.tradingRequest(c.issuer, trading), 200, &got)
	c.keep("access token", got.Access)
	for _, grant := range issuer.Grants() { // each kind of token is among them
		name := sandbox("bearer_tokens_issued_total", "grant", grant)
		if issued[name]+c.samples()[name] == 0 {
			c.t.Errorf("%s is 0", name)
		}
	}
}

// misuseAll sends secrets to where they are wrong, and wrong ones to where they belong.
func (c *canary) misuseAll() {
	token := c.obtain("read:market").Access
	c.keep("access token", token)
	wrong := c.marker("token")
	for _, secret := range []string{token, wrong} {
		for _, header := range []http.Header{
			{"Authorization": {"Bearer " + secret}}, {"Authorization": {secret}}, {"Authorization": {"Bearer " + secret, "Bearer " + secret}},
			{"Authorization": {"Basic " + secret}}, {"Proxy-Authorization": {"Bearer " + secret}}, {"Cookie": {"token=" + secret}},
			{"Sec-Websocket-Protocol": {"bearer, " + secret}}, {"Sec-Websocket-Protocol": {"bearer, " + secret}, "Authorization": {"Bearer " + secret}},
		} {
			c.send("GET", c.api+"/api/v1/eft", header, "")
			c.send("GET", c.api+"/api/v1/stream", header, "")
			c.send("GET", c.issuer+"/token/self", header, "")
		}
		for _, query := range []string{"access_token=", "a=b&access_token=", "a;access_token=", "Access_Token=", "access%5Ftoken="} {
			c.send("GET", c.api+"/api/v1/accounts?"+query+secret, nil, "")
			c.send("GET", c.issuer+"/token/self?"+query+secret, nil, "")
			c.send("GET", c.issuer+"/nowhere?"+query+secret, nil, "")
		}
		c.send("POST", c.issuer+"/oauth2/introspect", nil, "token="+secret)
		c.send("POST", c.issuer+"/oauth2/revoke", nil, "token="+secret+"&client_id=demo-client&client_secret="+secret)
		c.send("POST", c.issuer+"/oauth2/token", nil, "grant_type=refresh_token&refresh_token="+secret+"&client_id=demo-client&client_secret="+secret)
		c.send("POST", c.issuer+"/oauth2/token", nil, "grant_type=authorization_code&code="+secret+"&client_id=desk&redirect_uri=x&code_verifier="+secret)
		c.send("POST", c.issuer+"/trading/token", nil, "grant_type=refresh_token&refresh_token="+secret)
		c.send("POST", c.issuer+"/login", http.Header{"Sec-Fetch-Site": {"same-origin"}}, "user=alice&password="+secret)
		c.send("POST", c.issuer+"/auth/ExchangeToken", http.Header{"Content-Type": {"application/json"}},
			`{"appSecret":"`+secret+`","accessCode":"`+secret+`","connectionID":"x"}`)
		c.send("GET", c.issuer+"/api/v1/s2s-oauth2/code", http.Header{
			"X-Service-Account-Id": {serviceID}, "X-Service-Account-Secret": {secret}, "X-Ibm-Client-Id": {clientID}, "X-Ibm-Client-Secret": {secret},
		}, "")
		c.send("GET", c.issuer+"/api/v1/s2s-oauth2/token?code="+secret, nil, "")
		c.send("GET", c.issuer+"/settings", http.Header{"Cookie": {"bearer-sandbox=" + secret}}, "")
		c.admin("/bearer/environments", secret)
		_, _, _ = c.run(secret, "bearer", "token", "show")
		_, _, _ = c.run(secret, "bearer", "token", "revoke")
	}
	// The API is down: Caddy would log what it could not hand on.
	c.backend.server.Close()
	c.send("GET", c.api+"/api/v1/events", http.Header{"Authorization": {"Bearer " + token}}, "")
	if c.dial(token) == nil {
		c.t.Error("a WebSocket to nowhere")
	}
	c.send("GET", c.api+"/debug/request?access_token="+token, nil, "")
}

// admin calls the admin API with an operator token and returns its answer.
func (c *canary) admin(path, operator string) string {
	c.t.Helper()
	request := c.request("GET", "http://localhost"+path, nil)
	if operator != "" {
		request.Header.Set("Authorization", "Bearer "+operator)
	}
	response, err := c.overSocket().Do(request)
	must(c.t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	must(c.t, err)
	return string(text)
}

// sinks are all places to look at, each with a proof that it tells something.
func (c *canary) sinks(traces *receiver) map[string]string {
	c.t.Helper()
	sinks := map[string]string{
		"the audit trail":      c.ok("", "bearer", "audit", "list", "--limit", "1000", "--json"),
		"the configuration":    c.admin("/config/", ""),
		"metrics (admin)":      c.admin("/metrics", ""),
		"the state of proxies": c.admin("/reverse_proxy/upstreams", ""),
	}
	for _, route := range adminRoutes() {
		if path := strings.Replace(route.path, "{env}", "sandbox", 1); route.method == "GET" && !strings.Contains(path, "{") {
			sinks["GET "+path] = c.admin(adminRoot+path, "")
		}
	}
	response, err := http.Get(c.issuer + "/metrics")
	must(c.t, err)
	metrics, err := io.ReadAll(response.Body)
	response.Body.Close()
	must(c.t, err)
	sinks["metrics (site)"] = string(metrics)
	c.eventually("the head covers what happened", func() bool { return c.newestHead("heads.jsonl") != nil })
	c.signal(os.Interrupt)
	c.await("the process ends", c.exited)
	for _, file := range []string{"events.jsonl", "heads.jsonl", "revocations.journal", "bearer.db"} {
		text, err := os.ReadFile(c.path(file))
		must(c.t, err)
		sinks[file] = string(text)
	}
	sinks["the output"] = c.before + c.output.String()
	traces.mu.Lock()
	defer traces.mu.Unlock()
	sinks["traces"] = string(traces.raw) + fmt.Sprint(traces.spans)

	for sink, sign := range map[string]string{
		"the output": `"logger":"http.log.access`, "the audit trail": "request.refuse", "traces": "bearer.decision", "events.jsonl": eventRevoked,
		"heads.jsonl": "last", "metrics (site)": metricDecisions.name, "metrics (admin)": metricDecisions.name, "the configuration": "bearer_gate",
		"GET /environments/sandbox/clients": payerID, "bearer.db": "alice",
	} {
		if !strings.Contains(sinks[sink], sign) {
			c.t.Errorf("%s tells nothing: %.300s", sink, sinks[sink])
		}
	}
	for _, line := range []string{`"decision":"deny"`, `"bearer_decision":"allow"`, `"msg":"stream begins"`, "with a credential outside Authorization failed", `"level":"debug"`} {
		if !strings.Contains(sinks["the output"], line) {
			c.t.Errorf("the output has no %s", line)
		}
	}
	return sinks
}

// A canary that finds nothing must be one that can.
func TestCanaryFindsEveryForm(t *testing.T) {
	const secret = "s3cr3t+v4lue/of=some-length_0123456789"
	quoted, err := json.Marshal(secret)
	must(t, err)
	for _, text := range []string{
		secret, "x" + secret + "y", string(quoted), url.QueryEscape(secret), url.PathEscape(secret), hex.EncodeToString([]byte(secret)),
		base64.StdEncoding.EncodeToString([]byte(secret)), base64.StdEncoding.EncodeToString([]byte("user:" + secret)),
		base64.URLEncoding.EncodeToString([]byte("a:" + secret + ":b")), secret[:len(secret)/2] + "…", "…" + secret[len(secret)/2:],
		base64.StdEncoding.EncodeToString([]byte(secret[len(secret)/2:])),
	} {
		found := false
		for _, form := range forms(secret) {
			found = found || strings.Contains(text, form)
		}
		if !found {
			t.Errorf("%q is not found", text)
		}
	}
}
