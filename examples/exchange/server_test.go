package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

const goodIBAN = "TR33 0006 1005 1978 6457 8413 26"

// call is one request to the API as the gate would forward it.
type call struct {
	method, target, accounts, contentType, body string
}

// do makes the call and returns the answer and its JSON body.
func do(t *testing.T, s *server, c call) (*http.Response, map[string]any) {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), c.method, c.target, strings.NewReader(c.body))
	if c.accounts != "" {
		r.Header.Set("X-Auth-Accounts", c.accounts)
	}
	switch {
	case c.contentType != "":
		r.Header.Set("Content-Type", c.contentType)
	case c.body != "":
		r.Header.Set("Content-Type", "application/json")
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	if w.Body.Len() == 0 {
		return w.Result(), nil
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("%s %s: Content-Type %q", c.method, c.target, got)
	}
	var body map[string]any
	if err := json.Unmarshal(w.Body.Bytes(), &body); err != nil {
		t.Fatalf("%s %s: body %q: %v", c.method, c.target, w.Body, err)
	}
	return w.Result(), body
}

// mustCreate makes a call that must answer 201 and returns the new id.
func mustCreate(t *testing.T, s *server, c call) string {
	t.Helper()
	response, body := do(t, s, c)
	if response.StatusCode != http.StatusCreated {
		t.Fatalf("%s %s: status %d, %v", c.method, c.target, response.StatusCode, body)
	}
	id, _ := body["id"].(string)
	if want := c.target + "/" + id; response.Header.Get("Location") != want {
		t.Errorf("Location %q, want %q", response.Header.Get("Location"), want)
	}
	return id
}

func TestStatus(t *testing.T) {
	const orders = "/api/v1/accounts/1/orders"
	order := func(side, symbol, quantity, price string) string {
		return `{"side":"` + side + `","symbol":"` + symbol + `","quantity":` + quantity + `,"price":` + price + `}`
	}
	eft := func(from, to, amount string) string {
		return `{"from":"` + from + `","to":"` + to + `","amount":` + amount + `}`
	}
	tests := []struct {
		name string
		call call
		want int
	}{
		{"health", call{method: "GET", target: "/health"}, 200},
		{"no such path", call{method: "GET", target: "/api/v1/nothing"}, 404},
		{"trailing slash is another path", call{method: "GET", target: "/api/v1/market/"}, 404},
		{"wrong method", call{method: "PUT", target: "/api/v1/eft"}, 405},
		{"desk", call{method: "GET", target: "/api/v1/desk"}, 200},
		{"market", call{method: "GET", target: "/api/v1/market"}, 200},

		{"account", call{method: "GET", target: "/api/v1/accounts/2"}, 200},
		{"unknown account", call{method: "GET", target: "/api/v1/accounts/42"}, 404},
		{"balance of unknown account", call{method: "GET", target: "/api/v1/accounts/42/balance"}, 404},
		{"orders of unknown account", call{method: "GET", target: "/api/v1/accounts/42/orders"}, 404},

		{"order", call{method: "POST", target: orders, body: order("buy", "BTC-USD", "1", "100")}, 201},
		{"content type with charset", call{method: "POST", target: orders, contentType: "application/json; charset=utf-8", body: order("sell", "BTC-USD", "1", "100")}, 201},
		{"order without content type", call{method: "POST", target: orders}, 415},
		{"order as form", call{method: "POST", target: orders, contentType: "application/x-www-form-urlencoded", body: "side=buy"}, 415},
		{"order of unknown account", call{method: "POST", target: "/api/v1/accounts/42/orders", body: order("buy", "BTC-USD", "1", "100")}, 404},
		{"unknown side", call{method: "POST", target: orders, body: order("hold", "BTC-USD", "1", "100")}, 422},
		{"unknown symbol", call{method: "POST", target: orders, body: order("buy", "DOGE-USD", "1", "100")}, 422},
		{"foreign currency", call{method: "POST", target: orders, body: order("buy", "BTC-EUR", "1", "100")}, 422},
		{"quantity zero", call{method: "POST", target: orders, body: order("buy", "BTC-USD", "0", "100")}, 422},
		{"negative price", call{method: "POST", target: orders, body: order("sell", "BTC-USD", "1", "-1")}, 422},
		{"cost overflows", call{method: "POST", target: orders, body: order("buy", "BTC-USD", "9223372036854775807", "2")}, 422},
		{"fraction", call{method: "POST", target: orders, body: order("buy", "BTC-USD", "0.5", "100")}, 400},
		{"unknown member", call{method: "POST", target: orders, body: `{"side":"buy","symbols":"BTC-USD"}`}, 400},
		{"doubled member", call{method: "POST", target: orders, body: `{"side":"buy","side":"sell"}`}, 400},
		{"member in other case", call{method: "POST", target: orders, body: `{"Side":"buy"}`}, 400},
		{"second value", call{method: "POST", target: orders, body: order("buy", "BTC-USD", "1", "100") + "{}"}, 400},
		{"body too large", call{method: "POST", target: orders, body: `{"side":"` + strings.Repeat("b", maxBody) + `"}`}, 413},
		{"order beyond funds", call{method: "POST", target: orders, body: order("buy", "BTC-USD", "1000000", "9500000")}, 409},
		{"cancel unknown order", call{method: "DELETE", target: orders + "/beef"}, 404},

		{"eft", call{method: "POST", target: "/api/v1/eft", accounts: "1", body: eft("1", goodIBAN, "1")}, 201},
		{"remittance", call{method: "POST", target: "/api/v1/remittance", accounts: "1", body: eft("1", goodIBAN, "1")}, 201},
		{"eft from an account outside the token", call{method: "POST", target: "/api/v1/eft", accounts: "1 3", body: eft("2", goodIBAN, "1")}, 403},
		{"eft without the gate", call{method: "POST", target: "/api/v1/eft", body: eft("1", goodIBAN, "1")}, 403},
		{"eft from an account that does not exist", call{method: "POST", target: "/api/v1/eft", accounts: "42", body: eft("42", goodIBAN, "1")}, 404},
		{"eft from nowhere", call{method: "POST", target: "/api/v1/eft", accounts: "1", body: `{"to":"` + goodIBAN + `","amount":1}`}, 422},
		{"eft of nothing", call{method: "POST", target: "/api/v1/eft", accounts: "1", body: eft("1", goodIBAN, "0")}, 422},
		{"eft to a typo", call{method: "POST", target: "/api/v1/eft", accounts: "1", body: eft("1", "TR330006100519786457841327", "1")}, 422},
		{"eft with a long note", call{method: "POST", target: "/api/v1/eft", accounts: "1", body: `{"from":"1","to":"` + goodIBAN + `","amount":1,"note":"` + strings.Repeat("n", 141) + `"}`}, 422},
		{"eft beyond funds", call{method: "POST", target: "/api/v1/eft", accounts: "3", body: eft("3", goodIBAN, "7500001")}, 409},
		{"unknown payment", call{method: "GET", target: "/api/v1/eft/beef", accounts: "1"}, 404},

		{"report without seconds", call{method: "GET", target: "/api/v1/report"}, 400},
		{"report too long", call{method: "GET", target: "/api/v1/report?seconds=11"}, 400},
		{"report into the past", call{method: "GET", target: "/api/v1/report?seconds=-1"}, 400},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			response, body := do(t, newServer(), tt.call)
			if response.StatusCode != tt.want {
				t.Errorf("status %d, want %d: %v", response.StatusCode, tt.want, body)
			}
			if text, _ := body["error"].(string); (tt.want >= 400) != (text != "") {
				t.Errorf("status %d with body %v", tt.want, body)
			}
		})
	}
}

func TestAnswersWithoutJSON(t *testing.T) {
	tests := []struct {
		name, method, target string
		want                 int
	}{
		{"head of an endless stream ends", "HEAD", "/api/v1/events", 200},
		{"stream without upgrade", "GET", "/api/v1/stream", 426},
	}
	for _, tt := range tests {
		w := httptest.NewRecorder()
		newServer().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), tt.method, tt.target, nil))
		if w.Code != tt.want {
			t.Errorf("%s: status %d, want %d", tt.name, w.Code, tt.want)
		}
	}
}

func TestWrongMethodNamesTheRightOnes(t *testing.T) {
	response, _ := do(t, newServer(), call{method: "PATCH", target: "/api/v1/accounts/1/orders"})
	if got := response.Header.Get("Allow"); got != "GET, HEAD, POST" {
		t.Errorf("Allow %q", got)
	}
}

func TestAccountsAreThoseOfTheToken(t *testing.T) {
	tests := []struct {
		header string
		want   []string
	}{
		{"", nil},
		{"1", []string{"1"}},
		{"3 1", []string{"3", "1"}},
		{"%32 %zz 42", []string{"2"}},
	}
	for _, tt := range tests {
		_, body := do(t, newServer(), call{method: "GET", target: "/api/v1/accounts", accounts: tt.header})
		list, ok := body["accounts"].([]any)
		if !ok {
			t.Errorf("%q: accounts is %v, not a list", tt.header, body["accounts"])
		}
		var got []string
		for _, entry := range list {
			got = append(got, entry.(map[string]any)["id"].(string))
		}
		if !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%q: accounts %v, want %v", tt.header, got, tt.want)
		}
	}
}

func TestOrderHoldsFundsUntilCancelled(t *testing.T) {
	s := newServer()
	const orders = "/api/v1/accounts/2/orders"
	available := func() float64 {
		_, body := do(t, s, call{method: "GET", target: "/api/v1/accounts/2/balance"})
		return body["available"].(float64)
	}
	id := mustCreate(t, s, call{method: "POST", target: orders, body: `{"side":"buy","symbol":"BTC-EUR","quantity":2,"price":8700000}`})
	if got := available(); got != 25_000_000-17_400_000 {
		t.Errorf("available with an open order: %v", got)
	}
	if response, _ := do(t, s, call{method: "POST", target: orders, body: `{"side":"buy","symbol":"BTC-EUR","quantity":1,"price":8700000}`}); response.StatusCode != http.StatusConflict {
		t.Errorf("second order that the rest does not cover: status %d", response.StatusCode)
	}
	if _, body := do(t, s, call{method: "GET", target: orders}); len(body["orders"].([]any)) != 1 {
		t.Errorf("open orders: %v", body)
	}
	if response, _ := do(t, s, call{method: "DELETE", target: "/api/v1/accounts/1/orders/" + id}); response.StatusCode != http.StatusNotFound {
		t.Errorf("cancelled through another account: status %d", response.StatusCode)
	}
	if response, _ := do(t, s, call{method: "DELETE", target: orders + "/" + id}); response.StatusCode != http.StatusNoContent {
		t.Errorf("cancel: status %d", response.StatusCode)
	}
	if got := available(); got != 25_000_000 {
		t.Errorf("available after cancel: %v", got)
	}
}

func TestPaymentMovesMoneyAndIsPrivate(t *testing.T) {
	s := newServer()
	id := mustCreate(t, s, call{method: "POST", target: "/api/v1/eft", accounts: "1 3", body: `{"from":"3","to":"` + goodIBAN + `","amount":7500000,"note":"rent"}`})
	if _, body := do(t, s, call{method: "GET", target: "/api/v1/accounts/3/balance"}); body["available"].(float64) != 0 {
		t.Errorf("balance after the payment: %v", body)
	}
	tests := []struct {
		name, target, accounts string
		want                   int
	}{
		{"its own account", "/api/v1/eft/" + id, "3", 200},
		{"another account", "/api/v1/eft/" + id, "1 2", 404},
		{"the other kind", "/api/v1/remittance/" + id, "3", 404},
	}
	for _, tt := range tests {
		response, body := do(t, s, call{method: "GET", target: tt.target, accounts: tt.accounts})
		if response.StatusCode != tt.want {
			t.Errorf("%s: status %d, want %d: %v", tt.name, response.StatusCode, tt.want, body)
		}
	}
	if _, body := do(t, s, call{method: "GET", target: "/api/v1/eft", accounts: "3"}); len(body["payments"].([]any)) != 1 {
		t.Errorf("list of the account: %v", body)
	}
	if _, body := do(t, s, call{method: "GET", target: "/api/v1/eft", accounts: "1"}); len(body["payments"].([]any)) != 0 {
		t.Errorf("list of another account: %v", body)
	}
}

func TestConcurrentPaymentsSpendEachCentOnce(t *testing.T) {
	l := newLedger()
	paid := make(chan bool)
	for range 20 {
		go func() {
			_, err := l.pay(payment{Kind: "eft", From: "3", Amount: 1_000_000})
			paid <- err == nil
		}()
	}
	made := 0
	for range 20 {
		if <-paid {
			made++
		}
	}
	if left, _ := l.balance("3"); made != 7 || left.Balance != 500_000 {
		t.Errorf("%d payments made, %d left; want 7 and 500000", made, left.Balance)
	}
}

func TestIBAN(t *testing.T) {
	valid := []string{"TR330006100519786457841326", goodIBAN, "GB82 WEST 1234 5698 7654 32", "DE89370400440532013000", "NO9386011117947"}
	for _, s := range valid {
		if !validIBAN(s) {
			t.Errorf("%q is refused", s)
		}
	}
	invalid := []string{"", "TR33", "TR340006100519786457841326", "tr330006100519786457841326", "33TR0006100519786457841326",
		"GB82 WEST 1234 5698 7654 33", "GB82-WEST-1234-5698-7654-32", strings.Repeat("9", 40), "GBA2WEST12345698765432"}
	for _, s := range invalid {
		if validIBAN(s) {
			t.Errorf("%q is accepted", s)
		}
	}
}

func TestEchoShowsTheRequestAsItArrived(t *testing.T) {
	for _, target := range []string{"/debug/request?a=1&a=%32", "/api/v1/echo"} {
		r := httptest.NewRequestWithContext(t.Context(), "GET", target, nil)
		r.Host = "api.test"
		r.Header["X-Auth-User"] = []string{"alice", "m\xfcller"}
		w := httptest.NewRecorder()
		newServer().ServeHTTP(w, r)
		var got struct {
			Method, Target, Host string
			Headers              map[string][]string
		}
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
			t.Fatalf("%s: %v in %q", target, err, w.Body)
		}
		if got.Method != "GET" || got.Target != target || got.Host != "api.test" {
			t.Errorf("%s: %+v", target, got)
		}
		if want := []string{"alice", "m\uFFFDller"}; !reflect.DeepEqual(got.Headers["X-Auth-User"], want) {
			t.Errorf("headers %q, want %q", got.Headers["X-Auth-User"], want)
		}
	}
}

func TestReportTakesItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		response, body := do(t, newServer(), call{method: "GET", target: "/api/v1/report?seconds=7"})
		if took := time.Since(start); took != 7*time.Second {
			t.Errorf("took %v", took)
		}
		if response.StatusCode != 200 || body["seconds"].(float64) != 7 {
			t.Errorf("status %d, %v", response.StatusCode, body)
		}
	})
}

func TestReportEndsWithItsClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		w := httptest.NewRecorder()
		newServer().ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/api/v1/report?seconds=7", nil))
		if took := time.Since(start); took != time.Second || w.Body.Len() != 0 {
			t.Errorf("took %v and wrote %q", took, w.Body)
		}
	})
}
