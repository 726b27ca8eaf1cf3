package observability

import (
	"fmt"
	"io"
	"maps"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Metrics holds the metrics that Prometheus can query, by their names in PromQL: a
// histogram is there as NAME_bucket, NAME_sum and NAME_count.
type Metrics map[string]*Metric

// Metric describes all series with one name.
type Metric struct {
	Kind   Kind
	Values map[string]map[string]bool // the values of each label
}

// Kind is the kind of a metric.
type Kind int

// The kinds of metrics.
const (
	Gauge   Kind = iota
	Counter      // only grows while the process runs
	Bucket       // a bucket of a histogram
)

// targetLabels lists the labels that Prometheus adds to every series, as configured in
// kubernetes/examples/pod-monitor.yaml and prometheus/prometheus.yaml.
var targetLabels = []string{"job", "namespace", "pod", "instance"}

// errorCodes lists values of rpc_response_status_code that exist only when calls fail.
var errorCodes = []string{"UNAVAILABLE", "INTERNAL", "DEADLINE_EXCEEDED"}

// NewMetrics returns the metrics that Prometheus itself adds for its targets.
func NewMetrics() Metrics {
	m := make(Metrics)
	m.add("up", Gauge, nil)
	return m
}

// Scrape adds the metrics of a service, in the text that GET /metrics returns.
func (m Metrics) Scrape(text io.Reader) error {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return fmt.Errorf("read metrics: %w", err)
	}
	for name, family := range families {
		for _, series := range family.GetMetric() {
			labels := make(map[string]string)
			for _, l := range series.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			m.addSeries(name, family.GetType(), labels)
		}
	}
	return nil
}

func (m Metrics) addSeries(name string, kind dto.MetricType, labels map[string]string) {
	switch kind {
	case dto.MetricType_HISTOGRAM:
		m.add(name+"_sum", Counter, labels)
		m.add(name+"_count", Counter, labels)
		labels = maps.Clone(labels)
		labels["le"] = "+Inf"
		m.add(name+"_bucket", Bucket, labels)
	case dto.MetricType_COUNTER:
		m.add(name, Counter, labels)
	default:
		m.add(name, Gauge, labels)
	}
}

func (m Metrics) add(name string, kind Kind, labels map[string]string) {
	metric := m[name]
	if metric == nil {
		metric = &Metric{Kind: kind, Values: make(map[string]map[string]bool)}
		for _, label := range targetLabels {
			metric.Values[label] = nil
		}
		m[name] = metric
	}
	for label, value := range labels {
		if metric.Values[label] == nil {
			metric.Values[label] = make(map[string]bool)
		}
		metric.Values[label][value] = true
	}
	if states := metric.Values["rpc_response_status_code"]; states != nil {
		for _, code := range errorCodes {
			states[code] = true
		}
	}
}
