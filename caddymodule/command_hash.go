package caddymodule

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/caddy-bearer/caddy-bearer/token"
)

func hashSecretCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "hash-secret",
		Short: "Hashes a secret for the configuration; needs no server",
		Long: `Reads a secret from standard input, or asks for it twice on a terminal, and
prints its argon2id hash, as secret_hash in the configuration expects it.`,
		Example: "  caddy bearer hash-secret\n  openssl rand -base64 24 | tee secret.txt | caddy bearer hash-secret",
		Args:    takes(),
		RunE: run(func(cmd *cobra.Command, _ []string) error {
			secret, err := readNewSecret(cmd, "Secret: ")
			if err != nil {
				return err
			}
			hash, err := token.HashPassword(secret)
			if err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), hash)
			return nil
		}),
	}
}
