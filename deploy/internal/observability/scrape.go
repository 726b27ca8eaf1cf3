package observability

import (
	"fmt"
	"io"
	"maps"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
)

// Scraped is what can be asked for, by name as PromQL has it: a histogram is
// there as NAME_bucket, NAME_sum and NAME_count.
type Scraped map[string]*Metric

// Metric is one name with all its series.
type Metric struct {
	Kind   Kind
	Values map[string]map[string]bool // of each label
}

// Kind is how a metric may be used.
type Kind int

// The kinds of metrics.
const (
	Gauge   Kind = iota
	Counter      // grows until the process ends
	Bucket       // of a histogram
)

// targetLabels are added by Prometheus; kubernetes/examples/pod-monitor.yaml and
// prometheus/prometheus.yaml see to it.
var targetLabels = []string{"job", "namespace", "pod", "instance"}

// codes are values of rpc_response_status_code that a healthy service does not
// show.
var codes = []string{"UNAVAILABLE", "INTERNAL", "DEADLINE_EXCEEDED"}

// Up returns what Prometheus itself says of its targets.
func Up() Scraped {
	s := make(Scraped)
	s.add("up", Gauge, nil)
	return s
}

// Add adds what a service answered to GET /metrics.
func (s Scraped) Add(text io.Reader) error {
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(text)
	if err != nil {
		return fmt.Errorf("read metrics: %w", err)
	}
	for name, family := range families {
		for _, m := range family.GetMetric() {
			labels := make(map[string]string)
			for _, l := range m.GetLabel() {
				labels[l.GetName()] = l.GetValue()
			}
			s.addOne(name, family.GetType(), labels)
		}
	}
	return nil
}

func (s Scraped) addOne(name string, kind dto.MetricType, labels map[string]string) {
	switch kind {
	case dto.MetricType_HISTOGRAM:
		s.add(name+"_sum", Counter, labels)
		s.add(name+"_count", Counter, labels)
		labels = maps.Clone(labels)
		labels["le"] = "+Inf"
		s.add(name+"_bucket", Bucket, labels)
	case dto.MetricType_COUNTER:
		s.add(name, Counter, labels)
	default:
		s.add(name, Gauge, labels)
	}
}

func (s Scraped) add(name string, kind Kind, labels map[string]string) {
	m := s[name]
	if m == nil {
		m = &Metric{Kind: kind, Values: make(map[string]map[string]bool)}
		for _, label := range targetLabels {
			m.Values[label] = nil
		}
		s[name] = m
	}
	for label, value := range labels {
		if m.Values[label] == nil {
			m.Values[label] = make(map[string]bool)
		}
		m.Values[label][value] = true
	}
	if states := m.Values["rpc_response_status_code"]; states != nil {
		for _, code := range codes {
			states[code] = true
		}
	}
}
