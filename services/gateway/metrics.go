package gateway

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/rafflecast/rafflecast/services/gateway/internal/cache"
	"github.com/rafflecast/rafflecast/services/gateway/internal/capacity"
	"github.com/rafflecast/rafflecast/services/gateway/internal/fanout"
	"github.com/rafflecast/rafflecast/services/gateway/internal/feed"
	"github.com/rafflecast/rafflecast/services/gateway/internal/httpapi"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/internal/accept"
)

const namespace = "rafflecast_gateway"

// metrics are the metrics that are counted as things happen.
type metrics struct {
	feedLag   prometheus.Histogram
	lastWrite prometheus.Histogram
	snapshots *prometheus.CounterVec
	refusals  *prometheus.CounterVec
	// failedChecks and closedIdle count by themselves.
	failedChecks, closedIdle prometheus.Counter
	refusedConnections       *prometheus.CounterVec
}

func newMetrics(registry *prometheus.Registry, cfg *Config) *metrics {
	m := &metrics{
		feedLag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "feed_lag_seconds",
			Help:    "Age of odds, by the database's clock, when they were received from NATS.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		lastWrite: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "commit_to_last_write_seconds",
			Help: "Age of odds, by the database's clock, when they or newer ones had been written to the last connection that " +
				"had subscribed to their raffle and was not blocked. Each pass over the connections counts, by the odds " +
				"that it began with.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		snapshots: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "snapshots_total",
			Help: "Snapshots of the odds of all raffles that were read from the stream, by cause.",
		}, []string{"cause"}),
		refusals: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "refusals_total", Help: "Refused requests, by reason.",
		}, []string{"reason"}),
	}
	m.failedChecks = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: namespace, Name: "failed_stream_checks_total",
		Help: "Checks of the stream's end that got no answer from a NATS server to which there was a connection.",
	})
	m.refusedConnections = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "refused_connections_total",
		Help: "Connections that were closed at once, by reason: too_many, are open for the files that the process may open; " +
			"too_fast, they come from one client address. dropped counts addresses that went on although they were refused: for some " +
			"seconds, the kernel drops their SYN packets.",
	}, []string{"reason"})
	m.closedIdle = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: namespace, Name: "closed_idle_connections_total",
		Help: "Connections that were closed because too many of their peer's address waited for another request.",
	})
	// All labels exist from the start, so that a rate includes the first event.
	for _, cause := range feed.Causes() {
		m.snapshots.WithLabelValues(string(cause))
	}
	for _, reason := range []string{accept.TooMany, accept.TooFast, accept.Dropped} {
		m.refusedConnections.WithLabelValues(reason)
	}
	for _, reason := range httpapi.Refusals() {
		m.refusals.WithLabelValues(reason)
	}
	limit := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: namespace, Name: "connections_limit",
		Help: "Most streams and long polls that may be open. Further ones are refused.",
	})
	limit.Set(float64(cfg.maxConnections()))
	registry.MustRegister(m.feedLag, m.lastWrite, m.snapshots, m.refusals, m.failedChecks, m.refusedConnections, m.closedIdle, limit)
	return m
}

func (m *metrics) received(u *odds.Update)        { m.feedLag.Observe(time.Since(u.At).Seconds()) }
func (m *metrics) snapshotTaken(cause feed.Cause) { m.snapshots.WithLabelValues(string(cause)).Inc() }
func (m *metrics) refused(reason string)          { m.refusals.WithLabelValues(reason).Inc() }

func (m *metrics) refusedConnection(reason string) {
	m.refusedConnections.WithLabelValues(reason).Inc()
}

// passEnded observes the age of the update that a pass began with which has just ended.
func (m *metrics) passEnded(u *odds.Update) { m.lastWrite.Observe(time.Since(u.At).Seconds()) }

// collector collects the metrics that hub, feed and cache count themselves.
type collector struct {
	hub   *fanout.Hub
	feed  *feed.Feed
	cache *cache.Cache

	capacity *capacity.Watch
}

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

var (
	connections        = desc("connections", "Open streams and long polls.")
	connectionsBlocked = desc("connections_blocked", "Open connections whose send buffer is full.")
	deliveries         = desc("deliveries_total", "Updates that were sent to connections after their first ones.")
	connectionsEnded   = desc("connections_ended_total", "Connections that have ended, by reason.", "reason")
	rafflesKnown       = desc("raffles_known", "Raffles whose odds are cached.")
	natsConnected      = desc("nats_connected", "1 if there is a connection to NATS, else 0.")
	full               = desc("full", "1 while the instance is not ready because it is almost full and another one has room, else 0.")
	feedReady          = desc("feed_ready", "1 once the odds of all raffles have been read from the stream, else 0.")
)

func number(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}

// Describe implements prometheus.Collector.
func (collector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		connections, connectionsBlocked, deliveries, connectionsEnded, rafflesKnown, natsConnected, feedReady, full,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (c collector) Collect(ch chan<- prometheus.Metric) {
	s := c.hub.Stats()
	ch <- prometheus.MustNewConstMetric(connections, prometheus.GaugeValue, float64(s.Connections))
	ch <- prometheus.MustNewConstMetric(connectionsBlocked, prometheus.GaugeValue, float64(s.Blocked))
	ch <- prometheus.MustNewConstMetric(deliveries, prometheus.CounterValue, float64(s.Delivered))
	for why, n := range s.Ended {
		reason := fanout.Reason(why).String()
		ch <- prometheus.MustNewConstMetric(connectionsEnded, prometheus.CounterValue, float64(n), reason)
	}
	ch <- prometheus.MustNewConstMetric(rafflesKnown, prometheus.GaugeValue, float64(c.cache.Len()))
	ch <- prometheus.MustNewConstMetric(natsConnected, prometheus.GaugeValue, number(c.feed.Connected()))
	ch <- prometheus.MustNewConstMetric(full, prometheus.GaugeValue, number(!c.capacity.Ready()))
	ch <- prometheus.MustNewConstMetric(feedReady, prometheus.GaugeValue, number(c.feed.Ready()))
}
