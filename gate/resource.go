package gate

import (
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"
)

// Resource is the API behind the gate, as tokens name it.
type Resource struct {
	URL    string // the audience of its tokens, and its resource identifier (RFC 9728 §1.2)
	Issuer string // the one authorization server whose tokens it takes
}

// resourceWellKnown comes before the path of the resource's URL (RFC 9728 §3.1).
const resourceWellKnown = "/.well-known/oauth-protected-resource"

// resource is where the gate says what it is, and for whom.
type resource struct {
	Resource
	host     string // in small letters, without the scheme's own port
	path     string // of the metadata
	metadata string // URL of the metadata
}

// newResource returns nil for an identifier that has no place of its own on the
// web, and so no metadata: there is nothing wrong with that.
func newResource(r Resource) *resource {
	u, err := url.Parse(r.URL)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" || u.User != nil || strings.ContainsAny(r.URL, "?#") ||
		u.Path != u.EscapedPath() || r.Issuer == "" {
		return nil
	}
	path := resourceWellKnown + strings.TrimSuffix(u.Path, "/")
	if len(u.Path) > 1 {
		path = resourceWellKnown + u.Path
	}
	return &resource{Resource: r, host: plainHost(u.Host), path: path, metadata: u.Scheme + "://" + u.Host + path}
}

// plainHost leaves out the ports that a client leaves out. (Which of the two
// schemes it spoke is not known behind a proxy.)
func plainHost(host string) string {
	return strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(host), ":443"), ":80")
}

// asked reports whether a request is for the metadata, at the very URL that the
// resource's identifier leads to: a client that came another way would have to
// refuse them (RFC 9728 §3.3).
func (s *resource) asked(r *http.Request) bool {
	return s != nil && r.URL.Path == s.path && r.URL.RawPath == "" &&
		(r.Method == http.MethodGet || r.Method == http.MethodHead) && plainHost(r.Host) == s.host
}

// describe answers with the metadata (RFC 9728 §2). They are the same for
// everybody, and pages of all origins may read them.
func (g *Gate) describe(w http.ResponseWriter, r *http.Request) {
	scopes := []string{}
	if p := g.policy(); p != nil {
		for _, scope := range p.Scopes() {
			if !scope.Hidden {
				scopes = append(scopes, scope.Name)
			}
		}
	}
	body, err := json.Marshal(struct {
		Resource string   `json:"resource"`
		Servers  []string `json:"authorization_servers"`
		Scopes   []string `json:"scopes_supported"`
		Methods  []string `json:"bearer_methods_supported"`
	}{g.resource.URL, []string{g.resource.Issuer}, scopes, []string{"header"}})
	if err != nil {
		panic(err) // strings can always be encoded
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h.Set("Cache-Control", "public, max-age=300")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Access-Control-Allow-Origin", "*")
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may have gone; nobody is left to tell
	}
}
