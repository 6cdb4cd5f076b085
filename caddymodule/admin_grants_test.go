package caddymodule

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

func TestGrantsAreListedAndShown(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("POST", "/clients", `{"id":"bot","scopes":["read:eft","read:market"]}`)
	ended := w.issue("bot", serviceID, "1")
	w.ok("POST", "/clients/bot/revoke", "")
	revoked := w.issue("bot", serviceID, "1")
	w.ok("POST", "/grants/"+revoked.grant+"/revoke", `{"reason":"customer asked"}`)
	older, newer := w.issue("bot", serviceID), w.issue(clientID, serviceID, "1")

	for query, want := range map[string][]string{
		"":                                 {newer.grant, older.grant},
		"?limit=1":                         {newer.grant},
		"?client=bot":                      {older.grant},
		"?client=bot&all=true":             {older.grant, revoked.grant, ended.grant},
		"?account=1":                       {newer.grant},
		"?account=1&all=true&limit=2":      {newer.grant, revoked.grant},
		"?principal=" + serviceID:          {newer.grant, older.grant},
		"?principal=nobody":                {},
		"?client=" + clientID + "&limit=9": {newer.grant},
	} {
		var got struct{ Grants []grant }
		w.ok("GET", "/grants"+query, "").decode(t, &got)
		ids := make([]string, 0, len(got.Grants))
		for _, g := range got.Grants {
			ids = append(ids, g.ID)
		}
		if !slices.Equal(ids, want) {
			t.Errorf("%s: %v, want %v", query, ids, want)
		}
	}

	for id, want := range map[string][2]string{
		ended.grant: {statusEnded, statusEnded}, revoked.grant: {statusRevoked, statusRevoked}, newer.grant: {statusLive, statusLive},
	} {
		var got grant
		body := w.ok("GET", "/grants/"+id, "").body
		adminAnswer{body: body}.decode(t, &got)
		if got.Tokens == nil || len(*got.Tokens) != 1 || got.Status != want[0] || (*got.Tokens)[0].Status != want[1] {
			t.Errorf("shown %s, want %v", body, want)
		}
		if strings.Contains(strings.ToLower(body), "hash") || strings.Contains(body, "nonce") {
			t.Errorf("a grant shows what is kept of its tokens: %s", body)
		}
	}
}

// Many dead grants must not hide the live one behind them.
func TestLiveGrantBehindManyThatEnded(t *testing.T) {
	w := newAdminWorld(t)
	w.ok("POST", "/clients", `{"id":"bot","scopes":["read:eft"]}`)
	kept := w.issue(clientID, serviceID)
	for range 9 {
		w.issue("bot", serviceID)
	}
	w.ok("POST", "/clients/bot/disable", "")
	var got struct{ Grants []grant }
	w.ok("GET", "/grants?limit=1", "").decode(t, &got)
	if len(got.Grants) != 1 || got.Grants[0].ID != kept.grant {
		t.Errorf("listed %v, want %s", got.Grants, kept.grant)
	}
}

func TestTokensAreIdentified(t *testing.T) {
	w := newAdminWorld(t)
	made := w.issue(clientID, serviceID, "1")
	show := func(raw string) (f shownFacts) {
		t.Helper()
		answer := w.ok("POST", "/tokens/show", `{"token":"`+raw+`"}`)
		answer.decode(t, &f)
		if strings.Contains(answer.body, raw) {
			t.Error("the token is repeated")
		}
		return f
	}
	for class, raw := range map[string]string{token.ClassAccess: made.access, string(store.Refresh): made.refresh} {
		got := show(raw)
		if got.Class != class || got.Grant != made.grant || got.Client != clientID || got.Principal != serviceID ||
			got.Status != statusLive || !slices.Equal(got.Accounts, []string{"1"}) || got.Expires.IsZero() {
			t.Errorf("%s: %+v", class, got)
		}
	}
	w.ok("POST", "/grants/"+made.grant+"/revoke", "")
	for _, raw := range []string{made.access, made.refresh} {
		if got := show(raw); got.Status != statusRevoked {
			t.Errorf("%s token of a revoked grant is %s", got.Class, got.Status)
		}
	}
	secret := w.ok("POST", "/clients", `{}`).record(t).Secret
	if answer := w.try("POST", "/tokens/show", `{"token":"`+secret+`"}`); answer.status != 400 || !strings.Contains(answer.body, "no token") {
		t.Errorf("a client's secret: %d %s", answer.status, answer.body)
	}
}

func TestRevocationsAreListedNewestFirst(t *testing.T) {
	w := newAdminWorld(t)
	for _, id := range []string{"first", "second", "third"} {
		w.ok("POST", "/tokens/revoke", `{"id":"`+id+`","reason":"because of `+id+`"}`)
	}
	var got struct{ Revocations []revocation }
	w.ok("GET", "/revocations?limit=2", "").decode(t, &got)
	if len(got.Revocations) != 2 || got.Revocations[0].Target != "third" || got.Revocations[1].Reason != "because of second" {
		t.Errorf("%+v", got.Revocations)
	}
	if r := got.Revocations[0]; r.Kind != store.KindToken || r.At.IsZero() || r.Expires.Before(r.At.Add(time.Hour)) {
		t.Errorf("%+v", r)
	}
}
