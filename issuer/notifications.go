package issuer

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/issuer/pages"
	"github.com/caddy-bearer/caddy-bearer/notify"
	"github.com/caddy-bearer/caddy-bearer/store"
)

const (
	pathNotifications = "/settings/notifications"

	// shownDeliveries is how many the page lists.
	shownDeliveries = 20

	// testShown is for how long the page tells first of a test message.
	testShown = time.Minute
)

// notificationRoutes registers the page on which users say where they are told what
// happens to their tokens, if anybody tells them.
func (i *Issuer) notificationRoutes(mux *http.ServeMux, base string) {
	if i.notifier == nil {
		return
	}
	page := func(path, endpoint string, serve func(*exchange) (response, error)) {
		mux.Handle(base+pathNotifications+path, i.handlePage(endpoint, []string{http.MethodGet, http.MethodPost}, serve))
	}
	page("", "notifications", i.personPage(i.notifications, i.setWebhook))
	page("/secret", "notifications.secret", i.posted(pathNotifications, i.rotateWebhookSecret))
	page("/test", "notifications.test", i.posted(pathNotifications, i.testWebhook))
	page("/remove", "notifications.remove", i.posted(pathNotifications, i.removeWebhook))
}

var errNoWebhook error = &oauthError{
	status: http.StatusNotFound, code: codeInvalidRequest, description: "you have set no address for notifications",
}

// notifications shows where a user is told, and how that went lately.
func (i *Issuer) notifications(x *exchange, p *person) (response, error) {
	return i.notificationsPage(x, p, http.StatusOK, func(*pages.NotificationsData) {})
}

// notificationsPage shows what is there, changed by what a form has brought about.
func (i *Issuer) notificationsPage(x *exchange, p *person, status int, adjust func(*pages.NotificationsData)) (response, error) {
	data := pages.NotificationsData{Layout: i.layoutIn(p, pages.SectionNotifications)}
	data.Wide = true
	var h store.Webhook
	var sent []store.Delivery
	err := i.store.View(x.Context(), func(tx store.Reader) error {
		var err error
		h, err = tx.Webhook(i.environment, p.user.ID)
		switch {
		case errors.Is(err, store.ErrNotFound):
			h.Kinds = allKinds()
			return nil
		case err != nil:
			return err
		}
		data.Exists = true
		sent, err = tx.Deliveries(i.environment, p.user.ID, shownDeliveries)
		return err
	})
	if err != nil {
		return response{}, fmt.Errorf("read webhook: %w", err)
	}
	data.URL, data.Off, data.Failures, data.Failing, data.LeftOut = h.URL, string(h.Off), h.Failures, h.Failing, h.LeftOut
	data.Kinds = kindChoices(h.Kinds)
	for k := range sent {
		data.Deliveries = append(data.Deliveries, shownDelivery(&sent[k]))
	}
	if len(sent) > 0 && sent[0].Type == notify.TypeTest && x.now.Sub(sent[0].Last) < testShown {
		data.Test = &data.Deliveries[0]
	}
	adjust(&data)
	return pageResponse(status, pages.Notifications(data)), nil
}

func allKinds() (names []string) {
	for _, kind := range notify.Kinds {
		names = append(names, string(kind))
	}
	return names
}

func kindChoices(ticked []string) (choices []pages.NotificationKind) {
	for _, name := range allKinds() {
		choices = append(choices, pages.NotificationKind{Name: name, Ticked: slices.Contains(ticked, name)})
	}
	return choices
}

func shownDelivery(d *store.Delivery) pages.Delivery {
	return pages.Delivery{
		Type: d.Type, Created: d.Created, Attempts: d.Attempts, Outcome: d.Outcome, Status: d.Status,
		Delivered: d.Outcome == string(notify.Delivered), Waiting: d.Done.IsZero(),
	}
}

// setWebhook sets where a user is told and of what. The first time, a secret is made
// and shown; afterwards it stays, whatever else changes.
func (i *Issuer) setWebhook(x *exchange, p *person, f form) (response, error) {
	to, kinds := strings.TrimSpace(f["url"]), f.ticked("kind.")
	urlProblem, kindsProblem := i.checkWebhook(to, kinds)
	if urlProblem != "" || kindsProblem != "" {
		return i.notificationsPage(x, p, http.StatusUnprocessableEntity, func(d *pages.NotificationsData) {
			d.URL, d.Kinds = f["url"], kindChoices(kinds)
			d.URLProblem, d.KindsProblem = urlProblem, kindsProblem
		})
	}
	var secret string
	err := i.changeWebhook(x, p, "webhook.set", func(tx store.Writer, h *store.Webhook, found bool) error {
		if !found {
			*h = store.Webhook{Environment: i.environment, Principal: p.user.ID, Created: x.now, Announced: x.now}
			secret = i.keyring.NewWebhookSecret(h)
		}
		if !found || h.Off != "" {
			last, err := tx.Audit(i.environment, store.AuditFilter{Limit: 1})
			if err != nil {
				return err
			}
			if len(last) > 0 {
				h.After = last[0].Sequence // from now on
			}
		}
		if h.URL != to || h.Off != "" {
			h.Off, h.Failures, h.Failing, h.Retry = "", 0, time.Time{}, time.Time{}
		}
		h.URL, h.Kinds = to, kinds
		return tx.PutWebhook(*h)
	})
	switch {
	case err != nil:
		return response{}, err
	case secret == "":
		return seeOther(i.base + pathNotifications), nil
	}
	return i.webhookSecretPage(x, p, http.StatusCreated, secret)
}

// checkWebhook says what is wrong with a form, as keys of texts.
func (i *Issuer) checkWebhook(to string, kinds []string) (urlProblem, kindsProblem pages.Text) {
	switch err := i.notifier.CheckURL(i.environment, to); {
	case errors.Is(err, notify.ErrURLLong):
		urlProblem = pages.WebhookTooLong
	case errors.Is(err, notify.ErrURLUser):
		urlProblem = pages.WebhookWithUser
	case errors.Is(err, notify.ErrInternal):
		urlProblem = pages.WebhookInternal
	case err != nil:
		urlProblem = pages.WebhookNoURL
	}
	known := allKinds()
	if len(kinds) == 0 || slices.ContainsFunc(kinds, func(k string) bool { return !slices.Contains(known, k) }) {
		kindsProblem = pages.WebhookNoKind
	}
	return urlProblem, kindsProblem
}

// webhookSecretPage shows a secret for the only time.
func (i *Issuer) webhookSecretPage(x *exchange, p *person, status int, secret string) (response, error) {
	return i.notificationsPage(x, p, status, func(d *pages.NotificationsData) { d.Secret = secret })
}

// changeWebhook changes a user's webhook, with its row in the audit trail: that names
// the host alone, because an address may hold what lets in whoever knows it.
func (i *Issuer) changeWebhook(x *exchange, p *person, action string, apply func(tx store.Writer, h *store.Webhook, found bool) error) error {
	target := "webhook:" + p.user.ID
	err := i.store.Update(x.Context(), func(tx store.Writer) error {
		h, err := tx.Webhook(i.environment, p.user.ID)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		if err := apply(tx, &h, err == nil); err != nil {
			return err
		}
		event := i.personEvent(x, action, target)
		if at, err := url.Parse(h.URL); err == nil && at.Host != "" {
			event.Reason = "host " + at.Host
		}
		return tx.Record(event)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", action, err)
	}
	i.changed(action, target)
	return nil
}

// rotateWebhookSecret makes another secret, which signs from the next attempt on.
func (i *Issuer) rotateWebhookSecret(x *exchange, p *person, _ form) (response, error) {
	var secret string
	err := i.changeWebhook(x, p, "webhook.rotate_secret", func(tx store.Writer, h *store.Webhook, found bool) error {
		if !found {
			return errNoWebhook
		}
		secret = i.keyring.NewWebhookSecret(h)
		return tx.PutWebhook(*h)
	})
	if err != nil {
		return response{}, err
	}
	return i.webhookSecretPage(x, p, http.StatusOK, secret)
}

// removeWebhook ends notifications, with all that waits.
func (i *Issuer) removeWebhook(x *exchange, p *person, _ form) (response, error) {
	err := i.changeWebhook(x, p, "webhook.remove", func(tx store.Writer, _ *store.Webhook, found bool) error {
		if !found {
			return errNoWebhook
		}
		return tx.DeleteWebhook(i.environment, p.user.ID)
	})
	if err != nil {
		return response{}, err
	}
	return seeOther(i.base + pathNotifications), nil
}

// testTimeout is longer than an attempt takes.
const testTimeout = 15 * time.Second

// testWebhook sends a test message; the page says how that went. Who hangs up
// meanwhile finds it there.
func (i *Issuer) testWebhook(x *exchange, p *person, _ form) (response, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(x.Context()), testTimeout)
	defer cancel()
	_, err := i.notifier.Try(ctx, i.environment, p.user.ID)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return response{}, errNoWebhook
	case errors.Is(err, notify.ErrTooMany):
		return response{}, &oauthError{
			status: http.StatusTooManyRequests, code: codeInvalidRequest, description: "you have sent many test messages; try again in an hour",
		}
	case err != nil:
		return response{}, fmt.Errorf("send test message: %w", err)
	}
	return seeOther(i.base + pathNotifications), nil
}
