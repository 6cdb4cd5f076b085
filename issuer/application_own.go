package issuer

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// What the owner of an application does with it later. To change its name and its
// addresses takes full access, as to register it does; to replace a secret or to end
// it takes none: whose secret leaked must be able to.

// ownApplication shows one.
func (i *Issuer) ownApplication(x *exchange, p *person) (response, error) {
	return i.ownApplicationPage(x, p, http.StatusOK, nil)
}

// ownApplicationPage shows one, with what is wrong with a form, if anything was sent.
func (i *Issuer) ownApplicationPage(x *exchange, p *person, status int, tried *pages.ApplicationForm) (response, error) {
	data := pages.ApplicationData{Layout: i.layoutIn(p, pages.SectionApplications)}
	err := i.store.View(x.Context(), func(tx store.Reader) error {
		c, err := i.findOwn(tx, p, x.PathValue("id"))
		if err != nil {
			return err
		}
		r, err := i.rightsOf(tx, p.user.ID)
		if err != nil {
			return err
		}
		data.Application, data.Full, data.Settings = shownApplication(&c), r.full, i.settingsOf(&c, "")
		data.Form = pages.ApplicationForm{Name: c.Name, Description: c.Description, RedirectURIs: strings.Join(c.RedirectURIs, "\n")}
		if c.OldSecret(x.now) != "" {
			data.OldUntil, data.OldUsed = c.OldSecretUntil, i.throttle.oldSecretUsed(c.ID, c.OldSecretUntil)
		}
		data.Uses, err = i.usesOf(tx, &c, x.now)
		return err
	})
	if err != nil {
		return response{}, fmt.Errorf("show application: %w", err)
	}
	if tried != nil {
		data.Form = *tried
	}
	return pageResponse(status, pages.ApplicationOf(data)), nil
}

// findOwn finds an application of this person's. It fails with errNoApplication.
func (i *Issuer) findOwn(tx store.Reader, p *person, id string) (store.Client, error) {
	c, err := tx.Client(i.environment, id)
	if errors.Is(err, store.ErrNotFound) || err == nil && (c.Owner == "" || c.Owner != p.user.ID || c.Exchange) {
		return store.Client{}, errNoApplication
	}
	return c, err
}

// toApplication answers a GET of what only forms are sent to.
func (i *Issuer) toApplication(x *exchange, _ *person) (response, error) {
	return seeOther(i.base + applicationPath(x.PathValue("id"))), nil
}

// describeApplication changes name, description and addresses. Where an address is
// taken away, because somebody else may be listening there, all that the application
// obtained ends, as when an operator does it.
func (i *Issuer) describeApplication(x *exchange, p *person, f form) (response, error) {
	next, problems := readDescription(f)
	if len(problems) > 0 {
		tried := typedApplication(f, problems)
		return i.ownApplicationPage(x, p, http.StatusUnprocessableEntity, &tried)
	}
	_, err := i.editApplication(x, p, "client.set", func(tx store.Writer, c *store.Client) error {
		if err := i.requireFullAccess(tx, p.user.ID); err != nil {
			return err
		}
		taken := slices.ContainsFunc(c.RedirectURIs, func(uri string) bool { return !slices.Contains(next.RedirectURIs, uri) })
		c.Name, c.Description, c.RedirectURIs = next.Name, next.Description, next.RedirectURIs
		if !taken {
			return nil
		}
		return i.endApplication(tx, c.ID, "a redirect URI was taken away by its owner")
	})
	if err != nil {
		return response{}, err
	}
	return i.toApplication(x, p)
}

// rotateApplicationSecret gives an application another secret. The old one is good
// for as long as the form says; tokens that it obtained live on.
func (i *Issuer) rotateApplicationSecret(x *exchange, p *person, f form) (response, error) {
	overlap, known := overlapOf(cmp.Or(f["overlap"], "none"))
	if !known {
		return response{}, invalidRequest("overlap must be one of none, hour, day and week")
	}
	secret, _ := i.keyring.NewOpaque(token.ClassSecret)
	row, err := i.editApplication(x, p, "client.rotate_secret", func(_ store.Writer, c *store.Client) error {
		if c.Public {
			return conflict("the application is public: it has no secret")
		}
		c.ReplaceSecret(i.keyring.HashSecret(secret), x.now, overlap)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return i.secretPage(x, p, http.StatusOK, &row, secret), nil
}

// endOldSecret ends the time of a secret that was replaced.
func (i *Issuer) endOldSecret(x *exchange, p *person, _ form) (response, error) {
	_, err := i.editApplication(x, p, "client.end_old_secret", func(_ store.Writer, c *store.Client) error {
		c.EndOldSecret()
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return i.toApplication(x, p)
}

// confirmEnd asks before an application ends, and says what will.
func (i *Issuer) confirmEnd(x *exchange, p *person) (response, error) {
	data := pages.ApplicationEndData{Layout: i.layoutIn(p, pages.SectionApplications)}
	err := i.store.View(x.Context(), func(tx store.Reader) error {
		c, err := i.findOwn(tx, p, x.PathValue("id"))
		if err != nil {
			return err
		}
		data.Application = shownApplication(&c)
		data.Uses, err = i.usesOf(tx, &c, x.now)
		return err
	})
	switch {
	case err != nil:
		return response{}, fmt.Errorf("show application: %w", err)
	case data.Ended:
		return i.toApplication(x, p)
	}
	return pageResponse(http.StatusOK, pages.ApplicationEnd(data)), nil
}

// disableApplication ends everything that stands on an application, for all its
// users. Its row stays: grants name it.
func (i *Issuer) disableApplication(x *exchange, p *person, _ form) (response, error) {
	_, err := i.editApplication(x, p, "client.disable", func(tx store.Writer, c *store.Client) error {
		c.Status = store.Disabled
		c.EndOldSecret()
		return i.endApplication(tx, c.ID, "disabled by its owner")
	})
	if err != nil {
		return response{}, err
	}
	return seeOther(i.base + pathApplications), nil
}

// endApplication kills all that an application obtained.
func (i *Issuer) endApplication(tx store.Writer, id, reason string) error {
	_, err := tx.Revoke(store.Revocation{
		Environment: i.environment, Kind: store.KindClient, Target: id, At: i.authority.Now(), Reason: reason,
	})
	return err
}

// editApplication changes the application that the path names, if it is this
// person's and lives.
func (i *Issuer) editApplication(x *exchange, p *person, action string, apply func(store.Writer, *store.Client) error) (row store.Client, err error) {
	id := x.PathValue("id")
	err = i.changeApplications(x, action, id, func(tx store.Writer) error {
		row, err = i.findOwn(tx, p, id)
		switch {
		case err != nil:
			return err
		case row.Status != store.Active:
			return conflict("the application is disabled")
		case row.Source != store.FromCommand:
			return fmt.Errorf("application %s has an owner and is not of a command", id)
		}
		if err := apply(tx, &row); err != nil {
			return err
		}
		return tx.PutClient(row)
	})
	return row, err
}
