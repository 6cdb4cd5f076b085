package issuer

import (
	"context"
	"fmt"
	"net/http"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// revokeTrading ends a trading token, for all who share it, with every access token
// that was made from it. It asks once more what that ends, and for no password: who
// finds that a token leaked must not be held up.
func (i *Issuer) revokeTrading(x *exchange, p *person, f form) (response, error) {
	id := f["token"]
	if id == "" {
		return response{}, invalidRequest("token is missing")
	}
	// Who asks for a revocation and hangs up wants it all the same.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.Context()), revokeTimeout)
	defer cancel()
	var shared token.Shared
	var grant store.Grant
	err := i.store.View(ctx, func(tx store.Reader) (err error) {
		shared, grant, _, err = i.tradingTokenOf(tx, p, id, x.now)
		return err
	})
	if err != nil {
		return response{}, err
	}
	x.grant = grant.ID
	if f["confirmed"] != "yes" && shared.Status == token.SharedLive {
		return i.confirmTradingRevoke(p, &shared, &grant), nil
	}
	_, err = i.authority.Revoke(ctx,
		store.Revocation{Kind: store.KindGrant, Target: grant.ID, Reason: "revoked by user " + p.user.ID},
		i.personEvent(x, "token.revoke", "token:"+id))
	if err != nil {
		return response{}, fmt.Errorf("revoke trading token: %w", err)
	}
	return seeOther(i.tradingPage(grant.Principal)), nil
}

// confirmTradingRevoke says what ends with a token.
func (i *Issuer) confirmTradingRevoke(p *person, shared *token.Shared, grant *store.Grant) response {
	return pageResponse(http.StatusOK, pages.TradingRevoke(pages.TradingRevokeData{
		Layout: i.layoutIn(p, pages.SectionAccessTokens), ID: shared.ID, Account: grant.Principal,
		Creator: shared.Creator, Created: shared.Created, Expires: shared.Expires,
		Uses:   i.underWay(func(f *token.Facts) bool { return f.Grant == grant.ID }),
		Revoke: i.base + tradingPath(pathTradingRevoke, grant.Principal), Back: i.tradingPage(grant.Principal),
	}))
}

// errUnsupportedTokenType is that of RFC 7009 §2.2.1.
var errUnsupportedTokenType error = &oauthError{
	status: http.StatusBadRequest, code: "unsupported_token_type",
	description: "a trading token is revoked on the page API Access Tokens",
}

// revocableHere fails for trading tokens: they are shared, and one of those who share
// it must not end it for all others but where he is known.
func (i *Issuer) revocableHere(raw string) error {
	opaque, err := i.keyring.ParseOpaque(raw)
	if err == nil && opaque.Class == store.SharedRefresh {
		return errUnsupportedTokenType
	}
	return nil
}
