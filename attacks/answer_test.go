package attacks

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
)

// answer is what came back for a request.
type answer struct {
	a      *attack
	status int
	header http.Header
	body   string
	closes bool // the connection ends with it
	proto  int  // major version of HTTP
}

// traces are words that only the inside of the program would say.
var traces = regexp.MustCompile(`goroutine \d|\.go:\d|runtime error|panic`)

// read takes an answer over, and makes sure that it is none that an attack must
// never get.
func (a *attack) read(response *http.Response) *answer {
	a.Helper()
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		a.Fatal(err)
	}
	got := &answer{a, response.StatusCode, response.Header, string(body), response.Close, response.ProtoMajor}
	if got.status >= 500 && got.status != http.StatusNotImplemented {
		a.Errorf("a 5xx: %s", got)
	}
	if traces.MatchString(got.body) {
		a.Errorf("the body shows the inside: %s", got)
	}
	return got
}

func (got *answer) String() string { return fmt.Sprintf("%d %v %s", got.status, got.header, got.body) }

// Codes of the gate's problem documents, beside those of RFC 6750 §3.1.
const (
	invalidRequest    = "invalid_request"
	invalidToken      = "invalid_token"
	insufficientScope = "insufficient_scope"
	noCredentials     = "no_credentials"
	noRoute           = "no_route"
	notByGate         = "" // net/http refused it, before it was a request
)

var challengeError = regexp.MustCompile(`(?:^|[ ,])error="([^"]*)"`)

// refused wants the gate to have refused with this status and code, with the
// challenge that belongs to it, and the backend to have seen nothing.
func (got *answer) refused(status int, code string) *answer {
	got.a.Helper()
	challenged := map[string]string{noCredentials: "", invalidToken: invalidToken, insufficientScope: insufficientScope}
	if wanted, challenge := challenged[code]; challenge {
		return got.challenged(status, code, wanted)
	}
	if challenge := got.header.Get("Www-Authenticate"); challenge != "" {
		got.a.Errorf("challenge %q; none is wanted: %s", challenge, got)
	}
	return got.denied(status, code)
}

// refusedCredential is refused for a credential that can't be read: 400 with the
// challenge invalid_request (RFC 6750 §3.1).
func (got *answer) refusedCredential() *answer {
	got.a.Helper()
	return got.challenged(http.StatusBadRequest, invalidRequest, invalidRequest)
}

// challenged wants a Bearer challenge with this error, or with none.
func (got *answer) challenged(status int, code, wanted string) *answer {
	got.a.Helper()
	challenges := got.header["Www-Authenticate"]
	if len(challenges) != 1 || !strings.HasPrefix(challenges[0], `Bearer realm="`) {
		got.a.Errorf("challenges %q; one of the scheme Bearer is wanted: %s", challenges, got)
		return got
	}
	found := ""
	if match := challengeError.FindStringSubmatch(challenges[0]); match != nil {
		found = match[1]
	}
	if found != wanted {
		got.a.Errorf("challenge %s with the error %q; wanted %q", challenges[0], found, wanted)
	}
	return got.denied(status, code)
}

func (got *answer) denied(status int, code string) *answer {
	got.a.Helper()
	if got.status != status {
		got.a.Errorf("status %d; wanted %d: %s", got.status, status, got)
	}
	var problem struct{ Code string }
	if code != notByGate {
		if err := json.Unmarshal([]byte(got.body), &problem); err != nil || problem.Code != code {
			got.a.Errorf("code %q (%v); wanted %q: %s", problem.Code, err, code, got)
		}
		if cache := got.header.Get("Cache-Control"); cache != "no-store" {
			got.a.Errorf("Cache-Control %q on a refusal", cache)
		}
	}
	got.a.noMoreReceived()
	got.a.result(strings.TrimSpace(fmt.Sprintf("refused: %d %s", got.status, problem.Code)))
	return got
}

// passed wants the backend to have answered, once, and to have seen no token of
// the client. It returns what the backend received.
func (got *answer) passed() received {
	got.a.Helper()
	if got.status != http.StatusOK {
		got.a.Fatalf("status %d; wanted 200: %s", got.status, got)
	}
	requests := got.a.received()
	if len(requests) != 1 {
		got.a.Fatalf("the backend saw %d requests; wanted 1: %v", len(requests), requests)
	}
	if value, found := requests[0].request.Header["Authorization"]; found {
		got.a.Errorf("the backend saw Authorization: %q", value)
	}
	got.a.result("passed: 200")
	return requests[0]
}

// received are the requests that the backend saw since it was asked last.
func (a *attack) received() []received {
	requests := a.backend.after(a.seen)
	a.seen += len(requests)
	return requests
}

// noMoreReceived wants the backend to have seen nothing since it was asked last.
func (a *attack) noMoreReceived() {
	a.Helper()
	for _, request := range a.received() {
		a.Errorf("the backend saw a request: %q", request.raw)
	}
}
