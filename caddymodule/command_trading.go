package caddymodule

import (
	"github.com/spf13/cobra"
)

// There are no commands that make trading tokens or show their values: who could run
// one would have the login and password of every trading account. Operators list
// them and end them.

func printTrading(t *table, answer *map[string][]tradingToken) {
	t.row("ID", "ACCOUNT", "CREATOR", "SHOWN TO", "STATUS", "CREATED", "EXPIRES", "REVOKED", "REASON")
	for _, one := range (*answer)["trading_tokens"] {
		t.row(one.ID, one.Account, one.Creator, one.ShownTo, one.Status, one.Created, one.Expires, one.Revoked, one.Reason)
	}
}

// endingFlags are those of the package; users have one more.
func (w recordWords) endingFlags(cmd *cobra.Command) (reason *string, keep *bool) {
	reason, keep = endingFlags(cmd), new(bool)
	if w.name == userWords.name {
		keep = keepSharedFlag(cmd)
		cmd.Long += `

With the user end the trading tokens that it made or was shown, for all who share
them. See them first by --dry-run.`
	}
	return reason, keep
}

func keepSharedFlag(cmd *cobra.Command) *bool {
	return cmd.Flags().Bool("keep-shared", false, "leave trading tokens alive whose value the user knows; needs --reason")
}

// becauseKeeping is because, for what may keep trading tokens alive.
func becauseKeeping(reason string, keep bool) any {
	if !keep {
		return because(reason)
	}
	return map[string]any{"reason": reason, "keep_shared": true}
}
