package issuer

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"

	"github.com/go-json-experiment/json"
)

// BenchmarkS4 is the bank's code call and token call over HTTP, on SQLite with
// every acknowledgement on the disk. One op is both calls.
func BenchmarkS4(b *testing.B) { benchmarkIssuing(b, (*bank).fetchTokens) }

// BenchmarkClientCredentials is one call over HTTP: the grant is on the disk and
// the token signed when it is answered.
func BenchmarkClientCredentials(b *testing.B) {
	benchmarkIssuing(b, func(bank *bank, client *http.Client) error {
		var tokens map[string]any
		return bank.fetch(client, ownCall(), &tokens)
	})
}

func benchmarkIssuing(b *testing.B, issue func(*bank, *http.Client) error) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprint("callers=", callers), func(b *testing.B) {
			bank := newBank(b, nil)
			client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: callers}}
			defer client.CloseIdleConnections()
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

func (b *bank) fetchTokens(client *http.Client) error {
	var code, tokens map[string]any
	if err := b.fetch(client, codeCall(), &code); err != nil {
		return err
	}
	return b.fetch(client, redeemCall(fmt.Sprint(code["code"])), &tokens)
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
