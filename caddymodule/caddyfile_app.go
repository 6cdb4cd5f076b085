package caddymodule

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/caddyserver/caddy/v2/caddyconfig/httpcaddyfile"
	"github.com/dustin/go-humanize"

	"github.com/caddy-bearer/caddy-bearer/store"
)

func init() {
	httpcaddyfile.RegisterGlobalOption(appName, parseApp)
}

// parseApp reads the global option bearer, which configures what all gates and
// issuers of a Caddyfile share:
//
//	{
//		bearer {
//			store              sqlite <path>
//			root_key           file <path>
//			revocation_journal file <path>
//			operator_token     file <path>
//			cache_size         <size>
//			audit {
//				...
//			}
//			policy             <name> <file>
//			environment        production|sandbox {
//				...
//			}
//		}
//	}
//
// It takes a policy and an environment; the rest is optional:
//
//   - store: the database file. Default: bearer/bearer.db in Caddy's data folder.
//   - root_key: the file with the key that every other key is derived from, made
//     at the first start. Keep a copy of it apart from the database, which is
//     useless without. Default: bearer/root.key in Caddy's config folder.
//   - revocation_journal: the file that holds what is revoked a second time,
//     apart from the database, made at the first start. By it an older copy of
//     the database is recognised and brought up to date. Default:
//     bearer/revocations.journal in Caddy's config folder.
//   - operator_token: the file with the tokens that operators present to the
//     admin API, made at the first start. Default: bearer/operator.token in
//     Caddy's config folder.
//   - cache_size: memory for the facts of tokens, per environment, as bytes or
//     with a unit (KiB, MiB, GiB, or KB, MB, GB for powers of ten), 1MiB to 64GiB.
//     Default: 64MiB, enough for some 50,000 tokens.
//   - audit: where the heads of the audit trail go, see [Audit.options]. Default:
//     nowhere.
//   - policy: gives the scope policy in a file a name, by which gates and
//     environments know it. At least one, once for each name. A file that changes is taken
//     over within a second, without a reload.
//   - environment: a world of clients, accounts and tokens, see
//     [Environment.options]. At least one, once for each name.
//
// Relative paths start from the folder in which Caddy was started. Values are
// taken literally: {$NAME} brings in an environment variable, but placeholders
// such as {env.NAME} are not replaced.
func parseApp(d *caddyfile.Dispenser, earlier any) (any, error) {
	d.Next() // the option's name
	if earlier != nil {
		return nil, d.Errf("%s stands twice; put everything into the first block", appName)
	}
	app := new(App)
	if err := block(appName, app.options()...).readFrom(d); err != nil {
		return nil, err
	}
	return httpcaddyfile.App{Name: appName, Value: caddyconfig.JSON(app, nil)}, nil
}

func (app *App) options() []option {
	return []option{
		{name: "store", args: "sqlite <path>", read: app.readStore},
		text("root_key", "file <path>", &app.RootKeyFile),
		text("revocation_journal", "file <path>", &app.RevocationJournalFile),
		text("operator_token", "file <path>", &app.OperatorTokenFile),
		{name: "cache_size", args: "<size>", read: app.readCacheSize},
		{name: "audit", read: app.readAudit},
		{name: "policy", args: "<name> <file>", repeat: onceEach, read: app.readPolicy},
		{name: "environment", args: "production|sandbox", repeat: onceEach, read: app.readEnvironment},
	}
}

func (app *App) readStore(_ *caddyfile.Dispenser, args []string) error {
	app.Store = &Store{Driver: args[0], Path: args[1]}
	return nil
}

func (app *App) readCacheSize(d *caddyfile.Dispenser, args []string) error {
	size, err := humanize.ParseBytes(args[0])
	if err != nil {
		return d.Errf("cache_size %q is not a size; write for example: cache_size 64MiB", args[0])
	}
	app.CacheSize = int64(min(size, math.MaxInt64))
	if err := checkCacheSize(app.CacheSize); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

func (app *App) readPolicy(_ *caddyfile.Dispenser, args []string) error {
	if app.Policies == nil {
		app.Policies = map[string]string{}
	}
	app.Policies[args[0]] = args[1]
	return nil
}

func (app *App) readEnvironment(d *caddyfile.Dispenser, args []string) error {
	if app.Environments == nil {
		app.Environments = map[store.Environment]*Environment{}
	}
	env := new(Environment)
	app.Environments[store.Environment(args[0])] = env
	return readBlock(d, "environment", env.options())
}

// option is a line of a block. What the manual says of its arguments is also
// what is enforced.
type option struct {
	name string

	// args are the arguments as the manual writes them: <x> stands for any text,
	// a|b for a choice, [<x>] may be left out, and after … come any number more.
	args string

	repeat repeat

	// read takes over arguments that fit, and reads the block that may follow.
	read func(d *caddyfile.Dispenser, args []string) error
}

// repeat says how often an option may stand in a block.
type repeat int

const (
	once     repeat = iota
	onceEach        // once for each first argument
	addsUp          // any number of times
)

// text is an option whose last argument is kept.
func text[S ~string](name, args string, into *S) option {
	return option{name: name, args: args, read: func(_ *caddyfile.Dispenser, given []string) error {
		*into = S(given[len(given)-1])
		return nil
	}}
}

// list is an option whose arguments are gathered.
func list(name, args string, into *[]string) option {
	return option{name: name, args: args, repeat: addsUp, read: func(_ *caddyfile.Dispenser, given []string) error {
		*into = append(*into, given...)
		return nil
	}}
}

// lifetime is an option with a duration, in Go's notation or in days (d).
func lifetime(name string, into *caddy.Duration) option {
	return option{name: name, args: "<duration>", read: func(d *caddyfile.Dispenser, given []string) error {
		life, err := caddy.ParseDuration(given[0])
		if err != nil {
			return d.Errf("%s %q is not a duration; write for example: %s 90s", name, given[0], name)
		}
		if life < time.Second {
			return d.Errf("%s is %s; the least is 1s", name, life)
		}
		*into = caddy.Duration(life)
		return nil
	}}
}

// block is an option without arguments that opens a block.
func block(name string, known ...option) option {
	return option{name: name, read: func(d *caddyfile.Dispenser, _ []string) error {
		return readBlock(d, name, known)
	}}
}

// readFrom reads the present line and the block that it opens.
func (o option) readFrom(d *caddyfile.Dispenser) error {
	args, err := o.arguments(d)
	if err != nil {
		return err
	}
	return o.read(d, args)
}

// readBlock reads the block that follows the present line, if there is one.
func readBlock(d *caddyfile.Dispenser, of string, known []option) error {
	first := map[string]string{} // what stood where first
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		opt, err := findOption(d, of, known)
		if err != nil {
			return err
		}
		here := fmt.Sprintf("%s:%d", d.File(), d.Line())
		args, err := opt.arguments(d)
		if err != nil {
			return err
		}
		what := opt.name
		if opt.repeat == onceEach {
			what += " " + args[0]
		}
		if there, twice := first[what]; twice && opt.repeat != addsUp {
			return d.Errf("%s stands twice in %s, first at %s", what, of, there)
		}
		first[what] = here
		if err := opt.read(d, args); err != nil {
			return err
		}
	}
	return nil
}

// findOption finds the option that the present line begins with.
func findOption(d *caddyfile.Dispenser, of string, known []option) (option, error) {
	var names []string
	for _, opt := range known {
		if opt.name == d.Val() {
			return opt, nil
		}
		names = append(names, opt.name)
	}
	if d.Val() == "{" {
		return option{}, d.Errf("unexpected '{' in %s: what stands before it takes no block", of)
	}
	return option{}, unknown(d, of+" option", d.Val(), names)
}

// arguments reads the rest of the present line and holds it against o.args.
func (o option) arguments(d *caddyfile.Dispenser) ([]string, error) {
	given, words := d.RemainingArgs(), strings.Fields(o.args)
	least := len(words) - strings.Count(o.args, "[")
	if len(given) < least || len(given) > len(words) && !strings.Contains(o.args, "…") {
		hint := ""
		if len(given) > len(words) && strings.HasSuffix(o.args, "<text>") {
			hint = "quote a text that has blanks; "
		}
		return nil, d.Errf("wrong number of arguments (%d); %swrite: %s", len(given), hint, strings.TrimSpace(o.name+" "+o.args))
	}
	for i, arg := range given {
		if arg == "" {
			return nil, d.Errf("%s has an empty argument", o.name)
		}
		if i >= len(words) || strings.Contains(words[i], "<") {
			continue
		}
		if choices := strings.Split(strings.Trim(words[i], "[]"), "|"); !slices.Contains(choices, arg) {
			return nil, unknown(d, o.name, arg, choices)
		}
	}
	return given, nil
}

// unknown is the error for a word that is none of known.
func unknown(d *caddyfile.Dispenser, what, word string, known []string) error {
	hint := ""
	if i := slices.IndexFunc(known, func(name string) bool { return resembles(word, name) }); i >= 0 {
		hint = fmt.Sprintf("; did you mean %q?", known[i])
	}
	return d.Errf("%s %q is unknown%s (known: %s)", what, word, hint, strings.Join(known, ", "))
}

// resembles reports whether one letter added, left out, replaced or swapped
// with its neighbour makes the word the name, or one is how the other begins.
// Case does not count.
func resembles(word, name string) bool {
	word, name = strings.ToLower(word), strings.ToLower(name)
	if len(word) > 2 && (strings.HasPrefix(word, name) || strings.HasPrefix(name, word)) {
		return true
	}
	for word != "" && name != "" && word[0] == name[0] {
		word, name = word[1:], name[1:]
	}
	for word != "" && name != "" && word[len(word)-1] == name[len(name)-1] {
		word, name = word[:len(word)-1], name[:len(name)-1]
	}
	swapped := len(word) == 2 && len(name) == 2 && word[0] == name[1] && word[1] == name[0]
	return swapped || len(word) <= 1 && len(name) <= 1
}
