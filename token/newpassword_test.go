package token

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestCheckPassword(t *testing.T) {
	for password, flaw := range map[string]PasswordFlaw{
		"":                        PasswordEmpty,
		"eleven char":             PasswordShort,
		"ééééééééééé":             PasswordShort, // characters count, not bytes
		"twelve chars":            "",
		"éééééééééééé":            "",
		strings.Repeat("x", 1024): "",
		strings.Repeat("x", 1025): PasswordLong,
		strings.Repeat("é", 513):  PasswordLong,
		"alice@example.com":       PasswordIsID,
		"canary \xff\xfe canary":  PasswordNotText,
		"canary\x00canary":        PasswordUntypable,
		"canary\ncanary":          PasswordUntypable,
		"canary\u202ecanary":      PasswordUntypable,
		"correct horse battery":   "",
		"πάντα ῥεῖ καὶ οὐδὲν":     "",
		"🐎🔋📎✅🐎🔋📎✅🐎🔋📎✅": "",
	} {
		err := CheckPassword("alice@example.com", password)
		var bad *BadPassword
		if errors.As(err, &bad) != (flaw != "") || bad != nil && bad.Flaw != flaw {
			t.Errorf("%q: %v, want %q", password, err, flaw)
		}
		if err != nil && strings.Contains(err.Error(), "canary") {
			t.Errorf("the error repeats the password: %v", err)
		}
	}
}

func TestNewHashesWaitTheirTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := counted(1500 * time.Millisecond)
		wait := occupy(t, s)
		defer wait()
		began := time.Now()
		if _, err := s.Hash(t.Context(), "new password"); !errors.Is(err, ErrBusy) || time.Since(began) != argonPatience {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		gone, leave := context.WithCancel(t.Context())
		leave()
		if _, err := s.Hash(gone, "new password"); err == nil {
			t.Error("hashed for nobody")
		}
	})
	s := NewSecrets(fixedKeyring())
	encoded, err := s.Hash(t.Context(), "new password")
	if err != nil || !mustVerify(t, s, encoded, "new password") || len(s.slots) != 0 {
		t.Errorf("%q, %v, %d slots taken", encoded, err, len(s.slots))
	}
}
