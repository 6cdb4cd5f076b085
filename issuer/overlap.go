package issuer

import (
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// overlaps are how long a secret or token that was replaced may stay good, by the
// value of the form's field.
var overlaps = []struct {
	value string
	life  time.Duration
}{{"none", 0}, {"hour", time.Hour}, {"day", 24 * time.Hour}, {"week", store.MaxSecretOverlap}}

// overlapOf is the one that a form names.
func overlapOf(value string) (life time.Duration, known bool) {
	for _, o := range overlaps {
		if o.value == value {
			return o.life, true
		}
	}
	return 0, false
}
