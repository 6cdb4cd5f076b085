package attacks

import (
	"net/http"
	"net/url"
	"strings"
	"sync"
)

// issued is an answer of the token endpoint.
type issued struct {
	Access  string `json:"access_token"`
	Refresh string `json:"refresh_token"`
	Scope   string
}

// tokens reads an answer that must have tokens.
func (got *answer) tokens() (tokens issued) {
	got.a.Helper()
	got.decode(&tokens)
	if got.status != 200 || tokens.Access == "" {
		got.a.Fatalf("no tokens: %s", got)
	}
	got.a.forbid(tokens.Access)
	got.a.forbid(tokens.Refresh)
	return tokens
}

func (a *attack) refresh(client, secret, token string, more ...string) *answer {
	a.Helper()
	fields := url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}}
	for k := 0; k < len(more); k += 2 {
		fields.Set(more[k], more[k+1])
	}
	return a.form(tokenPath, client, secret, fields)
}

func init() {
	register(rows{
		"REFRESH-02": func(a *attack) {
			first := a.obtainRefresh("accounts:read")
			var mu sync.Mutex
			heads := map[string]int{}
			var all sync.WaitGroup
			for range 50 {
				all.Go(func() {
					tokens := a.refresh(machineID, machineSecret, first).tokens()
					mu.Lock()
					defer mu.Unlock()
					heads[tokens.Refresh]++
				})
			}
			all.Wait()
			if len(heads) != 1 {
				a.Errorf("%d families live", len(heads))
			}
			a.result("answered: 200, always with the same successor")
		},
		"REFRESH-05": func(a *attack) {
			const all = "accounts:read orders:write"
			less := a.refresh(machineID, machineSecret, a.obtainRefresh(all), "scope", "accounts:read").tokens()
			if less.Scope != "accounts:read" {
				a.Errorf("scope %q", less.Scope)
			}
			if again := a.refresh(machineID, machineSecret, less.Refresh).tokens(); again.Scope != all {
				a.Errorf("then %q", again.Scope)
			}
			narrow := a.obtainRefresh("accounts:read")
			for _, scope := range []string{all, "admin", "accounts:read admin"} {
				a.refresh(machineID, machineSecret, narrow, "scope", scope).refusedByIssuer(400, "invalid_scope")
			}
		},
		"REFRESH-06": func(a *attack) {
			p := a.newPerson("accounts:read", "orders:write")
			tokens := a.redeem(p.code(query("scope", "accounts:read orders:write"))).tokens()
			if tokens.Scope != "accounts:read orders:write" {
				a.Fatalf("scope %q", tokens.Scope)
			}
			a.admin("PATCH", "/users/"+p.id, members{"scopes": []string{"accounts:read"}}, nil)
			a.get("/v1/accounts", tokens.Access).refused(401, invalidToken)
			renewed := a.refresh(appID, appSecret, tokens.Refresh).tokens()
			if renewed.Scope != "accounts:read" {
				a.Errorf("scope %q", renewed.Scope)
			}
			a.get("/v1/accounts", renewed.Access).passed()
			a.request("POST", gateURL+"/v1/orders", "", http.Header{"Authorization": {"Bearer " + renewed.Access}}).refused(403, insufficientScope)
		},
		"REFRESH-08": func(a *attack) {
			got := a.form(tokenPath, machineID, machineSecret, own())
			if tokens := got.tokens(); tokens.Refresh != "" || strings.Contains(got.body, "refresh") {
				a.Errorf("%s", got)
			}
			a.result("answered: 200 without")
		},
	})
}
