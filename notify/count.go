package notify

import (
	"maps"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// Outcomes are those that Deliveries counts.
func Outcomes() []Outcome {
	return []Outcome{Delivered, Status, Redirected, Timeout, Unknown, Forbidden, Unreachable, Untrusted, Old}
}

// Deliveries returns how attempts to deliver went since the start, and how many
// messages were given up because they were no news any more.
func (n *Notifier) Deliveries(env store.Environment) map[Outcome]uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return maps.Clone(n.outcomes[env])
}

func (n *Notifier) count(env store.Environment, outcome Outcome) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.outcomes[env] == nil {
		n.outcomes[env] = map[Outcome]uint64{}
	}
	n.outcomes[env][outcome]++
}
