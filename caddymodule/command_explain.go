package caddymodule

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/caddy-bearer/caddy-bearer/gate"
	"github.com/caddy-bearer/caddy-bearer/policy"
)

func explainCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   `explain FILE --request "METHOD PATH"`,
		Short: "Shows how a policy decides on a request, and why",
		Long: `Shows what a policy makes of one request by a token: which routes match and
which of them decides, what the token's scopes amount to, what is missing, and
the smallest sets of scopes that would pass; and web pages of which other origins
may use the route (cors). The path is written as it is sent, encoded. Hidden
scopes are shown: keep the output to those who have the file.

Exit codes: 0 explained, whatever the decision is; 1 the policy does not load, or
a gate refuses the request before it asks the policy; 2 wrong usage.`,
		Example: "  caddy bearer policy explain policies/trading.yaml --request \"GET /v1/accounts\" --scopes read:accounts\n" +
			"  caddy bearer policy explain policies/trading.yaml --request \"POST /v1/accounts/7/orders\" \\\n" +
			"    --scopes \"read:accounts trade:orders\" --accounts \"7 8\" --json",
		Args:              takes("FILE"),
		ValidArgsFunction: completePolicies,
	}
	request := cmd.Flags().String("request", "", `the request: method and path, as in "GET /v1/accounts"`)
	scopes := cmd.Flags().String("scopes", "", "the token's scopes, separated by blanks or commas (default none)")
	accounts := cmd.Flags().String("accounts", "", "the token's accounts, separated by blanks or commas (default none)")
	cmd.RunE = run(func(cmd *cobra.Command, files []string) error {
		words := strings.Fields(*request)
		if len(words) != 2 {
			return usagef(`--request %q: expected a method and a path, as in "GET /path"`, *request)
		}
		p, findings, err := loadPolicy(files[0])
		if err != nil {
			return err
		}
		if p == nil {
			return reportFindings(cmd, findings)
		}
		held := splitScopes(*scopes)
		if err := checkScopes(p, held); err != nil {
			return usagef("--scopes: %w", err)
		}
		method, path, err := gate.Judged(words[0], words[1])
		if err != nil {
			return fmt.Errorf("a gate refuses %s before it asks the policy: %w", strings.Join(words, " "), err)
		}
		e := p.Explain(method, path, held, splitScopes(*accounts))
		if wantsJSON(cmd) {
			return encodeJSON(cmd.OutOrStdout(), e)
		}
		return printExplanation(cmd.OutOrStdout(), &e)
	})
	return cmd
}

func printExplanation(w io.Writer, e *policy.Explanation) error {
	t := newTable(w)
	t.row("request", e.Method+" "+e.Path)
	t.field("accounts", e.Accounts)
	verdict := "deny"
	if e.Allow {
		verdict = "allow"
	}
	t.row("decision", fmt.Sprintf("%s (%s)", verdict, e.Reason))
	t.field("route", e.Route)
	t.field("pages", pagesText(e.CORS))
	printHeld(t, e.Scopes)
	printCandidates(t, e)
	printRequirement(t, e)
	return t.out.Flush()
}

// pagesText says which web pages of other origins may use the route.
func pagesText(c *policy.CORS) string {
	switch {
	case c == nil:
		return ""
	case len(c.Origins) == 0:
		return "of no other origin"
	default:
		return "of " + strings.Join(c.Origins, " ")
	}
}

func printHeld(t *table, scopes []policy.HeldScope) {
	if len(scopes) == 0 {
		return
	}
	t.blank()
	t.row("SCOPE HELD", "BECAUSE")
	for _, s := range scopes {
		var because []string
		if s.Given {
			because = append(because, "given")
		}
		if len(s.ImpliedBy) > 0 {
			because = append(because, "implied by "+strings.Join(s.ImpliedBy, " "))
		}
		if s.Hidden {
			because = append(because, "hidden")
		}
		t.row(s.Name, strings.Join(because, ", "))
	}
}

func printCandidates(t *table, e *policy.Explanation) {
	t.blank()
	if len(e.Candidates) == 0 {
		t.row("No route matches or nearly matches.")
		return
	}
	t.row("CANDIDATE", "LINE", "METHODS", "PATH", "OUTCOME")
	for _, c := range e.Candidates {
		t.row(c.Route, c.Line, c.Methods, c.Path, outcomeText(c, e))
	}
	if e.Omitted > 0 {
		t.row(fmt.Sprintf("and %d more whose path differs in one segment", e.Omitted))
	}
}

func outcomeText(c policy.Candidate, e *policy.Explanation) string {
	switch c.Outcome {
	case policy.OutcomeLessSpecific:
		return "less specific than " + e.Route
	case policy.OutcomeOtherMethod:
		return "not for " + e.Method
	case policy.OutcomePathDiffers:
		return fmt.Sprintf("segment %d differs: found %s, expected %s",
			c.Differs.Segment, segmentText(c.Differs.Found), segmentText(c.Differs.Expected))
	default:
		return c.Outcome.String()
	}
}

// segmentText is a segment of a path, or of none, where the path has ended.
func segmentText(segment string) string {
	if segment == "" {
		return "the end"
	}
	return segment
}

// printRequirement shows what the route that decides asks for.
func printRequirement(t *table, e *policy.Explanation) {
	if len(e.Alternatives) > 0 {
		t.blank()
		t.row("ALTERNATIVE", "MISSING")
		for _, a := range e.Alternatives {
			t.row(a.Scopes, a.Missing)
		}
	}
	title := "PASSES WITH"
	if len(e.Bindings) > 0 {
		t.blank()
		t.row("BINDING", "ACCOUNT", "GRANTED")
		for _, b := range e.Bindings {
			granted := "yes"
			if !b.Granted {
				granted = "no"
				title = "PASSES WITH, IF THE ACCOUNT IS GRANTED"
			}
			t.row("{"+b.Param+"}", b.Value, granted)
		}
	}
	if len(e.Alternatives) > 0 {
		t.blank()
		t.row(title)
		for _, set := range e.Smallest {
			t.row(set)
		}
	}
}
