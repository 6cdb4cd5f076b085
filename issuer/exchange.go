package issuer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// accessCodeLifetime is what the page of the access code exchange says. It is
// part of the protocol and no setting.
const accessCodeLifetime = 30 * time.Minute

// kindConnection is what attempts at an app's secret are counted for: the secret
// comes with the id of a connection, and not with that of its app.
const kindConnection = "connection"

// connected is a connection with what it stands on. One that does not exist is
// zero.
type connected struct {
	store.Connection
	client store.Client
}

// exchangeToken exchanges an access code for the token that lives as long as its
// connection. Code, secret and connection must belong together, and the app
// proves who it is before its code is looked at.
func (i *Issuer) exchangeToken(x *exchange) (response, error) {
	var in struct {
		AppSecret    string `json:"appSecret"`
		AccessCode   string `json:"accessCode"`
		ConnectionID string `json:"connectionID"`
	}
	if err := readJSON(x.Request, &in); err != nil {
		return response{}, err
	}
	if err := checkMembers(bodyMember{"appSecret", in.AppSecret}, bodyMember{"accessCode", in.AccessCode}, bodyMember{"connectionID", in.ConnectionID}); err != nil {
		return response{}, err
	}
	found, err := i.authenticateApp(x, in.ConnectionID, in.AppSecret)
	if err != nil {
		return response{}, err
	}
	code, err := i.keyring.ParseOpaque(in.AccessCode)
	if err != nil || code.Class != token.ClassAccessCode {
		return response{}, invalidGrant("the access code is not valid", err)
	}
	raw, hash := i.keyring.NewOpaque(store.ExchangeAccess)
	_, err = i.store.RedeemCode(x.Context(), store.Redeem{
		Environment: i.environment, Code: code.Hash, Client: x.client, Grant: found.Grant, Now: x.now,
		Token: store.Token{
			Environment: i.environment, ID: found.Token, Hash: hash, Class: store.ExchangeAccess,
			KeyID: token.KeyIDOf(raw), Created: x.now,
		},
		Retain: i.authority.Retention(), Event: x.event(i.environment, "code.redeem", ""),
	})
	if err != nil {
		return response{}, accessCodeError(err)
	}
	x.grant, x.issued = found.Grant, GrantExchange
	return jsonResponse(http.StatusOK, struct {
		Success     bool   `json:"success"`
		AccessToken string `json:"accessToken"`
	}{true, raw})
}

// accessCodeError is codeError in the words of this exchange.
func accessCodeError(err error) error {
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrOtherClient), errors.Is(err, store.ErrMismatch):
		return invalidGrant("the access code is not valid", err)
	case errors.Is(err, store.ErrExpired):
		return invalidGrant("the access code has expired: let the user connect again", err)
	case errors.Is(err, store.ErrRevoked):
		return invalidGrant("the connection was ended", err)
	case errors.Is(err, store.ErrReplayed):
		return invalidGrant("the access code was exchanged before; its connection is ended", err)
	}
	return fmt.Errorf("redeem access code: %w", err)
}

// authenticateApp finds the app of a connection and verifies its secret.
func (i *Issuer) authenticateApp(x *exchange, connection, secret string) (connected, error) {
	found, err := i.findConnection(x.Context(), connection)
	if err != nil {
		return connected{}, err
	}
	return found, i.provePresented(x, connection, &found, found.appProof(connection, secret, x.now))
}

// proof is a secret that is presented, and what it is held against.
type proof struct {
	whose, hash, old, presented string
}

// provePresented verifies secrets of a connection, all of them whatever the
// first says. It is one attempt.
func (i *Issuer) provePresented(x *exchange, connection string, found *connected, proofs ...proof) error {
	from, parties := throttledAddress(x.ip), []party{{kindConnection, connection}}
	if err := i.throttle.admit(x.now, from, parties...); err != nil {
		return err
	}
	x.named = found.client.ID
	var wrong []party
	for _, p := range proofs {
		fits, old, err := i.secrets.VerifyEither(x.Context(), p.hash, p.old, p.presented)
		if err != nil {
			return err
		}
		if old {
			x.oldSecret = found.client.OldSecretUntil
		}
		if !fits {
			wrong, x.wrong = parties, p.whose
		}
	}
	if err := i.throttle.settle(x.now, from, parties, wrong); err != nil {
		return err
	}
	if wrong != nil {
		return errInvalidClient
	}
	x.client = found.client.ID
	i.signedIn(x, "grant:"+found.Grant)
	return nil
}

// findConnection reads a connection and its app.
func (i *Issuer) findConnection(ctx context.Context, id string) (found connected, err error) {
	err = i.store.View(ctx, func(tx store.Reader) error {
		if found.Connection, err = tx.Connection(i.environment, id); err != nil {
			return err
		}
		grant, err := tx.Grant(i.environment, id)
		if err != nil {
			return err
		}
		found.client, err = tx.Client(i.environment, grant.Client)
		return err
	})
	if errors.Is(err, store.ErrNotFound) {
		return connected{}, nil
	}
	if err != nil {
		return connected{}, fmt.Errorf("read connection: %w", err)
	}
	return found, nil
}

// appProof is the app's secret, as it is presented, and what it is held against.
func (c *connected) appProof(connection, presented string, now time.Time) proof {
	if !c.client.Exchange {
		return proof{whose: "app", hash: token.NoSecret(connection), presented: presented}
	}
	return proof{"app", usableHash(c.client.Status, c.client.SecretHash, connection), c.client.OldSecret(now), presented}
}
