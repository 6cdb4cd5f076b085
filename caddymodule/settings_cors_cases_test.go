package caddymodule

import (
	"net/http"
	"slices"
	"strings"
)

// corsProofs are about web pages of other origins: of what is said for all routes
// and for one, in a policy and in the block of a gate.
func corsProofs() (all []proof) {
	type names struct {
		keys, options string
		path          string
		first, second string // what the two configurations let in
		ages          [2]string
	}
	for _, p := range []names{
		{"policy cors", "", "/public", "first", "second", [2]string{"60", "120"}},
		{"policy routes.*.cors", "", "/pages", "third", "fourth", [2]string{"180", "240"}},
		{"json bearer_gate.cors", "Caddyfile bearer_gate cors", "/own/public", "first", "second", [2]string{"60", "120"}},
		{"json bearer_gate.routes.*.cors", "Caddyfile bearer_gate route cors", "/own/pages", "third", "fourth", [2]string{"180", "240"}},
	} {
		named := func(keys ...string) (list []string) {
			for _, key := range keys {
				list = append(list, strings.TrimSuffix(p.keys+"."+key, "."))
				if p.options != "" {
					list = append(list, strings.TrimSuffix(p.options+" "+key, " "))
				}
			}
			return list
		}
		all = append(all,
			proof{
				keys: named("", "origins"), outcome: "the pages that may read the answer",
				see: func(v *variant) string {
					return strings.Join(slices.DeleteFunc([]string{p.first, p.second}, func(name string) bool {
						return v.asPage(name, "GET", p.path, "Access-Control-Allow-Origin") == ""
					}), " ")
				},
				first: p.first, second: p.second,
			},
			proof{
				keys: named("headers"), outcome: "the request headers that a browser lets pages send",
				see:   func(v *variant) string { return v.asPage("app", "OPTIONS", p.path, "Access-Control-Allow-Headers") },
				first: "authorization, x-" + p.first, second: "authorization, x-" + p.second,
			},
			proof{
				keys: named("expose"), outcome: "the last response header that a browser lets pages read",
				see: func(v *variant) string {
					return after("Location, ", v.asPage("app", "GET", p.path, "Access-Control-Expose-Headers"))
				},
				first: "x-" + p.first, second: "x-" + p.second,
			},
			proof{
				keys: named("max_age"), outcome: "for how many seconds a browser does not ask again",
				see:   func(v *variant) string { return v.asPage("app", "OPTIONS", p.path, "Access-Control-Max-Age") },
				first: p.ages[0], second: p.ages[1],
			})
	}
	return all
}

// asPage is a header of the answer to a page, or to its browser if it asks first.
func (v *variant) asPage(name, method, path, header string) string {
	request := v.request(method, v.api+path, nil)
	request.Header.Set("Origin", "https://"+name+".test")
	if method == http.MethodOptions {
		request.Header.Set("Access-Control-Request-Method", "GET")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		v.t.Fatal(err)
	}
	response.Body.Close()
	return response.Header.Get(header)
}
