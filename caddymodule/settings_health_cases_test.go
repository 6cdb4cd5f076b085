package caddymodule

import (
	"fmt"
	"strings"
)

// auditFails is what /readyz answers as soon as a sink of the audit trail is
// known to fail, as one does in both configurations.
func (v *variant) auditFails() (status int, said health) {
	v.eventually("a sink of the audit trail fails", func() bool {
		status, said = v.health(v.issuer + readyPath + "?verbose")
		return said.Checks["audit"] == checkFailing
	})
	return status, said
}

var healthProofs = []proof{
	{
		keys:    []string{"json bearer_health.require", "Caddyfile bearer_health require"},
		outcome: "the answer of /readyz while a sink of the audit trail can't be written",
		see: func(v *variant) string {
			status, said := v.auditFails()
			return fmt.Sprint(status, " ", said.Status)
		},
		first: "503 not_ready", second: "200 degraded",
	},
	{
		keys:    []string{"json bearer_health.detail", "Caddyfile bearer_health detail"},
		outcome: "whether /readyz?verbose names the sink that can't be written",
		see: func(v *variant) string {
			_, said := v.auditFails()
			return fmt.Sprint(strings.Contains(said.Details["audit"], v.path("nowhere/heads")))
		},
		first: "false", second: "true",
	},
}
