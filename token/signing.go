package token

import (
	"crypto"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-json-experiment/json"
	"github.com/golang-jwt/jwt/v5"

	"github.com/caddy-bearer/caddy-bearer/store"
)

// accessTokenType is the typ of access tokens (RFC 9068 §2.1), which keeps ID
// tokens and client assertions from passing for one.
const accessTokenType = "at+jwt"

// clockSkew is how far ahead the clock of whoever signed may be. There is none
// for exp.
const clockSkew = 10 * time.Second

// GenerateSigningKey makes a key that is published and signs from now on. The
// private half is in the record in sealed form only.
func GenerateSigningKey(k *Keyring, alg string, now time.Time) (store.SigningKey, error) {
	if err := CheckAlgorithm(alg); err != nil {
		return store.SigningKey{}, err
	}
	private, err := algorithms[alg].generate()
	if err != nil {
		return store.SigningKey{}, fmt.Errorf("make signing key: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		return store.SigningKey{}, fmt.Errorf("make signing key: %w", err)
	}
	id, set := NewID(), k.current()
	return store.SigningKey{
		Environment: k.Environment(), ID: id, Algorithm: alg,
		Sealed: set.sealed(der, []byte(id)), SealKeyID: set.keyID,
		Created: now, SignFrom: now,
	}, nil
}

// SigningKeys are the keys of an environment that are neither retired nor
// killed. They never change; a rotation opens new ones.
type SigningKeys struct {
	newestFirst []*signingKey
	byID        map[string]*signingKey
	jwks        []byte
}

// signingKey is one key with the one algorithm that it is for, which the record
// says and never a token (RFC 8725 §3.1).
type signingKey struct {
	id        string
	algorithm string
	method    jwt.SigningMethod
	private   crypto.Signer    // nil: it only verifies
	verifier  crypto.PublicKey // the public half
	public    jwk              // the same, as it is published
	header    string           // of the tokens that it signs, encoded
	from      time.Time
	until     time.Time // zero: no end
}

// OpenSigningKeys unseals the keys of the keyring's environment. Retired and
// killed ones are left out. It fails if one cannot be opened, as with another
// root key. Of a key whose private half is not in the store, file may hold it;
// otherwise that key only verifies.
func OpenSigningKeys(k *Keyring, records []store.SigningKey, file *KeyFile) (*SigningKeys, error) {
	s := &SigningKeys{byID: make(map[string]*signingKey)}
	for i := range records {
		if !usable(&records[i]) {
			continue
		}
		key, err := openSigningKey(k, &records[i], file)
		if err != nil {
			return nil, fmt.Errorf("signing key %q: %w", records[i].ID, err)
		}
		if s.byID[key.id] != nil {
			return nil, fmt.Errorf("signing key %q: there are two of that id", key.id)
		}
		s.byID[key.id] = key
		s.newestFirst = append(s.newestFirst, key)
	}
	slices.SortFunc(s.newestFirst, func(a, b *signingKey) int { return newestFirst(a.from, b.from, a.id, b.id) })
	var err error
	s.jwks, err = encodeJWKS(s.newestFirst)
	return s, err
}

func openSigningKey(k *Keyring, r *store.SigningKey, file *KeyFile) (*signingKey, error) {
	if r.Environment != k.Environment() {
		return nil, fmt.Errorf("belongs to %s and not to %s", r.Environment, k.Environment())
	}
	if err := CheckAlgorithm(r.Algorithm); err != nil {
		return nil, err
	}
	verifier, private, err := keyHalves(k, r, file)
	if err != nil {
		return nil, err
	}
	public, err := algorithms[r.Algorithm].public(verifier)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", r.Algorithm, err)
	}
	public.Use, public.Algorithm, public.KeyID = "sig", r.Algorithm, r.ID
	header, err := json.Marshal(&wireHeader{Algorithm: r.Algorithm, Type: accessTokenType, KeyID: r.ID})
	if err != nil {
		return nil, err
	}
	return &signingKey{
		id: r.ID, algorithm: r.Algorithm,
		method: algorithms[r.Algorithm].method, private: private, verifier: verifier, public: public,
		header: base64.RawURLEncoding.EncodeToString(header),
		from:   r.SignFrom, until: r.SignUntil,
	}, nil
}

// keyHalves returns the public half of a key, and the private one if it is at
// hand.
func keyHalves(k *Keyring, r *store.SigningKey, file *KeyFile) (crypto.PublicKey, crypto.Signer, error) {
	if len(r.Sealed) == 0 {
		if file != nil && file.id == r.ID {
			private := file.private()
			return private.Public(), private, nil
		}
		public, err := x509.ParsePKIXPublicKey(r.Public)
		return public, nil, err
	}
	der, err := k.Unseal(r.SealKeyID, r.Sealed, []byte(r.ID))
	if err != nil {
		return nil, nil, err
	}
	parsed, err := x509.ParsePKCS8PrivateKey(der)
	if err != nil {
		return nil, nil, errors.New("what was sealed is not a PKCS #8 key") // the parser's error might quote it
	}
	private, ok := parsed.(crypto.Signer)
	if !ok {
		return nil, nil, fmt.Errorf("%s: %w", r.Algorithm, errOtherKey)
	}
	return private.Public(), private, nil
}

// Algorithms lists what the keys sign with, for the metadata (RFC 8414 §2).
func (s *SigningKeys) Algorithms() []string {
	var algorithms []string
	for _, key := range s.newestFirst {
		algorithms = append(algorithms, key.algorithm)
	}
	slices.Sort(algorithms)
	return slices.Compact(algorithms)
}

// wireHeader is the header of what we sign.
type wireHeader struct {
	Algorithm string `json:"alg"`
	Type      string `json:"typ"`
	KeyID     string `json:"kid"`
}

// Sign makes an access token (RFC 9068) with the newest key that signs at now,
// and tells which. It fails if no key does any more, if a required claim is missing, and
// if the token would be born expired or too long for Verify.
func (s *SigningKeys) Sign(c Claims, now time.Time) (raw string, keyID string, err error) {
	key := s.signer(now)
	if key == nil {
		return "", "", errors.New("sign access token: no signing key is in use")
	}
	if missing := c.missing(); missing != "" {
		return "", "", fmt.Errorf("sign access token: %s is missing", missing)
	}
	if c.Expires.Unix() <= c.IssuedAt.Unix() {
		return "", "", errors.New("sign access token: it would be expired when issued")
	}
	payload, err := c.encode()
	if err != nil {
		return "", "", fmt.Errorf("sign access token: %w", err)
	}
	input := key.header + "." + base64.RawURLEncoding.EncodeToString(payload)
	signature, err := key.method.Sign(input, key.private)
	if err != nil {
		return "", "", fmt.Errorf("sign access token: %w", err)
	}
	raw = input + "." + base64.RawURLEncoding.EncodeToString(signature)
	if len(raw) > maxSigned {
		return "", "", fmt.Errorf("sign access token: it would have %d bytes, more than %d", len(raw), maxSigned)
	}
	return raw, key.id, nil
}

// signer is the newest key that signs at now. If none does yet, because the clock
// was set back behind the first of them, that one signs: it is published, and
// nobody could be served otherwise until the clock has caught up.
func (s *SigningKeys) signer(now time.Time) *signingKey {
	var first *signingKey
	for _, key := range s.newestFirst {
		switch {
		case key.private == nil, !key.until.IsZero() && !now.Before(key.until):
		case !key.from.After(now):
			return key
		default:
			first = key
		}
	}
	return first
}

// newestID is the id of the newest key, by which a change is noticed.
func (s *SigningKeys) newestID() string {
	if len(s.newestFirst) == 0 {
		return ""
	}
	return s.newestFirst[0].id
}

// Expect says what a token must be like.
type Expect struct {
	Issuer      string        // iss, exactly
	Audience    string        // one of aud
	MaxLifetime time.Duration // of exp − iat: the longest that is ever issued
	Now         time.Time
}

// Verify proves a signed access token (RFC 9068 §4) and returns what it says
// and which key says so. Whether it was revoked is not its business. It fails
// with *Invalid.
func (s *SigningKeys) Verify(raw string, e Expect) (Claims, string, error) {
	t, key, err := s.read(raw)
	if err != nil {
		return Claims{}, "", err
	}
	claims, err := key.verify(t, e)
	if err != nil {
		return Claims{}, "", err
	}
	return claims, key.id, nil
}

// read takes a token apart and finds the key that must have signed it.
func (s *SigningKeys) read(raw string) (*jws, *signingKey, error) {
	t, err := parseJWS(raw)
	if err != nil {
		return nil, nil, err
	}
	key, err := s.keyFor(&t.header)
	return t, key, err
}

// verify proves that the key signed the token, which is what costs.
func (k *signingKey) verify(t *jws, e Expect) (Claims, error) {
	if k.method.Verify(t.input, t.signature, k.verifier) != nil {
		return Claims{}, &Invalid{Reason: ReasonSignature}
	}
	claims, err := t.claims()
	if err == nil {
		err = e.check(&claims)
	}
	if err != nil {
		return Claims{}, proven(err)
	}
	return claims, nil
}

// proven marks a refusal as one of a token that is ours. The error may be
// shared, so a copy is marked.
func proven(err error) error {
	var invalid *Invalid
	if !errors.As(err, &invalid) {
		return err
	}
	marked := *invalid
	marked.Proven = true
	return &marked
}

// keyFor finds the key that must have signed. Its kid is compared and nothing
// else; alg decides nothing.
func (s *SigningKeys) keyFor(h *jwsHeader) (*signingKey, error) {
	if !strings.EqualFold(h.Type, accessTokenType) && !strings.EqualFold(h.Type, "application/"+accessTokenType) {
		return nil, &Invalid{Reason: ReasonType}
	}
	key := s.byID[h.KeyID]
	if key == nil {
		return nil, &Invalid{Reason: ReasonUnknownKey}
	}
	if h.Algorithm != key.algorithm {
		return nil, &Invalid{Reason: ReasonAlgorithm}
	}
	return key, nil
}

// claims reads the payload, once the signature is verified.
func (t *jws) claims() (Claims, error) {
	payload, ok := decodeCanonical(base64.RawURLEncoding, t.payload)
	if !ok {
		return Claims{}, errMalformed
	}
	return decodeClaims(payload)
}

// check holds claims against what is expected.
func (e *Expect) check(c *Claims) error {
	ahead := e.Now.Add(clockSkew)
	switch {
	case c.Issuer != e.Issuer:
		return &Invalid{Reason: ReasonIssuer, Detail: "iss is another issuer"}
	case !slices.Contains(c.Audience, e.Audience):
		return &Invalid{Reason: ReasonAudience, Detail: "aud names others only"}
	case !e.Now.Before(c.Expires): // RFC 7519 §4.1.4: on or after
		return &Invalid{Reason: ReasonExpired, Detail: "the token expired"}
	case c.NotBefore.After(ahead):
		return &Invalid{Reason: ReasonNotYetValid, Detail: "nbf lies ahead"}
	case c.IssuedAt.After(ahead):
		return &Invalid{Reason: ReasonNotYetValid, Detail: "iat lies ahead"}
	case c.Expires.Sub(c.IssuedAt) > e.MaxLifetime:
		return &Invalid{Reason: ReasonLifetime, Detail: "the token lives longer than any is issued for"}
	}
	return nil
}
