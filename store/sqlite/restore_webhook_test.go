package sqlite

import (
	"errors"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// lostWebhook is a database with a webhook and a message that waits, which was
// backed up and lost.
func lostWebhook(t *testing.T) (path, backup string) {
	t.Helper()
	path = inside(t)
	s := opened(t, Options{Path: path})
	hook := store.Webhook{Environment: env, Principal: "ann", URL: "https://old.example.com/", Kinds: []string{"a"}, Created: now}
	message := store.Delivery{Environment: env, ID: "m", Principal: "ann", Type: "a", Body: []byte("{}"), Created: now}
	err := s.Update(t.Context(), func(w store.Writer) error {
		return errors.Join(w.PutWebhook(hook), w.PutDelivery(message))
	})
	if err == nil {
		backup, err = s.Backup(t.Context(), now)
	}
	if err = errors.Join(err, s.Close()); err != nil {
		t.Fatal(err)
	}
	return path, backup
}

// What was set, changed or removed after the copy was made is not known by the
// copy: it must not tell somebody of tokens who was taken out since.
func TestRestoreSwitchesWebhooksOff(t *testing.T) {
	for _, c := range []struct {
		name    string
		choice  Choice
		changed []Changed
		off     store.WebhookOff
		waiting int64
	}{
		{"nothing was changed", Replay, nil, "", 1},
		{"another one was", Replay, []Changed{{env, "webhook:bob"}}, "", 1},
		{"it was", Replay, []Changed{{env, "webhook:ann"}}, store.WebhookRestored, 0},
		{"nobody knows", EndAll, nil, store.WebhookRestored, 0},
		{"the newest there is", AsIs, nil, "", 1},
	} {
		path, copied := lostWebhook(t)
		s, done := restored(t, Restoration{From: copied, Path: path, Choice: c.choice, Changed: c.changed, At: now})
		err := s.View(t.Context(), func(r store.Reader) error {
			got, err := r.Webhook(env, "ann")
			if err == nil && got.Off != c.off {
				t.Errorf("%s: %+v (%+v)", c.name, got, done)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
		if n := count(t, s, `SELECT count(*) FROM delivery WHERE done = 0`); n != c.waiting {
			t.Errorf("%s: %d wait", c.name, n)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
