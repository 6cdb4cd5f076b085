package issuer

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// BenchmarkS4 is the bank's code call and token call over HTTP, on SQLite with
// every acknowledgement on the disk. One op is both calls.
func BenchmarkS4(b *testing.B) {
	benchmarkIssuing(b, token.ES256, func(bank *bank, client *http.Client) error {
		_, err := bank.fetchTokens(client)
		return err
	})
}

// BenchmarkClientCredentials is one call over HTTP: the grant is on the disk and
// the token signed when it is answered.
func BenchmarkClientCredentials(b *testing.B) {
	for _, algorithm := range []string{token.ES256, token.EdDSA} {
		b.Run(algorithm, func(b *testing.B) {
			benchmarkIssuing(b, algorithm, func(bank *bank, client *http.Client) error {
				var tokens map[string]any
				return bank.fetch(client, ownCall(), &tokens)
			})
		})
	}
}

// BenchmarkRefresh is one call over HTTP that rotates a refresh token: each op
// takes a family, renews it and puts it back with its new head.
func BenchmarkRefresh(b *testing.B) {
	heads := make(chan string, 256)
	benchmarkIssuing(b, token.ES256, func(bank *bank, client *http.Client) error {
		var tokens map[string]any
		if err := bank.fetch(client, renewCall(<-heads), &tokens); err != nil {
			return err
		}
		heads <- fmt.Sprint(tokens["refresh_token"])
		return nil
	}, func(bank *bank, client *http.Client) error {
		for len(heads) > 0 {
			<-heads // of the benchmark before
		}
		for range cap(heads) {
			tokens, err := bank.fetchTokens(client)
			if err != nil {
				return err
			}
			heads <- fmt.Sprint(tokens["refresh_token"])
		}
		return nil
	})
}

// benchmarkIssuing measures issue at a bank that was prepared.
func benchmarkIssuing(b *testing.B, algorithm string, issue func(*bank, *http.Client) error, prepare ...func(*bank, *http.Client) error) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			bank := newBank(b, func(bank *bank) { bank.algorithm = algorithm })
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
			defer client.CloseIdleConnections()
			for _, step := range prepare {
				if err := step(bank, client); err != nil {
					b.Fatal(err)
				}
			}
			work := make(chan struct{}, callers)
			b.ResetTimer()
			var all sync.WaitGroup
			for range callers {
				all.Go(func() {
					for range work {
						if err := issue(bank, client); err != nil {
							b.Error(err)
						}
					}
				})
			}
			for range b.N {
				work <- struct{}{}
			}
			close(work)
			all.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tokens/s")
		})
	}
}

func (b *bank) fetchTokens(client *http.Client) (tokens map[string]any, err error) {
	var code map[string]any
	if err := b.fetch(client, codeCall(), &code); err != nil {
		return nil, err
	}
	err = b.fetch(client, redeemCall(fmt.Sprint(code["code"])), &tokens)
	return tokens, err
}

func (b *bank) fetch(client *http.Client, c call, into *map[string]any) error {
	req, err := http.NewRequest(c.method, b.server.URL+c.path, strings.NewReader(c.body))
	if err != nil {
		return err
	}
	req.Header = c.header
	res, err := client.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%d %s", res.StatusCode, body)
	}
	return json.Unmarshal(body, into)
}
