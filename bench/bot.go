//go:build linux

package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// scopes are what a bot may do: all of policy.yaml.
const scopes = "read:accounts read:market read:orders trade:orders read:eft write:eft read:remittance"

// bot is a program with a client and a service account at our issuer.
type bot struct {
	caller
	basic string // the client's line of authentication
	pairs string // the bank's headers
}

// newBot registers a bot at a server by its admin socket.
func newBot(p *process, issuer string) (*bot, error) {
	admin := caller{network: "unix", address: filepath.Join(p.dir, "admin.sock")}
	defer admin.close()
	var client, service struct{ ID, Secret string }
	list, err := json.Marshal(strings.Fields(scopes))
	if err != nil {
		return nil, err
	}
	for _, step := range []struct {
		method, path, body string
		into               any
	}{
		{"POST", "/clients", `{"id":"bench-client","scopes":` + string(list) + `}`, &client},
		{"POST", "/service-accounts", `{"id":"bench-service","scopes":` + string(list) + `}`, &service},
		{"PUT", "/bindings/bench-client/" + account, `{}`, nil},
		{"PUT", "/service-accounts/bench-service/accounts/" + account, `{}`, nil},
	} {
		answer, err := admin.send(call{step.method, "/bearer/environments/sandbox" + step.path, "Content-Type: application/json\r\n", step.body})
		if err != nil {
			return nil, err
		}
		if step.into != nil {
			if err := json.Unmarshal(answer, step.into); err != nil {
				return nil, err
			}
		}
	}
	return &bot{
		caller: caller{network: "tcp", address: issuer},
		basic:  "Authorization: Basic " + base64.StdEncoding.EncodeToString([]byte(client.ID+":"+client.Secret)),
		pairs: fmt.Sprintf("X-Client-ID: %s\r\nX-Client-Secret: %s\r\nX-Service-Account-ID: %s\r\nX-Service-Account-Secret: %s\r\nscope: %s\r\n",
			client.ID, client.Secret, service.ID, service.Secret, scopes),
	}, nil
}

const ownGrant = "grant_type=client_credentials"

// credentials gets a token of the client's own.
func (b *bot) credentials() (string, error) {
	return b.field(&b.caller, b.form("/oauth2/token", ownGrant), "access_token")
}

// code gets a code by the bank's protocol.
func (b *bot) code(c *caller) (string, error) {
	return b.field(c, call{method: "GET", path: "/api/v1/s2s-oauth2/code", header: b.pairs}, "code")
}

// redeem exchanges a code, and returns the refresh token.
func (b *bot) redeem(c *caller, code string) (string, error) {
	return b.field(c, b.form("/api/v1/s2s-oauth2/token", "grant_type=authorization_code&code="+code), "refresh_token")
}

// renew returns a refresh token's successor.
func (b *bot) renew(c *caller, token string) (string, error) {
	return b.field(c, b.form("/api/v1/s2s-oauth2/token", "grant_type=refresh_token&refresh_token="+token), "refresh_token")
}

func (b *bot) form(path, form string) call {
	return call{"POST", path, b.basic + "\r\nContent-Type: application/x-www-form-urlencoded\r\n", form}
}

func (b *bot) field(c *caller, what call, name string) (string, error) {
	answer, err := c.send(what)
	if err != nil {
		return "", err
	}
	value := member(answer, name)
	if value == "" {
		return "", fmt.Errorf("%s: no %s in the answer", what.path, name)
	}
	return value, nil
}

// presenters is few: a gate verifies some tokens at a time, and lets nobody wait for
// long.
const presenters = 8

// present shows a server every token of a file once.
func present(ctx context.Context, file string, to *process) (err error) {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	tokens := make(chan string, 64)
	failed := make(chan error, presenters)
	var all sync.WaitGroup
	for range presenters {
		all.Go(func() {
			c := caller{network: "tcp", address: to.address()}
			defer c.close()
			var first error
			for token := range tokens {
				if first == nil {
					_, first = c.send(bearer(token))
				}
			}
			failed <- first
		})
	}
	lines := bufio.NewScanner(f)
	for ctx.Err() == nil && lines.Scan() {
		tokens <- lines.Text()
	}
	close(tokens)
	all.Wait()
	close(failed)
	for e := range failed {
		err = errors.Join(err, e)
	}
	return errors.Join(err, lines.Err(), ctx.Err())
}
