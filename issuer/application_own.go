package issuer

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// What the owner of an application does with it later. To add addresses takes
// full access, as to register it does; to replace a secret or to end it takes
// none: whose secret leaked must be able to.

// setRedirectURIs replaces the addresses of an application. Where one is taken away,
// because somebody else may be listening there, all that the application obtained
// ends, as when an operator does it.
func (i *Issuer) setRedirectURIs(x *exchange, p *person, f form) (response, error) {
	uris, problem := readRedirectURIs(f["redirect_uris"])
	if problem != "" {
		return i.applicationsPage(x, p, http.StatusUnprocessableEntity, nil, map[string]string{x.PathValue("id"): problem})
	}
	_, err := i.editApplication(x, p, "client.set", func(tx store.Writer, c *store.Client) error {
		if err := i.requireFullAccess(tx, p.user.ID); err != nil {
			return err
		}
		taken := slices.ContainsFunc(c.RedirectURIs, func(uri string) bool { return !slices.Contains(uris, uri) })
		c.RedirectURIs = uris
		if !taken {
			return nil
		}
		return i.endApplication(tx, c.ID, "a redirect URI was taken away by its owner")
	})
	if err != nil {
		return response{}, err
	}
	return seeOther(i.base + pathApplications), nil
}

// rotateApplicationSecret gives an application another secret. The old one is good
// no more; tokens that it obtained live on.
func (i *Issuer) rotateApplicationSecret(x *exchange, p *person, _ form) (response, error) {
	secret, _ := i.keyring.NewOpaque(token.ClassSecret)
	row, err := i.editApplication(x, p, "client.rotate_secret", func(_ store.Writer, c *store.Client) error {
		c.SecretHash = i.keyring.HashSecret(secret)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return i.secretPage(p, http.StatusOK, &row, secret), nil
}

// disableApplication ends everything that stands on an application, for all its
// users. Its row stays: grants name it.
func (i *Issuer) disableApplication(x *exchange, p *person, _ form) (response, error) {
	_, err := i.editApplication(x, p, "client.disable", func(tx store.Writer, c *store.Client) error {
		c.Status = store.Disabled
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
		if row, err = tx.Client(i.environment, id); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		switch {
		case err != nil || row.Owner == "" || row.Owner != p.user.ID || row.Exchange:
			return errNoApplication
		case row.Status != store.Active:
			return &oauthError{status: http.StatusConflict, code: codeInvalidRequest, description: "the application is disabled"}
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
