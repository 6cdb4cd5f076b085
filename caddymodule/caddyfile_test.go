package caddymodule

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"

	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/headers"
	_ "github.com/caddyserver/caddy/v2/modules/caddyhttp/reverseproxy"
)

var update = flag.Bool("update", false, "rewrite what testdata/caddyfile expects")

// TestCaddyfile compares what Caddyfiles become with the JSON, or the error,
// that stands below them.
func TestCaddyfile(t *testing.T) {
	files, err := filepath.Glob("testdata/caddyfile/*.caddyfiletest")
	if err != nil || len(files) == 0 {
		t.Fatalf("no test files: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			const dashes = "----------\n"
			caddyfile, want, _ := strings.Cut(readText(t, file), dashes)
			got, err := adapt(t, caddyfile)
			if err != nil {
				got = err.Error()
			}
			if shouldFail := strings.HasPrefix(filepath.Base(file), "error_"); shouldFail != (err != nil) {
				t.Fatalf("error: %v", err)
			}
			got += "\n"
			if *update {
				writeText(t, file, caddyfile+dashes+got)
			} else if got != want {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}

// adapt returns the JSON that a Caddyfile stands for. Warnings, such as one of
// bad formatting, fail the test.
func adapt(t *testing.T, source string) (string, error) {
	t.Helper()
	config, warnings, err := caddyconfig.GetAdapter("caddyfile").Adapt([]byte(source), nil)
	if err != nil {
		return "", err
	}
	for _, warning := range warnings {
		t.Errorf("warning: %s", warning)
	}
	var pretty bytes.Buffer
	if err := json.Indent(&pretty, config, "", "\t"); err != nil {
		t.Fatal(err)
	}
	return pretty.String(), nil
}

// mustAdapt returns the configuration that a Caddyfile stands for.
func mustAdapt(t *testing.T, source string) *caddy.Config {
	t.Helper()
	adapted, err := adapt(t, source)
	if err != nil {
		t.Fatal(err)
	}
	config := new(caddy.Config)
	if err := json.Unmarshal([]byte(adapted), config); err != nil {
		t.Fatal(err)
	}
	return config
}

func TestQuickstartIsValid(t *testing.T) {
	t.Chdir("..") // where run.sh starts Caddy
	state := t.TempDir()
	t.Setenv("STATE_DIR", state+"/with a blank")
	if err := caddy.Validate(mustAdapt(t, readText(t, "examples/quickstart/Caddyfile"))); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(state); len(left) > 0 || err != nil {
		t.Errorf("validation wrote %v (%v)", left, err)
	}
}

func TestQuickstartFollowsItsVariables(t *testing.T) {
	t.Setenv("API_PORT", "18080")
	t.Setenv("ISSUER_PORT", "18081")
	t.Setenv("BIND", "127.0.0.1 [::1]")
	config := mustAdapt(t, readText(t, "../examples/quickstart/Caddyfile"))
	site := decode[caddyhttp.App](t, config.AppsRaw["http"])
	var got []string
	for _, server := range site.Servers {
		got = append(got, server.Listen...)
	}
	slices.Sort(got)
	if want := []string{"127.0.0.1:18080", "127.0.0.1:18081", "[::1]:18080", "[::1]:18081"}; !slices.Equal(got, want) {
		t.Errorf("listens on %v, want %v", got, want)
	}
	sandbox := decode[App](t, config.AppsRaw[appName]).Environments[store.Sandbox]
	if sandbox.Issuer != "http://localhost:18081" || sandbox.Audience != "http://localhost:18080" {
		t.Errorf("issuer %s, audience %s", sandbox.Issuer, sandbox.Audience)
	}
}

func TestQuickstartHashesFitTheirSecrets(t *testing.T) {
	config := mustAdapt(t, readText(t, "../examples/quickstart/Caddyfile"))
	sandbox := decode[App](t, config.AppsRaw[appName]).Environments[store.Sandbox]
	for secret, hash := range map[string]string{
		serviceSecret: sandbox.ServiceAccounts[0].SecretHash,
		clientSecret:  sandbox.Clients[0].SecretHash,
	} {
		if match, err := token.MatchPassword(hash, secret); !match || err != nil {
			t.Errorf("the hash of %s does not fit (%v)", secret, err)
		}
	}
}

func TestExampleIsValid(t *testing.T) {
	const policyFile = "/etc/caddy/policies/trading.yaml"
	source := readText(t, "../Caddyfile.example")
	if !strings.Contains(source, policyFile) {
		t.Fatalf("%s is not in the example", policyFile)
	}
	source = strings.ReplaceAll(source, policyFile, "../examples/quickstart/policy.yaml")
	if err := caddy.Validate(mustAdapt(t, source)); err != nil {
		t.Error(err)
	}
}

// sound returns a configuration that is valid, for tests to spoil.
func sound(t *testing.T) (*App, *Gate) {
	dir := t.TempDir()
	app := &App{
		Store:       &Store{Driver: "sqlite", Path: filepath.Join(dir, "bearer.db")},
		RootKeyFile: filepath.Join(dir, "root.key"), OperatorTokenFile: filepath.Join(dir, "operator.token"),
		Policies: map[string]string{"exchange": "../examples/quickstart/policy.yaml"},
		Environments: map[store.Environment]*Environment{
			store.Sandbox: {
				Issuer: "http://localhost:8081", Audience: "http://localhost:8080",
				Accounts:        []*Account{{ID: "1"}},
				ServiceAccounts: []*ServiceAccount{{ID: serviceID, SecretHash: serviceHash(), Scopes: []string{"all:eft"}, Accounts: []string{"1"}}},
				Clients:         []*Client{{ID: clientID, SecretHash: clientHash(), Scopes: []string{"read:eft"}}},
			},
		},
	}
	return app, &Gate{Policy: "exchange"}
}

// anApp declares an app of the access code exchange, for tests to spoil.
func anApp(env *Environment) *ExchangeApp {
	a := &ExchangeApp{ID: "budget", SecretHash: serviceHash(), RedirectURIs: []string{"https://app.test/cb"}, Scopes: []string{"read:eft"}}
	env.Apps = append(env.Apps, a)
	return a
}

// validate does what `caddy validate` does.
func validate(app *App, gate *Gate) error {
	server := &caddyhttp.Server{
		Listen: []string{"127.0.0.1:0"},
		Routes: caddyhttp.RouteList{{HandlersRaw: []json.RawMessage{
			caddyconfig.JSONModuleObject(gate, "handler", "bearer_gate", nil),
		}}},
	}
	site := caddyhttp.App{Servers: map[string]*caddyhttp.Server{"api": server}}
	return caddy.Validate(&caddy.Config{AppsRaw: caddy.ModuleMap{
		"bearer": caddyconfig.JSON(app, nil), "http": caddyconfig.JSON(site, nil),
	}})
}

func TestSoundConfigurationIsValid(t *testing.T) {
	if err := validate(sound(t)); err != nil {
		t.Error(err)
	}
}

// TestProvisionSaysWhatIsWrong is about configurations that are well-formed.
func TestProvisionSaysWhatIsWrong(t *testing.T) {
	unused, err := token.HashPassword("nobody published this")
	if err != nil {
		t.Fatal(err)
	}
	badPolicy := filepath.Join(t.TempDir(), "bad.yaml")
	writeText(t, badPolicy, "version: 1\nscopes:\n  read: {risk: none}\n")

	// spoil changes a sound configuration. The sandbox is app's only environment.
	type spoil func(app *App, sandbox *Environment, gate *Gate)
	inProduction := func(party func(*Environment)) spoil {
		return func(app *App, sandbox *Environment, _ *Gate) {
			sandbox.ServiceAccounts, sandbox.Clients = nil, nil
			party(sandbox)
			app.Environments = map[store.Environment]*Environment{store.Production: sandbox}
		}
	}
	tests := map[string]struct {
		spoil spoil
		want  string
	}{
		"no environment": {
			func(app *App, _ *Environment, _ *Gate) { app.Environments = nil },
			"no environment is configured; add to the global options, for example: bearer { environment sandbox",
		},
		"unknown environment": {
			func(app *App, sandbox *Environment, _ *Gate) { app.Environments["staging"] = sandbox },
			`environment "staging" is unknown; known: production, sandbox`,
		},
		"environment of a gate not configured": {
			func(_ *App, _ *Environment, gate *Gate) { gate.Environment = store.Production },
			`environment "production" is not configured; configured: [sandbox]`,
		},
		"environment of a gate left open": {
			func(app *App, sandbox *Environment, _ *Gate) {
				app.Environments[store.Production] = &Environment{Issuer: "https://auth.example.com", Audience: "https://api.example.com"}
			},
			"which environment? name one of: [production sandbox]",
		},
		"issuer missing": {
			func(_ *App, sandbox *Environment, _ *Gate) { sandbox.Issuer = "" },
			"environment sandbox: issuer is missing: the public URL of the issuer, for example https://auth.example.com",
		},
		"audience missing": {
			func(_ *App, sandbox *Environment, _ *Gate) { sandbox.Audience = "" },
			"environment sandbox: audience is missing: the public URL of the gated API, for example https://api.example.com",
		},
		"issuer of production without TLS": {
			func(app *App, sandbox *Environment, _ *Gate) {
				sandbox.Issuer = "http://auth.example.com"
				app.Environments = map[store.Environment]*Environment{store.Production: sandbox}
			},
			"environment production: issuer http://auth.example.com: production needs https://",
		},
		"audience no URL": {
			func(_ *App, sandbox *Environment, _ *Gate) { sandbox.Audience = "the API" },
			`environment sandbox: audience "the API" is not a URL; write for example https://api.example.com`,
		},
		"root key in the operator token file": {
			func(app *App, _ *Environment, _ *Gate) { app.OperatorTokenFile = app.RootKeyFile },
			"root_key and operator_token are the same file, ",
		},
		"revocation journal in the place of the database": {
			func(app *App, _ *Environment, _ *Gate) { app.RevocationJournalFile = app.Store.Path },
			"store and revocation_journal are the same file, ",
		},
		"heads of the audit trail in the revocation journal": {
			func(app *App, _ *Environment, _ *Gate) {
				app.RevocationJournalFile = filepath.Join(filepath.Dir(app.Store.Path), "journal")
				app.Audit = &Audit{Files: []string{filepath.Join(filepath.Dir(app.Store.Path), ".", "journal")}}
			},
			"revocation_journal and audit file are the same file, ",
		},
		"signing key in the file of the root key": {
			func(app *App, sandbox *Environment, _ *Gate) { sandbox.SigningKeyFile = app.RootKeyFile },
			"root_key and signing_key are the same file, ",
		},
		"cache too small": {
			func(app *App, _ *Environment, _ *Gate) { app.CacheSize = 1 },
			"cache_size is 1 bytes; expected 1 MiB to 64 GiB",
		},
		"cache below nothing": {
			func(app *App, _ *Environment, _ *Gate) { app.CacheSize = -5 },
			"cache_size is -5 bytes; expected 1 MiB to 64 GiB",
		},
		"cache too large": {
			func(app *App, _ *Environment, _ *Gate) { app.CacheSize = 1 << 60 },
			"cache_size is 1152921504606846976 bytes; expected 1 MiB to 64 GiB",
		},
		"header limit too small": {
			func(_ *App, _ *Environment, gate *Gate) { gate.Limits = &GateLimits{Header: 100} },
			"limits: header is 100; expected 1024 to 1048576",
		},
		"header limit below nothing": {
			func(_ *App, _ *Environment, gate *Gate) { gate.Limits = &GateLimits{HeaderFields: -1} },
			"limits: header_fields is -1; expected 10 to 10000",
		},
		"target limit too large": {
			func(_ *App, _ *Environment, gate *Gate) { gate.Limits = &GateLimits{Target: 1 << 40} },
			"limits: target is 1099511627776; expected 1024 to 1048576",
		},
		"no policy": {
			func(app *App, _ *Environment, _ *Gate) { app.Policies = nil },
			"environment sandbox: no policy is configured; add to the global options, for example: bearer { policy api policies/api.yaml }",
		},
		"policy of an environment left open": {
			func(app *App, _ *Environment, _ *Gate) { app.Policies["other"] = app.Policies["exchange"] },
			"environment sandbox: which policy? name one of: exchange, other",
		},
		"account null": {
			func(_ *App, sandbox *Environment, _ *Gate) { sandbox.Accounts = append(sandbox.Accounts, nil) },
			"environment sandbox: accounts, service_accounts, clients and apps must not hold null",
		},
		"service account null": {
			func(_ *App, sandbox *Environment, _ *Gate) { sandbox.ServiceAccounts = []*ServiceAccount{nil} },
			"environment sandbox: accounts, service_accounts, clients and apps must not hold null",
		},
		"client null": {
			func(_ *App, sandbox *Environment, _ *Gate) { sandbox.Clients = []*Client{nil} },
			"environment sandbox: accounts, service_accounts, clients and apps must not hold null",
		},
		"app null": {
			func(_ *App, sandbox *Environment, _ *Gate) { sandbox.Apps = []*ExchangeApp{nil} },
			"environment sandbox: accounts, service_accounts, clients and apps must not hold null",
		},
		"app without a secret": {
			func(_ *App, sandbox *Environment, _ *Gate) { anApp(sandbox).SecretHash = "" },
			"app budget: secret_hash: it is missing; make one with: caddy bearer hash-secret",
		},
		"app whose secret is no hash": {
			func(_ *App, sandbox *Environment, _ *Gate) { anApp(sandbox).SecretHash = clientSecret },
			"app budget: secret_hash: hash begins with neither $argon2id$ nor $hmac-sha256$",
		},
		"app without a redirect URI": {
			func(_ *App, sandbox *Environment, _ *Gate) { anApp(sandbox).RedirectURIs = nil },
			"app budget: redirect_uris are missing",
		},
		"app that takes no form": {
			func(_ *App, sandbox *Environment, _ *Gate) {
				anApp(sandbox).RedirectURIs = []string{"com.example.app:/back"}
			},
			`app budget: redirect URI "com.example.app:/back": must begin with https://`,
		},
		"app with an unknown scope": {
			func(_ *App, sandbox *Environment, _ *Gate) { anApp(sandbox).Scopes = []string{"read:etf"} },
			`app budget: scope "read:etf" is not in the policy; did you mean "read:eft"?`,
		},
		"app with another state": {
			func(_ *App, sandbox *Environment, _ *Gate) { anApp(sandbox).State = "never" },
			`app budget: state "never" is unknown; known: optional, required`,
		},
		"name of an app with a line's end": {
			func(_ *App, sandbox *Environment, _ *Gate) { anApp(sandbox).Name = "bud\nget" },
			`app budget: name "bud\nget": only printable characters`,
		},
		"description of an app that turns the direction": {
			func(_ *App, sandbox *Environment, _ *Gate) { anApp(sandbox).Description = "\u202eevil" },
			"app budget: description ",
		},
		"app and client of one id": {
			func(_ *App, sandbox *Environment, _ *Gate) { anApp(sandbox).ID = clientID },
			"app demo-client: a client has the same id; choose another",
		},
		"app and service account of one id": {
			func(_ *App, sandbox *Environment, _ *Gate) { anApp(sandbox).ID = serviceID },
			"app " + serviceID + ": a service_account has the same id; choose another",
		},
		"app declared twice": {
			func(_ *App, sandbox *Environment, _ *Gate) { anApp(sandbox); anApp(sandbox) },
			"app budget is declared twice",
		},
		"app with the id of the built-in client": {
			func(_ *App, sandbox *Environment, _ *Gate) { anApp(sandbox).ID = store.PersonalClient },
			"app " + store.PersonalClient + ": the id " + store.PersonalClient + " is that of the built-in client",
		},
		"published app in production": {
			inProduction(func(env *Environment) { anApp(env).ID = clientID }),
			"the id demo-client is published and serves the sandbox only",
		},
		"published secret of an app in production": {
			inProduction(func(env *Environment) { anApp(env).SecretHash = clientHash() }),
			"the secret of budget is published and serves the sandbox only",
		},
		"name that clears a terminal": {
			func(_ *App, sandbox *Environment, _ *Gate) { sandbox.Accounts[0].Name = "House\x1b[2J" },
			`account 1: name "House\x1b[2J": only printable characters`,
		},
		"name of a client with a line's end": {
			func(_ *App, sandbox *Environment, _ *Gate) { sandbox.Clients[0].Name = "bot\nroot" },
			`client demo-client: name "bot\nroot": only printable characters`,
		},
		"name of a service account too long": {
			func(_ *App, sandbox *Environment, _ *Gate) {
				sandbox.ServiceAccounts[0].Name = strings.Repeat("x", maxText+1)
			},
			"service_account " + serviceID + ": name of ",
		},
		"hash missing": {
			func(_ *App, sandbox *Environment, _ *Gate) { sandbox.Clients[0].SecretHash = "" },
			"client demo-client: secret_hash: it is missing; make one with: caddy bearer hash-secret",
		},
		"lifetime under a second": {
			func(_ *App, sandbox *Environment, _ *Gate) { sandbox.CodeLifetime = 1 },
			"environment sandbox: code_lifetime is 1ns; the least is 1s",
		},
		"policy of an environment not configured": {
			func(_ *App, sandbox *Environment, _ *Gate) { sandbox.Policy = "exchnage" },
			`environment sandbox: policy "exchnage" is not configured`,
		},
		"policy of a gate not configured": {
			func(_ *App, _ *Environment, gate *Gate) { gate.Policy = "exchnage" },
			`policy "exchnage" is not configured; configured: exchange`,
		},
		"policy file missing": {
			func(app *App, _ *Environment, _ *Gate) { app.Policies["exchange"] = "no/such/file.yaml" },
			"policy exchange: open no/such/file.yaml: no such file",
		},
		"policy file bad": {
			func(app *App, _ *Environment, _ *Gate) { app.Policies["exchange"] = badPolicy },
			"policy exchange: " + badPolicy + ":3:16: ",
		},
		"routes beside a policy": {
			func(_ *App, _ *Environment, gate *Gate) { gate.Routes = []policy.Rule{{}} },
			"bearer_gate has both the policy exchange and routes of its own; choose one",
		},
		"route with a scope not in the policy": {
			func(_ *App, _ *Environment, gate *Gate) {
				gate.Policy = ""
				gate.Routes = []policy.Rule{{
					ID: "a", Match: policy.RuleMatch{Methods: []string{"GET"}, Path: "/a"},
					Require: &policy.RuleRequire{Scopes: []string{"read:etf"}}, Source: "Caddyfile:7",
				}}
			},
			`routes of bearer_gate: Caddyfile:7: unknown scope "read:etf"; did you mean "read:eft"?`,
		},
		"scope not in the policy": {
			func(_ *App, sandbox *Environment, _ *Gate) { sandbox.Clients[0].Scopes = []string{"read:etf"} },
			`client demo-client: scope "read:etf" is not in the policy; did you mean "read:eft"?`,
		},
		"hash malformed": {
			func(_ *App, sandbox *Environment, _ *Gate) { sandbox.Clients[0].SecretHash = clientSecret },
			"client demo-client: secret_hash: hash begins with neither $argon2id$ nor $hmac-sha256$; make one with: caddy bearer hash-secret",
		},
		"account not declared": {
			func(_ *App, sandbox *Environment, _ *Gate) { sandbox.ServiceAccounts[0].Accounts = []string{"7"} },
			"service_account " + serviceID + ": account 7 is not declared; add: account 7",
		},
		"account of a client not declared": {
			func(_ *App, sandbox *Environment, _ *Gate) { sandbox.Clients[0].Accounts = []string{"7"} },
			"client demo-client: account 7 is not declared; add: account 7",
		},
		"client and service account of one id": {
			func(_ *App, sandbox *Environment, _ *Gate) { sandbox.Clients[0].ID = serviceID },
			"client " + serviceID + ": a service_account has the same id; choose another",
		},
		"account declared twice": {
			func(_ *App, sandbox *Environment, _ *Gate) {
				sandbox.Accounts = append(sandbox.Accounts, &Account{ID: "1"})
			},
			"account 1 is declared twice",
		},
		"kind of account": {
			func(_ *App, sandbox *Environment, _ *Gate) { sandbox.Accounts[0].Kind = "savings" },
			`account 1: kind "savings" is unknown; known: bank, trading`,
		},
		"store driver": {
			func(app *App, _ *Environment, _ *Gate) { app.Store.Driver = "postgres" },
			`store driver "postgres" is unknown; known: sqlite`,
		},
		"sink of the audit trail twice": {
			func(app *App, _ *Environment, _ *Gate) { app.Audit = &Audit{Files: []string{"a", "a"}} },
			"audit: file a stands twice",
		},
		"syslog receiver of the audit trail": {
			func(app *App, _ *Environment, _ *Gate) { app.Audit = &Audit{Syslog: []string{"udp/localhost"}} },
			`audit: syslog "udp/localhost": expected udp/<host>:<port>`,
		},
		"published service account in production": {
			inProduction(func(env *Environment) { env.ServiceAccounts = []*ServiceAccount{{ID: serviceID, SecretHash: unused}} }),
			"the id " + serviceID + " is published and serves the sandbox only",
		},
		"public client with a secret": {
			func(_ *App, sandbox *Environment, _ *Gate) {
				sandbox.Clients[0].Public, sandbox.Clients[0].RedirectURIs = true, []string{"http://127.0.0.1/callback"}
			},
			"client demo-client: it is public and has a secret_hash; remove one of the two",
		},
		"public client with accounts": {
			func(_ *App, sandbox *Environment, _ *Gate) {
				sandbox.Clients = []*Client{{ID: "desktop", Public: true, RedirectURIs: []string{"http://127.0.0.1/callback"}, Accounts: []string{"1"}}}
			},
			"client desktop: it is public and has accounts; remove one of the two",
		},
		"public client without a redirect URI": {
			func(_ *App, sandbox *Environment, _ *Gate) {
				sandbox.Clients = []*Client{{ID: "desktop", Public: true}}
			},
			"client desktop: a public client needs a redirect URI",
		},
		"public client without PKCE": {
			func(_ *App, sandbox *Environment, _ *Gate) {
				sandbox.Clients = []*Client{{ID: "desktop", Public: true, RedirectURIs: []string{"http://127.0.0.1/callback"}, PKCE: "optional"}}
			},
			"client desktop: a public client cannot leave PKCE out",
		},
		"public client with a built-in id": {
			func(_ *App, sandbox *Environment, _ *Gate) {
				sandbox.Clients = []*Client{{ID: store.PersonalClient, Public: true, RedirectURIs: []string{"http://127.0.0.1/callback"}}}
			},
			"client personal-token: the id personal-token is that of the built-in client",
		},
		"public client with a published id in production": {
			inProduction(func(env *Environment) {
				env.Clients = []*Client{{ID: clientID, Public: true, RedirectURIs: []string{"https://app.example.com/callback"}}}
			}),
			"the id demo-client is published and serves the sandbox only",
		},
		"pkce of another word": {
			func(_ *App, sandbox *Environment, _ *Gate) { sandbox.Clients[0].PKCE = "off" },
			`client demo-client: pkce "off" is unknown; known: optional, required`,
		},
		"redirect URI without encryption": {
			func(_ *App, sandbox *Environment, _ *Gate) {
				sandbox.Clients[0].RedirectURIs = []string{"http://app.example.com/callback"}
			},
			`client demo-client: redirect URI "http://app.example.com/callback": sends codes over a network without encryption`,
		},
		"redirect URI twice": {
			func(_ *App, sandbox *Environment, _ *Gate) {
				sandbox.Clients[0].RedirectURIs = []string{"https://app.example.com/callback", "https://app.example.com/callback"}
			},
			"client demo-client: redirect URI https://app.example.com/callback is named twice",
		},
		"description with a line's end": {
			func(_ *App, sandbox *Environment, _ *Gate) { sandbox.Clients[0].Description = "bot\nroot" },
			`client demo-client: description "bot\nroot": only printable characters`,
		},
		"published client in production": {
			inProduction(func(env *Environment) { env.Clients = []*Client{{ID: clientID, SecretHash: unused}} }),
			"the id demo-client is published and serves the sandbox only",
		},
		"published secret in production": {
			inProduction(func(env *Environment) { env.Clients = []*Client{{ID: "desk", SecretHash: clientHash()}} }),
			"the secret of desk is published and serves the sandbox only",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			app, gate := sound(t)
			test.spoil(app, app.Environments[store.Sandbox], gate)
			err := validate(app, gate)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got:\n%v\nwant:\n%s", err, test.want)
			}
		})
	}
}

func decode[T any](t *testing.T, raw []byte) (value T) {
	t.Helper()
	if err := json.Unmarshal(raw, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

func readText(t testing.TB, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func writeText(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
