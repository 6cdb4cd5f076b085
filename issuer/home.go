package issuer

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
)

// home is the first page: it leads to the others, and says where a person is
// signed in.
func (i *Issuer) home(x *exchange, p *person) (response, error) {
	d := pages.HomeData{Layout: i.layoutFor("", p)}
	err := i.store.View(x.Context(), func(tx store.Reader) error {
		open, err := tx.Sessions(i.environment, p.user.ID)
		for k := range open {
			s := &open[k]
			if s.Lives(&p.user, x.now) {
				d.Sessions = append(d.Sessions, pages.OpenSession{
					Since: s.Created, Seen: s.Seen, Address: s.Address, Agent: s.Agent, This: s.Hash.Equal(p.session.Hash),
				})
			}
		}
		return err
	})
	if err != nil {
		return response{}, fmt.Errorf("list sessions: %w", err)
	}
	return pageResponse(http.StatusOK, pages.Home(d)), nil
}

// signOutElsewhere is the form of the first page.
func (i *Issuer) signOutElsewhere(x *exchange, p *person, _ form) (response, error) {
	return seeOther(i.firstPage()), i.endOtherSessions(x, p)
}

// endOtherSessions signs a person out at all other browsers.
func (i *Issuer) endOtherSessions(x *exchange, p *person) error {
	err := i.store.Update(x.Context(), func(tx store.Writer) error {
		open, err := tx.Sessions(i.environment, p.user.ID)
		if err != nil {
			return err
		}
		var errs []error
		for k := range open {
			if !open[k].Hash.Equal(p.session.Hash) {
				errs = append(errs, tx.DeleteSession(i.environment, open[k].Hash),
					tx.Record(i.personEvent(x, "user.sign_out", "session:"+open[k].ID)))
			}
		}
		return errors.Join(errs...)
	})
	if err != nil {
		return fmt.Errorf("end other sessions: %w", err)
	}
	return nil
}
