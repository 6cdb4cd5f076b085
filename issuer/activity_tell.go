package issuer

import (
	"cmp"
	"errors"
	"slices"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// teller puts rows of the audit trail into words for one user. What rows name by id
// it looks up, as far as it is still there.
type teller struct {
	issuer   *Issuer
	tx       store.Reader
	user     string
	accounts []string // open to the user in full, by id
	parties  map[string]string
	things   map[string]thing
}

// newTeller reads what is the user's at this moment.
func (i *Issuer) newTeller(tx store.Reader, user string) (*teller, error) {
	t := &teller{issuer: i, tx: tx, user: user, parties: map[string]string{}, things: map[string]thing{}}
	bindings, err := tx.Bindings(i.environment, user)
	for _, b := range bindings {
		if b.Access == store.Full {
			t.accounts = append(t.accounts, b.Account)
		}
	}
	return t, err
}

// thing is what something was done to.
type thing struct {
	form    string // what it is: personal, trading or app; empty: nobody knows any more
	name    string // of a token, app or application
	account string
}

// end is the form of the text that says that somebody ended it.
func (what *thing) end(who string) string {
	switch {
	case who == "app":
		return "end_app_itself"
	case what.form == "" && what.account != "":
		return "end_gone_account"
	case what.form == "":
		return "end_gone"
	}
	return "end_" + what.form
}

// tell puts a row into words.
func (t *teller) tell(row *store.AuditRow) (pages.Deed, error) {
	told := pages.Deed{At: row.At, Refused: row.Outcome != outcomeOK, Count: row.Count}
	own := row.Actor == store.UserWord(t.user)
	if own {
		told.Address = row.Address // also of who tried to be the user; of others it is theirs
	}
	what, err := t.thing(row)
	if err != nil {
		return told, err
	}
	if told.Who, told.WhoNamed, err = t.who(row); err != nil {
		return told, err
	}
	told.Name, told.Account = what.name, what.account
	switch {
	case row.Action == actionDelink, row.Action == "grant.revoke", row.Action == "token.revoke":
		told.Did = what.end(told.Who)
	case !knownActivity(row.Action):
		told.Did, told.Name = "unknown", row.Action
	case told.Refused:
		told.Did = deed(row.Action, row.Outcome)
		if !pages.HasDeed(told.Did) {
			told.Did, told.Name = "refused", row.Action
		}
	default:
		told.Did = deed(row.Action, "")
	}
	if row.Action == "user.sign_in" && told.Refused {
		told.Who = "somebody" // who knows the name is not who has it
	}
	return told, nil
}

// outcomeOK is the outcome of what was not refused.
const outcomeOK = "ok"

// who is the word for the actor, with the name of it if that is for the user to know:
// of another user only if both have an account.
func (t *teller) who(row *store.AuditRow) (word, name string, err error) {
	kind, id, _ := strings.Cut(row.Actor, ":")
	switch kind {
	case "user":
		if id == t.user {
			return "you", "", nil
		}
		name, err := t.neighbour(id)
		if name == "" {
			return "another_user", "", err
		}
		return "user", name, err
	case "client":
		name, err := t.client(id)
		return "app", name, err
	case "operator", "config", "server": // which operator it was, other operators find in the trail
		return kind, "", nil
	}
	return "somebody", "", nil
}

// neighbour is the name of a user who has one of the same accounts in full; empty:
// there is none.
func (t *teller) neighbour(id string) (name string, err error) {
	if name, known := t.parties["user:"+id]; known {
		return name, nil
	}
	bindings, err := t.tx.Bindings(t.issuer.environment, id)
	if err != nil {
		return "", err
	}
	if slices.ContainsFunc(bindings, func(b store.Binding) bool { return b.Access == store.Full && slices.Contains(t.accounts, b.Account) }) {
		user, err := t.tx.Principal(t.issuer.environment, id)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return "", err
		}
		name = shownText(cmp.Or(user.Name, id), maxShownName)
	}
	t.parties["user:"+id] = name
	return name, nil
}

// client is the name of a program.
func (t *teller) client(id string) (name string, err error) {
	if name, known := t.parties["client:"+id]; known {
		return name, nil
	}
	client, err := t.tx.Client(t.issuer.environment, id)
	if errors.Is(err, store.ErrNotFound) {
		client, err = store.Client{ID: id}, nil
	}
	if err == nil {
		name = shownName(&client)
		t.parties["client:"+id] = name
	}
	return name, err
}

// thing finds out what the target of a row is.
func (t *teller) thing(row *store.AuditRow) (what thing, err error) {
	kind, id, _ := strings.Cut(row.Target, ":")
	if account, is := strings.CutPrefix(row.Subject, string(store.AccountPrincipal)+":"); is {
		what.account = account // whatever is left of the target
	}
	if known, told := t.things[row.Target]; told {
		return known, nil
	}
	switch kind {
	case "token":
		what, err = t.token(what, id)
	case "grant":
		what, err = t.grant(what, id)
	case "client", "client_rights":
		what.name, err = t.client(id)
	case "account":
		what.account = id
	case "binding":
		_, what.account, _ = strings.Cut(id, "/")
	}
	if errors.Is(err, store.ErrNotFound) {
		err = nil // it was deleted long after it had ended
	}
	if err == nil {
		t.things[row.Target] = what
	}
	return what, err
}

func (t *teller) token(what thing, id string) (thing, error) {
	row, err := t.tx.Token(t.issuer.environment, id)
	if err != nil {
		return what, err
	}
	what, err = t.grant(what, row.Grant)
	if row.Class == store.Personal {
		what.form, what.name = "personal", shownText(row.Label, maxShownName)
	}
	return what, err
}

func (t *teller) grant(what thing, id string) (thing, error) {
	grant, err := t.tx.Grant(t.issuer.environment, id)
	if err != nil {
		return what, err
	}
	switch grant.Client {
	case store.PersonalClient:
		what.form = "personal"
	case store.TradingClient:
		what.form, what.account = "trading", grant.Principal
	default:
		what.form = "app"
		what.name, err = t.client(grant.Client)
	}
	return what, err
}
