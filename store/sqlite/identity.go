package sqlite

import (
	"crypto/rand"
	"encoding/hex"
)

// identify returns the database's random 128-bit name, drawn when it is opened
// for the first time: a database that was replaced is recognised by it.
func identify(s *session) (string, error) {
	var drawn [16]byte
	_, _ = rand.Read(drawn[:]) // never fails
	_, err := s.exec(`INSERT INTO meta (key, value) VALUES ('identity', ?) ON CONFLICT DO NOTHING`, hex.EncodeToString(drawn[:]))
	if err != nil {
		return "", err
	}
	return reader{s}.Meta("identity")
}
