package caddymodule

import (
	"encoding/json"
	"fmt"
	"html"
	"io"
	"net/http"
	"net/url"
	"strings"
)

var appPartyProofs = []proof{
	{
		keys:    []string{"json bearer.environments.*.apps", "json bearer.environments.*.apps.*.id", "Caddyfile bearer environment app"},
		outcome: "the answer to who is sent to connect the first app, and the second",
		see: func(v *variant) string {
			return fmt.Sprint(v.sentToConnect("budget", connected, goodState), v.sentToConnect("savings", connected, goodState))
		},
		first: "303 400", second: "400 303",
	},
	{
		keys:    []string{"json bearer.environments.*.apps.*.name", "Caddyfile bearer environment app name"},
		outcome: "name in app show",
		see:     func(v *variant) string { return v.declared("app", "«budget|savings»").Name },
		first:   "Budget", second: "Savings",
	},
	{
		keys:    []string{"json bearer.environments.*.apps.*.description", "Caddyfile bearer environment app description"},
		outcome: "description in app show",
		see:     func(v *variant) string { return v.declared("app", "«budget|savings»").Description },
		first:   "Counts", second: "Saves",
	},
	{
		keys:    []string{"json bearer.environments.*.apps.*.secret_hash", "Caddyfile bearer environment app secret_hash"},
		outcome: "the answer to the exchange of a code with the first secret, and with the second",
		see: func(v *variant) string {
			return v.exchanges(v.connects("connie"))
		},
		first: "200 401", second: "401 200",
	},
	{
		keys:    []string{"json bearer.environments.*.apps.*.redirect_uris", "Caddyfile bearer environment app redirect_uri"},
		outcome: "the answer to who is sent to connect the app with its first address, and with its second",
		see: func(v *variant) string {
			return fmt.Sprint(v.sentToConnect(v.app(), "https://budget.example.com/other", goodState), v.sentToConnect(v.app(), "https://savings.example.com/other", goodState))
		},
		first: "303 400", second: "400 303",
	},
	{
		keys:    []string{"json bearer.environments.*.apps.*.state", "Caddyfile bearer environment app state"},
		outcome: "the answer to who is sent to connect the app without a state",
		see:     func(v *variant) string { return fmt.Sprint(v.sentToConnect(v.app(), connected, "")) },
		first:   "303", second: "400",
	},
	{
		keys:    []string{"json bearer.environments.*.apps.*.scopes", "Caddyfile bearer environment app scopes"},
		outcome: "whether the connect page offers the scope extra to who has it",
		see: func(v *variant) string {
			page := v.pageOf(v.signedIn("carol"), connectPath(v.app(), connected, goodState), nil)
			return fmt.Sprint(strings.Contains(page, `name="scope.base"`), strings.Contains(page, `name="scope.extra"`))
		},
		first: "true true", second: "true false",
	},
}

const goodState = "fv8XnJmQ3kP0cE7uYz1sWA"

func (v *variant) app() string { return choose("«budget|savings»", v.second) }

func connectPath(app, redirect, state string) string {
	return "/connect?" + url.Values{"appKey": {app}, "redirect_uri": {redirect}, "state": {state}}.Encode()
}

// sentToConnect is the answer to who is not signed in: to sign in first, if all of
// the rest is right.
func (v *variant) sentToConnect(app, redirect, state string) int {
	v.t.Helper()
	response, err := http.DefaultTransport.RoundTrip(v.request("GET", v.issuer+connectPath(app, redirect, state), nil))
	must(v.t, err)
	response.Body.Close()
	return response.StatusCode
}

// signedIn adds a user who has the scopes base and extra, and returns the cookie of
// the browser at which it is signed in. (The server is told that browsers come by
// https: one that does not would keep the cookie to itself.)
func (v *variant) signedIn(user string) *http.Cookie {
	v.t.Helper()
	v.ok(userPassword, "bearer", "user", "add", user, "--scopes", "base extra", "--password-stdin", "--environment", v.environment())
	request := v.request("POST", v.issuer+"/login", strings.NewReader(url.Values{"user": {user}, "password": {userPassword}}.Encode()))
	request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	response, err := http.DefaultTransport.RoundTrip(request)
	must(v.t, err)
	response.Body.Close()
	if response.StatusCode != http.StatusSeeOther || len(response.Cookies()) != 1 {
		v.t.Fatalf("sign-in: %s %v", response.Status, response.Header)
	}
	return response.Cookies()[0]
}

// pageOf is what a browser with this cookie is shown: a page, or what comes of the
// form on it.
func (v *variant) pageOf(cookie *http.Cookie, path string, form url.Values) string {
	v.t.Helper()
	request := v.request("GET", v.issuer+path, nil)
	if form != nil {
		request = v.request("POST", v.issuer+path, strings.NewReader(form.Encode()))
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	request.Header.Set("Sec-Fetch-Site", "same-origin")
	request.AddCookie(cookie)
	response, err := http.DefaultClient.Do(request)
	must(v.t, err)
	defer response.Body.Close()
	page, err := io.ReadAll(response.Body)
	must(v.t, err)
	if response.StatusCode != http.StatusOK {
		v.t.Fatalf("%s: %s\n%s", path, response.Status, page)
	}
	return string(page)
}

// connects lets a new user connect the app, and returns what that receives.
func (v *variant) connects(user string) map[string]string {
	v.t.Helper()
	cookie, path := v.signedIn(user), connectPath(v.app(), connected, goodState)
	csrf := hiddenFields(v.pageOf(cookie, path, nil))["csrf"]
	return hiddenFields(v.pageOf(cookie, path, url.Values{"csrf": {csrf}, "decision": {"allow"}, "scope.base": {"on"}}))
}

func hiddenFields(page string) map[string]string {
	fields := map[string]string{}
	for _, field := range hidden.FindAllStringSubmatch(page, -1) {
		fields[field[1]] = html.UnescapeString(field[2])
	}
	return fields
}

// exchanges presents a code with the one secret and then with the other.
func (v *variant) exchanges(fields map[string]string) string {
	v.t.Helper()
	var statuses []string
	for _, secret := range []string{firstSecret, secondSecret} {
		body, err := json.Marshal(map[string]string{"appSecret": secret, "accessCode": fields["accessCode"], "connectionID": fields["connectionID"]})
		must(v.t, err)
		request := v.request("POST", v.issuer+"/auth/ExchangeToken", strings.NewReader(string(body)))
		request.Header.Set("Content-Type", "application/json")
		statuses = append(statuses, fmt.Sprint(v.answerStatus(request)))
	}
	return strings.Join(statuses, " ")
}
