package sqlite

import (
	"crypto/rand"
	"encoding/hex"
)

// Facts about the database itself that others than this package read too.
const (
	metaIdentity   = "identity"
	metaGeneration = "generation" // see package journal
	metaLineage    = "lineage"    // see package journal
)

// identify returns the database's random 128-bit name, drawn when it is opened
// for the first time: a database that was replaced is recognised by it.
func identify(s *session) (string, error) {
	_, err := s.exec(`INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT DO NOTHING`, metaIdentity, newIdentity())
	if err != nil {
		return "", err
	}
	return reader{s}.Meta(metaIdentity)
}

func newIdentity() string {
	var drawn [16]byte
	_, _ = rand.Read(drawn[:]) // never fails
	return hex.EncodeToString(drawn[:])
}
