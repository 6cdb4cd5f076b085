package caddymodule

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyevents"
	"go.uber.org/zap"

	"github.com/caddy-bearer/caddy-bearer/audit"
	"github.com/caddy-bearer/caddy-bearer/policy"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

func init() {
	caddy.RegisterModule(new(App))
}

// appName is the app's name in Caddy's configuration.
const appName = "bearer"

// defaultCacheSize is the memory for the facts of tokens, in bytes: about
// 50,000 signed tokens.
const defaultCacheSize = 64 << 20

// What a cache may have, in bytes. A smaller one would hold next to nothing, and
// the books of a larger one (some 5 % of it, taken at once) could eat the machine.
const (
	leastCacheSize = 1 << 20
	mostCacheSize  = 64 << 30
)

// App issues, checks and kills bearer tokens. It owns what the handlers
// bearer_gate and bearer_issuer share.
type App struct {
	// Where records are kept. Default: an SQLite database in Caddy's data folder.
	Store *Store `json:"store,omitempty"`

	// The file with the root key, from which every other key is derived. It is
	// made at the first start. Default: bearer/root.key in Caddy's config folder.
	// Without this file the database opens nothing: keep a copy, apart from it.
	RootKeyFile string `json:"root_key_file,omitempty"`

	// The file that holds what is revoked a second time, outside the database, so
	// that an older copy of the database is never served. Default:
	// bearer/revocations.journal in Caddy's config folder.
	RevocationJournalFile string `json:"revocation_journal_file,omitempty"`

	// The file with the tokens that operators present to the admin API. It is
	// made at the first start. Default: bearer/operator.token in Caddy's config
	// folder.
	OperatorTokenFile string `json:"operator_token_file,omitempty"`

	// Scope policies: the name by which gates and environments know each, and
	// the file that holds it. A file that changes is taken over within a second.
	Policies map[string]string `json:"policies,omitempty"`

	// The environments, "production" and "sandbox". Nothing of one is valid in
	// the other.
	Environments map[store.Environment]*Environment `json:"environments,omitempty"`

	// Where the heads of the audit trail go. Without, nobody can tell later whether
	// its end was cut off.
	Audit *Audit `json:"audit,omitempty"`

	// Memory for the facts of tokens, in bytes and per environment. Default: 64 MiB.
	// The least is 1 MiB, the most 64 GiB.
	CacheSize int64 `json:"cache_size,omitempty"`

	log      *zap.Logger
	ctx      caddy.Context
	events   *caddyevents.App
	runtime  *runtime
	policies map[string]*loadedPolicy
	routes   map[string]*gateRoutes // that stand in the blocks of gates
	sinks    []audit.Sink
	// previous is the app that was live when this one started. It takes over
	// again if a sibling of this one fails to start.
	previous atomic.Pointer[App]
}

// Store says where records are kept.
type Store struct {
	// The kind of database. Only "sqlite" is known.
	Driver string `json:"driver,omitempty"`

	// The database file. Default: bearer/bearer.db in Caddy's data folder.
	Path string `json:"path,omitempty"`
}

// live is the app that serves now. Only a successful Start sets it, so that
// commands reach the old app after a configuration was rejected: by then Caddy
// has swapped the admin server already.
var live atomic.Pointer[App]

// CaddyModule returns the Caddy module information.
func (*App) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: appName, New: func() caddy.Module { return new(App) }}
}

// Provision fills in defaults, reads the policies and borrows the runtime. It
// opens and writes nothing: `caddy validate` comes here too.
func (app *App) Provision(ctx caddy.Context) error {
	app.log = ctx.Logger()
	app.fillDefaults()
	if app.Store.Driver != "sqlite" {
		return fmt.Errorf("store driver %q is unknown; known: sqlite", app.Store.Driver)
	}
	if err := errors.Join(checkCacheSize(app.CacheSize), app.checkFiles()); err != nil {
		return err
	}
	if err := app.readPolicies(); err != nil {
		return err
	}
	if err := app.provisionEnvironments(); err != nil {
		return err
	}
	var err error
	if app.sinks, err = app.Audit.sinks(); err != nil {
		return err
	}
	rt, err := borrowRuntime(app.Store)
	if err != nil {
		return err
	}
	app.runtime = rt
	if err := registerMetrics(ctx.GetMetricsRegistry(), rt); err != nil {
		return err
	}
	return app.subscribe(ctx)
}

func (app *App) fillDefaults() {
	if app.Store == nil {
		app.Store = new(Store)
	}
	if app.Store.Driver == "" {
		app.Store.Driver = "sqlite"
	}
	if app.Store.Path == "" {
		app.Store.Path = filepath.Join(caddy.AppDataDir(), appName, "bearer.db")
	}
	if app.RootKeyFile == "" {
		app.RootKeyFile = filepath.Join(caddy.AppConfigDir(), appName, "root.key")
	}
	if app.RevocationJournalFile == "" {
		app.RevocationJournalFile = filepath.Join(caddy.AppConfigDir(), appName, "revocations.journal")
	}
	if app.OperatorTokenFile == "" {
		app.OperatorTokenFile = defaultOperatorFile()
	}
	if app.CacheSize == 0 {
		app.CacheSize = defaultCacheSize
	}
}

// namedFile is a file that the configuration names, and the option that does.
type namedFile struct{ option, path string }

// files are those that must be apart. An option that names one twice is told so
// elsewhere.
func (app *App) files() []namedFile {
	files := []namedFile{
		{"store", app.Store.Path}, {"root_key", app.RootKeyFile}, {"operator_token", app.OperatorTokenFile},
		{"revocation_journal", app.RevocationJournalFile},
	}
	if app.Audit != nil {
		for _, path := range app.Audit.Files {
			files = append(files, namedFile{"audit file", path})
		}
	}
	for _, name := range sortedKeys(app.Environments) {
		if env := app.Environments[name]; env != nil && env.SigningKeyFile != "" {
			files = append(files, namedFile{"signing_key", env.SigningKeyFile})
		}
	}
	return files
}

// checkFiles refuses a file that is to serve two purposes: what one would write,
// the other could not read.
func (app *App) checkFiles() error {
	seen := map[string]string{}
	for _, file := range app.files() {
		path, err := canonical(file.path)
		if err != nil {
			return fmt.Errorf("%s %s: %w", file.option, file.path, err)
		}
		if other := seen[path]; other != "" && other != file.option {
			return fmt.Errorf("%s and %s are the same file, %s; choose another for one of them", other, file.option, path)
		}
		seen[path] = file.option
	}
	return nil
}

func checkCacheSize(bytes int64) error {
	if bytes < leastCacheSize || bytes > mostCacheSize {
		return fmt.Errorf("cache_size is %d bytes; expected 1 MiB to 64 GiB", bytes)
	}
	return nil
}

// readPolicies compiles the policy files, so that a bad one is refused while
// the old configuration still serves.
func (app *App) readPolicies() error {
	app.policies = make(map[string]*loadedPolicy, len(app.Policies))
	app.routes = make(map[string]*gateRoutes)
	var bad []error
	for _, name := range sortedKeys(app.Policies) {
		loaded, err := loadPolicyFile(app.Policies[name])
		if err != nil {
			bad = append(bad, fmt.Errorf("policy %s: %w", name, err))
			continue
		}
		app.policies[name] = loaded
	}
	return errors.Join(bad...)
}

func (app *App) provisionEnvironments() error {
	if len(app.Environments) == 0 {
		return errors.New("no environment is configured; add to the global options, for example: bearer { environment sandbox { … } }")
	}
	for _, name := range sortedKeys(app.Environments) {
		if name != store.Production && name != store.Sandbox {
			return fmt.Errorf("environment %q is unknown; known: %s, %s", name, store.Production, store.Sandbox)
		}
		env := app.Environments[name]
		if env == nil {
			return fmt.Errorf("environment %s is empty", name)
		}
		if env.Policy == "" && len(app.Policies) == 1 {
			env.Policy = sortedKeys(app.Policies)[0]
		}
		if env.Policy == "" && len(app.Policies) > 1 {
			return fmt.Errorf("environment %s: which policy? name one of: %s", name, strings.Join(sortedKeys(app.Policies), ", "))
		}
		if err := env.provision(name, app.vocabulary(env)); err != nil {
			return fmt.Errorf("environment %s: %w", name, err)
		}
	}
	return app.checkSharedKeys()
}

// vocabulary returns the policy whose scopes the environment uses, nil if it
// names none that exists.
func (app *App) vocabulary(env *Environment) *policy.Policy {
	if loaded := app.policies[env.Policy]; loaded != nil {
		return loaded.policy
	}
	return nil
}

// revisions names the policies with what their files held, for the log.
func (app *App) revisions() map[string]string {
	revisions := make(map[string]string, len(app.policies))
	for name, loaded := range app.policies {
		revisions[name] = loaded.policy.Revision()
	}
	return revisions
}

// Start opens what Provision borrowed and makes this app the live one. If it
// fails, the settings of the one before stand again.
func (app *App) Start() error {
	before := live.Load()
	before.remember()
	if err := app.runtime.apply(app); err != nil {
		return errors.Join(err, before.resume())
	}
	app.previous.Store(before)
	live.Store(app)
	return nil
}

// Stop is called in three cases: the process or the whole configuration ends;
// this app was replaced; or it started well and a sibling did not.
func (app *App) Stop() error {
	now := live.Load()
	if now != nil && now != app { // replaced
		now.previous.CompareAndSwap(app, nil)
		if now.runtime != app.runtime {
			app.runtime.cutAll(token.CauseShutdown)
			return nil
		}
		// Only now: until the new servers listened, our gates served.
		now.runtime.retire(now)
		return nil
	}
	before := app.previous.Swap(nil)
	if before != nil && !caddy.Exiting() {
		live.Store(before)
		return before.resume()
	}
	live.Store(nil)
	app.runtime.cutAll(token.CauseShutdown)
	return nil
}

// remember keeps the policies that are in force, which files that changed since
// Provision brought in: resume must not go back behind them.
func (app *App) remember() {
	if app != nil {
		app.runtime.policies.present(app.policies, app.routes)
	}
}

// resume applies the settings of an app that was live before.
func (app *App) resume() error {
	if app == nil {
		return nil
	}
	if err := app.runtime.apply(app); err != nil {
		return err
	}
	app.runtime.retire(app)
	return nil
}

// Cleanup gives back what Provision borrowed.
func (app *App) Cleanup() error {
	if app.runtime == nil {
		return nil
	}
	return app.runtime.release()
}

// environment finds the environment that a handler names; the only one if it
// names none.
func (app *App) environment(name store.Environment) (store.Environment, *Environment, error) {
	if name == "" && len(app.Environments) == 1 {
		for only := range app.Environments {
			name = only
		}
	}
	env := app.Environments[name]
	switch {
	case name == "":
		return "", nil, fmt.Errorf("which environment? name one of: %v", sortedKeys(app.Environments))
	case env == nil:
		return "", nil, fmt.Errorf("environment %q is not configured; configured: %v", name, sortedKeys(app.Environments))
	}
	return name, env, nil
}

// canonical is the one spelling of a path, whatever links and dots lead to it,
// so that two configurations that mean one store share one runtime.
func canonical(path string) (string, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if resolved, err := filepath.EvalSymlinks(abs); err == nil {
		return resolved, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(abs))
	if errors.Is(err, os.ErrNotExist) {
		return abs, nil
	}
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, filepath.Base(abs)), nil
}

// Interface guards.
var (
	_ caddy.App          = (*App)(nil)
	_ caddy.Provisioner  = (*App)(nil)
	_ caddy.CleanerUpper = (*App)(nil)
)
