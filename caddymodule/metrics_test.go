package caddymodule

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	_ "github.com/caddyserver/caddy/v2/modules/metrics"

	"github.com/caddy-bearer/caddy-bearer/token"
)

// onTheSite has the issuer's site serve metrics.
const onTheSite = "log_skip /metrics\nhandle /metrics {\n metrics\n }"

// scrape returns what is exposed at an address, strictly parsed.
func (s *server) scrape(client *http.Client, url string) map[string]*dto.MetricFamily {
	s.t.Helper()
	response, err := client.Do(s.request("GET", url, nil))
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	found, err := parser.TextToMetricFamilies(response.Body)
	if err != nil || response.StatusCode != http.StatusOK {
		s.t.Fatalf("%s: %s, %v", url, response.Status, err)
	}
	return found
}

// overSocket is a client of the admin endpoint.
func (s *server) overSocket() *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, "unix", s.path("admin.sock"))
		},
	}}
}

// samples are the values of bearer's metrics, by name and labels as they are written.
// Of a histogram it is the count.
func (s *server) samples() map[string]float64 {
	s.t.Helper()
	all := map[string]float64{}
	for name, f := range s.scrape(http.DefaultClient, s.issuer+"/metrics") {
		if !strings.HasPrefix(name, "bearer_") {
			continue
		}
		for _, m := range f.GetMetric() {
			all[name+written(m)] = m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	return all
}

// written are the labels, in the order of their names.
func written(m *dto.Metric) string {
	var labels []string
	for _, label := range m.GetLabel() {
		labels = append(labels, fmt.Sprintf("%s=%q", label.GetName(), label.GetValue()))
	}
	slices.Sort(labels)
	return "{" + strings.Join(labels, ",") + "}"
}

// wantSamples waits until all of them have their values.
func (s *server) wantSamples(want map[string]float64) {
	s.t.Helper()
	var got map[string]float64
	differs := func(name string) bool { return got[name] != want[name] }
	defer func() {
		for _, name := range slices.Sorted(maps.Keys(want)) {
			if s.t.Failed() && differs(name) {
				s.t.Logf("%s is %v, want %v", name, got[name], want[name])
			}
		}
	}()
	s.eventually("the metrics are as they should be", func() bool {
		got = s.samples()
		return !slices.ContainsFunc(slices.Collect(maps.Keys(want)), differs)
	})
}

func decision(route, decision, reason string) string {
	return fmt.Sprintf("bearer_decisions_total{decision=%q,environment=\"sandbox\",reason=%q,route=%q}", decision, reason, route)
}

func sandbox(name, label, value string) string {
	labels := []string{`environment="sandbox"`, fmt.Sprintf("%s=%q", label, value)}
	slices.Sort(labels)
	return name + "{" + strings.Join(labels, ",") + "}"
}

// What happened is counted once, is there over both endpoints, and goes on over
// reloads; one that fails changes nothing.
func TestMetricsOfARealServer(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.config = s.caddyfile(siteOptions{issuerSite: onTheSite})
	s.start()
	before := s.samples()
	if n := before[sandbox("bearer_tokens_issued_total", "grant", "exchange")]; n != 0 || len(before) == 0 {
		t.Errorf("%v exchanged in the beginning, among %d samples", n, len(before))
	}
	const revoked = `bearer_revocations{environment="sandbox"}` // what the configuration declares is in it
	good := s.obtain("read:accounts")
	s.answer(s.call("GET", "/api/v1/accounts", good.Access), 200, nil)
	s.answer(s.call("GET", "/api/v1/accounts", good.Access), 200, nil)
	s.answer(s.call("GET", "/api/v1/eft", good.Access), 403, nil)
	s.answer(s.call("GET", "/api/v1/nowhere", ""), 403, nil)
	dead := s.obtain("read:market")
	st := s.openWebSocket(dead.Access)
	s.wantSamples(map[string]float64{`bearer_streams{environment="sandbox"}`: 1})
	s.revoke(dead.Access)
	_, _ = st.end()
	s.answer(s.call("GET", "/api/v1/events", dead.Access), 401, nil)

	want := map[string]float64{
		decision("accounts", "allow", "allowed"):                               2,
		decision("stream", "allow", "allowed"):                                 1,
		decision("eft", "deny", "insufficient_scope"):                          1,
		decision("events", "deny", token.Revoked.String()):                     1,
		decision("", "deny", "no_route"):                                       1,
		sandbox("bearer_cache_requests_total", "result", "hit"):                3,
		sandbox("bearer_cache_requests_total", "result", "miss"):               2,
		sandbox("bearer_tokens_issued_total", "grant", "service_account_code"): 2,
		sandbox("bearer_revocations_total", "kind", "token"):                   1,
		sandbox("bearer_streams_closed_total", "reason", "revoked"):            1,
		`bearer_streams{environment="sandbox"}`:                                0,
		revoked:                                                                before[revoked] + 1,
		`bearer_staleness_seconds{environment="sandbox"}`:                      0,
		`bearer_policy_load_failed{policy="test"}`:                             0,
		`bearer_cache_limit_bytes{environment="sandbox"}`:                      defaultCacheSize,
	}
	s.wantSamples(want)

	reloaded := s.caddyfile(siteOptions{issuerSite: onTheSite, global: "grace_period 1s"})
	for range 2 {
		if complaint := s.reload(reloaded); complaint != "" {
			t.Fatal(complaint)
		}
		s.wantSamples(want)
	}
	s.answer(s.call("GET", "/api/v1/accounts", good.Access), 200, nil)
	want[decision("accounts", "allow", "allowed")]++
	want[sandbox("bearer_cache_requests_total", "result", "hit")]++
	s.wantSamples(want)
	if complaint := s.reload(strings.Replace(reloaded, "audience", "audience_ nowhere\naudience", 1)); complaint == "" {
		t.Fatal("a bad configuration was accepted")
	}
	s.wantSamples(want)
	s.sameEverywhere()
}

// sameEverywhere compares what is exposed with the list of metrics, and the two
// endpoints.
func (s *server) sameEverywhere() {
	s.t.Helper()
	site, admin := s.scrape(http.DefaultClient, s.issuer+"/metrics"), s.scrape(s.overSocket(), "http://localhost/metrics")
	listed := map[string]bool{}
	for line := range strings.Lines(readText(s.t, "testdata/metrics.txt")) {
		name, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		kind, labels, _ := strings.Cut(rest, " ")
		listed[name] = true
		for where, found := range map[string]map[string]*dto.MetricFamily{"site": site, "admin": admin} {
			f := found[name]
			if f == nil {
				s.t.Errorf("%s: %s is not exposed", where, name)
				continue
			}
			var names []string
			for _, label := range f.GetMetric()[0].GetLabel() {
				names = append(names, label.GetName())
			}
			expected := strings.FieldsFunc(labels, func(c rune) bool { return c == ',' })
			slices.Sort(expected)
			if got := strings.ToLower(f.GetType().String()); got != kind || !slices.Equal(names, expected) || f.GetHelp() == "" {
				s.t.Errorf("%s: %s is a %s with the labels %v", where, name, got, names)
			}
		}
	}
	for name := range site {
		if strings.HasPrefix(name, "bearer_") && !listed[name] {
			s.t.Errorf("%s is exposed and not listed", name)
		}
	}
}

// What belongs to a policy goes with it, and a bad file shows.
func TestMetricsOfPolicies(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.config = s.caddyfile(siteOptions{issuerSite: onTheSite})
	s.start()
	s.answer(s.call("GET", "/debug/request", ""), 200, nil)
	s.answer(s.call("GET", "/api/v1/eft", ""), 401, nil)
	debug, eft := decision("debug", "allow", "public"), decision("eft", "deny", "no_credentials")
	s.wantSamples(map[string]float64{debug: 1, eft: 1, `bearer_policy_load_failed{policy="test"}`: 0})
	loaded := s.samples()[`bearer_policy_loaded_timestamp_seconds{policy="test"}`]

	s.write("policy.yaml", "version: 1\nnonsense")
	s.wantSamples(map[string]float64{debug: 1, eft: 1, `bearer_policy_load_failed{policy="test"}`: 1, `bearer_policy_loaded_timestamp_seconds{policy="test"}`: loaded})

	var kept []string
	for line := range strings.Lines(testPolicy) {
		if !strings.Contains(line, "id: debug") && !strings.Contains(line, "id: eft") {
			kept = append(kept, line)
		}
	}
	s.write("policy.yaml", strings.Join(kept, ""))
	s.wantSamples(map[string]float64{`bearer_policy_load_failed{policy="test"}`: 0})
	all := s.samples()
	for _, gone := range []string{debug, eft} {
		if n, there := all[gone]; there {
			t.Errorf("%s is still %v", gone, n)
		}
	}
	revisions := 0
	for name := range all {
		if strings.HasPrefix(name, "bearer_policy_info") {
			revisions++
		}
	}
	if now := all[`bearer_policy_loaded_timestamp_seconds{policy="test"}`]; revisions != 1 || now <= loaded {
		t.Errorf("%d revisions, loaded at %v and before at %v", revisions, now, loaded)
	}
}

// Whoever sends whatever: no label is a path, a client, a user, a token or an address.
func TestNobodyChoosesALabel(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	s.config = s.caddyfile(siteOptions{issuerSite: onTheSite})
	s.start()
	good := s.obtain("read:accounts")
	const marker = "canary-5c0f"
	for _, request := range []*http.Request{
		s.call("GET", "/"+marker, good.Access), s.call("GET", "/api/v1/accounts", marker), s.call("GET", "/api/v1/accounts?"+marker, ""),
		s.call("POST", "/api/v1/accounts/"+marker+"/orders", good.Access), s.call(strings.ToUpper(marker), "/api/v1/accounts", good.Access),
		s.form("/oauth2/token", "grant_type="+marker), s.form("/oauth2/revoke", "token="+marker),
	} {
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	for name := range s.samples() {
		for _, banned := range []string{marker, strings.ToUpper(marker), good.Access, "127.0.0.1", clientID, serviceID} {
			if strings.Contains(name, banned) {
				t.Errorf("%s holds %s", name, banned)
			}
		}
	}
}
