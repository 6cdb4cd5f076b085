package token

import (
	"errors"
	"fmt"
)

// Seal encrypts and authenticates (AES-256-GCM with a random nonce, which comes
// first). Unseal opens it with the same associated data only, which is not
// itself in the result: the id of the row, so that rows cannot be exchanged.
func (k *Keyring) Seal(plaintext, associated []byte) []byte {
	return k.current().sealed(plaintext, associated)
}

func (s *subkeys) sealed(plaintext, associated []byte) []byte {
	return s.seal().Seal(nil, nil, plaintext, associated) //nolint:gosec // the nonce is made inside: see newAEAD
}

// Unseal opens what Seal made under keyID. The errors are those of another root
// key and of data that was changed or belongs elsewhere.
func (k *Keyring) Unseal(keyID string, sealed, associated []byte) ([]byte, error) {
	set, err := k.madeWith(keyID)
	if err != nil {
		return nil, fmt.Errorf("unseal: %w", err)
	}
	plaintext, err := set.seal().Open(nil, nil, sealed, associated)
	if err != nil {
		return nil, errors.New("unseal: sealed data was changed, or sealed for something else")
	}
	return plaintext, nil
}
