// Command exchange is a small trading and payments API to put behind a gate:
// accounts, orders, payments, market data over JSON, WebSocket and SSE.
//
// It keeps everything in memory and checks no token. Who may call what is the
// gate's business; this program trusts the X-Auth-Accounts header that the
// gate sets and therefore must be reachable through the gate only (it listens
// on the loopback interface unless told otherwise).
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// stopGrace bounds the time between the wish to stop and the end of the
// process. Streams are told to end at once; only a slow answer, or a client
// that does not answer a WebSocket's close, uses it up.
const stopGrace = time.Second

func main() {
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stderr))
}

// run is the program without its process: it returns the exit code, 2 for a
// wrong command line and 1 when an address can't be served.
func run(ctx context.Context, args []string, stdin io.Reader, stderr io.Writer) int {
	flags := flag.NewFlagSet("exchange", flag.ContinueOnError)
	flags.SetOutput(stderr)
	listen := flags.String("listen", "127.0.0.1:9000", "addresses to listen on, separated by commas; port 0 picks a free one")
	withStdin := flags.Bool("exit-with-stdin", false, "exit when standard input ends, so as never to outlive the parent process")
	if err := flags.Parse(args); err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		return 2
	}
	if flags.NArg() > 0 {
		fmt.Fprintf(stderr, "exchange: unexpected argument %q\n", flags.Arg(0))
		return 2
	}

	log := slog.New(slog.NewTextHandler(stderr, nil))
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	if *withStdin {
		go func() {
			// An error ends standard input as much as EOF does.
			_, _ = io.Copy(io.Discard, stdin)
			cancel()
		}()
	}
	if err := serve(ctx, strings.Split(*listen, ","), log); err != nil {
		log.Error("exchange stopped", "error", err)
		return 1
	}
	log.Info("exchange stopped")
	return 0
}

// serve listens on every address and serves until ctx ends or one listener fails.
func serve(ctx context.Context, addresses []string, log *slog.Logger) error {
	listeners, err := listenAll(ctx, addresses)
	if err != nil {
		return err
	}
	api := newServer()
	httpServer := &http.Server{
		Handler:           api,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       2 * time.Minute,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
	failed := make(chan error, len(listeners))
	for _, listener := range listeners {
		// The real address: with port 0 nobody else knows it.
		log.Info("listening", "addr", listener.Addr().String())
		go func() { failed <- httpServer.Serve(listener) }()
	}

	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	stop(httpServer, api)
	return err
}

// listenAll opens every address or none.
func listenAll(ctx context.Context, addresses []string) ([]net.Listener, error) {
	var config net.ListenConfig
	var listeners []net.Listener
	for _, address := range addresses {
		listener, err := config.Listen(ctx, "tcp", strings.TrimSpace(address))
		if err != nil {
			for _, open := range listeners {
				_ = open.Close()
			}
			return nil, err
		}
		listeners = append(listeners, listener)
	}
	return listeners, nil
}

// stop ends the streams, lets short answers finish, and closes what is left
// when the grace is over.
func stop(httpServer *http.Server, api *server) {
	ctx, cancel := context.WithTimeout(context.Background(), stopGrace)
	defer cancel()
	api.endStreams()
	if err := httpServer.Shutdown(ctx); err != nil {
		_ = httpServer.Close()
	}
	// Shutdown does not know of hijacked connections: WebSockets say goodbye here.
	api.waitSockets(ctx)
}
