package token

import (
	"crypto/sha256"
	"strings"
)

// derivedTime is how much of a derived id is of its seed: the digits that say when.
const derivedTime = 8

// DeriveID makes an id out of another one that was made for this only, and of whose
// it is. The same seed of the same party always makes the same id: who sends a
// form twice can have what it makes only once. It is false for a seed that is
// no id.
func DeriveID(seed string, whose ...string) (string, bool) {
	if len(seed) != base62Width128 || strings.Trim(seed, base62) != "" {
		return "", false
	}
	sum := sha256.Sum256([]byte("id from " + seed + " " + strings.Join(whose, " ")))
	id := []byte(seed[:derivedTime])
	for k := range base62Width128 - derivedTime {
		id = append(id, base62[int(sum[k])%len(base62)])
	}
	return string(id), true
}
