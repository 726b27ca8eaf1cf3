package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rafflecast/rafflecast/services/gateway/internal/fanout"
	"github.com/rafflecast/rafflecast/services/gateway/internal/feed"
	"github.com/rafflecast/rafflecast/services/gateway/internal/httpapi"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

const namespace = "rafflecast_gateway"

// metrics are those that count as things happen.
type metrics struct {
	feedLag   prometheus.Histogram
	lastWrite prometheus.Histogram
	snapshots *prometheus.CounterVec
	refusals  *prometheus.CounterVec
}

func newMetrics(registry *prometheus.Registry, cfg *Config) *metrics {
	m := &metrics{
		feedLag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "feed_lag_seconds",
			Help:    "Age of odds when they were heard, by the database's clock.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		lastWrite: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "commit_to_last_write_seconds",
			Help: "Age of odds, by the database's clock, when they had been written to the last connection that watched their raffle and took them. " +
				"Odds that newer ones overtook on the way do not count.",
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
	for _, reason := range httpapi.Refusals() {
		m.refusals.WithLabelValues(reason)
	}
	limit := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "connections_limit", Help: "Streams and long polls that may be open; others are refused.",
	})
	limit.Set(float64(cfg.maxConnections()))
	registry.MustRegister(m.feedLag, m.lastWrite, m.snapshots, m.refusals, limit)
	return m
}

func (m *metrics) heard(u *odds.Update)      { m.feedLag.Observe(time.Since(u.At).Seconds()) }
func (m *metrics) snapshot(cause feed.Cause) { m.snapshots.WithLabelValues(string(cause)).Inc() }
func (m *metrics) refused(reason string)     { m.refusals.WithLabelValues(reason).Inc() }

// arrived observes the age of odds that all who watch have.
func (m *metrics) arrived(u *odds.Update) {
	if n, complete := u.Trip.Written(); n > 0 && complete {
		m.lastWrite.Observe(time.Since(u.At).Seconds())
	}
}

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
	delivered   = desc("deliveries_total", "Odds that were written to connections.")
	ended       = desc("connections_ended_total", "Connections that ended, by reason.", "reason")
	known       = desc("raffles_known", "Raffles whose odds are known.")
	connected   = desc("nats_connected", "1 while there is a connection to NATS.")
	fed         = desc("feed_ready", "1 once the odds of all raffles were read.")
)

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// Describe is of prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{connections, behind, delivered, ended, known, connected, fed} {
		ch <- d
	}
}

// Collect is of prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.hub.Stats()
	ch <- prometheus.MustNewConstMetric(connections, prometheus.GaugeValue, float64(s.Connections))
	ch <- prometheus.MustNewConstMetric(behind, prometheus.GaugeValue, float64(s.Behind))
	ch <- prometheus.MustNewConstMetric(delivered, prometheus.CounterValue, float64(s.Delivered))
	for why, n := range s.Ended {
		ch <- prometheus.MustNewConstMetric(ended, prometheus.CounterValue, float64(n), string(why))
	}
	ch <- prometheus.MustNewConstMetric(known, prometheus.GaugeValue, float64(c.feed.Size()))
	ch <- prometheus.MustNewConstMetric(connected, prometheus.GaugeValue, number(c.feed.Connected()))
	ch <- prometheus.MustNewConstMetric(fed, prometheus.GaugeValue, number(c.feed.Ready()))
}
