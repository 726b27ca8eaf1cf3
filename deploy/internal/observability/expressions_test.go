package observability

import (
	"strings"
	"testing"
)

func TestExpressions_UseExistingMetrics(t *testing.T) {
	t.Parallel()
	s := run(t)
	s.enter(t)
	metrics := s.scrape(t)
	for _, a := range alerts(t) {
		if err := metrics.Check(a.Expr); err != nil {
			t.Errorf("alert %s: %v", a.Alert, err)
		}
	}
	for title, queries := range panelQueries(t) {
		for _, query := range queries {
			if err := metrics.Check(query); err != nil {
				t.Errorf("panel %q: %v", title, err)
			}
		}
	}
	for _, name := range dashboards {
		for _, a := range readDashboard(t, name).Annotations.List {
			if strings.HasPrefix(a.Expr, "group by (alertname) (ALERTS{") {
				continue // Prometheus's own
			}
			if err := metrics.Check(a.Expr); err != nil {
				t.Errorf("annotation %q: %v", a.Name, err)
			}
		}
	}
}

func TestMetrics_CheckFindsErrors(t *testing.T) {
	t.Parallel()
	metrics := NewMetrics()
	if err := metrics.Scrape(strings.NewReader(`
# TYPE calls histogram
calls_bucket{method="a",le="1"} 1
calls_bucket{method="a",le="+Inf"} 1
calls_sum{method="a"} 1
calls_count{method="a"} 1
# TYPE entries_total counter
entries_total{result="placed"} 1
# TYPE open gauge
open 1
`)); err != nil {
		t.Fatal(err)
	}
	for expression, want := range map[string]string{
		`sum by (result) (rate(entries_total{result=~"placed"}[1m]))`:           "",
		`histogram_quantile(0.9, sum by (method, le) (rate(calls_bucket[1m])))`: "",
		`open / on (pod) open > 1 and on (job) up{job="any"}`:                   "",
		`rate(calls_sum{method!="a"}[1m]) / rate(calls_count[1m])`:              "",
		`opened`:                                               `no metric "opened"`,
		`open{state="x"}`:                                      `no label "state"`,
		`rate(entries_total{result="lost"}[1m])`:               `like "lost"`,
		`rate(entries_total{result!="lost"}[1m])`:              `like "lost"`,
		`rate(entries_total{result=~"placed|lost"}[1m])`:       `like "lost"`,
		`sum by (member) (open)`:                               `the label "member"`,
		`open / on (member) up`:                                `the label "member"`,
		`open / ignoring (member) up`:                          `the label "member"`,
		`rate(open[1m])`:                                       "is a gauge",
		`entries_total`:                                        "is a counter",
		`rate(calls[1m])`:                                      `no metric "calls"`,
		`rate(calls_bucket[1m])`:                               "must be used with histogram_quantile",
		`histogram_quantile(0.9, sum(rate(calls_bucket[1m])))`: "by le",
		`histogram_quantile(0.9, sum by (le) (rate(calls_count[1m])))`: "is not the buckets",
		`histogram_quantile(0.9, sum by (le) (calls_bucket))`:          "is a counter",
		`sum(`: "parse error",
	} {
		err := metrics.Check(expression)
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v, want %q", expression, err, want)
		}
	}
}
