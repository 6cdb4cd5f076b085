package notify

import (
	"errors"
	"slices"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// news is what a row of the audit trail says that users may want to know.
type news struct {
	kind Kind
	data Data

	// Who is concerned: one user, those to whom an account is open (in full, if all
	// of its tokens are meant), or those who let an app in.
	user    string
	account string
	full    bool
	client  string
}

// newsOf reads a row. Rows that are no news, those about what is gone meanwhile, and
// most of those about who has no webhook, give none.
func newsOf(tx store.Reader, row *store.AuditRow, hooks map[string]*store.Webhook) (*news, error) {
	kind, id, _ := strings.Cut(row.Target, ":")
	verb := row.Action[strings.LastIndexByte(row.Action, '.')+1:]
	var n *news
	var err error
	switch {
	case row.Action == "personal_token.issue" || row.Action == "token.create":
		n, err = ofToken(tx, row.Environment, id, Issued)
	case row.Action == "code.redeem" && row.Outcome == "ok":
		n, err = ofGrant(tx, row.Environment, id, Issued, hooks)
	case row.Action == "code.redeem" && row.Outcome == "replayed", row.Action == "token.renew" && row.Outcome == "reused":
		n, err = ofGrant(tx, row.Environment, id, Revoked, hooks)
	case row.Outcome != "ok":
	case row.Action == "account.unbind":
		n = ofBinding(id)
	case verb == "revoke" || verb == "delink" || verb == "disable":
		n, err = ofTarget(tx, row.Environment, kind, id, hooks)
	}
	if errors.Is(err, store.ErrNotFound) {
		return nil, nil
	}
	if n != nil {
		n.sign(row)
	}
	return n, err
}

// sign says who did it and why. What the store did by itself, because a secret came
// twice, was done by nobody whom it names.
func (n *news) sign(row *store.AuditRow) {
	n.data.By, n.data.Reason = actorOf(row.Actor), row.Reason
	switch row.Outcome {
	case "reused":
		n.data.By, n.data.Reason = &Actor{Kind: "server"}, "a refresh token was used again, as if it were stolen"
	case "replayed":
		n.data.By, n.data.Reason = &Actor{Kind: "server"}, "a code was used again, as if it were stolen"
	}
}

// ofTarget is about what ended.
func ofTarget(tx store.Reader, env store.Environment, kind, id string, hooks map[string]*store.Webhook) (*news, error) {
	switch store.Kind(kind) {
	case store.KindToken:
		return ofToken(tx, env, id, Revoked)
	case store.KindGrant:
		return ofGrant(tx, env, id, Revoked, hooks)
	case store.KindPrincipal:
		return &news{kind: Revoked, user: id, data: Data{Subject: SubjectUser}}, nil
	case store.KindAccount:
		return &news{kind: Revoked, account: id, data: Data{Subject: SubjectAccount, Accounts: []string{id}}}, nil
	case store.KindClient:
		n := &news{kind: Revoked, client: id, data: Data{Subject: SubjectApp, App: id}}
		return n, n.nameApp(tx, env)
	}
	return nil, nil
}

// ofBinding is about an account that was taken away from a principal.
func ofBinding(binding string) *news {
	user, account, _ := strings.Cut(binding, "/")
	return &news{kind: Revoked, user: user, data: Data{Subject: SubjectAccount, Accounts: []string{account}}}
}

func ofToken(tx store.Reader, env store.Environment, id string, kind Kind) (*news, error) {
	row, err := tx.Token(env, id)
	if err != nil {
		return nil, err // a signed one has no row, and is of a grant that lives on
	}
	grant, err := tx.Grant(env, row.Grant)
	if err != nil {
		return nil, err
	}
	return aboutToken(tx, &grant, &row, kind)
}

// ofGrant looks no further than at the grant if nobody is to be told: there may be
// thousands a second of those who are no users.
func ofGrant(tx store.Reader, env store.Environment, id string, kind Kind, hooks map[string]*store.Webhook) (*news, error) {
	grant, err := tx.Grant(env, id)
	if err != nil || hooks[grant.Principal] == nil && grant.Client != store.TradingClient {
		return nil, err
	}
	rows, err := tx.TokensOf(env, id)
	if err != nil {
		return nil, err
	}
	if len(rows) > 0 {
		return aboutToken(tx, &grant, &rows[0], kind)
	}
	return aboutApp(tx, &grant, kind)
}

// aboutToken says what a token is to who has it.
func aboutToken(tx store.Reader, grant *store.Grant, row *store.Token, kind Kind) (*news, error) {
	data := Data{Token: row.ID, Name: row.Label, Accounts: grant.Accounts, Scopes: grant.Scopes, Expires: row.Expires}
	switch row.Class {
	case store.Personal:
		data.Subject = SubjectPersonal
		return &news{kind: kind, user: grant.Principal, data: data}, nil
	case store.SharedRefresh:
		data.Subject = SubjectTrading
		return &news{kind: kind, account: grant.Principal, full: true, data: data}, nil
	case store.Refresh, store.ExchangeAccess:
	}
	return aboutApp(tx, grant, kind)
}

// aboutApp says what an app may do, or might.
func aboutApp(tx store.Reader, grant *store.Grant, kind Kind) (*news, error) {
	n := &news{kind: kind, user: grant.Principal, data: Data{
		Subject: SubjectApp, Grant: grant.ID, App: grant.Client, Accounts: grant.Accounts, Scopes: grant.Scopes, Expires: grant.Expires,
	}}
	return n, n.nameApp(tx, grant.Environment)
}

// nameApp says what people call the app.
func (n *news) nameApp(tx store.Reader, env store.Environment) error {
	client, err := tx.Client(env, n.data.App)
	n.data.AppName = client.Name
	return err
}

// concerns reports whether a user is to be told.
func (n *news) concerns(tx store.Reader, env store.Environment, user string) (bool, error) {
	switch {
	case n.kind == Revoked && n.data.By.Kind == "user" && n.data.By.ID == user:
		return false, nil // who did it knows
	case n.user != "":
		return n.user == user, nil
	case n.client != "":
		// Those of which the end is told are not alive any more.
		grants, err := tx.Grants(env, store.GrantFilter{Principal: user, Client: n.client, Limit: 1})
		return len(grants) > 0, err
	}
	return opens(tx, env, user, n.account, n.full)
}

// opens reports whether an account is open to a user.
func opens(tx store.Reader, env store.Environment, user, account string, full bool) (bool, error) {
	bindings, err := tx.Bindings(env, user)
	for _, b := range bindings {
		if b.Account == account && (!full || b.Access == store.Full) {
			return true, nil
		}
	}
	return false, err
}

// active reports whether a user may be told anything.
func active(tx store.Reader, env store.Environment, user string) (bool, error) {
	p, err := tx.Principal(env, user)
	return p.Kind == store.User && p.Status == store.Active, err
}

// typeOf is the type of messages of a kind.
func typeOf(kind Kind) string {
	return map[Kind]string{Issued: TypeIssued, Revoked: TypeRevoked, Expiring: TypeExpiring}[kind]
}

// wants reports whether a webhook is to be told of a kind of news.
func wants(h *store.Webhook, kind Kind) bool {
	return h.Off == "" && slices.Contains(h.Kinds, string(kind))
}
