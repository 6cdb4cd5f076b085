package token

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	stdjson "encoding/json"
	"encoding/pem"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// attackHeaders are the headers of the attack corpus (areas jwt-alg, jwt-kid,
// jwt-embedded-key, jwt-typ, jwt-crit, jwt-json); KID stands for a key that is
// known.
var attackHeaders = []string{
	`{"alg":"none","typ":"at+jwt","kid":"KID"}`, `{"alg":"nOnE","typ":"at+jwt","kid":"KID"}`, `{"alg":"\u0000none","typ":"at+jwt","kid":"KID"}`,
	`{"typ":"at+jwt","kid":"KID"}`, `{"alg":null,"typ":"at+jwt","kid":"KID"}`, `{"alg":"HS256","typ":"at+jwt","kid":"KID"}`, `{"alg":"ES384","typ":"at+jwt","kid":"KID"}`,
	`{"alg":"ES256","typ":"at+jwt","kid":"/dev/null"}`, `{"alg":"ES256","typ":"at+jwt","kid":"KID' OR '1'='1"}`, `{"alg":"ES256","typ":"at+jwt","kid":" KID"}`,
	`{"alg":"ES256","typ":"at+jwt","kid":["KID"]}`, `{"alg":"ES256","typ":"at+jwt","kid":"KID","jku":"https://attacker.test/jwks"}`,
	`{"alg":"ES256","typ":"at+jwt","kid":"KID","x5c":["AA"]}`, `{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"KID"}`,
	`{"alg":"ES256","typ":"at+jwt","` + "\u212a" + `id":"KID"}`, `{"alg":"ES256","typ":"JWT","kid":"KID"}`, `{"alg":"ES256","kid":"KID"}`,
	`{"alg":"ES256","typ":"logout+jwt","kid":"KID"}`, `{"alg":"ES256","typ":"application/AT+jwt","kid":"KID"}`,
	`{"alg":"ES256","typ":"at+jwt","kid":"KID","crit":["exp"]}`, `{"alg":"ES256","typ":"at+jwt","kid":"KID","b64":false}`,
	`{"alg":"ES256","typ":"at+jwt","kid":"KID","zip":"DEF"}`, `{"alg":"RSA-OAEP","enc":"A256GCM","kid":"KID"}`, `{"alg":"ES256","typ":"at+jwt","kid":"KID","x":{"alg":"none"}}`,
}

// attackPayloads are the payloads of the attack corpus (areas jwt-claims, jwt-json).
func attackPayloads() []string {
	return []string{
		payload(), `null`, payload() + "// comment", payload("exp", ""), payload("exp", `null`), payload("exp", `[]`), payload("exp", `0`), payload("exp", `1e300`),
		payload("exp", seconds(instant)+".9"), payload("exp", seconds(instant.Add(-61*time.Second))), payload("iat", seconds(instant.AddDate(-10, 0, 0))),
		payload("iss", `"http://id.example.test"`), payload("iss", `"https://id.example.test@attacker.test"`), payload("iss", `["https://id.example.test"]`), payload("iss", ""),
		payload("aud", ""), payload("aud", `["https://other.test","https://api.example.test"]`), payload("aud", `[]`), payload("aud", `[1,"https://api.example.test"]`),
		payload("aud", `{"https://api.example.test":1}`), payload("scope", ""), payload("scope", `"accounts:read\tadmin"`), payload("cnf", `{"jkt":"x"}`),
		also(payload(), `"sub":"root"`), also(payload(), `"Scope":"admin"`), also(payload(), `"x":{"y":[1,{"z":null}]}`),
	}
}

// FuzzSigned: of what a key of ours signed, only what every reader takes for a
// living access token of ours is accepted.
func FuzzSigned(f *testing.F) {
	forge := newForger(f)
	withKID := func(s string) string { return strings.ReplaceAll(s, "KID", forge.kid) }
	for _, header := range attackHeaders {
		f.Add(header, payload())
	}
	for _, claims := range attackPayloads() {
		f.Add(`{"alg":"ES256","typ":"at+jwt","kid":"KID"}`, claims)
	}
	f.Fuzz(func(t *testing.T, header, claims string) {
		header, claims = withKID(header), withKID(claims)
		raw := forge.sign(header, claims)
		if _, _, err := forge.keys.Verify(raw, expected()); err != nil {
			reasonOf(t, err)
			return
		}
		checkAccepted(t, forge, raw)
	})
}

// checkAccepted holds an accepted token against the standard library, which knows
// nothing of our parsers.
func checkAccepted(t *testing.T, forge *forger, raw string) {
	t.Helper()
	parts := strings.Split(raw, ".")
	if len(parts) != 3 || len(raw) > maxSigned {
		t.Fatalf("%q: %d parts, %d bytes", raw, len(parts), len(raw))
	}
	var decoded [3][]byte
	for i, part := range parts {
		b, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || base64.RawURLEncoding.EncodeToString(b) != part {
			t.Fatalf("part %d of %q has another spelling, %v", i, raw, err)
		}
		decoded[i] = b
	}
	key, ok := forge.keys.byID[forge.kid].verifier.(*ecdsa.PublicKey)
	if !ok || len(decoded[2]) != 64 {
		t.Fatalf("signature of %d bytes", len(decoded[2]))
	}
	digest := sha256.Sum256([]byte(parts[0] + "." + parts[1]))
	if !ecdsa.Verify(key, digest[:], new(big.Int).SetBytes(decoded[2][:32]), new(big.Int).SetBytes(decoded[2][32:])) {
		t.Errorf("%q does not verify", raw)
	}
	var header, claims map[string]any
	if stdjson.Unmarshal(decoded[0], &header) != nil || stdjson.Unmarshal(decoded[1], &claims) != nil {
		t.Fatalf("%q is no JSON to the standard library", raw)
	}
	checkAcceptedHeader(t, header, forge.kid)
	checkAcceptedClaims(t, claims)
}

func checkAcceptedHeader(t *testing.T, header map[string]any, kid string) {
	t.Helper()
	typ, _ := header["typ"].(string)
	if header["alg"] != ES256 || header["kid"] != kid || strings.TrimPrefix(strings.ToLower(typ), "application/") != "at+jwt" {
		t.Errorf("header %v", header)
	}
	checkNothingRefused(t, header)
}

func checkNothingRefused(t *testing.T, header map[string]any) {
	t.Helper()
	for name := range header {
		if slices.ContainsFunc(refusedHeaders, func(refused string) bool { return strings.EqualFold(name, refused) }) {
			t.Errorf("header member %q", name)
		}
	}
}

func checkAcceptedClaims(t *testing.T, claims map[string]any) {
	t.Helper()
	aud, several := claims["aud"].([]any)
	if !several {
		aud = []any{claims["aud"]}
	}
	if claims["iss"] != testIssuer || !slices.Contains(aud, any(testAudience)) || claims["cnf"] != nil {
		t.Errorf("claims %v", claims)
	}
	exp, _ := claims["exp"].(float64)
	iat, _ := claims["iat"].(float64)
	now := float64(instant.Unix())
	if exp <= now || iat > now+clockSkew.Seconds()+1e-3 || exp-iat > expected().MaxLifetime.Seconds()+1e-3 {
		t.Errorf("iat %f, exp %f at %f", iat, exp, now)
	}
	for _, name := range []string{"sub", "jti", "client_id", "grant"} {
		if s, ok := claims[name].(string); !ok || s == "" || strings.ContainsAny(s, "\r\n\x00") {
			t.Errorf("%s is %v", name, claims[name])
		}
	}
}

// quotes reports whether an error shows a line of a file that holds secrets.
func quotes(err error, content string) bool {
	for line := range strings.Lines(content) {
		if line = strings.TrimSpace(line); len(line) >= 20 && strings.Contains(err.Error(), line) {
			return true
		}
	}
	return false
}

// FuzzRootKeys: a root key file is what its keys are written as, or refused
// without a word of what it holds.
func FuzzRootKeys(f *testing.F) {
	one, two := fixedRoot(), generateRootKey(fixedRoot())
	f.Add(one.text())
	f.Add(one.text() + two.text())
	f.Add(strings.ReplaceAll(one.text()+two.text(), "\n", "\r\n"))
	f.Add(one.text() + one.text())
	f.Add(strings.Repeat(one.text(), maxRootKeys+1))
	f.Add(one.text() + "\n")
	f.Add(" " + one.text())
	f.Add(strings.Repeat("-", rootKeyText))
	f.Add(one.text()[:42] + "5=\n")
	f.Fuzz(func(t *testing.T, content string) {
		key, err := parseRootKeys(content)
		if err != nil {
			if quotes(err, content) {
				t.Errorf("the error shows the file: %v", err)
			}
			return
		}
		written := ""
		for _, k := range key.All() {
			written += k.text()
		}
		if read := strings.TrimSuffix(strings.ReplaceAll(content, "\r", ""), "\n") + "\n"; read != written {
			t.Errorf("%q is read as %q", content, written)
		}
		if len(key.All()) > maxRootKeys {
			t.Errorf("%d keys", len(key.All()))
		}
	})
}

// FuzzKeyPEM: a key file holds a key that signs, which comes back when it is
// written again, or is refused without a word of what it holds.
func FuzzKeyPEM(f *testing.F) {
	for _, alg := range []string{ES256, EdDSA} {
		der := pkcs8(f, generated(f, alg))
		f.Add([]byte(pemBlock("PRIVATE KEY", der)))
		f.Add([]byte(pemBlock("EC PRIVATE KEY", der)))
		f.Add([]byte(pemBlock("CERTIFICATE", der)))
		f.Add([]byte(pemBlock("PRIVATE KEY", der) + pemBlock("PRIVATE KEY", der)))
		f.Add([]byte("text\n" + strings.ReplaceAll(pemBlock("PRIVATE KEY", der), "\n", "\r\n")))
		f.Add(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Headers: map[string]string{"Proc-Type": "4,ENCRYPTED"}, Bytes: der}))
	}
	f.Add([]byte("-----BEGIN PRIVATE KEY-----\n"))
	_, ofNothing := parseKeyPEM(nil) // it says how a key begins, and so may a file
	f.Fuzz(func(t *testing.T, content []byte) {
		private, err := parseKeyPEM(content)
		if err != nil {
			if quotes(err, string(content)) && !quotes(ofNothing, string(content)) {
				t.Errorf("the error shows the file: %v", err)
			}
			return
		}
		alg, err := algorithmFor(private, "")
		if err != nil {
			return
		}
		again, err := parseKeyPEM([]byte(pemBlock("PRIVATE KEY", pkcs8(t, private))))
		if err != nil {
			t.Fatalf("written again: %v", err)
		}
		if same, ok := private.Public().(interface{ Equal(crypto.PublicKey) bool }); !ok || !same.Equal(again.Public()) {
			t.Error("another key came back")
		}
		if _, isRSA := private.(*rsa.PrivateKey); isRSA {
			return // signing takes too long here
		}
		method := algorithms[alg].method
		signature, err := method.Sign("x", private)
		if err == nil {
			err = method.Verify("x", signature, private.Public())
		}
		if err != nil {
			t.Errorf("%s: %v", alg, err)
		}
	})
}

// FuzzReadNetwork: a network of an allow-list has one spelling only, and what lies
// in it by itself.
func FuzzReadNetwork(f *testing.F) {
	for _, text := range []string{
		"192.0.2.0/24", "192.0.2.7", "2001:db8::/32", "::ffff:192.0.2.7", "::ffff:192.0.2.0/120", "::ffff:0:0/95", "192.0.2.1/24",
		"fe80::1%eth0", "0.0.0.0/0", "::/0", "192.0.2.0/33", "192.0.02.1", " 192.0.2.1", "192.0.2.0/+24", "",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		network, err := ReadNetwork(text)
		if err != nil {
			return
		}
		if !network.IsValid() || network != network.Masked() || network.Addr().Is4In6() || network.Addr().Zone() != "" {
			t.Errorf("%q is read as %s", text, network)
		}
		if again, err := ReadNetwork(network.String()); err != nil || again != network {
			t.Errorf("%q is read as %s, and that as %s, %v", text, network, again, err)
		}
		standard, err := netip.ParsePrefix(text)
		if err != nil {
			addr, err := netip.ParseAddr(text)
			if err != nil || network.Bits() != network.Addr().BitLen() || network.Addr() != addr.Unmap() {
				t.Errorf("%q is read as %s", text, network)
			}
		} else if !network.Contains(standard.Addr().Unmap()) {
			t.Errorf("%q is read as %s", text, network)
		}
	})
}

// FuzzHeader: what the header of a token is read as, everybody reads.
func FuzzHeader(f *testing.F) {
	for _, header := range attackHeaders {
		f.Add([]byte(header))
	}
	f.Fuzz(func(t *testing.T, header []byte) {
		var h jwsHeader
		if err := h.decode(header); err != nil {
			reasonOf(t, err)
			return
		}
		var lenient struct {
			Algorithm string `json:"alg"`
			Type      string `json:"typ"`
			KeyID     string `json:"kid"`
		}
		var members map[string]any
		if stdjson.Unmarshal(header, &lenient) != nil || stdjson.Unmarshal(header, &members) != nil || jwsHeader(lenient) != h {
			t.Errorf("%s is read as %+v, and leniently as %+v", header, h, lenient)
		}
		checkNothingRefused(t, members)
	})
}
