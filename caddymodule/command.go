package caddymodule

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"
)

func init() {
	caddycmd.RegisterCommand(caddycmd.Command{
		Name:      "bearer",
		Short:     "Manages clients, accounts, tokens, keys and scope policies",
		Long:      bearerHelp,
		CobraFunc: bearerCommand,
	})
}

const bearerHelp = `Manages what the app "bearer" of a running Caddy keeps: clients, service
accounts, users, accounts, grants, tokens, keys and the audit trail; and backs
it up. It also checks policy files, hashes secrets and restores backups, for
which no server is needed.

Commands for a server find it as "caddy reload" does: by --address, by the
"admin" option of the file that --config names, by CADDY_ADMIN, or at
localhost:2019. They present an operator token, which the server made at its
first start; over a Unix socket of mode 0600 none is needed. The file is, in
this order, that of --operator-token, of BEARER_OPERATOR_TOKEN_FILE, of the
file that --config names, or bearer/operator.token in Caddy's config folder.

Exit codes: 0 done; 1 refused, failed or (policy) something was found;
2 wrong usage.`

// Exit codes beside 0.
const (
	exitFailed = 1
	exitUsage  = 2
)

func bearerCommand(cmd *cobra.Command) {
	cmd.Use = "bearer <command>"
	group(cmd,
		recordCommand(clientWords), recordCommand(appWords), recordCommand(serviceAccountWords), recordCommand(userWords), recordCommand(accountWords),
		forServer(bindAny.bind()), forServer(bindAny.unbind()), bindingCommand(),
		grantCommand(), tokenCommand(), keyCommand(), revocationCommand(), streamsCommand(), operatorCommand(),
		auditCommand(), policyCommand(), hashSecretCommand(), backupCommand(), restoreCommand(), doctorCommand(), healthCommand(),
	)
	completeTheRest(cmd)
	cmd.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error { return end(cmd, usageError{hintAtIDs(cmd, err)}) })
}

// hintAtIDs says how an id is given that begins with - and so is read as flags:
// the id of a key from a file is a thumbprint (RFC 7638), and may do so.
func hintAtIDs(cmd *cobra.Command, err error) error {
	unknown, ok := errors.AsType[*pflag.NotExistError](err)
	if !ok || len(unknown.GetSpecifiedShortnames()) < 2 {
		return err
	}
	return fmt.Errorf("%w; an id that begins with - stands behind --, as in %q", err, cmd.CommandPath()+" -- -"+unknown.GetSpecifiedShortnames())
}

// group makes cmd a command that only has commands below it.
func group(cmd *cobra.Command, below ...*cobra.Command) *cobra.Command {
	cmd.AddCommand(below...)
	cmd.SuggestionsMinimumDistance = 2
	cmd.RunE = run(func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return cmd.Help()
		}
		unknown := fmt.Sprintf("%q is no command of %q", args[0], cmd.CommandPath())
		if near := cmd.SuggestionsFor(args[0]); len(near) > 0 {
			unknown += fmt.Sprintf("; did you mean %q?", near[0])
		}
		return usageError{errors.New(unknown)}
	})
	return cmd
}

// usageError is the fault of who typed the command.
type usageError struct{ error }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// errFound ends a check that has printed what it found.
var errFound = errors.New("something was found")

// run makes f what a command does.
func run(f func(*cobra.Command, []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error { return end(cmd, f(cmd, args)) }
}

// end prints an error as one sentence, once, and gives it the exit code that
// Caddy's main function is to end with.
func end(cmd *cobra.Command, err error) error {
	if err == nil {
		return nil
	}
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	if errors.Is(err, errFound) {
		return err
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "error: %v\n", err)
	if _, ok := errors.AsType[usageError](err); !ok {
		return err // exitFailed
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "See %q.\n", cmd.CommandPath()+" --help")
	// Caddy's own type for exit codes is private; this is the way to get one.
	return caddycmd.WrapCommandFuncForCobra(func(caddycmd.Flags) (int, error) { return exitUsage, nil })(cmd, nil)
}

// takes checks the arguments of a command by the names that its usage line has
// for them. Names in brackets are optional, and one that ends with dots stands
// for any number.
func takes(names ...string) cobra.PositionalArgs {
	least, most := 0, len(names)
	for _, name := range names {
		if !strings.HasPrefix(name, "[") {
			least++
		}
		if strings.Contains(name, "...") {
			most = int(^uint(0) >> 1)
		}
	}
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) >= least && len(args) <= most:
			return nil
		case most == 0:
			return end(cmd, usagef("%q takes no arguments", cmd.CommandPath()))
		}
		return end(cmd, usagef("%q takes %s; got %d arguments", cmd.CommandPath(), strings.Join(names, " "), len(args)))
	}
}

// readSecret reads a secret from standard input: all of it without the line's
// end or, from a person, one line that is not shown.
func readSecret(cmd *cobra.Command, prompt string) (string, error) {
	file, isTerminal := terminal(cmd)
	if !isTerminal {
		return readOneLine(cmd.InOrStdin())
	}
	fmt.Fprint(cmd.ErrOrStderr(), prompt)
	typed, err := term.ReadPassword(int(file.Fd()))
	fmt.Fprintln(cmd.ErrOrStderr())
	return string(typed), err
}

// terminal returns the terminal on which a person types what a command reads.
func terminal(cmd *cobra.Command) (*os.File, bool) {
	file, ok := cmd.InOrStdin().(*os.File)
	return file, ok && term.IsTerminal(int(file.Fd()))
}

// maxSecretInput bounds what is read of a secret or token, in bytes.
const maxSecretInput = 16 << 10

// readOneLine reads the one line that in holds.
func readOneLine(in io.Reader) (string, error) {
	content, err := io.ReadAll(io.LimitReader(in, maxSecretInput+1))
	if err != nil {
		return "", err
	}
	if len(content) > maxSecretInput {
		return "", fmt.Errorf("the input is longer than %d bytes", maxSecretInput)
	}
	line := strings.TrimSuffix(strings.TrimSuffix(string(content), "\n"), "\r")
	if strings.ContainsAny(line, "\r\n") {
		return "", errors.New("the input has several lines; expected one")
	}
	return line, nil
}
