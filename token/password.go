package token

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/crypto/argon2"
)

// What is kept of a secret begins with how it was made.
const (
	argonPrefix = "$argon2id$"
	hmacPrefix  = "$hmac-sha256$"
)

// Parameters of new hashes: 19 MiB, two passes, one lane (OWASP's smallest
// recommendation for argon2id; what matters more is that few run at a time).
const (
	argonMemory   = 19456 // KiB
	argonPasses   = 2
	argonLanes    = 1
	argonSaltSize = 16 // bytes
	argonHashSize = 32 // bytes
)

// The most that a configured hash may ask for, so that none can eat the machine.
const (
	argonMaxMemory  = 256 << 10 // KiB: 256 MiB
	argonMaxPasses  = 10
	argonMaxLanes   = 4
	maxEncodedHash  = 256  // characters
	maxSecretLength = 1024 // bytes of a secret that is presented or hashed
)

// argonHash is an argon2id hash with what it takes to compute it again (RFC 9106).
type argonHash struct {
	memory uint32 // KiB
	passes uint32
	lanes  uint8
	salt   []byte
	sum    []byte
}

func (h *argonHash) compute(secret string) []byte {
	return argon2.IDKey([]byte(secret), h.salt, h.passes, h.memory, h.lanes, uint32(len(h.sum)))
}

// HashPassword hashes a secret that somebody chose, as
//
//	$argon2id$v=19$m=19456,t=2,p=1$<salt>$<hash>
//
// It takes some ten milliseconds and 19 MiB. It fails if the secret is empty or
// longer than 1024 bytes.
func HashPassword(secret string) (string, error) {
	if secret == "" {
		return "", errors.New("the secret is empty")
	}
	if len(secret) > maxSecretLength {
		return "", fmt.Errorf("the secret is longer than %d bytes", maxSecretLength)
	}
	h := argonHash{
		memory: argonMemory, passes: argonPasses, lanes: argonLanes,
		salt: make([]byte, argonSaltSize), sum: make([]byte, argonHashSize),
	}
	rand.Read(h.salt)
	h.sum = h.compute(secret)
	return h.String(), nil
}

// MatchPassword reports whether encoded was made from secret by HashPassword.
// It is for checks of a configuration; callers over the network go through
// Secrets, which bounds the work. It fails if encoded cannot be read.
func MatchPassword(encoded, secret string) (bool, error) {
	h, err := parseArgon(encoded)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(h.compute(secret), h.sum) == 1, nil
}

// String writes the hash in the PHC string format.
func (h *argonHash) String() string {
	b64 := base64.RawStdEncoding
	return fmt.Sprintf("%sv=%d$m=%d,t=%d,p=%d$%s$%s", argonPrefix, argon2.Version,
		h.memory, h.passes, h.lanes, b64.EncodeToString(h.salt), b64.EncodeToString(h.sum))
}

// CheckHash reports what is wrong with the hash of a secret: whether Verify can
// use it at all, and within what a machine can bear (256 MiB, 10 passes, 4
// lanes). The error holds nothing of salt and hash.
func CheckHash(encoded string) error {
	switch {
	case len(encoded) > maxEncodedHash:
		return fmt.Errorf("hash is longer than %d characters", maxEncodedHash)
	case strings.HasPrefix(encoded, argonPrefix):
		_, err := parseArgon(encoded)
		return err
	case strings.HasPrefix(encoded, hmacPrefix):
		_, _, err := parseHMAC(encoded)
		return err
	}
	return errors.New("hash begins with neither $argon2id$ nor $hmac-sha256$")
}

// parseArgon reads exactly what String writes, within the limits.
func parseArgon(encoded string) (*argonHash, error) {
	if len(encoded) > maxEncodedHash {
		return nil, fmt.Errorf("argon2id hash is longer than %d characters", maxEncodedHash)
	}
	part := strings.Split(encoded, "$")
	if len(part) != 6 || part[0] != "" || part[1] != "argon2id" {
		return nil, errors.New("argon2id hash is not of the form $argon2id$v=19$m=…,t=…,p=…$salt$hash")
	}
	if part[2] != "v="+strconv.Itoa(argon2.Version) {
		return nil, fmt.Errorf("argon2id hash is not of version %d", argon2.Version)
	}
	h := new(argonHash)
	if err := h.parseCosts(part[3]); err != nil {
		return nil, err
	}
	var err error
	if h.salt, err = parsePHC64("salt", part[4], 8, 64); err != nil {
		return nil, err
	}
	if h.sum, err = parsePHC64("hash", part[5], 16, 64); err != nil {
		return nil, err
	}
	return h, nil
}

func (h *argonHash) parseCosts(costs string) error {
	part := strings.Split(costs, ",")
	if len(part) != 3 {
		return errors.New("argon2id parameters are not of the form m=…,t=…,p=…")
	}
	passes, err := parseCost("t", part[1], 1, argonMaxPasses)
	if err != nil {
		return err
	}
	lanes, err := parseCost("p", part[2], 1, argonMaxLanes)
	if err != nil {
		return err
	}
	memory, err := parseCost("m", part[0], 8*lanes, argonMaxMemory) // RFC 9106 §3.1: 8 KiB a lane
	if err != nil {
		return err
	}
	h.memory, h.passes, h.lanes = memory, passes, uint8(lanes)
	return nil
}

// parseCost reads name=number. There is one way to write a number.
func parseCost(name, given string, low, high uint32) (uint32, error) {
	digits, ok := strings.CutPrefix(given, name+"=")
	n, err := strconv.ParseUint(digits, 10, 32)
	if !ok || err != nil || strconv.FormatUint(n, 10) != digits {
		return 0, fmt.Errorf("argon2id parameter %s is not a number", name)
	}
	if n < uint64(low) || n > uint64(high) {
		return 0, fmt.Errorf("argon2id parameter %s is %d, want %d to %d", name, n, low, high)
	}
	return uint32(n), nil
}

// parsePHC64 reads base64 as PHC strings have it: the standard alphabet without
// padding.
func parsePHC64(name, given string, low, high int) ([]byte, error) {
	b, ok := decodeCanonical(base64.RawStdEncoding, given)
	if !ok {
		return nil, fmt.Errorf("argon2id %s is not base64 without padding", name)
	}
	if len(b) < low || len(b) > high {
		return nil, fmt.Errorf("argon2id %s has %d bytes, want %d to %d", name, len(b), low, high)
	}
	return b, nil
}
