package issuer

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// actionDelink is the end of a connection in the audit trail, whoever ends it.
const actionDelink = "connection.delink"

// endGrant revokes a grant. When it returns, all that was made from it is dead and
// its streams are cut. Who asks for this and hangs up wants it all the same.
func (i *Issuer) endGrant(x *exchange, id, reason string, event store.Event) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.Context()), revokeTimeout)
	defer cancel()
	x.grant = id
	_, err := i.authority.Revoke(ctx, store.Revocation{Kind: store.KindGrant, Target: id, Reason: reason}, event)
	if err != nil {
		return fmt.Errorf("%s: %w", event.Action, err)
	}
	return nil
}

// delinkUser ends a connection for the app that holds it: its token, and the
// secrets of app and user, must belong to it. When it answers, the token is dead
// and its streams are cut.
func (i *Issuer) delinkUser(x *exchange) (response, error) {
	var in struct {
		AppSecret  string `json:"appSecret"`
		UserSecret string `json:"userSecret"`
	}
	if err := readJSON(x.Request, &in); err != nil {
		return response{}, err
	}
	if err := checkMembers(bodyMember{"appSecret", in.AppSecret}, bodyMember{"userSecret", in.UserSecret}); err != nil {
		return response{}, err
	}
	raw, err := bearerToken(x.Header)
	if err != nil {
		return response{}, err
	}
	// Who asks for this and hangs up wants it all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.Context()), revokeTimeout)
	defer cancel()
	x.Request = x.WithContext(ctx)
	connection, err := i.connectionOf(x, raw)
	if err != nil {
		return response{}, err
	}
	found, err := i.findConnection(ctx, connection)
	if err != nil {
		return response{}, err
	}
	err = i.provePresented(x, connection, &found,
		found.appProof(connection, in.AppSecret, x.now), proof{whose: "user", hash: found.UserSecret, presented: in.UserSecret})
	if err != nil {
		return response{}, err
	}
	if err := i.endGrant(x, connection, "delinked by the app", x.event(i.environment, actionDelink, "grant:"+connection)); err != nil {
		return response{}, err
	}
	return jsonResponse(http.StatusOK, struct {
		Success bool `json:"success"`
	}{true})
}

// connectionOf names the connection whose token is presented, if it lives.
func (i *Issuer) connectionOf(x *exchange, raw string) (string, error) {
	opaque, err := i.keyring.ParseOpaque(raw)
	if err != nil {
		return "", invalidToken(err)
	}
	if opaque.Class != store.ExchangeAccess {
		return "", invalidToken(&token.Invalid{Reason: token.ReasonClass})
	}
	row, standing, err := i.store.TokenByHash(x.Context(), i.environment, opaque.Hash)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return "", invalidToken(err)
	case err != nil:
		return "", fmt.Errorf("find token: %w", err)
	case standing.Dead(), !row.Revoked.IsZero():
		return "", invalidToken(store.ErrRevoked)
	}
	return row.Grant, nil
}
