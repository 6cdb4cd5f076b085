package caddymodule

import "testing"

// A code that comes back after it was used is counted, once: what it was exchanged
// for is dead by then. Renewing again because an answer got lost is not counted.
func TestReuseIsCounted(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.config = s.caddyfile(siteOptions{issuerSite: onTheSite})
	s.start()
	const reuse = `bearer_reuse_detected_total{environment="sandbox"}`
	first := s.obtain("read:accounts")
	for range 2 {
		s.answer(s.form("/api/v1/s2s-oauth2/token", "grant_type=refresh_token&refresh_token="+first.Refresh), 200, nil)
	}
	app := s.app("budget", "--name", "Budget", "--scopes", "read:accounts read:market")
	fields, _ := s.browserOf("alice", "read:accounts read:market", "1").access(app) // is exchanged there
	s.wantSamples(map[string]float64{reuse: 0})
	for range 2 {
		s.post("/auth/ExchangeToken", "", map[string]string{
			"appSecret": app.Secret, "accessCode": fields["accessCode"], "connectionID": fields["connectionID"],
		}, 400, nil)
		s.wantSamples(map[string]float64{reuse: 1})
	}
}
