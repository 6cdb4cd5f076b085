package main

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
)

// symbols are what is traded, base and quote currency.
var symbols = []string{"BTC-EUR", "BTC-TRY", "BTC-USD", "ETH-USD"}

// ticker is the last price of a symbol, in minor units of its quote currency.
type ticker struct {
	Symbol string `json:"symbol"`
	Price  int64  `json:"price"`
}

// snapshot is the whole market at one step; Sequence shows a reader of a
// stream whether something is missing.
type snapshot struct {
	Type     string   `json:"type"`
	Sequence uint64   `json:"sequence"`
	Tickers  []ticker `json:"tickers"`
}

// market makes prices up: a random walk with one step for each look.
type market struct {
	mu       sync.Mutex
	sequence uint64
	prices   map[string]int64
}

func newMarket() *market {
	return &market{prices: map[string]int64{
		"BTC-EUR": 87_000_00, "BTC-TRY": 4_100_000_00, "BTC-USD": 95_000_00, "ETH-USD": 3_400_00,
	}}
}

// next moves every price by at most 0.1 % and returns those that were asked
// for; no symbols means all.
func (m *market) next(wanted ...string) snapshot {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sequence++
	tick := snapshot{Type: "tick", Sequence: m.sequence}
	for _, symbol := range symbols {
		reach := max(m.prices[symbol]/1000, 1)
		// Prices are no secret: a predictable generator will do.
		step := rand.Int64N(2*reach+1) - reach //nolint:gosec // see above
		m.prices[symbol] = max(m.prices[symbol]+step, 1)
		if len(wanted) == 0 || slices.Contains(wanted, symbol) {
			tick.Tickers = append(tick.Tickers, ticker{symbol, m.prices[symbol]})
		}
	}
	return tick
}

func (s *server) readMarket(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, s.market.next())
}
