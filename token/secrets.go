package token

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"
)

// ErrBusy is for checks that would have to wait too long. Callers answer 429
// with Retry-After.
var ErrBusy = errors.New("too many secrets are being checked")

const (
	argonAtOnce   = 2 // computations at a time in the process: each takes a core and megabytes
	argonPatience = time.Second
	maxRemembered = 4096 // hashes whose secret was given rightly
)

// argonSlots belongs to the process and not to one Secrets: environments and
// reloads share the machine.
var argonSlots = make(chan struct{}, argonAtOnce)

// Secrets verifies secrets against what is kept of them. It is safe for
// concurrent use. No error of it holds a secret or a hash.
//
// Every failure costs one argon2id computation, be the secret wrong, the client
// unknown or its secret of the kind that is quick to check, so that the time
// does not tell which it was. (Hashes with costs of their own take their own
// time: prefer HashPassword's.)
type Secrets struct {
	keyring *Keyring
	proofs  *macKey // key of this process: what is remembered dies with it
	dummy   *argonHash

	flights singleflight.Group
	slots   chan struct{}
	compute func(h *argonHash, secret string) []byte

	mu         sync.Mutex
	remembered map[string][sha256.Size]byte // encoded hash → proof of the secret that fits it
}

// NewSecrets returns a Secrets that remembers nothing.
func NewSecrets(k *Keyring) *Secrets {
	random := make([]byte, sha256.Size+argonSaltSize)
	rand.Read(random)
	return &Secrets{
		keyring: k,
		proofs:  newMACKey(random[:sha256.Size]),
		dummy: &argonHash{
			memory: argonMemory, passes: argonPasses, lanes: argonLanes,
			salt: random[sha256.Size:], sum: make([]byte, argonHashSize),
		},
		slots:      argonSlots,
		compute:    (*argonHash).compute,
		remembered: make(map[string][sha256.Size]byte),
	}
}

// HashSecret hashes a secret that we generated, as $hmac-sha256$<key id>$<hash>.
// With 160 random bits in it there is nothing to guess, so the hash can be quick.
func (k *Keyring) HashSecret(secret string) string {
	set := k.current()
	sum := set.secret.sum(secret)
	return hmacPrefix + set.keyID + "$" + base64.RawURLEncoding.EncodeToString(sum[:])
}

// NoSecret stands for the hash of a client or principal that has none or does
// not exist: nothing fits it. Verify treats checks of the same id alike, as it
// does with those of the same hash.
func NoSecret(id string) string { return noSecretPrefix + id }

const noSecretPrefix = "$none$"

// Verify reports whether presented is the secret that encoded was made from
// (HashPassword, HashSecret). An empty encoded and NoSecret fit nothing.
//
// It fails with ErrBusy if no computation could begin within a second, with the
// context's error if the caller went away, and with others if encoded cannot be
// read.
func (s *Secrets) Verify(ctx context.Context, encoded, presented string) (bool, error) {
	if len(presented) > maxSecretLength {
		return false, nil
	}
	switch {
	case strings.HasPrefix(encoded, argonPrefix):
		proof := s.proof(encoded, presented)
		if s.recalls(encoded, proof) {
			return true, nil
		}
		h, err := parseArgon(encoded)
		if err != nil {
			return false, fmt.Errorf("check secret: %w", err)
		}
		return s.share(ctx, proof, func() (bool, error) {
			fits, err := s.fits(h, presented)
			if fits {
				s.remember(encoded, proof)
			}
			return fits, err
		})
	case strings.HasPrefix(encoded, hmacPrefix):
		fits, err := s.keyring.fitsSecret(encoded, presented)
		if err != nil {
			return false, fmt.Errorf("check secret: %w", err)
		}
		if fits {
			return true, nil
		}
	case encoded != "" && !strings.HasPrefix(encoded, noSecretPrefix):
		return false, errors.New("check secret: the stored hash is of no kind that is known")
	}
	return s.share(ctx, s.proof(encoded, presented), func() (bool, error) {
		_, err := s.fits(s.dummy, presented)
		return false, err
	})
}

// VerifyEither is Verify for who may have two secrets for a while: it also reports
// whether the one that fits is the old one. Old is a hash as HashSecret makes them;
// anything else is no second secret.
//
// Whether there is one can't be told from outside: what is presented is held against
// an old hash in any case, and a failure costs the one computation that it always
// costs.
func (s *Secrets) VerifyEither(ctx context.Context, encoded, old, presented string) (fits, byOld bool, err error) {
	if len(presented) > maxSecretLength {
		return false, false, nil
	}
	there := strings.HasPrefix(old, hmacPrefix)
	if !there {
		old = s.keyring.noOldSecret()
	}
	fitsOld, err := s.keyring.fitsSecret(old, presented)
	if err != nil {
		return false, false, fmt.Errorf("check secret: %w", err)
	}
	if fitsOld && there {
		return true, true, nil
	}
	fits, err = s.Verify(ctx, encoded, presented)
	return fits, false, err
}

// noOldSecret is a hash that nothing is known to fit.
func (k *Keyring) noOldSecret() string {
	return hmacPrefix + k.current().keyID + "$" + base64.RawURLEncoding.EncodeToString(make([]byte, sha256.Size))
}

// fitsSecret holds a secret against what HashSecret made of one, with whichever
// root key that was. If that was forgotten, nothing fits.
func (k *Keyring) fitsSecret(encoded, presented string) (bool, error) {
	keyID, sum, err := parseHMAC(encoded)
	if err != nil {
		return false, err
	}
	set := k.find(keyID)
	if set == nil {
		return false, nil
	}
	want := set.secret.sum(presented)
	return subtle.ConstantTimeCompare(want[:], sum) == 1, nil
}

// SecretKeyID names the subkeys that made a hash (HashSecret). It is empty for
// hashes that need none of them.
func SecretKeyID(encoded string) string {
	if !strings.HasPrefix(encoded, hmacPrefix) {
		return ""
	}
	keyID, _, err := parseHMAC(encoded)
	if err != nil {
		return ""
	}
	return keyID
}

// share lets simultaneous checks of the same pair wait for one computation. It
// serves all of them, so none of them can cancel it; it is over soon anyway.
func (s *Secrets) share(ctx context.Context, pair [sha256.Size]byte, check func() (bool, error)) (bool, error) {
	done := s.flights.DoChan(string(pair[:]), func() (any, error) { return check() })
	select {
	case result := <-done:
		fits, _ := result.Val.(bool) // false beside an error
		return fits, result.Err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// fits computes a hash when it is its turn.
func (s *Secrets) fits(h *argonHash, presented string) (bool, error) {
	if err := s.enter(context.Background()); err != nil {
		return false, err
	}
	defer s.leave()
	return subtle.ConstantTimeCompare(s.compute(h, presented), h.sum) == 1, nil
}

// enter waits until a hash may be computed, for a second at most; leave ends that.
func (s *Secrets) enter(ctx context.Context) error {
	patience := time.NewTimer(argonPatience)
	defer patience.Stop()
	select {
	case s.slots <- struct{}{}:
		return nil
	case <-patience.C:
		return ErrBusy
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *Secrets) leave() { <-s.slots }

// proof is what stands for a pair in memory.
func (s *Secrets) proof(encoded, presented string) [sha256.Size]byte {
	return s.proofs.sum(strconv.Itoa(len(encoded)), "\x00", encoded, presented)
}

func (s *Secrets) recalls(encoded string, proof [sha256.Size]byte) bool {
	s.mu.Lock()
	known, ok := s.remembered[encoded]
	s.mu.Unlock()
	return ok && subtle.ConstantTimeCompare(known[:], proof[:]) == 1
}

// remember keeps a success under the hash that it belongs to: when the secret
// is changed, so is the hash, and nothing needs to be forgotten.
func (s *Secrets) remember(encoded string, proof [sha256.Size]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for old := range s.remembered {
		if len(s.remembered) < maxRemembered {
			break
		}
		delete(s.remembered, old) // whichever: it costs one computation
	}
	s.remembered[strings.Clone(encoded)] = proof
}

// parseHMAC reads exactly what HashSecret writes.
func parseHMAC(encoded string) (keyID string, sum []byte, err error) {
	part := strings.Split(encoded, "$")
	if len(part) != 4 || part[0] != "" || "$"+part[1]+"$" != hmacPrefix {
		return "", nil, errors.New("hash is not of the form $hmac-sha256$key$hash")
	}
	if len(part[2]) != keyIDLen || !isBase62(part[2]) {
		return "", nil, fmt.Errorf("key id of the hash has not %d letters and digits", keyIDLen)
	}
	sum, ok := decodeCanonical(base64.RawURLEncoding, part[3])
	if !ok || len(sum) != sha256.Size {
		return "", nil, fmt.Errorf("hash is not base64url of %d bytes", sha256.Size)
	}
	return part[2], sum, nil
}
