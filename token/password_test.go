package token

import (
	"strings"
	"testing"
)

// chosen returns a quick hash of a secret.
func chosen(secret string) string {
	h := argonHash{memory: 64, passes: 1, lanes: 1, salt: []byte("somesaltsomesalt"), sum: make([]byte, 32)}
	h.sum = h.compute(secret)
	return h.String()
}

func TestHashPassword(t *testing.T) {
	one, err := HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	two, err := HashPassword("correct horse")
	if err != nil {
		t.Fatal(err)
	}
	if one == two {
		t.Error("two hashes have the same salt")
	}
	if !strings.HasPrefix(one, "$argon2id$v=19$m=19456,t=2,p=1$") || CheckHash(one) != nil {
		t.Errorf("%q: %v", one, CheckHash(one))
	}
	for _, secret := range []string{"", strings.Repeat("x", maxSecretLength+1)} {
		if _, err := HashPassword(secret); err == nil {
			t.Errorf("hashed %d bytes", len(secret))
		}
	}
}

func TestMatchPassword(t *testing.T) {
	encoded := chosen("right")
	for secret, want := range map[string]bool{"right": true, "wrong": false, "": false, "right ": false} {
		if got, err := MatchPassword(encoded, secret); got != want || err != nil {
			t.Errorf("%q: %v, %v", secret, got, err)
		}
	}
	for _, encoded := range []string{"", "right", fixedKeyring().HashSecret("right"), "$argon2id$v=19$m=9999999,t=1,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"} {
		if got, err := MatchPassword(encoded, "right"); got || err == nil {
			t.Errorf("%q: %v, %v", encoded, got, err)
		}
	}
}

// The vector of RFC 9106 §5.3 needs a key and associated data, which PHC strings
// have not; this one is from the reference implementation's test.c.
func TestArgonVector(t *testing.T) {
	h, err := parseArgon("$argon2id$v=19$m=256,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
	if err != nil {
		t.Fatal(err)
	}
	if string(h.compute("password")) != string(h.sum) {
		t.Error("the hash of the reference implementation does not fit")
	}
}

func TestCheckHash(t *testing.T) {
	const salt, sum = "c29tZXNhbHRzb21lc2FsdA", "nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4"
	argon := func(version, costs string) string {
		return "$argon2id$" + version + "$" + costs + "$" + salt + "$" + sum
	}
	for name, tc := range map[string]struct {
		encoded string
		want    string // part of the error, empty: good
	}{
		"ours":                   {argon("v=19", "m=19456,t=2,p=1"), ""},
		"dearest":                {argon("v=19", "m=262144,t=10,p=4"), ""},
		"cheapest":               {argon("v=19", "m=8,t=1,p=1"), ""},
		"generated":              {fixedKeyring().HashSecret("x"), ""},
		"empty":                  {"", "neither"},
		"plain text":             {"hunter2", "neither"},
		"bcrypt":                 {"$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy", "neither"},
		"argon2i":                {"$argon2i$v=19$m=64,t=1,p=1$" + salt + "$" + sum, "neither"},
		"argon2d":                {"$argon2d$v=19$m=64,t=1,p=1$" + salt + "$" + sum, "neither"},
		"blank in front":         {" " + argon("v=19", "m=64,t=1,p=1"), "neither"},
		"a gigabyte":             {argon("v=19", "m=1048576,t=1,p=1"), "parameter m is 1048576"},
		"one KiB too much":       {argon("v=19", "m=262145,t=1,p=1"), "parameter m"},
		"memory below lanes":     {argon("v=19", "m=31,t=1,p=4"), "parameter m"},
		"no memory":              {argon("v=19", "m=0,t=1,p=1"), "parameter m"},
		"eleven passes":          {argon("v=19", "m=64,t=11,p=1"), "parameter t"},
		"no passes":              {argon("v=19", "m=64,t=0,p=1"), "parameter t"},
		"five lanes":             {argon("v=19", "m=64,t=1,p=5"), "parameter p"},
		"no lanes":               {argon("v=19", "m=64,t=1,p=0"), "parameter p"},
		"256 lanes, none in 8":   {argon("v=19", "m=64,t=1,p=256"), "parameter p"},
		"beyond 32 bits":         {argon("v=19", "m=4294967360,t=1,p=1"), "parameter m"},
		"leading zero":           {argon("v=19", "m=064,t=1,p=1"), "parameter m is not a number"},
		"sign":                   {argon("v=19", "m=+64,t=1,p=1"), "parameter m is not a number"},
		"negative":               {argon("v=19", "m=64,t=-1,p=1"), "parameter t is not a number"},
		"hexadecimal":            {argon("v=19", "m=0x40,t=1,p=1"), "parameter m is not a number"},
		"other order":            {argon("v=19", "t=1,m=64,p=1"), "is not a number"},
		"another parameter":      {argon("v=19", "m=64,t=1,p=1,keyid=AA"), "not of the form"},
		"missing parameter":      {argon("v=19", "m=64,t=1"), "not of the form"},
		"old version":            {argon("v=16", "m=64,t=1,p=1"), "version 19"},
		"no version":             {"$argon2id$m=64,t=1,p=1$" + salt + "$" + sum, "not of the form"},
		"part too many":          {argon("v=19", "m=64,t=1,p=1") + "$", "not of the form"},
		"no hash":                {"$argon2id$v=19$m=64,t=1,p=1$" + salt, "not of the form"},
		"empty hash":             {"$argon2id$v=19$m=64,t=1,p=1$" + salt + "$", "hash has 0 bytes"},
		"short hash":             {"$argon2id$v=19$m=64,t=1,p=1$" + salt + "$AAAA", "hash has 3 bytes"},
		"short salt":             {"$argon2id$v=19$m=64,t=1,p=1$AAAA$" + sum, "salt has 3 bytes"},
		"long salt":              {"$argon2id$v=19$m=64,t=1,p=1$" + strings.Repeat("A", 88) + "$" + sum, "salt has 66 bytes"},
		"padding":                {"$argon2id$v=19$m=64,t=1,p=1$" + salt + "==$" + sum, "salt is not base64"},
		"trailing bits":          {"$argon2id$v=19$m=64,t=1,p=1$" + salt[:21] + "B$" + sum, "salt is not base64"},
		"URL alphabet":           {"$argon2id$v=19$m=64,t=1,p=1$" + salt + "$" + strings.ReplaceAll(sum, "/", "_"), "hash is not base64"},
		"line end inside":        {"$argon2id$v=19$m=64,t=1,p=1$" + salt + "\n$" + sum, "salt is not base64"},
		"long":                   {argon("v=19", "m=64,t=1,p=1") + strings.Repeat("A", maxEncodedHash), "longer than"},
		"generated, no key id":   {"$hmac-sha256$" + sum, "not of the form"},
		"generated, odd key id":  {"$hmac-sha256$abc!$" + sum, "key id"},
		"generated, long key id": {"$hmac-sha256$abcde$" + sum, "key id"},
		"generated, short":       {"$hmac-sha256$abcd$AAAA", "base64url of 32 bytes"},
		"generated, padded":      {fixedKeyring().HashSecret("x") + "=", "base64url of 32 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckHash(tc.encoded)
			switch {
			case tc.want == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, want %q", err, tc.want)
			case err != nil && (strings.Contains(err.Error(), salt) || strings.Contains(err.Error(), sum) || strings.Contains(err.Error(), "hunter2")):
				t.Errorf("the error shows the hash: %v", err)
			}
		})
	}
}

func FuzzCheckHash(f *testing.F) {
	f.Add(chosen("x"))
	f.Add(fixedKeyring().HashSecret("x"))
	f.Add("$argon2id$v=19$m=19456,t=2,p=1$c29tZXNhbHQ$nf65EOgLrQMR/uIPnA4rEsF5h7TKyQwu9U1bMCHGi/4")
	f.Add("$argon2id$v=19$m=4294967295,t=4294967295,p=255$$")
	f.Fuzz(func(t *testing.T, encoded string) {
		if CheckHash(encoded) != nil {
			return
		}
		if strings.HasPrefix(encoded, hmacPrefix) {
			if _, _, err := parseHMAC(encoded); err != nil {
				t.Errorf("%q: %v", encoded, err)
			}
			return
		}
		h, err := parseArgon(encoded)
		if err != nil || h.String() != encoded {
			t.Errorf("%q has another spelling: %v", encoded, err)
		}
		if h.memory > argonMaxMemory || h.passes > argonMaxPasses || h.lanes > argonMaxLanes || h.memory < 8*uint32(h.lanes) {
			t.Errorf("%q costs too much", encoded)
		}
	})
}
