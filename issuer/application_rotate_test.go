package issuer

import (
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// secretFits reports whether a secret of an application is taken.
func (b *bank) secretFits(id, secret string) bool {
	b.Helper()
	got := b.do(formCall(pathIntrospect, formBasic(id, secret), "token", "x"))
	return got.status == 200
}

func TestS3_6_RotateWithAnOverlapOnThePage(t *testing.T) {
	for choice, overlap := range map[string]time.Duration{"none": 0, "hour": time.Hour, "day": 24 * time.Hour, "week": 7 * 24 * time.Hour} {
		t.Run(choice, func(t *testing.T) {
			b := userBank(t)
			alice := b.sessionOf("alice")
			id, first := alice.registered()
			page := b.do(alice.form(pathApplications+"/"+id+"/secret", "overlap", choice)).wantSays(t, 200, "never shown again")
			second := shownSecret.FindStringSubmatch(page.body)[1]
			until := b.clock.Now().Add(overlap).UTC().Format("The secret before is good until 2006-01-02 15:04 UTC.")
			if said := strings.Contains(page.body, until); said != (overlap > 0) {
				t.Errorf("the page says %q: %t", until, said)
			}
			if !b.secretFits(id, second) || b.secretFits(id, first) != (overlap > 0) {
				t.Error("at first: wrong secrets fit")
			}
			if overlap == 0 {
				return
			}
			b.clock.advance(overlap - time.Microsecond)
			if !b.secretFits(id, first) {
				t.Error("the old secret ended early")
			}
			b.clock.advance(time.Microsecond)
			if b.secretFits(id, first) || !b.secretFits(id, second) {
				t.Error("afterwards: wrong secrets fit")
			}
		})
	}
}

func TestS3_6_OldSecretIsEndedByItsOwner(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	id, first := alice.registered()
	own := pathApplications + "/" + id
	b.do(alice.form(own+"/secret", "overlap", "week")).wantSays(t, 200)
	b.do(alice.get(own)).wantSays(t, 200, "No use of it is known", "End the old secret now")
	b.clock.advance(30 * time.Minute)
	if !b.secretFits(id, first) {
		t.Fatal("the old secret does not fit")
	}
	used := b.clock.Now().UTC().Format("It was last used on 2006-01-02 15:04 UTC.")
	b.do(alice.get(own)).wantSays(t, 200, used)
	b.do(alice.form(own+"/old-secret")).wantRedirect(t, own)
	if b.secretFits(id, first) {
		t.Error("the old secret has not ended")
	}
	if page := b.do(alice.get(own)); strings.Contains(page.body, "The secret before") {
		t.Error("the page speaks of an old secret")
	}
	if event := b.lastEvent("client.end_old_secret"); event.Actor != "user:alice" || event.Target != "client:"+id {
		t.Errorf("the audit trail has %+v", event)
	}

	// Of the next old secret nothing is known, whatever was used before.
	b.do(alice.form(own+"/secret", "overlap", "day")).wantSays(t, 200)
	b.do(alice.get(own)).wantSays(t, 200, "No use of it is known")
	b.do(alice.form(own+"/disable")).wantRedirect(t, pathApplications)
	if c := b.clientOf(id); c.OldSecretHash != "" || !c.OldSecretUntil.IsZero() {
		t.Errorf("what has ended keeps an old secret: %+v", c)
	}
}

func TestRotateRefusesOtherOverlaps(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	id, secret := alice.registered()
	for _, bad := range []string{"year", "168h", "-1", "0"} {
		b.do(alice.form(pathApplications+"/"+id+"/secret", "overlap", bad)).wantSays(t, 400, "overlap must be one of")
	}
	b.update(func(tx store.Writer) error {
		c := b.clientOf(id)
		c.Public = true
		return tx.PutClient(c)
	})
	b.do(alice.get(pathApplications+"/"+id)).wantSays(t, 200, "This application is public")
	b.do(alice.form(pathApplications+"/"+id+"/secret", "overlap", "none")).wantSays(t, 409, "it has no secret")
	if b.clientOf(id).SecretHash == "" || !b.fitsHash(b.clientOf(id).SecretHash, secret) {
		t.Error("a refused form changed the secret")
	}
}

func (b *bank) fitsHash(hash, secret string) bool {
	b.Helper()
	fits, err := b.options.Secrets.Verify(b.Context(), hash, secret)
	if err != nil {
		b.Fatal(err)
	}
	return fits
}

// Whoever ends an application is told whom that concerns.
func TestApplicationSaysWhoUsesIt(t *testing.T) {
	b := userBank(t)
	alice := b.sessionOf("alice")
	id, _ := alice.registered()
	own := pathApplications + "/" + id
	grantBy := func(user string, n int, until time.Time) {
		t.Helper()
		for range n {
			_, err := b.store.Issue(t.Context(), store.Issue{Grant: store.Grant{
				Environment: b.env, ID: token.NewID(), Principal: user, Client: id, Scopes: []string{"read:eft"},
				Created: b.clock.Now(), Expires: until,
			}})
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	says := func(users, ends string) {
		t.Helper()
		b.do(alice.get(own)).wantSays(t, 200, "<dt>Used by</dt><dd>"+users+"</dd>")
		b.do(alice.get(own+"/disable")).wantSays(t, 200, ends, "No live stream is open now")
	}
	says("nobody yet", "nobody loses anything")
	grantBy("bob", 3, time.Time{})
	says("1 user", "1 user loses it")
	grantBy("partial", 1, b.clock.Now().Add(time.Hour))
	grantBy("nobody", 1, time.Time{})
	says("3 users", "3 users lose it")
	b.clock.advance(time.Hour)
	alice = b.sessionOf("alice")
	says("2 users", "2 users lose it")
	b.revoke(store.KindPrincipal, "nobody")
	says("1 user", "1 user loses it")
	b.do(alice.form(own, "name", "x", "redirect_uris", "https://elsewhere.test/cb")).wantRedirect(t, own)
	says("nobody yet", "nobody loses anything")
	grantBy("bob", maxCounted+1, time.Time{})
	says("at least 1 user", "At least 1 user loses it") // whose grants are counted no further
}
