package issuer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// integrationPath is the address of a page about one token.
func (i *Issuer) integrationPath(pattern, id string) string {
	return i.base + strings.Replace(pattern, "{id}", url.PathEscape(id), 1)
}

// revokeIntegrationPage names what will stop.
func (i *Issuer) revokeIntegrationPage(x *exchange, p *person) (response, error) {
	one, err := i.ownToken(x, p, x.PathValue("id"))
	if err != nil {
		return response{}, err
	}
	d := pages.IntegrationRevokeData{
		Layout: i.layoutIn(p, pages.SectionIntegrations), Integration: shownIntegration(&one), Action: i.integrationPath(pathIntegrationRevoke, one.ID),
	}
	for _, w := range i.authority.UnderWay(func(f *token.Facts) bool { return f != nil && f.ID == one.ID }) {
		d.UnderWay = append(d.UnderWay, pages.UnderWay{Route: w.Route, Method: w.Method, Stream: w.Streaming, Since: w.Since, From: seenFrom(&w)})
	}
	slices.SortStableFunc(d.UnderWay, func(a, b pages.UnderWay) int { return a.Since.Compare(b.Since) })
	return pageResponse(http.StatusOK, pages.IntegrationRevoke(d)), nil
}

// seenFrom is the address of who is behind an exchange: what a proxy said, or the
// peer's own.
func seenFrom(w *token.UnderWay) string {
	if from := address(w.ClientIP); from != "" {
		return from
	}
	return address(hostPart(w.Remote))
}

// revokeIntegration ends one of a user's own tokens. When it answers, the token is
// dead and its streams are cut.
func (i *Issuer) revokeIntegration(x *exchange, p *person, _ form) (response, error) {
	id := x.PathValue("id")
	if err := i.endOwnToken(x, p, id); err != nil {
		return response{}, err
	}
	return seeOther(i.base + pathIntegrations + "?" + url.Values{"ended": {id}}.Encode()), nil
}

func (i *Issuer) endOwnToken(x *exchange, p *person, id string) error {
	if _, err := i.ownToken(x, p, id); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.Context()), revokeTimeout)
	defer cancel()
	_, err := i.authority.Revoke(ctx,
		store.Revocation{Kind: store.KindToken, Target: id, Reason: "revoked by its owner"},
		i.personEvent(x, "token.revoke", "token:"+id))
	if err != nil {
		return fmt.Errorf("revoke: %w", err)
	}
	return nil
}

// usualOverlap is chosen unless the person chooses.
const usualOverlap = "day"

// rotateIntegrationPage asks for how long both tokens are to be good.
func (i *Issuer) rotateIntegrationPage(x *exchange, p *person) (response, error) {
	one, err := i.ownToken(x, p, x.PathValue("id"))
	if err != nil {
		return response{}, err
	}
	return i.rotatePage(x, p, &one, http.StatusOK, nil, nil), nil
}

func (i *Issuer) rotatePage(x *exchange, p *person, one *token.PersonalToken, status int, sent form, problems pages.Problems) response {
	d := pages.IntegrationRotateData{
		Layout: i.layoutIn(p, pages.SectionIntegrations), Integration: shownIntegration(one), Once: token.NewID(),
		Action: i.integrationPath(pathIntegrationRotate, one.ID), Problems: problems, Confirm: i.confirmation(x, p),
	}
	chosen := sent["overlap"]
	if chosen == "" {
		chosen = usualOverlap
	}
	for _, o := range overlaps {
		d.Overlaps = append(d.Overlaps, pages.Option{Value: o.value, Chosen: o.value == chosen})
	}
	return pageResponse(status, pages.IntegrationRotate(d))
}

// rotateIntegration issues the successor of one of a user's own tokens, and shows
// it once.
func (i *Issuer) rotateIntegration(x *exchange, p *person, f form) (response, error) {
	one, err := i.ownToken(x, p, x.PathValue("id"))
	if err != nil {
		return response{}, err
	}
	again := func(status int, problems pages.Problems) (response, error) {
		return i.rotatePage(x, p, &one, status, f, problems), nil
	}
	overlap, known := overlapOf(f["overlap"])
	successor, ok := token.DeriveID(f["once"], string(i.environment), p.user.ID)
	switch {
	case !known:
		return again(http.StatusUnprocessableEntity, pages.Problems{"overlap": integrationProblem("overlap", "")})
	case !ok:
		return response{}, invalidRequest("this form is none of ours: load the page again")
	}
	if away, err := i.mustConfirm(x, p, f, nil, again); away != nil || err != nil {
		return orEmpty(away), err
	}
	done, err := i.authority.RotatePersonal(x.Context(), token.Rotation{
		Token: one.ID, Owner: p.user.ID, Successor: successor, Overlap: overlap,
		Event: func(action, target string) store.Event { return i.personEvent(x, action, target) },
	})
	var why *token.Unfit
	switch {
	case errors.As(err, &why):
		return again(http.StatusConflict, pages.Problems{"form": integrationProblem("rotate_"+string(why.Flaw), why.Value)})
	case errors.Is(err, token.ErrEnded):
		return again(http.StatusConflict, pages.Problems{"form": integrationProblem("rotate_ended", "")})
	case errors.Is(err, token.ErrRotated), errors.Is(err, store.ErrExists):
		return again(http.StatusConflict, pages.Problems{"form": integrationProblem("rotated_before", "")})
	case errors.Is(err, store.ErrRevoked), errors.Is(err, store.ErrNotFound):
		return again(http.StatusConflict, pages.Problems{"form": integrationProblem("changed", "")})
	case err != nil:
		return response{}, fmt.Errorf("rotate token: %w", err)
	}
	if overlap > 0 { // a copy of the database from before would let it live for longer
		i.changed("personal_token.rotate", "token:"+one.ID)
	}
	x.grant, x.issued = done.Grant.ID, GrantPersonal
	d := pages.IntegrationRotateData{
		Layout: i.layoutIn(p, pages.SectionIntegrations), Integration: shownIntegration(&one), Ends: done.Ends, AtOnce: overlap == 0,
		Issued: i.issuedToken(done.Value, &done.Token, &done.Grant),
	}
	return pageResponse(http.StatusCreated, pages.IntegrationRotate(d)), nil
}
