package caddymodule

import (
	"github.com/caddy-bearer/caddy-bearer/store"
)

// environmentInfo is an environment as the admin API shows it.
type environmentInfo struct {
	Name     store.Environment `json:"name"`
	Issuer   string            `json:"issuer"`
	Audience string            `json:"audience"`
	Policy   string            `json:"policy"`
}

func listEnvironments(c *adminCall) (any, error) {
	shown := []environmentInfo{}
	for _, name := range sortedKeys(c.app.Environments) {
		env := c.app.Environments[name]
		shown = append(shown, environmentInfo{name, env.Issuer, env.Audience, env.Policy})
	}
	return map[string][]environmentInfo{"environments": shown}, nil
}

// policyInfo is a policy as the admin API shows it.
type policyInfo struct {
	Name         string   `json:"name"`
	File         string   `json:"file"`
	Revision     string   `json:"revision"`     // of what is enforced: the file may be ahead of it
	Environments []string `json:"environments"` // whose scopes are its own
}

func listPolicies(c *adminCall) (any, error) {
	shown := []policyInfo{}
	for _, name := range sortedKeys(c.app.Policies) {
		if loaded := c.app.runtime.policies.slot(name).present.Load(); loaded != nil {
			shown = append(shown, policyInfo{name, loaded.path, loaded.policy.Revision(), c.app.speaking(name)})
		}
	}
	return map[string][]policyInfo{"policies": shown}, nil
}

// speaking are the environments whose scopes are those of a policy.
func (app *App) speaking(policy string) []string {
	users := []string{}
	for _, name := range sortedKeys(app.Environments) {
		if app.Environments[name].Policy == policy {
			users = append(users, string(name))
		}
	}
	return users
}
