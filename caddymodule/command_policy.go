package caddymodule

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"github.com/caddy-bearer/caddy-bearer/policy"
)

func policyCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "policy <command>",
		Short: "Checks scope policies, and lists those of a server",
		Long: `Checks scope policies, and lists those that a server enforces. To check them no
server is needed, so that this can run before a change is merged. Exit codes:
0 clean, 1 something was found, 2 wrong usage or a file that cannot be read.`,
	}
	cmd.PersistentFlags().Bool("json", false, "print JSON")
	return group(cmd, lintCommand(), testCommand(), explainCommand(), forWholeServer(listPoliciesCommand()))
}

func listPoliciesCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "Lists the policies that a server enforces",
		Long: `Lists the policies that a server enforces, with the environments whose scopes
each defines. The revision is the beginning of the SHA-256 of what the file held
when it was taken over; if that is bad, the one before it stays.`,
		Example: "  caddy bearer policy list\n  caddy bearer policy list --json",
		Args:    takes(),
		RunE: onServer(func(c *adminClient, _ []string) error {
			return askAt(c, "GET", "/policies", nil, func(t *table, answer *map[string][]policyInfo) {
				t.row("NAME", "REVISION", "ENVIRONMENTS", "FILE")
				for _, p := range (*answer)["policies"] {
					t.row(p.Name, p.Revision, p.Environments, p.File)
				}
			})
		}),
	}
}

func lintCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "lint FILE...",
		Short: "Finds what is wrong or probably not meant in policies",
		Long: `Finds what is wrong in policies (they would not load) and what is allowed but
probably not meant, and prints file:line:column of each.`,
		Example:           "  caddy bearer policy lint policies/*.yaml",
		Args:              takes("FILE..."),
		ValidArgsFunction: completePolicies,
		RunE: run(func(cmd *cobra.Command, files []string) error {
			found := policy.Findings{}
			for _, file := range files {
				p, findings, err := loadPolicy(file)
				if err != nil {
					return err
				}
				if p != nil {
					findings = p.Lint()
				}
				found = append(found, findings...)
			}
			return reportFindings(cmd, found)
		}),
	}
}

func testCommand() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "test FILE [TESTS...]",
		Short: "Runs the tests of a policy",
		Long: `Runs the tests that stand in a policy and those of further files, and prints
which share of its routes they reach. Failures are printed with file:line:column.`,
		Example: "  caddy bearer policy test policies/trading.yaml\n" +
			"  caddy bearer policy test policies/trading.yaml tests/*.yaml --min 90",
		Args:              takes("FILE", "[TESTS...]"),
		ValidArgsFunction: completePolicies,
	}
	least := cmd.Flags().Int("min", 0, "fail if the tests reach a smaller share of the routes, in percent")
	cmd.RunE = run(func(cmd *cobra.Command, files []string) error {
		if *least < 0 || *least > 100 {
			return usagef("--min %d: expected a number from 0 to 100", *least)
		}
		p, findings, err := loadPolicy(files[0])
		if err != nil {
			return err
		}
		if p == nil {
			return reportFindings(cmd, findings)
		}
		report := p.Test()
		for _, file := range files[1:] {
			more, err := testFile(p, file)
			if findings, ok := errors.AsType[policy.Findings](err); ok {
				return reportFindings(cmd, findings)
			}
			if err != nil {
				return err
			}
			report = report.Add(more)
		}
		return printReport(cmd, report, *least)
	})
	return cmd
}

// loadPolicy compiles a policy file. One that does not compile gives findings
// and no policy; one that cannot be read is a wrong argument.
func loadPolicy(file string) (*policy.Policy, policy.Findings, error) {
	_, src, err := readPolicyFile(file)
	if err != nil {
		return nil, nil, usageError{err}
	}
	p, err := policy.Load(file, src)
	if findings, ok := errors.AsType[policy.Findings](err); ok {
		return nil, findings, nil
	}
	return p, nil, err
}

func testFile(p *policy.Policy, file string) (policy.Report, error) {
	_, src, err := readPolicyFile(file)
	if err != nil {
		return policy.Report{}, usageError{err}
	}
	return p.TestFile(file, src)
}

// reportFindings prints findings, and is an error if there are any.
func reportFindings(cmd *cobra.Command, found policy.Findings) error {
	out := cmd.OutOrStdout()
	if wantsJSON(cmd) {
		if err := encodeJSON(out, map[string]policy.Findings{"findings": found}); err != nil {
			return err
		}
	} else {
		for _, f := range found {
			fmt.Fprintf(out, "%s [%s %s]\n", f, f.Severity, f.Code)
		}
	}
	if len(found) > 0 {
		return errFound
	}
	return nil
}

func printReport(cmd *cobra.Command, report policy.Report, least int) error {
	out := cmd.OutOrStdout()
	if wantsJSON(cmd) {
		answer := struct {
			policy.Report `json:",inline"`

			Coverage int `json:"coverage"`
		}{report, report.Coverage()}
		if err := encodeJSON(out, answer); err != nil {
			return err
		}
	} else {
		for _, failure := range report.Failures {
			fmt.Fprintln(out, failure)
		}
		for _, route := range report.Untested {
			fmt.Fprintf(out, "no test reaches route %s\n", route)
		}
		fmt.Fprintf(out, "%d tests, %d failed; %d of %d routes tested (%d %%)\n",
			report.Tests, len(report.Failures), report.Tested(), report.Routes, report.Coverage())
	}
	if report.Coverage() < least {
		fmt.Fprintf(cmd.ErrOrStderr(), "error: the tests reach %d %% of the routes, and --min asks for %d %%\n", report.Coverage(), least)
		return errFound
	}
	if !report.OK() {
		return errFound
	}
	return nil
}

func wantsJSON(cmd *cobra.Command) bool { return cmd.Flag("json").Value.String() == "true" }

func encodeJSON(w io.Writer, value any) error {
	encoded, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return printJSON(w, encoded)
}
