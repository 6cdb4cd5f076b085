package token

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"math/big"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

const (
	testIssuer   = "https://id.example.test"
	testAudience = "https://api.example.test"
)

func expected() Expect {
	return Expect{Issuer: testIssuer, Audience: testAudience, MaxLifetime: 1095 * time.Second, Now: instant}
}

func goodClaims() Claims {
	return Claims{
		Issuer: testIssuer, Subject: "alice", Audience: []string{testAudience},
		Expires: instant.Add(1095 * time.Second), IssuedAt: instant,
		ID: "jti-1", ClientID: "demo-client", Grant: "grant-1",
		Scopes: []string{"trade", "accounts:read"}, Accounts: []string{"1001", "1002"},
		Epoch: 7, Rights: 9,
	}
}

// forger signs whatever it is told to, with a key that SigningKeys trust.
type forger struct {
	keys *SigningKeys
	kid  string
}

func newForger(tb testing.TB) *forger {
	tb.Helper()
	record, err := GenerateSigningKey(fixedKeyring(), ES256, instant)
	if err != nil {
		tb.Fatal(err)
	}
	keys, err := OpenSigningKeys(fixedKeyring(), []store.SigningKey{record}, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return &forger{keys, record.ID}
}

func b64(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }

func (f *forger) header() string { return `{"alg":"ES256","typ":"at+jwt","kid":"` + f.kid + `"}` }

// signParts signs two parts as they are.
func (f *forger) signParts(header, payload string) string {
	key := f.keys.byID[f.kid]
	input := header + "." + payload
	signature, err := key.method.Sign(input, key.private)
	if err != nil {
		panic(err)
	}
	return input + "." + b64(string(signature))
}

func (f *forger) sign(header, payload string) string { return f.signParts(b64(header), b64(payload)) }

func (f *forger) good(tb testing.TB) string {
	tb.Helper()
	raw, kid, err := f.keys.Sign(goodClaims(), instant)
	if err != nil || kid != f.kid {
		tb.Fatal(kid, err)
	}
	return raw
}

func TestSignedTokenVerifies(t *testing.T) {
	f := newForger(t)
	got, kid, err := f.keys.Verify(f.good(t), expected())
	if err != nil || kid != f.kid {
		t.Fatal(kid, err)
	}
	want := goodClaims()
	got.Expires, got.IssuedAt = got.Expires.UTC(), got.IssuedAt.UTC()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestVerifyRefusesTheHeader(t *testing.T) {
	f := newForger(t)
	good := payload()
	kid := `"kid":"` + f.kid + `"`
	deep := strings.Repeat("[", 300) + strings.Repeat("]", 300)
	for name, tc := range map[string]struct {
		header string
		want   Reason
	}{
		"alg none":                 {`{"alg":"none","typ":"at+jwt",` + kid + `}`, ReasonAlgorithm},
		"alg None":                 {`{"alg":"None","typ":"at+jwt",` + kid + `}`, ReasonAlgorithm},
		"alg NONE":                 {`{"alg":"NONE","typ":"at+jwt",` + kid + `}`, ReasonAlgorithm},
		"alg nOnE":                 {`{"alg":"nOnE","typ":"at+jwt",` + kid + `}`, ReasonAlgorithm},
		"alg empty":                {`{"alg":"","typ":"at+jwt",` + kid + `}`, ReasonAlgorithm},
		"alg missing":              {`{"typ":"at+jwt",` + kid + `}`, ReasonAlgorithm},
		"alg in lower case":        {`{"alg":"es256","typ":"at+jwt",` + kid + `}`, ReasonAlgorithm},
		"alg ES384":                {`{"alg":"ES384","typ":"at+jwt",` + kid + `}`, ReasonAlgorithm},
		"alg null":                 {`{"alg":null,"typ":"at+jwt",` + kid + `}`, ReasonMalformed},
		"alg array":                {`{"alg":["ES256"],"typ":"at+jwt",` + kid + `}`, ReasonMalformed},
		"alg twice":                {`{"alg":"ES256","alg":"none","typ":"at+jwt",` + kid + `}`, ReasonMalformed},
		"alg twice, one escaped":   {`{"alg":"none","\u0061lg":"ES256","typ":"at+jwt",` + kid + `}`, ReasonMalformed},
		"Alg beside alg":           {`{"alg":"ES256","Alg":"none","typ":"at+jwt",` + kid + `}`, ReasonMalformed},
		"ALG alone":                {`{"ALG":"ES256","typ":"at+jwt",` + kid + `}`, ReasonMalformed},
		"Kelvin sign for k in kid": {`{"alg":"ES256","typ":"at+jwt","` + "\u212a" + `id":"x",` + kid + `}`, ReasonMalformed},
		"typ missing":              {`{"alg":"ES256",` + kid + `}`, ReasonType},
		"typ empty":                {`{"alg":"ES256","typ":"",` + kid + `}`, ReasonType},
		"typ JWT (ID token)":       {`{"alg":"ES256","typ":"JWT",` + kid + `}`, ReasonType},
		"typ of a DPoP proof":      {`{"alg":"ES256","typ":"dpop+jwt",` + kid + `}`, ReasonType},
		"typ of a logout token":    {`{"alg":"ES256","typ":"logout+jwt",` + kid + `}`, ReasonType},
		"typ with a blank":         {`{"alg":"ES256","typ":"at+jwt ",` + kid + `}`, ReasonType},
		"typ of another tree":      {`{"alg":"ES256","typ":"text/at+jwt",` + kid + `}`, ReasonType},
		"typ number":               {`{"alg":"ES256","typ":1,` + kid + `}`, ReasonMalformed},
		"kid missing":              {`{"alg":"ES256","typ":"at+jwt"}`, ReasonUnknownKey},
		"kid empty":                {`{"alg":"ES256","typ":"at+jwt","kid":""}`, ReasonUnknownKey},
		"kid unknown":              {`{"alg":"ES256","typ":"at+jwt","kid":"other"}`, ReasonUnknownKey},
		"kid traversal":            {`{"alg":"ES256","typ":"at+jwt","kid":"../../dev/null"}`, ReasonUnknownKey},
		"kid injection":            {`{"alg":"ES256","typ":"at+jwt","kid":"x' UNION SELECT 'key"}`, ReasonUnknownKey},
		"kid of other case":        {`{"alg":"ES256","typ":"at+jwt","kid":"` + swapCase(f.kid) + `"}`, ReasonUnknownKey},
		"kid with NUL behind":      {`{"alg":"ES256","typ":"at+jwt","kid":"` + f.kid + `\u0000"}`, ReasonUnknownKey},
		"kid number":               {`{"alg":"ES256","typ":"at+jwt","kid":1}`, ReasonMalformed},
		"crit":                     {`{"alg":"ES256","typ":"at+jwt",` + kid + `,"crit":["exp"]}`, ReasonHeader},
		"crit empty":               {`{"alg":"ES256","typ":"at+jwt",` + kid + `,"crit":[]}`, ReasonHeader},
		"CRIT":                     {`{"alg":"ES256","typ":"at+jwt",` + kid + `,"CRIT":["exp"]}`, ReasonMalformed},
		"b64 false":                {`{"alg":"ES256","typ":"at+jwt",` + kid + `,"b64":false}`, ReasonHeader},
		"b64 true":                 {`{"alg":"ES256","typ":"at+jwt",` + kid + `,"b64":true}`, ReasonHeader},
		"jku":                      {`{"alg":"ES256","typ":"at+jwt",` + kid + `,"jku":"https://evil.test/jwks"}`, ReasonHeader},
		"jwk":                      {`{"alg":"ES256","typ":"at+jwt",` + kid + `,"jwk":{"kty":"EC"}}`, ReasonHeader},
		"x5u":                      {`{"alg":"ES256","typ":"at+jwt",` + kid + `,"x5u":"https://evil.test"}`, ReasonHeader},
		"x5c":                      {`{"alg":"ES256","typ":"at+jwt",` + kid + `,"x5c":["AA"]}`, ReasonHeader},
		"x5t":                      {`{"alg":"ES256","typ":"at+jwt",` + kid + `,"x5t":"AA"}`, ReasonHeader},
		"x5t#S256":                 {`{"alg":"ES256","typ":"at+jwt",` + kid + `,"x5t#S256":"AA"}`, ReasonHeader},
		"zip":                      {`{"alg":"ES256","typ":"at+jwt",` + kid + `,"zip":"DEF"}`, ReasonHeader},
		"enc":                      {`{"alg":"ES256","typ":"at+jwt",` + kid + `,"enc":"A256GCM"}`, ReasonHeader},
		"cty":                      {`{"alg":"ES256","typ":"at+jwt",` + kid + `,"cty":"JWT"}`, ReasonHeader},
		"empty":                    {``, ReasonMalformed},
		"array":                    {`["alg"]`, ReasonMalformed},
		"string":                   {`"alg"`, ReasonMalformed},
		"null":                     {`null`, ReasonMalformed},
		"two objects":              {f.header() + `{}`, ReasonMalformed},
		"NUL behind":               {f.header() + "\x00", ReasonMalformed},
		"byte order mark":          {"\ufeff" + f.header(), ReasonMalformed},
		"truncated":                {f.header()[:20], ReasonMalformed},
		"invalid UTF-8":            {`{"alg":"ES256","typ":"at+jwt",` + kid + `,"x":"` + "\xff" + `"}`, ReasonMalformed},
		"nesting bomb":             {`{"alg":"ES256","typ":"at+jwt",` + kid + `,"x":` + deep + `}`, ReasonMalformed},
		"long enough to cost":      {`{"alg":"ES256","typ":"at+jwt",` + kid + `,"x":"` + strings.Repeat("A", maxHeader) + `"}`, ReasonSize},
		"duplicate deep inside":    {`{"alg":"ES256","typ":"at+jwt",` + kid + `,"x":{"a":1,"a":2}}`, ReasonMalformed},
	} {
		t.Run(name, func(t *testing.T) { refusal(t, f, f.sign(tc.header, good), tc.want, false) })
	}
}

func swapCase(s string) string {
	if upper := strings.ToUpper(s); upper != s {
		return upper
	}
	return strings.ToLower(s)
}

// refusal checks that a token is refused for a reason, and says no more than it
// may.
func refusal(t *testing.T, f *forger, raw string, want Reason, proven bool) {
	t.Helper()
	claims, kid, err := f.keys.Verify(raw, expected())
	var invalid *Invalid
	if !errors.As(err, &invalid) {
		t.Fatalf("got %+v, %v", claims, err)
	}
	if invalid.Reason != want || invalid.Proven != proven {
		t.Errorf("%v (proven %v), want %s (proven %v)", invalid, invalid.Proven, want, proven)
	}
	if kid != "" || !reflect.DeepEqual(claims, Claims{}) {
		t.Errorf("refused, but says %q, %+v", kid, claims)
	}
	for _, part := range strings.Split(raw, ".") {
		if len(part) > 8 && strings.Contains(err.Error(), part) {
			t.Errorf("the error holds a part of the token: %v", err)
		}
	}
}

func TestVerifyAcceptsTypesOfRFC9068(t *testing.T) {
	f := newForger(t)
	for _, typ := range []string{"at+jwt", "AT+JWT", "At+Jwt", "application/at+jwt", "APPLICATION/at+JWT"} {
		header := `{"typ":"` + typ + `","kid":"` + f.kid + `","alg":"ES256","harmless":{"a":[1,{"b":null}]}}`
		if _, _, err := f.keys.Verify(f.sign(header, payload()), expected()); err != nil {
			t.Errorf("typ %s: %v", typ, err)
		}
	}
}

func TestVerifyRefusesTheForm(t *testing.T) {
	f := newForger(t)
	raw := f.good(t)
	part := strings.Split(raw, ".")
	for name, tc := range map[string]struct {
		raw  string
		want Reason
	}{
		"empty":                      {"", ReasonMalformed},
		"one part":                   {part[0], ReasonMalformed},
		"two parts":                  {part[0] + "." + part[1], ReasonMalformed},
		"four parts":                 {raw + ".AA", ReasonMalformed},
		"five parts (JWE)":           {raw + ".AA.AA", ReasonMalformed},
		"dots alone":                 {"..", ReasonMalformed},
		"a megabyte":                 {strings.Repeat("A", 1<<20), ReasonSize},
		"a megabyte of dots":         {strings.Repeat(".", 1<<20), ReasonSize},
		"one byte too long":          {raw + strings.Repeat("A", maxSigned+1-len(raw)), ReasonSize},
		"empty header":               {"." + part[1] + "." + part[2], ReasonMalformed},
		"padded header":              {part[0] + "=." + part[1] + "." + part[2], ReasonMalformed},
		"padded signature":           {raw + "==", ReasonMalformed},
		"blank behind":               {raw + " ", ReasonMalformed},
		"line end behind":            {raw + "\n", ReasonMalformed},
		"CRLF in the signature":      {raw[:len(raw)-4] + "\r\n" + raw[len(raw)-4:], ReasonMalformed},
		"CRLF in the header":         {raw[:4] + "\r\n" + raw[4:], ReasonMalformed},
		"NUL in the header":          {raw[:4] + "\x00" + raw[4:], ReasonMalformed},
		"NUL behind":                 {raw + "\x00", ReasonMalformed},
		"standard alphabet":          {part[0] + "." + part[1] + ".+/" + part[2][2:], ReasonMalformed},
		"trailing bits in signature": {flipTrailingBits(raw), ReasonMalformed},
		"empty signature":            {part[0] + "." + part[1] + ".", ReasonSignature},
		"payload without one":        {part[0] + ".." + part[2], ReasonSignature},
		"payload with CRLF":          {part[0] + "." + part[1][:4] + "\r\n" + part[1][4:] + "." + part[2], ReasonSignature},
	} {
		t.Run(name, func(t *testing.T) { refusal(t, f, tc.raw, tc.want, false) })
	}
}

// flipTrailingBits changes bits of the last character that stand for no byte.
func flipTrailingBits(raw string) string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	last := len(raw) - 1
	return raw[:last] + string(alphabet[strings.IndexByte(alphabet, raw[last])^1])
}

// These are signed as they are: whoever can sign still cannot spell freely.
func TestVerifyRefusesOtherSpellingsOfThePayload(t *testing.T) {
	f := newForger(t)
	good := payload()
	for len(good)%3 != 1 {
		good += " " // so that four bits are left over
	}
	header := b64(f.header())
	for name, encoded := range map[string]string{
		"padding":       b64(good) + "==",
		"CRLF":          b64(good)[:8] + "\r\n" + b64(good)[8:],
		"line end":      b64(good) + "\n",
		"trailing bits": flipTrailingBits(b64(good)),
		"empty":         "",
		"blank":         " " + b64(good),
	} {
		t.Run(name, func(t *testing.T) { refusal(t, f, f.signParts(header, encoded), ReasonMalformed, true) })
	}
}

func TestVerifyRefusesTheSignature(t *testing.T) {
	f := newForger(t)
	raw := f.good(t)
	end := strings.LastIndexByte(raw, '.') + 1
	input := raw[:end-1]
	signature, err := base64.RawURLEncoding.DecodeString(raw[end:])
	if err != nil {
		t.Fatal(err)
	}
	order := elliptic.P256().Params().N.FillBytes(make([]byte, 32))
	one := append(make([]byte, 31), 1)
	zero := make([]byte, 32)
	r, s := signature[:32], signature[32:]
	key := f.keys.byID[f.kid].private.(*ecdsa.PrivateKey)
	digest := sha256.Sum256([]byte(input))
	der, err := ecdsa.SignASN1(rand.Reader, key, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	r2, s2, err := ecdsa.Sign(rand.Reader, other, digest[:])
	if err != nil {
		t.Fatal(err)
	}
	join := func(r, s []byte) []byte { return append(append([]byte{}, r...), s...) }
	for name, forged := range map[string][]byte{
		"all zero (CVE-2022-21449)": make([]byte, 64),
		"r zero":                    join(zero, s),
		"s zero":                    join(r, zero),
		"r = n":                     join(order, s),
		"s = n":                     join(r, order),
		"r = s = n":                 join(order, order),
		"r = s = 1":                 join(one, one),
		"swapped":                   join(s, r),
		"63 bytes":                  signature[:63],
		"65 bytes":                  append(signature[:64:64], 0),
		"leading zero":              append([]byte{0}, signature...),
		"128 bytes":                 join(signature, signature),
		"DER":                       der,
		"another key's":             join(r2.FillBytes(make([]byte, 32)), s2.FillBytes(make([]byte, 32))),
		"one byte":                  {1},
	} {
		t.Run(name, func(t *testing.T) { refusal(t, f, input+"."+b64(string(forged)), ReasonSignature, false) })
	}
	for bit := range 8 * len(signature) {
		changed := append([]byte{}, signature...)
		changed[bit/8] ^= 1 << (bit % 8)
		if _, _, err := f.keys.Verify(input+"."+b64(string(changed)), expected()); err == nil {
			t.Fatalf("accepted with bit %d changed", bit)
		}
	}
}

func TestVerifyRefusesAChangedPayload(t *testing.T) {
	f := newForger(t)
	part := strings.Split(f.good(t), ".")
	changed := b64(payload("sub", `"mallory"`))
	refusal(t, f, part[0]+"."+changed+"."+part[2], ReasonSignature, false)
}

func TestVerifyRefusesHMACWithThePublicKey(t *testing.T) {
	f := newForger(t)
	der, err := x509.MarshalPKIXPublicKey(f.keys.byID[f.kid].private.Public())
	if err != nil {
		t.Fatal(err)
	}
	for name, secret := range map[string][]byte{
		"DER":  der,
		"PEM":  pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}),
		"JWKS": f.keys.JWKS(),
	} {
		for alg, want := range map[string]Reason{"HS256": ReasonAlgorithm, "ES256": ReasonSignature} {
			header := `{"alg":"` + alg + `","typ":"at+jwt","kid":"` + f.kid + `"}`
			input := b64(header) + "." + b64(payload())
			mac := hmac.New(sha256.New, secret)
			mac.Write([]byte(input))
			t.Run(alg+" "+name, func(t *testing.T) { refusal(t, f, input+"."+b64(string(mac.Sum(nil))), want, false) })
		}
	}
}

// An ECDSA signature (r, s) has a twin (r, n−s), so one token has two texts.
// Both are good, and both carry the id that a revocation names.
func TestTwinSignatureHasTheSameID(t *testing.T) {
	f := newForger(t)
	raw := f.good(t)
	end := strings.LastIndexByte(raw, '.') + 1
	signature, err := base64.RawURLEncoding.DecodeString(raw[end:])
	if err != nil {
		t.Fatal(err)
	}
	s := new(big.Int).SetBytes(signature[32:])
	s.Sub(elliptic.P256().Params().N, s).FillBytes(signature[32:])
	twin := raw[:end] + b64(string(signature))
	if twin == raw {
		t.Fatal("no twin")
	}
	got, _, err := f.keys.Verify(twin, expected())
	if err != nil || got.ID != goodClaims().ID || got.Grant != goodClaims().Grant {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestVerifyRefusesTheClaims(t *testing.T) {
	f := newForger(t)
	at := func(d time.Duration) string { return seconds(instant.Add(d)) }
	for name, tc := range map[string]struct {
		payload string
		want    Reason
	}{
		"another issuer":           {payload("iss", `"https://evil.test"`), ReasonIssuer},
		"issuer with a slash":      {payload("iss", `"`+testIssuer+`/"`), ReasonIssuer},
		"issuer in upper case":     {payload("iss", `"`+strings.ToUpper(testIssuer)+`"`), ReasonIssuer},
		"another audience":         {payload("aud", `"https://other.test"`), ReasonAudience},
		"audience as a prefix":     {payload("aud", `"`+testAudience+`.evil.test"`), ReasonAudience},
		"audiences without us":     {payload("aud", `["a","b"]`), ReasonAudience},
		"expired this instant":     {payload("iat", at(-time.Minute), "exp", at(0)), ReasonExpired},
		"expired a second ago":     {payload("iat", at(-time.Minute), "exp", at(-time.Second)), ReasonExpired},
		"expired in 1970":          {payload("exp", `0`), ReasonExpired},
		"nbf 11 s ahead":           {payload("nbf", at(11*time.Second)), ReasonNotYetValid},
		"iat 11 s ahead":           {payload("iat", at(11*time.Second)), ReasonNotYetValid},
		"lives a second too long":  {payload("exp", at(1096*time.Second)), ReasonLifetime},
		"lives for ever":           {payload("exp", `253402300799`), ReasonLifetime},
		"issued long ago":          {payload("iat", `1`), ReasonLifetime},
		"bound by DPoP":            {payload("cnf", `{"jkt":"x"}`), ReasonConfirmation},
		"bound by a certificate":   {payload("cnf", `{"x5t#S256":"x"}`), ReasonConfirmation},
		"cnf null":                 {payload("cnf", `null`), ReasonConfirmation},
		"malformed although ours":  {payload("exp", `1e`), ReasonMalformed},
		"a claim of another type":  {payload("sub", `1`), ReasonClaim},
		"not an object":            {`[]`, ReasonMalformed},
		"an ID token's claims":     {payload("grant", ``, "client_id", ``), ReasonClaim},
		"lower nbf, iat too early": {payload("nbf", at(-time.Hour), "iat", at(-time.Hour)), ReasonLifetime},
	} {
		t.Run(name, func(t *testing.T) { refusal(t, f, f.sign(f.header(), tc.payload), tc.want, true) })
	}
}

func TestVerifyAcceptsTheClaims(t *testing.T) {
	f := newForger(t)
	at := func(d time.Duration) string { return seconds(instant.Add(d)) }
	for name, payload := range map[string]string{
		"one audience of several":   payload("aud", `["other","`+testAudience+`"]`),
		"audience as an array":      payload("aud", `["`+testAudience+`"]`),
		"expires in a second":       payload("exp", at(time.Second)),
		"expires in half a second":  payload("exp", at(0)+".5"),
		"nbf 9 s ahead":             payload("nbf", at(9*time.Second)),
		"nbf 10 s ahead":            payload("nbf", at(10*time.Second)),
		"iat 9 s ahead":             payload("iat", at(9*time.Second)),
		"longest life":              payload("exp", at(1095*time.Second)),
		"unknown members":           payload("name", `{"deep":[1,2,{"x":null}]}`, "roles", `["a"]`),
		"exp in scientific writing": payload("exp", "0."+at(time.Minute)+"e10"),
	} {
		t.Run(name, func(t *testing.T) {
			if _, _, err := f.keys.Verify(f.sign(f.header(), payload), expected()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestSignRefuses(t *testing.T) {
	f := newForger(t)
	for name, change := range map[string]func(*Claims){
		"no subject":        func(c *Claims) { c.Subject = "" },
		"no issuer":         func(c *Claims) { c.Issuer = "" },
		"no audience":       func(c *Claims) { c.Audience = nil },
		"no id":             func(c *Claims) { c.ID = "" },
		"no grant":          func(c *Claims) { c.Grant = "" },
		"no client":         func(c *Claims) { c.ClientID = "" },
		"no expiry":         func(c *Claims) { c.Expires = time.Time{} },
		"no issue":          func(c *Claims) { c.IssuedAt = time.Time{} },
		"expired when born": func(c *Claims) { c.Expires = c.IssuedAt },
		"too many accounts": func(c *Claims) { c.Accounts = strings.Split(strings.Repeat("1001 ", 2000), " ") },
		"invalid UTF-8":     func(c *Claims) { c.Subject = "\xff" },
	} {
		claims := goodClaims()
		change(&claims)
		if raw, _, err := f.keys.Sign(claims, instant); err == nil || raw != "" {
			t.Errorf("%s: signed %q", name, raw)
		}
	}
}

func TestNewestKeySigns(t *testing.T) {
	k := fixedKeyring()
	var records []store.SigningKey
	for _, from := range []time.Duration{-2 * time.Hour, time.Hour, -time.Hour} {
		record, err := GenerateSigningKey(k, ES256, instant.Add(from))
		if err != nil {
			t.Fatal(err)
		}
		records = append(records, record)
	}
	oldest, coming, current := records[0].ID, records[1].ID, records[2].ID
	keys, err := OpenSigningKeys(k, records, nil)
	if err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]string{
		-90 * time.Minute: oldest, -time.Hour: current, 0: current, time.Hour: coming,
		-3 * time.Hour: oldest, // the clock was set back behind all of them
	} {
		raw, kid, err := keys.Sign(goodClaims(), instant.Add(after))
		if err != nil || kid != want {
			t.Errorf("after %v: %s signs, want %s, %v", after, kid, want, err)
		}
		if _, by, err := keys.Verify(raw, expected()); err != nil || by != want {
			t.Errorf("after %v: verified by %s, %v", after, by, err)
		}
	}
}

func TestKeySignsUntil(t *testing.T) {
	k := fixedKeyring()
	record, err := GenerateSigningKey(k, ES256, instant)
	if err != nil {
		t.Fatal(err)
	}
	record.SignUntil = instant.Add(time.Hour)
	keys, err := OpenSigningKeys(k, []store.SigningKey{record}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := keys.Sign(goodClaims(), instant.Add(time.Hour-1)); err != nil {
		t.Error(err)
	}
	if _, _, err := keys.Sign(goodClaims(), instant.Add(time.Hour)); err == nil {
		t.Error("signed after its time")
	}
}

func TestRetiredKeyVerifiesNothing(t *testing.T) {
	k := fixedKeyring()
	record, err := GenerateSigningKey(k, ES256, instant)
	if err != nil {
		t.Fatal(err)
	}
	before, err := OpenSigningKeys(k, []store.SigningKey{record}, nil)
	if err != nil {
		t.Fatal(err)
	}
	raw, _, err := before.Sign(goodClaims(), instant)
	if err != nil {
		t.Fatal(err)
	}
	record.Retired = instant
	after, err := OpenSigningKeys(k, []store.SigningKey{record}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := after.Verify(raw, expected()); reasonOf(t, err) != ReasonUnknownKey {
		t.Error(err)
	}
	if len(after.Algorithms()) != 0 || strings.Contains(string(after.JWKS()), record.ID) {
		t.Errorf("still published: %v, %s", after.Algorithms(), after.JWKS())
	}
}

func TestOpenSigningKeysRefuses(t *testing.T) {
	k := fixedKeyring()
	record, err := GenerateSigningKey(k, ES256, instant)
	if err != nil {
		t.Fatal(err)
	}
	wrongRoot := &RootKey{secret: hide([rootKeySize]byte{1})}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(p384)
	if err != nil {
		t.Fatal(err)
	}
	changed := func(change func(*store.SigningKey)) []store.SigningKey {
		r := record
		change(&r)
		return []store.SigningKey{r}
	}
	for name, tc := range map[string]struct {
		keyring *Keyring
		records []store.SigningKey
		want    string
	}{
		"wrong root key":       {NewKeyring(wrongRoot, store.Production), []store.SigningKey{record}, "root key"},
		"other environment":    {NewKeyring(fixedRoot(), store.Sandbox), []store.SigningKey{record}, "belongs to production"},
		"moved to another":     {NewKeyring(fixedRoot(), store.Sandbox), changed(func(r *store.SigningKey) { r.Environment = store.Sandbox }), "root key"},
		"renamed":              {k, changed(func(r *store.SigningKey) { r.ID = "other" }), "sealed"},
		"changed":              {k, changed(func(r *store.SigningKey) { r.Sealed = r.Sealed[:40] }), "sealed"},
		"other algorithm":      {k, changed(func(r *store.SigningKey) { r.Algorithm = "HS256" }), "HS256"},
		"not a key":            {k, changed(func(r *store.SigningKey) { r.Sealed = k.Seal([]byte("secret"), []byte(r.ID)) }), "PKCS"},
		"key of another curve": {k, changed(func(r *store.SigningKey) { r.Sealed = k.Seal(der, []byte(r.ID)) }), "is a key for another algorithm"},
		"twice":                {k, []store.SigningKey{record, record}, "two"},
	} {
		_, err := OpenSigningKeys(tc.keyring, tc.records, nil)
		if err == nil || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want %q", name, err, tc.want)
		}
	}
}

func TestGenerateSigningKeyRefusesOtherAlgorithms(t *testing.T) {
	for _, alg := range []string{"", "none", "HS256", "ES384", "es256", "RS512", "../ES256"} {
		if _, err := GenerateSigningKey(fixedKeyring(), alg, instant); err == nil || !strings.Contains(err.Error(), "not supported") {
			t.Errorf("%q: %v", alg, err)
		}
	}
}

// FuzzVerify: nobody but who has the key makes a token that is accepted.
func FuzzVerify(f *testing.F) {
	forge := newForger(f)
	good := forge.good(f)
	f.Add(good)
	f.Add(flipTrailingBits(good))
	f.Add(good + ".AA")
	f.Add(b64(forge.header()) + "." + b64(payload()) + ".")
	f.Add(b64(`{"alg":"none"}`) + "." + b64(payload()) + ".")
	f.Add(strings.Repeat(".", 3))
	for _, header := range attackHeaders {
		f.Add(b64(strings.ReplaceAll(header, "KID", forge.kid)) + good[strings.IndexByte(good, '.'):])
	}
	for _, raw := range []string{
		good + "=", good + "\x00", good + "." + good, good + ".", strings.Replace(good, ".", ". ", 1), strings.Replace(good, ".", ".\r\n", 1),
		good[:strings.LastIndexByte(good, '.')+1] + b64(strings.Repeat("\x00", 64)), `{"payload":"","signatures":[]}`, "urn:ietf:params:oauth:request_uri:x",
	} {
		f.Add(raw)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		claims, _, err := forge.keys.Verify(raw, expected())
		switch {
		case err != nil:
			reasonOf(t, err)
		case claims.ID != goodClaims().ID || !strings.HasPrefix(raw, good[:strings.LastIndexByte(good, '.')]):
			t.Errorf("%q was accepted", raw)
		default:
			checkAccepted(t, forge, raw)
		}
	})
}

func BenchmarkSign(b *testing.B) {
	f := newForger(b)
	claims := goodClaims()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := f.keys.Sign(claims, instant); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	f := newForger(b)
	raw, e := f.good(b), expected()
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := f.keys.Verify(raw, e); err != nil {
			b.Fatal(err)
		}
	}
}
