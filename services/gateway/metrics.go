package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rafflecast/rafflecast/services/gateway/internal/api"
	"github.com/rafflecast/rafflecast/services/gateway/internal/fanout"
	"github.com/rafflecast/rafflecast/services/gateway/internal/feed"
)

const namespace = "rafflecast_gateway"

// metrics are those that count as things happen.
type metrics struct {
	feedLag   prometheus.Histogram
	snapshots *prometheus.CounterVec
	refusals  *prometheus.CounterVec
}

func newMetrics(registry *prometheus.Registry) *metrics {
	m := &metrics{
		feedLag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "feed_lag_seconds",
			Help:    "Age of odds when they were heard, by the database's clock.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		snapshots: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "snapshots_total", Help: "Snapshots of all odds that were taken, by cause.",
		}, []string{"cause"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "refusals_total", Help: "Requests that were refused, by reason.",
		}, []string{"reason"}),
	}
	// All from the start, so that a rate sees the first.
	for _, cause := range feed.Causes() {
		m.snapshots.WithLabelValues(string(cause))
	}
	for _, reason := range api.Refusals() {
		m.refusals.WithLabelValues(reason)
	}
	registry.MustRegister(m.feedLag, m.snapshots, m.refusals)
	return m
}

func (m *metrics) lag(d time.Duration)       { m.feedLag.Observe(d.Seconds()) }
func (m *metrics) snapshot(cause feed.Cause) { m.snapshots.WithLabelValues(string(cause)).Inc() }
func (m *metrics) refused(reason string)     { m.refusals.WithLabelValues(reason).Inc() }

// collector reports what hub and feed know themselves.
type collector struct {
	hub  *fanout.Hub
	feed *feed.Feed
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

var (
	connections = desc("connections", "Open streams and long polls.")
	behind      = desc("connections_behind", "Of them, those whose client takes less than comes.")
	deliveries  = desc("deliveries_total", "Odds that were written to connections.")
	ended       = desc("connections_ended_total", "Connections that ended, by reason.", "reason")
	known       = desc("raffles_known", "Raffles whose odds are known.")
)

// Describe is of prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{connections, behind, deliveries, ended, known} {
		ch <- d
	}
}

// Collect is of prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.hub.Stats()
	ch <- prometheus.MustNewConstMetric(connections, prometheus.GaugeValue, float64(s.Connections))
	ch <- prometheus.MustNewConstMetric(behind, prometheus.GaugeValue, float64(s.Behind))
	ch <- prometheus.MustNewConstMetric(deliveries, prometheus.CounterValue, float64(s.Delivered))
	for why, n := range s.Ended {
		ch <- prometheus.MustNewConstMetric(ended, prometheus.CounterValue, float64(n), string(why))
	}
	ch <- prometheus.MustNewConstMetric(known, prometheus.GaugeValue, float64(c.feed.Size()))
}
