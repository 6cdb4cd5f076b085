package issuer

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// showsPerHour is how many trading tokens a user may look at in an hour, found or
// not.
const showsPerHour = 10

// showTrading shows the value of a trading token. Whether that is right, who has
// seen it, and the line in the audit trail are one transaction: a token that was
// revoked before is not shown, and one that is shown dies with its viewer's
// binding.
func (i *Issuer) showTrading(x *exchange, p *person, f form) (response, error) {
	if away, err := i.mustStepUp(x, p); err != nil || away != nil {
		return orEmpty(away), err
	}
	id := f["token"]
	if id == "" {
		return response{}, invalidRequest("token is missing")
	}
	if err := i.throttle.admitShow(x.now, p.user.ID); err != nil {
		refused := i.personEvent(x, "token.show", "endpoint:"+x.endpoint)
		refused.Outcome, refused.Reason = codeUnavailable, "throttled"
		i.audit(refused)
		x.private = false // it is written already, and it is no sign-in that was refused
		return response{}, err
	}
	var shared token.Shared
	var d developer
	err := i.store.Update(x.Context(), func(tx store.Writer) (err error) {
		var grant store.Grant
		if shared, grant, d, err = i.tradingTokenOf(tx, p, id, x.now); err != nil {
			return err
		}
		x.grant = grant.ID
		if err := i.mayShow(&shared, &grant, &d); err != nil {
			return err
		}
		shown := i.personEvent(x, "token.show", "token:"+shared.ID)
		shown.Subject = store.AccountWord(d.account.ID)
		return errors.Join(tx.MarkShown(i.environment, shared.ID, p.user.ID, x.now), tx.Record(shown))
	})
	if err != nil {
		return response{}, err
	}
	raw, err := i.keyring.OpenShared(&shared.Token)
	if err != nil {
		return response{}, fmt.Errorf("show trading token: %w", err)
	}
	return pageResponse(http.StatusOK, pages.TradingToken(pages.TradingTokenData{
		Layout: i.layoutIn(p, pages.SectionAccessTokens), Account: d.account.ID, Value: raw,
		Created: shared.Created, Expires: shared.Expires, Back: i.tradingPage(d.account.ID),
	})), nil
}

// mayShow refuses what is dead, and what would give its viewer more than he has.
func (i *Issuer) mayShow(shared *token.Shared, grant *store.Grant, d *developer) error {
	switch {
	case shared.Status == token.SharedExpired:
		return gone("the token has expired")
	case shared.Status != token.SharedLive || len(shared.Sealed) == 0:
		return gone("the token was revoked")
	case !i.covers(&d.user, i.carries(grant)):
		return &oauthError{
			status: http.StatusForbidden, code: codeInvalidRequest, description: "the token may do more than you may do yourself",
		}
	}
	return nil
}

func gone(description string) error {
	return &oauthError{status: http.StatusGone, code: codeInvalidRequest, description: description}
}

// admitShow counts that a user looks at a token, and refuses if there were too many.
// It is no matter of right or wrong: who has a user's browser and password
// gets so many tokens before somebody can look at the audit trail.
func (t *Throttle) admitShow(now time.Time, user string) error {
	const each = time.Hour / showsPerHour
	t.mu.Lock()
	defer t.mu.Unlock()
	at := now.Sub(t.start)
	full := max(time.Duration(t.shows[user]), at)
	if wait := full + each - time.Hour - at; wait > 0 {
		return &oauthError{
			status: http.StatusTooManyRequests, code: codeUnavailable, retryAfter: max(wait, time.Second),
			description: "too many tokens were shown to you in the last hour: try again later",
		}
	}
	if t.shows == nil {
		t.shows = make(map[string]bucket)
	}
	t.shows[user] = bucket(full + each)
	return nil
}
