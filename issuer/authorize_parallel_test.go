package issuer

import (
	"net/http"
	"sync"
	"testing"
)

// A thousand people's apps at once: each code is redeemed by one of those who
// present it, and nobody gets what is another's.
func TestThousandAuthorizationCodeFlowsAtOnce(t *testing.T) {
	const flows, contenders, atOnce = 1000, 2, 64
	b := newPeople(t)
	w := b.asUser(adaID)
	csrf := w.csrf(query(appID))
	slots := make(chan struct{}, atOnce) // connections, and not flows, are what the machine has few of
	begin := make(chan struct{})
	won := make([]int, flows)
	grants := make([]string, flows)
	var wait sync.WaitGroup
	for k := range flows {
		wait.Go(func() {
			<-begin
			slots <- struct{}{}
			defer func() { <-slots }()
			client, secret, uri := appID, payerSecret, appURI
			if k%2 == 1 {
				client, secret, uri = spaID, "", spaURI
			}
			got := w.send(query(client), csrf, "decision", "allow", "account:A1", "on", "duration", "day")
			if got.status != http.StatusSeeOther {
				t.Errorf("flow %d: %d %s", k, got.status, got.body)
				return
			}
			code := got.back(t, uri).Get("code")
			answers := make(chan *answer, contenders)
			for range contenders {
				go func() { answers <- b.do(redeemAt(client, secret, uri, code)) }()
			}
			for range contenders {
				a := <-answers
				switch {
				case a.status == http.StatusOK:
					won[k]++
					lease, err := b.authority.Check(a.field(t, "access_token"))
					if err != nil || lease.Client != client {
						t.Errorf("flow %d: %v", k, err)
						continue
					}
					grants[k] = lease.Grant
				case a.status != http.StatusBadRequest || a.field(t, "error") != "invalid_grant":
					t.Errorf("flow %d: %d %s", k, a.status, a.body)
				}
			}
		})
	}
	close(begin)
	wait.Wait()
	seen := map[string]bool{}
	for k := range flows {
		if won[k] != 1 {
			t.Errorf("flow %d: the code was redeemed %d times", k, won[k])
		}
		if seen[grants[k]] {
			t.Errorf("flow %d: its grant is another's", k)
		}
		seen[grants[k]] = true
	}
}
