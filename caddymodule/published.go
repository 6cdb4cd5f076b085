package caddymodule

import (
	"fmt"
	"slices"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// Ids and secrets that stand in public documents: the bank's page and our own
// quickstart. They are for the sandbox; production must never accept them.
var (
	publishedIDs     = []string{"12a42d02-0845-46f8-b6e2-202e1e792364", "demo-client"}
	publishedSecrets = []string{"AQvfpNrjQAiOcQQxKdwGoC860yVdvE3D2iRGsjZ2qwoeYlZ5po", "demo-secret"}
)

// refusePublishedID fails if the id is a published one.
func refusePublishedID(id string) error {
	if slices.Contains(publishedIDs, id) {
		return fmt.Errorf("the id %s is published and serves the sandbox only", id)
	}
	return nil
}

// refusePublished fails if the id or the secret behind the hash is a published
// one.
func refusePublished(id, secretHash string) error {
	if err := refusePublishedID(id); err != nil {
		return err
	}
	for _, secret := range publishedSecrets {
		match, err := token.MatchPassword(secretHash, secret)
		if err != nil {
			return fmt.Errorf("secret_hash: %w", err)
		}
		if match {
			return fmt.Errorf("the secret of %s is published and serves the sandbox only", id)
		}
	}
	return nil
}
