package token

import (
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// An opaque token reads
//
//	cb_<live|test>_<class>_<key id, 4><random, 27><check, 9>
//
// with the last three in base62. The prefix lets scanners find leaked ones. The
// check is an HMAC over all that comes before it: made-up tokens are turned
// away without a look-up. It is never authentication; the look-up is.
const (
	opaquePrefix = "cb_"
	randomSize   = 20 // bytes: 160 bits
	checkSize    = 6  // bytes: 48 bits
	tailLen      = keyIDLen + base62Width160 + base62Width48
)

// Classes of opaque tokens beside those of package store.
const (
	ClassCode       store.Class = "code"       // authorization code (RFC 6749 §1.3.1)
	ClassAccessCode store.Class = "accesscode" // the same of the access code exchange
	ClassSecret     store.Class = "secret"     // client secret that we generated
	ClassSession    store.Class = "session"    // cookie of a person who is signed in
)

// opaqueClasses are all classes there are. None is the beginning of another
// with its underscore, so the order does not matter.
var opaqueClasses = [...]store.Class{
	store.Refresh, store.Personal, store.SharedRefresh, store.ExchangeAccess,
	ClassCode, ClassAccessCode, ClassSecret, ClassSession,
}

// Refusals of ParseOpaque, made once: whoever floods us with made-up tokens
// makes no garbage.
var (
	errOpaqueMalformed   = &Invalid{Reason: ReasonMalformed}
	errOpaqueEnvironment = &Invalid{Reason: ReasonEnvironment}
	errOpaqueClass       = &Invalid{Reason: ReasonClass}
	errOpaqueKey         = &Invalid{Reason: ReasonUnknownKey}
	errOpaqueCheck       = &Invalid{Reason: ReasonCheck}
)

// Opaque is what an opaque token tells by itself.
type Opaque struct {
	Class store.Class
	KeyID string
	Hash  store.Hash // by which the store knows it
}

// LooksOpaque reports whether a token is to be read by ParseOpaque and by
// nothing else.
func LooksOpaque(raw string) bool { return strings.HasPrefix(raw, opaquePrefix) }

// NewOpaque makes a token of a class, and the hash by which the store will know
// it. It panics if there is no such class.
func (k *Keyring) NewOpaque(class store.Class) (raw string, hash store.Hash) {
	var random [randomSize]byte
	rand.Read(random[:])
	raw, hash, err := k.spell(k.current(), class, random[:])
	if err != nil {
		panic("token: " + err.Error())
	}
	return raw, hash
}

// NewNonce returns 16 random bytes for Successor.
func NewNonce() []byte {
	nonce := make([]byte, nonceSize)
	rand.Read(nonce)
	return nonce
}

const nonceSize = 16

// Successor derives the token that follows predecessor: the same one each time,
// so that the answer to a retry can be given again without having been stored.
// Without the predecessor and the subkey of keyID it cannot be told from a
// random one.
//
// keyID and nonce are the predecessor's, from its record. under names the
// subkeys that the successor itself is made with: the present ones when it is
// new (KeyID), those of its record when it is derived again. Errors: a key id
// that no root key gives, a nonce not of NewNonce, no such class.
func (k *Keyring) Successor(predecessor string, keyID string, nonce []byte, class store.Class, under string) (raw string, hash store.Hash, err error) {
	deriving, err := k.madeWith(keyID)
	if err != nil {
		return "", store.Hash{}, fmt.Errorf("successor: predecessor was %w", err)
	}
	spelling, err := k.madeWith(under)
	if err != nil {
		return "", store.Hash{}, fmt.Errorf("successor was %w", err)
	}
	if len(nonce) != nonceSize { // a fixed length keeps nonce and predecessor apart
		return "", store.Hash{}, fmt.Errorf("successor: nonce of %d bytes, want %d", len(nonce), nonceSize)
	}
	sum := deriving.successor.sum(string(nonce), predecessor)
	return k.spell(spelling, class, sum[:randomSize])
}

// KeyIDOf names the subkeys that an opaque token of ours was made with.
func KeyIDOf(raw string) string {
	_, rest, _ := strings.Cut(strings.TrimPrefix(raw, opaquePrefix), "_") // the environment
	if _, tail := cutClass(rest); len(tail) == tailLen {
		return strings.Clone(tail[:keyIDLen]) // and nothing of the token
	}
	return ""
}

// spell writes the token that stands for 160 bits.
func (k *Keyring) spell(set *subkeys, class store.Class, bits []byte) (string, store.Hash, error) {
	known := false
	for _, c := range opaqueClasses {
		known = known || c == class
	}
	if !known {
		return "", store.Hash{}, fmt.Errorf("no class %q of opaque tokens", string(class))
	}
	var buf [64]byte
	b := append(buf[:0], k.mark...)
	b = append(b, class...)
	b = append(b, '_')
	b = append(b, set.keyID...)
	b = appendBase62(b, bits, base62Width160)
	check := set.checkOf(string(b))
	raw := string(append(b, check[:]...))
	return raw, set.hash.sum(raw), nil
}

// checkOf returns the check characters for all that comes before them.
func (s *subkeys) checkOf(before string) (check [base62Width48]byte) {
	sum := s.check.sum(before)
	var padded [8]byte
	copy(padded[len(padded)-checkSize:], sum[:checkSize])
	appendBase62(check[:0], padded[:], base62Width48)
	return check
}

// ParseOpaque reads an opaque token of this environment. Whether it was ever
// issued is for the store to say. It fails with *Invalid.
func (k *Keyring) ParseOpaque(raw string) (Opaque, error) {
	rest, ok := strings.CutPrefix(raw, k.mark)
	if !ok {
		if strings.HasPrefix(raw, opaquePrefix+"live_") || strings.HasPrefix(raw, opaquePrefix+"test_") {
			return Opaque{}, errOpaqueEnvironment
		}
		return Opaque{}, errOpaqueMalformed
	}
	class, tail := cutClass(rest)
	switch {
	case class == "":
		return Opaque{}, errOpaqueClass
	case len(tail) != tailLen || !isBase62(tail):
		return Opaque{}, errOpaqueMalformed
	}
	set := k.find(tail[:keyIDLen])
	if set == nil {
		return Opaque{}, errOpaqueKey
	}
	before := len(raw) - base62Width48
	check := set.checkOf(raw[:before])
	var given [base62Width48]byte
	copy(given[:], raw[before:])
	if subtle.ConstantTimeCompare(check[:], given[:]) != 1 {
		return Opaque{}, errOpaqueCheck
	}
	return Opaque{Class: class, KeyID: set.keyID, Hash: set.hash.sum(raw)}, nil
}

// cutClass splits a token behind its mark. The class is one of the constants
// and holds on to nothing of the token.
func cutClass(rest string) (class store.Class, tail string) {
	for _, c := range opaqueClasses {
		if tail, ok := strings.CutPrefix(rest, string(c)); ok && strings.HasPrefix(tail, "_") {
			return c, tail[1:]
		}
	}
	return "", ""
}

// NewID returns an id for a grant, a token or a key, in 22 base62 characters: 48
// bits of time in milliseconds and 80 random ones, as in a UUID of version 7
// (RFC 9562, section 5.7). What is issued together then lies together in the
// store's tables, and a batch writes one page instead of one for each row. The
// ids are not a sequence, which would tell everyone how much we issue.
func NewID() string {
	var id [16]byte
	binary.BigEndian.PutUint64(id[:], uint64(time.Now().UnixMilli())<<16)
	rand.Read(id[6:])
	return string(appendBase62(make([]byte, 0, base62Width128), id[:], base62Width128))
}

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Characters that hold any number of so many bits.
const (
	base62Width48  = 9
	base62Width64  = 11
	base62Width128 = 22
	base62Width160 = 27
)

// appendBase62 appends a big-endian number, at most 160 bits in whole groups of
// 32, as width digits. The digits do not depend on the number's size, and
// neither does the time.
func appendBase62(dst, number []byte, width int) []byte {
	var limbs [randomSize / 4]uint32
	n := len(number) / 4
	for i := range n {
		limbs[i] = binary.BigEndian.Uint32(number[4*i:])
	}
	start := len(dst)
	for range width {
		dst = append(dst, '0')
	}
	for at := len(dst) - 1; at >= start; at-- {
		var remainder uint64
		for i := range n {
			remainder = remainder<<32 | uint64(limbs[i])
			limbs[i] = uint32(remainder / 62)
			remainder %= 62
		}
		dst[at] = base62[remainder]
	}
	return dst
}

func isBase62(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case '0' <= c && c <= '9', 'A' <= c && c <= 'Z', 'a' <= c && c <= 'z':
		default:
			return false
		}
	}
	return true
}
