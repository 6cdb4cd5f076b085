package caddymodule

import (
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// users are the people who own accounts. Their secret is a password that they
// choose (admin_people.go).
var users = recordKind[store.Principal]{
	word: "user", path: "users", action: "user",
	kills: store.KindPrincipal, rights: principalRights,
	get: store.Reader.Principal, list: store.Reader.Principals, put: store.Writer.PutPrincipal,
	ours:  func(p *store.Principal) bool { return p.Kind == store.User },
	rival: rivalOf(store.User), shares: true,
	fields: func(p *store.Principal) fields {
		return fields{id: p.ID, source: p.Source, created: &p.Created, status: &p.Status, name: &p.Name, scopes: &p.MaxScopes}
	},
	show: showPrincipal,
}

// newUser is the body of a call that adds a user.
type newUser struct {
	newParty
	Password *string `json:"password,omitzero"` // absent: the user cannot sign in with one
}

func addUser(c *adminCall) (any, error) {
	var in newUser
	if err := c.decode(&in); err != nil {
		return nil, err
	}
	if err := c.checkParty(&in.newParty); err != nil {
		return nil, err
	}
	row := store.Principal{
		Environment: c.env, ID: in.ID, Kind: store.User, Name: in.Name, MaxScopes: in.Scopes,
		Status: store.Active, Source: store.FromCommand, Created: time.Now().UTC(),
	}
	if in.Password != nil {
		hash, err := passwordHash(in.ID, *in.Password)
		if err != nil {
			return nil, err
		}
		row.SecretHash = hash
	}
	return users.add(c, row)
}
