package token

import (
	"errors"
	"math/big"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddy-bearer/caddy-bearer/store"
)

func reasonOf(t *testing.T, err error) Reason {
	t.Helper()
	var invalid *Invalid
	if !errors.As(err, &invalid) {
		t.Fatalf("got %v, want *Invalid", err)
	}
	return invalid.Reason
}

func TestOpaqueComesBack(t *testing.T) {
	for env, mark := range map[store.Environment]string{store.Production: "cb_live_", store.Sandbox: "cb_test_"} {
		k := NewKeyring(fixedRoot(), env)
		for _, class := range opaqueClasses {
			raw, hash := k.NewOpaque(class)
			if !LooksOpaque(raw) || !strings.HasPrefix(raw, mark+string(class)+"_") {
				t.Errorf("%s of %s is %q", class, env, raw)
			}
			got, err := k.ParseOpaque(raw)
			if want := (Opaque{Class: class, KeyID: k.KeyID(), Hash: hash}); err != nil || got != want {
				t.Errorf("%s of %s: %+v, %v", class, env, got, err)
			}
		}
	}
}

func TestNewOpaqueNeverRepeats(t *testing.T) {
	k := fixedKeyring()
	raws, hashes := make(map[string]bool), make(map[store.Hash]bool)
	for range 1000 {
		raw, hash := k.NewOpaque(store.Refresh)
		raws[raw], hashes[hash] = true, true
	}
	if len(raws) != 1000 || len(hashes) != 1000 {
		t.Errorf("%d tokens, %d hashes", len(raws), len(hashes))
	}
}

func TestNewOpaqueOfNoClass(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("made")
		}
	}()
	fixedKeyring().NewOpaque("access")
}

func TestParseOpaqueRefuses(t *testing.T) {
	k := fixedKeyring()
	raw, _ := k.NewOpaque(store.Refresh)
	tail := strings.TrimPrefix(raw, "cb_live_refresh_")
	sandbox, _ := NewKeyring(fixedRoot(), store.Sandbox).NewOpaque(store.Refresh)
	otherRoot, err := CreateRootKey(t.TempDir() + "/k")
	if err != nil {
		t.Fatal(err)
	}
	foreign, _ := NewKeyring(otherRoot, store.Production).NewOpaque(store.Refresh)
	for name, tc := range map[string]struct {
		raw  string
		want Reason
	}{
		"empty":                     {"", ReasonMalformed},
		"prefix alone":              {"cb_", ReasonMalformed},
		"mark alone":                {"cb_live_", ReasonClass},
		"no tail":                   {"cb_live_refresh_", ReasonMalformed},
		"a signed token":            {"eyJhbGciOiJFUzI1NiJ9.e30.AA", ReasonMalformed},
		"upper-case prefix":         {"CB" + raw[2:], ReasonMalformed},
		"other environment":         {sandbox, ReasonEnvironment},
		"relabelled environment":    {strings.Replace(sandbox, "_test_", "_live_", 1), ReasonUnknownKey},
		"no such environment":       {"cb_prod_refresh_" + tail, ReasonMalformed},
		"other class":               {"cb_live_personal_" + tail, ReasonCheck},
		"class of another length":   {"cb_live_code_" + tail, ReasonCheck},
		"no such class":             {"cb_live_access_" + tail, ReasonClass},
		"no class":                  {"cb_live_" + tail, ReasonClass},
		"class in upper case":       {"cb_live_REFRESH_" + tail, ReasonClass},
		"class without underscore":  {"cb_live_refresh" + tail, ReasonClass},
		"other root key":            {foreign, ReasonUnknownKey},
		"other key, our id":         {"cb_live_refresh_" + k.KeyID() + foreign[len("cb_live_refresh_")+keyIDLen:], ReasonCheck},
		"one character short":       {raw[:len(raw)-1], ReasonMalformed},
		"one character long":        {raw + "0", ReasonMalformed},
		"line end":                  {raw + "\n", ReasonMalformed},
		"line end for a character":  {raw[:len(raw)-1] + "\n", ReasonMalformed},
		"blank in front":            {" " + raw, ReasonMalformed},
		"NUL for a character":       {raw[:20] + "\x00" + raw[21:], ReasonMalformed},
		"non-ASCII for two":         {raw[:len(raw)-2] + "é", ReasonMalformed},
		"full-width digit":          {raw[:len(raw)-3] + "０", ReasonMalformed},
		"underscore in the random":  {raw[:25] + "_" + raw[26:], ReasonMalformed},
		"check of zeros":            {raw[:len(raw)-base62Width48] + strings.Repeat("0", base62Width48), ReasonCheck},
		"random replaced":           {"cb_live_refresh_" + k.KeyID() + strings.Repeat("A", base62Width160) + raw[len(raw)-base62Width48:], ReasonCheck},
		"a megabyte":                {"cb_live_refresh_" + strings.Repeat("A", 1<<20), ReasonMalformed},
		"token twice":               {raw + raw, ReasonMalformed},
		"token with a dotted tail":  {raw + ".e30.AA", ReasonMalformed},
		"invalid UTF-8":             {raw[:len(raw)-1] + "\xff", ReasonMalformed},
		"percent-encoded character": {raw[:len(raw)-1] + "%30", ReasonMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := k.ParseOpaque(tc.raw)
			if reason := reasonOf(t, err); reason != tc.want {
				t.Errorf("reason %s, want %s", reason, tc.want)
			}
			if got != (Opaque{}) {
				t.Errorf("refused, but %+v", got)
			}
		})
	}
}

func TestOneChangedCharacterIsRefused(t *testing.T) {
	k := fixedKeyring()
	raw, _ := k.NewOpaque(store.Personal)
	for at := range len(raw) {
		for c := range 256 {
			if raw[at] == byte(c) {
				continue
			}
			if _, err := k.ParseOpaque(raw[:at] + string([]byte{byte(c)}) + raw[at+1:]); err == nil {
				t.Fatalf("accepted with character %d replaced by %q", at, rune(c))
			}
		}
	}
}

func TestRefusingGarbageMakesNoGarbage(t *testing.T) {
	k := fixedKeyring()
	raw, _ := k.NewOpaque(store.Refresh)
	for _, made := range []string{"", "cb_", "cb_live_refresh_short", "cb_test_" + raw[8:], raw[:len(raw)-1] + "-"} {
		if n := testing.AllocsPerRun(100, func() { _, _ = k.ParseOpaque(made) }); n != 0 {
			t.Errorf("%q: %v allocations", made, n)
		}
	}
}

func TestSuccessorIsTheSameEachTime(t *testing.T) {
	k := fixedKeyring()
	predecessor, _ := k.NewOpaque(store.Refresh)
	nonce := NewNonce()
	first, hash, err := k.Successor(predecessor, k.KeyID(), nonce, store.Refresh, k.KeyID())
	if err != nil {
		t.Fatal(err)
	}
	again, hashAgain, err := k.Successor(predecessor, k.KeyID(), nonce, store.Refresh, k.KeyID())
	if err != nil || first != again || hash != hashAgain {
		t.Errorf("%q then %q, %v", first, again, err)
	}
	if got, err := k.ParseOpaque(first); err != nil || got.Hash != hash || got.Class != store.Refresh {
		t.Errorf("the successor parses to %+v, %v", got, err)
	}
	otherPredecessor, _ := k.NewOpaque(store.Refresh)
	for name, try := range map[string]func() (string, store.Hash, error){
		"another nonce": func() (string, store.Hash, error) {
			return k.Successor(predecessor, k.KeyID(), NewNonce(), store.Refresh, k.KeyID())
		},
		"another predecessor": func() (string, store.Hash, error) {
			return k.Successor(otherPredecessor, k.KeyID(), nonce, store.Refresh, k.KeyID())
		},
		"the next one": func() (string, store.Hash, error) {
			return k.Successor(first, k.KeyID(), nonce, store.Refresh, k.KeyID())
		},
	} {
		if raw, _, err := try(); err != nil || raw == first {
			t.Errorf("%s gives %q, %v", name, raw, err)
		}
	}
}

func TestSuccessorRefuses(t *testing.T) {
	k := fixedKeyring()
	predecessor, _ := k.NewOpaque(store.Refresh)
	for name, tc := range map[string]struct {
		keyID string
		nonce []byte
		class store.Class
	}{
		"another key":   {"0000", NewNonce(), store.Refresh},
		"no key":        {"", NewNonce(), store.Refresh},
		"no nonce":      {k.KeyID(), nil, store.Refresh},
		"longer nonce":  {k.KeyID(), make([]byte, nonceSize+1), store.Refresh},
		"no such class": {k.KeyID(), NewNonce(), "access"},
	} {
		raw, _, err := k.Successor(predecessor, tc.keyID, tc.nonce, tc.class, k.KeyID())
		if err == nil || raw != "" {
			t.Errorf("%s: %q", name, raw)
		} else if strings.Contains(err.Error(), predecessor) {
			t.Errorf("%s: the error holds the token", name)
		}
	}
}

func TestNewIDs(t *testing.T) {
	seen := make(map[string]bool)
	for range 1000 {
		id := NewID()
		if len(id) != base62Width128 || !isBase62(id) {
			t.Fatalf("id %q", id)
		}
		seen[id] = true
	}
	if len(seen) != 1000 {
		t.Error("an id came twice")
	}
	synctest.Test(t, func(t *testing.T) {
		var ids []string
		for range 100 {
			ids = append(ids, NewID())
			time.Sleep(time.Millisecond) // of the bubble
		}
		if !slices.IsSorted(ids) {
			t.Errorf("not in the order of time: %q", ids)
		}
	})
	if nonce := NewNonce(); len(nonce) != nonceSize || string(nonce) == string(NewNonce()) {
		t.Errorf("nonce %x", nonce)
	}
}

func TestBase62AgreesWithBigNumbers(t *testing.T) {
	random, _ := fixedKeyring().NewOpaque(ClassCode)
	for _, number := range [][]byte{
		make([]byte, 20), []byte(strings.Repeat("\xff", 20)), []byte(random[:20]), []byte("0123456789abcdef"), []byte("\x00\x00\xff\xff\xff\xff\xff\xff"),
	} {
		width := map[int]int{8: base62Width64, 16: base62Width128, 20: base62Width160}[len(number)]
		got := string(appendBase62(nil, number, width))
		want := new(big.Int).SetBytes(number)
		digits := ""
		for range width {
			var digit big.Int
			want.DivMod(want, big.NewInt(62), &digit)
			digits = string(base62[digit.Int64()]) + digits
		}
		if got != digits || want.Sign() != 0 {
			t.Errorf("%x: %s, want %s and nothing left of %v", number, got, digits, want)
		}
	}
}

// FuzzParseOpaque: an opaque token that is accepted is of this environment, of one
// class, and has one spelling.
func FuzzParseOpaque(f *testing.F) {
	k := fixedKeyring()
	for _, class := range opaqueClasses {
		raw, _ := k.NewOpaque(class)
		f.Add(raw)
		f.Add(raw[:len(raw)-1])
		f.Add(strings.Replace(raw, "live", "test", 1))
	}
	for _, raw := range []string{
		"cb_live_refresh_", "cb_", "cb_live_", "CB_LIVE_refresh_", "cb_live_refresh", "cb_live__", "cb_live_refresh_personal_", "cb_live_refresh_\x00", "bearer", "",
	} {
		f.Add(raw)
		f.Add(raw + strings.Repeat("0", tailLen))
	}
	f.Fuzz(func(t *testing.T, raw string) {
		got, err := k.ParseOpaque(raw)
		if err != nil {
			reasonOf(t, err)
			return
		}
		if len(raw) != len("cb_live_")+len(got.Class)+1+tailLen || !strings.HasPrefix(raw, "cb_live_"+string(got.Class)+"_"+got.KeyID) {
			t.Errorf("%q was accepted as %+v", raw, got)
		}
		if KeyIDOf(raw) != got.KeyID || !LooksOpaque(raw) || !isBase62(raw[len(raw)-tailLen:]) {
			t.Errorf("%q is of key %s, and others say %s", raw, got.KeyID, KeyIDOf(raw))
		}
	})
}

func BenchmarkNewOpaque(b *testing.B) {
	k := fixedKeyring()
	b.ReportAllocs()
	for b.Loop() {
		k.NewOpaque(store.Refresh)
	}
}

func BenchmarkParseOpaque(b *testing.B) {
	k := fixedKeyring()
	raw, _ := k.NewOpaque(store.Refresh)
	for name, raw := range map[string]string{"good": raw, "made up": raw[:len(raw)-1] + "!", "wrong check": raw[:len(raw)-9] + "000000000"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, _ = k.ParseOpaque(raw)
			}
		})
	}
}
