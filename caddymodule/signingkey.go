package caddymodule

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-bearer/caddy-bearer/store"
	"github.com/caddy-bearer/caddy-bearer/token"
)

// defaultKeyRotation is how long a signing key signs.
const defaultKeyRotation = caddy.Duration(90 * 24 * time.Hour)

// provisionSigningKey checks what signs, and reads the key if it is in a file.
func (e *Environment) provisionSigningKey() error {
	if e.SigningAlgorithm != "" {
		if err := token.CheckAlgorithm(e.SigningAlgorithm); err != nil {
			return err
		}
	}
	if e.SigningKeyFile == "" {
		e.SigningAlgorithm = cmp.Or(e.SigningAlgorithm, token.ES256)
		e.SigningKeyRotation = cmp.Or(e.SigningKeyRotation, defaultKeyRotation)
		if every := time.Duration(e.SigningKeyRotation); every > 0 && every < token.MinKeyRotation {
			return fmt.Errorf("signing_key_rotation is %s; the least is 24h", every)
		}
		return nil
	}
	if e.SigningKeyRotation != 0 {
		return errors.New("signing_key_rotation stands beside signing_key file; a key in a file is changed there, so remove one of the two")
	}
	key, err := token.LoadKeyFile(e.SigningKeyFile, e.SigningAlgorithm)
	if err != nil {
		return err
	}
	e.signingKey, e.SigningAlgorithm = key, key.Algorithm()
	return nil
}

// keyRotation is how long a signing key signs; 0: no schedule.
func (e *Environment) keyRotation() time.Duration { return max(0, time.Duration(e.SigningKeyRotation)) }

// checkSharedKeys refuses one key for two environments: nothing of one may be
// valid in the other.
func (app *App) checkSharedKeys() error {
	holder := map[string]store.Environment{}
	for _, name := range sortedKeys(app.Environments) {
		key := app.Environments[name].signingKey
		if key == nil {
			continue
		}
		if other, taken := holder[key.ID()]; taken {
			return fmt.Errorf("environment %s: signing key file %s holds the key of environment %s; each needs its own",
				name, app.Environments[name].SigningKeyFile, other)
		}
		holder[key.ID()] = name
	}
	return nil
}
