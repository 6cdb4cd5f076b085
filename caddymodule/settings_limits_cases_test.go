package caddymodule

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

var limitProofs = []proof{
	{
		keys: []string{"json bearer_gate.limits", "Caddyfile bearer_gate limits",
			"json bearer_gate.limits.target", "Caddyfile bearer_gate limits target"},
		outcome: "the answer to a target of 1130 bytes",
		see: func(v *variant) string {
			return v.sized("/own/id?"+strings.Repeat("a", 1122), nil, nil)
		},
		first: "414", second: "200",
	},
	{
		keys:    []string{"json bearer_gate.limits.header", "Caddyfile bearer_gate limits header"},
		outcome: "the answer to a header of 5 KiB",
		see: func(v *variant) string {
			return v.sized("/own/id", http.Header{"X-Filler": {strings.Repeat("a", 5<<10)}}, nil)
		},
		first: "431", second: "200",
	},
	{
		keys:    []string{"json bearer_gate.limits.header_fields", "Caddyfile bearer_gate limits header_fields"},
		outcome: "the answer to more than 25 header fields",
		see: func(v *variant) string {
			header := http.Header{}
			for i := range 25 {
				header.Set(fmt.Sprint("X-Filler-", i), "a")
			}
			return v.sized("/own/id", header, nil)
		},
		first: "431", second: "200",
	},
	{
		keys:    []string{"json bearer_gate.limits.body", "Caddyfile bearer_gate limits body"},
		outcome: "the answer to a body of 7 bytes",
		see:     func(v *variant) string { return v.sized("/own/id", nil, strings.NewReader("7 bytes")) },
		first:   "413", second: "200",
	},
}

// sized is the status of the answer to a request that is of an unusual size.
func (v *variant) sized(target string, header http.Header, body io.Reader) string {
	request := v.request("GET", v.api+target, body)
	for name, values := range header {
		request.Header[name] = values
	}
	return strconv.Itoa(v.answerStatus(request))
}
