package caddymodule

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/go-json-experiment/json"
	"github.com/spf13/cobra"

	"github.com/caddy-bearer/caddy-bearer/store"
)

const (
	// operatorFileVariable names the operator token file in the environment.
	operatorFileVariable = "BEARER_OPERATOR_TOKEN_FILE"
	// answerTimeout bounds a call to the server.
	answerTimeout = 30 * time.Second
	// maxAnswer bounds what is read of an answer, in bytes.
	maxAnswer = 64 << 20
)

// forServer gives a command and those below it the flags by which they find a
// server and print what it answers.
func forServer(cmd *cobra.Command) *cobra.Command {
	cmd.PersistentFlags().String("environment", "", "production or sandbox (default: the only one that the server has)")
	completeFlag(cmd, "environment", completeEnvironments)
	return forWholeServer(cmd)
}

// forWholeServer is forServer for what concerns no environment.
func forWholeServer(cmd *cobra.Command) *cobra.Command {
	flags := cmd.PersistentFlags()
	flags.Bool("json", false, "print the server's answer as JSON")
	flags.String("address", "", "address of Caddy's admin API, as in: localhost:2019, unix//run/caddy/admin.sock")
	flags.StringP("config", "c", "", "configuration file that says where the admin API is")
	flags.StringP("adapter", "a", "", "name of the adapter for that file")
	flags.String("operator-token", "", "file with the operator token (default: see \"caddy bearer --help\")")
	completeFlag(cmd, "adapter", completeWords("caddyfile"))
	return cmd
}

// adminClient is a command's way to the admin API of a running Caddy.
type adminClient struct {
	cmd     *cobra.Command
	address caddy.NetworkAddress
	token   string // empty: none was found, which a Unix socket may not mind
	http    http.Client
}

// onServer makes f what a command does with a server.
func onServer(f func(*adminClient, []string) error) func(*cobra.Command, []string) error {
	return run(func(cmd *cobra.Command, args []string) error {
		client, err := newAdminClient(cmd)
		if err != nil {
			return err
		}
		return f(client, args)
	})
}

func (c *adminClient) flag(name string) string { return c.cmd.Flag(name).Value.String() }

func newAdminClient(cmd *cobra.Command) (*adminClient, error) {
	c := &adminClient{cmd: cmd}
	address, configured, err := c.findServer()
	if err != nil {
		return nil, err
	}
	if c.address, err = parseAdminAddress(address); err != nil {
		return nil, err
	}
	if c.token, err = c.findToken(configured); err != nil {
		return nil, err
	}
	c.http = http.Client{
		Timeout: answerTimeout,
		Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, c.address.Network, c.address.JoinHostPort(0))
		}},
		// Whoever could redirect us would get the operator token.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return c, nil
}

// findServer returns the address of the admin API and, if a configuration file
// was named, the operator token file that stands there.
func (c *adminClient) findServer() (address, operatorFile string, err error) {
	file, adapter := c.flag("config"), c.flag("adapter")
	var config []byte
	if file != "" {
		if config, _, _, err = caddycmd.LoadConfig(file, adapter); err != nil {
			return "", "", fmt.Errorf("configuration file %s: %w", file, err)
		}
		var settings struct {
			Apps struct {
				Bearer struct {
					OperatorTokenFile string `json:"operator_token_file"`
				} `json:"bearer"`
			} `json:"apps"`
		}
		if err := json.Unmarshal(config, &settings); err != nil {
			return "", "", fmt.Errorf("configuration file %s: %w", file, err)
		}
		operatorFile = settings.Apps.Bearer.OperatorTokenFile
	}
	address, err = caddycmd.DetermineAdminAPIAddress(c.flag("address"), config, file, adapter)
	if err == nil && address == "" {
		err = usagef("CADDY_ADMIN is empty; set it to the address of the admin API, or unset it")
	}
	return address, operatorFile, err
}

// parseAdminAddress refuses addresses to which an operator token must not be
// sent: the admin API of other machines is plain text to commands.
func parseAdminAddress(given string) (caddy.NetworkAddress, error) {
	address, err := caddy.ParseNetworkAddress(given)
	if err != nil || address.PortRangeSize() > 1 {
		return address, usagef("%q is not the address of an admin API", given)
	}
	if address.IsUnixNetwork() {
		address.Host, _, _ = strings.Cut(address.Host, "|") // the mode of the socket
		return address, nil
	}
	if !isLoopback(address.Host) {
		return address, usagef("%s is not on this machine, and the operator token would go there in plain text; run the command on the server", given)
	}
	return address, nil
}

// findToken returns the strongest operator token of the file that applies.
func (c *adminClient) findToken(configured string) (string, error) {
	named := cmp.Or(c.flag("operator-token"), os.Getenv(operatorFileVariable))
	file := cmp.Or(named, configured, defaultOperatorFile())
	token, err := strongestOperator(file)
	if err != nil && named == "" && (errors.Is(err, fs.ErrNotExist) || c.address.IsUnixNetwork()) {
		return "", nil // the server may need none, and if it does, it knows where it is
	}
	if err != nil {
		return "", fmt.Errorf("operator token file: %w", err)
	}
	return token, nil
}

// call performs an operation of the admin API and returns the answer's body,
// which it also decodes into answer unless that is nil.
func (c *adminClient) call(method, path string, in, answer any) ([]byte, error) {
	response, err := c.send(method, path, in)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, fmt.Errorf("reading the server's answer: %w", err)
	}
	if response.StatusCode >= 300 {
		return nil, c.refusal(response, body)
	}
	if answer != nil {
		if err := json.Unmarshal(body, answer); err != nil {
			return nil, fmt.Errorf("the server's answer is not what this version expects: %w", err)
		}
	}
	return body, nil
}

func (c *adminClient) send(method, path string, in any) (*http.Response, error) {
	var body io.Reader
	if in != nil {
		encoded, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(encoded)
	}
	host := "127.0.0.1" // for a socket it only has to look like a host
	if !c.address.IsUnixNetwork() {
		host = c.address.JoinHostPort(0)
	}
	request, err := http.NewRequestWithContext(c.cmd.Context(), method, "http://"+host+adminRoot+path, body)
	if err != nil {
		return nil, err
	}
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	if !c.address.IsUnixNetwork() {
		request.Header.Set("Origin", "http://"+host) // Caddy may be told to check it
	}
	if c.token != "" {
		request.Header.Set("Authorization", "Bearer "+c.token)
	}
	response, err := c.http.Do(request)
	if err != nil {
		if inner, ok := errors.AsType[*url.Error](err); ok {
			err = inner.Err
		}
		return nil, fmt.Errorf("no answer from Caddy's admin API at %s: %w; if it is elsewhere, name it with --address, --config or CADDY_ADMIN", c.address, err)
	}
	return response, nil
}

// refusal is the server's own sentence.
func (c *adminClient) refusal(response *http.Response, body []byte) error {
	var told struct {
		Error string `json:"error"`
	}
	known := json.Unmarshal(body, &told) == nil && told.Error != ""
	switch {
	case known && response.StatusCode == http.StatusUnauthorized:
		return fmt.Errorf("%s; name the file with --operator-token or %s", told.Error, operatorFileVariable)
	case known:
		return errors.New(told.Error)
	}
	if response.StatusCode == http.StatusNotFound {
		return fmt.Errorf("the Caddy at %s has no admin API for bearer; was it built with caddy-bearer, in this version?", c.address)
	}
	return fmt.Errorf("the server at %s answered %s", c.address, response.Status)
}

// path returns the path of a record in the environment that the command is for.
func (c *adminClient) path(segments ...string) (string, error) {
	env, err := c.environment()
	if err != nil {
		return "", err
	}
	path := "/environments/" + url.PathEscape(env)
	for _, segment := range segments {
		path += "/" + url.PathEscape(segment)
	}
	return path, nil
}

// environment returns the environment that --environment names, or the only one.
func (c *adminClient) environment() (string, error) {
	if named := c.flag("environment"); named != "" {
		return named, nil
	}
	var answer struct {
		Environments []environmentInfo `json:"environments"`
	}
	if _, err := c.call("GET", "/environments", nil, &answer); err != nil {
		return "", err
	}
	if len(answer.Environments) == 1 {
		return string(answer.Environments[0].Name), nil
	}
	var names []store.Environment
	for _, env := range answer.Environments {
		names = append(names, env.Name)
	}
	return "", usagef("which environment? name one of %v with --environment", names)
}
