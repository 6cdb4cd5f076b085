package issuer

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// anyOrigin lets pages of all origins read a document that is the same for
// everybody (Fetch standard, §3.2.3).
const anyOrigin = "*"

// originsLife is how long the origins of public clients are remembered: a new
// one may have to wait for so long. What is forgotten too late lets a page read
// answers that any program could have got.
const originsLife = 10 * time.Second

// origins are those of the redirect URIs of public clients: browser apps run
// there.
type origins struct {
	mu    sync.Mutex
	known map[string]bool
	until time.Time
}

// crossOrigin lets pages of public clients' origins read the answers of an endpoint,
// and answers the question that a browser asks before (Fetch standard, §3.2.2).
// Cookies don't count there, so nobody is lent what a browser has.
func (i *Issuer) crossOrigin(endpoint http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origin := r.Header.Get("Origin")
		w.Header().Set("Vary", "Origin")
		if origin == "" || !i.isPublicOrigin(r.Context(), origin) {
			endpoint.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", origin)
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			w.Header().Set("Access-Control-Allow-Methods", http.MethodPost)
			w.Header().Set("Access-Control-Allow-Headers", "Content-Type")
			w.Header().Set("Access-Control-Max-Age", "600")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		endpoint.ServeHTTP(w, r)
	})
}

// isPublicOrigin reports whether a browser app of this origin is registered. If
// that can't be found out, none is.
func (i *Issuer) isPublicOrigin(ctx context.Context, origin string) bool {
	o, now := &i.origins, i.now()
	o.mu.Lock()
	defer o.mu.Unlock()
	if !now.Before(o.until) {
		known, err := i.publicOrigins(ctx)
		if err != nil {
			return false
		}
		o.known, o.until = known, now.Add(originsLife)
	}
	return o.known[origin]
}

func (i *Issuer) publicOrigins(ctx context.Context) (map[string]bool, error) {
	known := make(map[string]bool)
	err := i.store.View(ctx, func(tx store.Reader) error {
		clients, err := tx.Clients(i.environment)
		for k := range clients {
			if !clients[k].Public || clients[k].Status != store.Active {
				continue
			}
			for _, uri := range clients[k].RedirectURIs {
				if u, err := url.Parse(uri); err == nil {
					known[webOrigin(u)] = true
				}
			}
		}
		delete(known, "")
		return err
	})
	return known, err
}
