package caddymodule

import (
	"slices"
	"time"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// liveStream is an exchange under way, as the admin API shows it.
type liveStream struct {
	Route     string    `json:"route"`
	Method    string    `json:"method"`
	Kind      string    `json:"kind"` // stream or request
	Client    string    `json:"client,omitempty"`
	Principal string    `json:"principal,omitempty"`
	Accounts  []string  `json:"accounts,omitempty"`
	Grant     string    `json:"grant,omitempty"`
	TokenID   string    `json:"token_id,omitempty"`
	Since     time.Time `json:"since,omitzero"` // absent: not known, of requests on public routes
	Remote    string    `json:"remote"`         // address of the peer, which may be a proxy
	ClientIP  string    `json:"client_ip,omitempty"`
}

// streamList is the answer to a call for the streams.
type streamList struct {
	Streams []liveStream `json:"streams"` // the oldest first
	Count   int          `json:"count"`   // of all that match, also where the list was cut
}

// listStreams lists live WebSockets and event streams, and all requests under
// way if they are asked for.
func listStreams(c *adminCall) (any, error) {
	asked, all, limit, err := c.listQuery("client", "principal", "account", "grant")
	if err != nil {
		return nil, err
	}
	list := streamList{Streams: []liveStream{}}
	for _, one := range c.authority.UnderWay(func(f *token.Facts) bool { return concerns(f, asked) }) {
		if all || one.Streaming {
			list.Streams = append(list.Streams, shownStream(one))
		}
	}
	slices.SortStableFunc(list.Streams, func(a, b liveStream) int { return a.Since.Compare(b.Since) })
	list.Count = len(list.Streams)
	list.Streams = list.Streams[:min(list.Count, limit)]
	return list, nil
}

// concerns reports whether a token is one of those that are asked for.
func concerns(f *token.Facts, asked map[string]string) bool {
	if f == nil {
		f = new(token.Facts)
	}
	return (asked["client"] == "" || asked["client"] == f.Client) &&
		(asked["principal"] == "" || asked["principal"] == f.Subject) &&
		(asked["account"] == "" || slices.Contains(f.Accounts, asked["account"])) &&
		(asked["grant"] == "" || asked["grant"] == f.Grant)
}

func shownStream(one token.UnderWay) liveStream {
	shown := liveStream{Route: one.Route, Method: one.Method, Kind: "request", Since: one.Since.UTC(), Remote: one.Remote, ClientIP: one.ClientIP}
	if one.Since.IsZero() {
		shown.Since = time.Time{}
	}
	if one.Streaming {
		shown.Kind = "stream"
	}
	if f := one.Facts; f != nil {
		shown.Client, shown.Principal, shown.Accounts, shown.Grant, shown.TokenID = f.Client, f.Subject, f.Accounts, f.Grant, f.ID
	}
	return shown
}
