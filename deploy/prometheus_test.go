package deploy_test

import (
	"encoding/json"
	"fmt"
	"math"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/caddy-bearer/caddy-bearer/internal/freeport"
)

// What Grafana would put in the place of its variables.
var variables = strings.NewReplacer("$environment", "sandbox", "$instance", ".*", "$__rate_interval", "30s")

// A real Prometheus, configured as the example says, scrapes a real server while
// bots work. Each query of the dashboard and of the page has an answer, each alert
// is evaluated, and the one that must come does.
func TestPrometheusAnswersEveryQuery(t *testing.T) {
	prometheus := tool(t, "prometheus")
	s := startServer(t)
	p := s.startPrometheus(prometheus)
	if err := s.work(); err != nil {
		t.Fatal(err)
	}
	// Now the key that signs has an end, which the page of keys shows.
	if out, err := s.command("bearer", "key", "rotate").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	queries := readDashboard(t).queries()
	for name, query := range queriesOfPage(t) {
		queries["page: "+name] = query
	}
	s.eventually("every query has an answer", func() error {
		if err := s.work(); err != nil {
			return err
		}
		for where, query := range queries {
			numbers, err := p.query(variables.Replace(query))
			if err != nil {
				t.Fatalf("%s: %v", where, err)
			}
			// A mark is only where something happens.
			if numbers > 0 || strings.HasPrefix(where, "annotation ") {
				delete(queries, where)
			}
		}
		if len(queries) > 0 {
			return fmt.Errorf("no number from %q", queries)
		}
		return nil
	})
	s.eventually("the alert about the key comes, and no other", p.checkAlerts)
}

// watcher is a Prometheus under test.
type watcher struct {
	s    *server
	port string
}

func (s *server) startPrometheus(program string) *watcher {
	s.t.Helper()
	p := &watcher{s, freeport.Find(s.t)}
	alerts, err := os.ReadFile(alertsFile)
	if err != nil {
		s.t.Fatal(err)
	}
	example, err := os.ReadFile("prometheus/prometheus.yml")
	if err != nil {
		s.t.Fatal(err)
	}
	s.write("alerts.yml", string(alerts))
	s.write("prometheus.yml", strings.NewReplacer("localhost:9180", "127.0.0.1:"+s.metrics, "15s", "500ms").Replace(string(example)))
	s.run(exec.Command(program, "--config.file="+s.path("prometheus.yml"), "--storage.tsdb.path="+s.path("tsdb"),
		"--web.listen-address=127.0.0.1:"+p.port, "--log.level=warn"))
	s.eventually("Prometheus scrapes Caddy", func() error {
		if numbers, err := p.query(`up{job="caddy-bearer"} == 1`); err != nil || numbers != 1 {
			return fmt.Errorf("%d targets, %w", numbers, err)
		}
		return nil
	})
	return p
}

// query returns how many numbers a query has for an answer.
func (p *watcher) query(promql string) (numbers int, err error) {
	var answer struct {
		Status, Error string
		Data          struct {
			Result []struct{ Value [2]any }
		}
	}
	if err := p.get("/api/v1/query?query="+url.QueryEscape(promql), &answer); err != nil {
		return 0, err
	}
	if answer.Status != "success" {
		return 0, fmt.Errorf("%s: %s", answer.Error, promql)
	}
	for _, series := range answer.Data.Result {
		text, _ := series.Value[1].(string)
		if number, err := strconv.ParseFloat(text, 64); err == nil && !math.IsNaN(number) {
			numbers++
		}
	}
	return numbers, nil
}

// checkAlerts wants all alerts to be evaluated without an error, and that about the
// signing key alone to fire.
func (p *watcher) checkAlerts() error {
	var answer struct {
		Data struct {
			Groups []struct {
				Rules []struct{ Name, Health, LastError, State string }
			}
		}
	}
	if err := p.get("/api/v1/rules", &answer); err != nil {
		return err
	}
	count := 0
	for _, group := range answer.Data.Groups {
		for _, rule := range group.Rules {
			count++
			if expected := rule.Name == "BearerSigningKeyEnds"; rule.Health != "ok" || (rule.State == "firing") != expected {
				return fmt.Errorf("%s is %s and %s: %s", rule.Name, rule.Health, rule.State, rule.LastError)
			}
		}
	}
	if count != len(readRules(p.s.t)) {
		return fmt.Errorf("%d rules are evaluated", count)
	}
	return nil
}

func (p *watcher) get(path string, into any) error {
	_, body, err := p.s.call(p.port, path, "")
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}
