package token

import (
	"context"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// MinPassword is the least that a password has, in characters. Whoever has many
// addresses may guess as fast as hashes are computed: it has to hold that.
const MinPassword = 12

// PasswordFlaw is what is wrong with a password that somebody chose.
type PasswordFlaw string

// The flaws.
const (
	PasswordEmpty     PasswordFlaw = "empty"
	PasswordNotText   PasswordFlaw = "not_text" // not UTF-8
	PasswordShort     PasswordFlaw = "short"
	PasswordLong      PasswordFlaw = "long" // more bytes than are hashed
	PasswordIsID      PasswordFlaw = "is_id"
	PasswordUntypable PasswordFlaw = "untypable" // a character that no form takes
)

// BadPassword is an error that never repeats the password.
type BadPassword struct {
	Flaw   PasswordFlaw
	Length int // in characters
}

func (e *BadPassword) Error() string {
	switch e.Flaw {
	case PasswordEmpty:
		return "the password is empty"
	case PasswordNotText:
		return "the password is not UTF-8"
	case PasswordShort:
		return fmt.Sprintf("the password has %d characters; at least %d", e.Length, MinPassword)
	case PasswordLong:
		return fmt.Sprintf("the password is longer than %d bytes", maxSecretLength)
	case PasswordIsID:
		return "the password is the user's id"
	case PasswordUntypable:
	}
	return "the password has a character that cannot be typed"
}

// CheckPassword refuses, with a *BadPassword, what a user should not choose or
// could not type into a form.
func CheckPassword(user, password string) error {
	n := utf8.RuneCountInString(password)
	bad := func(flaw PasswordFlaw) error { return &BadPassword{flaw, n} }
	switch {
	case password == "":
		return bad(PasswordEmpty)
	case !utf8.ValidString(password):
		return bad(PasswordNotText)
	case n < MinPassword:
		return bad(PasswordShort)
	case len(password) > maxSecretLength:
		return bad(PasswordLong)
	case password == user:
		return bad(PasswordIsID)
	}
	for _, c := range password {
		if !unicode.IsPrint(c) {
			return bad(PasswordUntypable)
		}
	}
	return nil
}

// Hash is HashPassword for callers over the network: it waits for its turn among
// the checks, and fails with ErrBusy if that takes too long.
func (s *Secrets) Hash(ctx context.Context, secret string) (encoded string, err error) {
	if err := s.enter(ctx); err != nil {
		return "", err
	}
	defer s.leave()
	return HashPassword(secret)
}
