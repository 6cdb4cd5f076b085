package caddymodule

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"

	"github.com/spf13/cobra"
)

// runningServer is a Caddy that answered at its admin endpoint.
type runningServer struct {
	address  string
	config   []byte // its configuration as JSON; nil: it didn't tell
	policies []policyInfo
	health   shownHealth
	refused  error // why bearer's part of the endpoint didn't answer
	pid      int   // 0: not known
}

// findRunning asks the admin endpoint that the flags lead to; nil and why if
// nothing answers there.
func findRunning(cmd *cobra.Command) (*runningServer, error) {
	client, err := newAdminClient(cmd)
	if err != nil {
		return nil, err
	}
	server := &runningServer{address: client.address.String()}
	dialer := new(net.Dialer)
	client.http.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := dialer.DialContext(ctx, client.address.Network, client.address.JoinHostPort(0))
		if err == nil {
			server.pid = peerProcess(conn)
		}
		return conn, err
	}}
	if server.config, err = client.runningConfig(); err != nil {
		return nil, err
	}
	var answer map[string][]policyInfo
	if _, server.refused = client.call("GET", "/policies", nil, &answer); server.refused == nil {
		_, server.refused = client.call("GET", "/health", nil, &server.health)
	}
	server.policies = answer["policies"]
	return server, nil
}

// runningConfig reads the configuration that Caddy runs. Caddy asks for no
// operator token there, so none is sent.
func (c *adminClient) runningConfig() ([]byte, error) {
	host := "127.0.0.1"
	if !c.address.IsUnixNetwork() {
		host = c.address.JoinHostPort(0)
	}
	request, err := http.NewRequestWithContext(c.cmd.Context(), http.MethodGet, "http://"+host+"/config/", nil)
	if err != nil {
		return nil, err
	}
	if !c.address.IsUnixNetwork() {
		request.Header.Set("Origin", "http://"+host)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return nil, fmt.Errorf("no answer from Caddy's admin API at %s: %w", c.address, err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server at %s answered %s", c.address, response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, maxAnswer))
}

// checkServer holds what runs against what the files say.
func (x *examination) checkServer() {
	if x.server == nil {
		x.find(levelNote, "server", "", "if it should run, start it; name its admin endpoint with --address if it is elsewhere",
			"no server answered at its admin endpoint: what runs was not looked at")
		return
	}
	if x.server.refused != nil {
		x.find(levelNote, "server", "", "run the doctor as Caddy's user, or name the file with --operator-token", "the server at %s didn't tell what it enforces: %s", x.server.address, x.server.refused)
	}
	var mine, runs any
	if x.file != "" && json.Unmarshal(x.raw, &mine) == nil && json.Unmarshal(x.server.config, &runs) == nil && !reflect.DeepEqual(mine, runs) {
		x.find(levelNote, "running-config", x.file, "caddy reload --config "+x.file, "the server at %s runs another configuration than this file says", x.server.address)
	}
	for _, name := range sortedKeys(x.server.health.Details) {
		x.find(levelWarning, "health", "", "see \"Health\" in docs/operators.md", "the server says that its check %s fails: %s", name, x.server.health.Details[name])
	}
	for _, runs := range x.server.policies {
		loaded, err := loadPolicyFile(runs.File)
		if err == nil && loaded.policy.Revision() != runs.Revision {
			x.find(levelWarning, "running-policy", runs.File, "look at the log for \"policy file is bad\"; a file that is good is taken over within a second",
				"the server enforces revision %s of policy %s, and the file has %s", runs.Revision, runs.Name, loaded.policy.Revision())
		}
	}
}
