// Command bot is the bot of docs/clients.md.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

var config = clientcredentials.Config{
	ClientID: os.Getenv("CLIENT_ID"), ClientSecret: os.Getenv("CLIENT_SECRET"),
	TokenURL: os.Getenv("ISSUER") + "/oauth2/token", Scopes: []string{"read:accounts"},
}

var (
	web    = &http.Client{Timeout: 30 * time.Second}
	ctx    = context.WithValue(context.Background(), oauth2.HTTPClient, web)
	source = config.TokenSource(ctx) // renews by itself, 10 seconds before a token ends
)

// call also returns how long the server asks to wait.
func call(path string, repeat bool) (time.Duration, error) {
	token, err := source.Token()
	if err != nil {
		return 0, err
	}
	request, err := http.NewRequest("GET", os.Getenv("API")+path, nil)
	if err != nil {
		return 0, err
	}
	token.SetAuthHeader(request)
	response, err := web.Do(request)
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusUnauthorized && repeat { // revoked, or your rights changed: renew once
		source = config.TokenSource(ctx)
		return call(path, false)
	}
	if response.StatusCode != http.StatusOK {
		seconds, _ := strconv.Atoi(response.Header.Get("Retry-After")) // 0 if it doesn't say
		return time.Duration(seconds) * time.Second, fmt.Errorf("%s: %s", path, response.Status)
	}
	return 0, nil // read response.Body here
}

func main() {
	stop, _ := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	for failures := 0; stop.Err() == nil; {
		pause := time.Second
		if asked, err := call("/accounts", true); err == nil { // your work
			failures = 0
		} else { // 503, 429, no network: wait as long as the server asks, or ever longer
			log.Print(err)
			pause = max(asked, min(time.Second<<min(failures, 6), time.Minute))
			failures++
		}
		select {
		case <-stop.Done():
		case <-time.After(pause):
		}
	}
	if err := revoke(); err != nil {
		log.Fatal("the token was not revoked: ", err)
	}
}

// revoke ends the token: the library has no RFC 7009.
func revoke() error {
	token, err := source.Token()
	if err != nil {
		return err
	}
	form := url.Values{"token": {token.AccessToken}, "client_id": {config.ClientID}, "client_secret": {config.ClientSecret}}
	response, err := web.PostForm(os.Getenv("ISSUER")+"/oauth2/revoke", form)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return errors.New(response.Status)
	}
	return nil
}
