package participation

import (
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/rafflecast/rafflecast/services/internal/ops"
	"github.com/rafflecast/rafflecast/services/participation/internal/batch"
	"github.com/rafflecast/rafflecast/services/participation/internal/outbox"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

const namespace = "rafflecast_participation"

// metrics are those that count as things happen.
type metrics struct {
	registry   *prometheus.Registry
	entries    *prometheus.CounterVec
	batchSize  prometheus.Histogram
	batchTime  prometheus.Histogram
	storedLag  prometheus.Histogram
	unstored   prometheus.Counter
	raisedOver prometheus.Counter
}

func newMetrics() *metrics {
	m := &metrics{
		registry: ops.NewRegistry(),
		entries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "entries_total",
			Help: "Requests to enter, by what came of them: placed, repeat of one that was placed, rejected by the rules, failed with the store, or busy: refused since too many wait.",
		}, []string{"result"}),
		batchSize: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "batch_entries",
			Help:    "Requests in one transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 7), // 1 to 4096
		}),
		batchTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "batch_seconds",
			Help:    "Duration of a transaction that writes entries, with its repetitions.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		storedLag: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "commit_to_stream_seconds",
			Help:    "Age of odds when the stream had acknowledged them, by the database's clock.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10},
		}),
		unstored: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "publish_failures_total", Help: "Attempts to store odds in the stream that failed; others follow.",
		}),
		raisedOver: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "versions_raised_total",
			Help: "Raffles whose version was raised above the stream's: the database was restored, or has lost commits.",
		}),
	}
	// All from the start, so that a rate sees the first.
	for _, result := range []string{"placed", "repeat", "rejected", "failed", "busy"} {
		m.entries.WithLabelValues(result)
	}
	m.registry.MustRegister(m.entries, m.batchSize, m.batchTime, m.storedLag, m.unstored, m.raisedOver)
	return m
}

func (m *metrics) wrote(r batch.Report) {
	for result, n := range map[string]int{"placed": r.Placed, "repeat": r.Repeats, "rejected": r.Rejected, "failed": r.Failed} {
		m.entries.WithLabelValues(result).Add(float64(n))
	}
	m.batchSize.Observe(float64(r.Placed + r.Repeats + r.Rejected + r.Failed))
	m.batchTime.Observe(r.Took.Seconds())
}

func (m *metrics) busy()                { m.entries.WithLabelValues("busy").Inc() }
func (m *metrics) stored(o raffle.Odds) { m.storedLag.Observe(time.Since(o.UpdatedAt).Seconds()) }
func (m *metrics) failed()              { m.unstored.Inc() }
func (m *metrics) raised()              { m.raisedOver.Inc() }

// watch reports what the parts know themselves.
func (m *metrics) watch(cfg *Config, writer *batch.Writer, pub *outbox.Publisher, s *stores) {
	m.gauge("entries_waiting", "Calls that wait to be written.", writer.Waiting)
	m.gauge("entries_waiting_limit", "Calls that may wait, over all partitions.", func() int { return cfg.Partitions * cfg.Queue })
	m.gauge("odds_waiting", "Raffles whose newest odds are not in the stream yet.", pub.Waiting)
	m.gauge("nats_connected", "1 while there is a connection to NATS.", func() int {
		if s.nats.IsConnected() {
			return 1
		}
		return 0
	})
	m.registry.MustRegister(pools{"calls": s.calls, "entries": s.entries})
}

func (m *metrics) gauge(name, help string, value func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help},
		func() float64 { return float64(value()) }))
}

// pools report on connections to the database, by their pools' names and
// OpenTelemetry's conventions:
// https://opentelemetry.io/docs/specs/semconv/db/database-metrics/#connection-pools
type pools map[string]*pgxpool.Pool

var (
	poolCount = prometheus.NewDesc("db_client_connection_count", "Connections to the database.",
		[]string{"db_client_connection_pool_name", "db_client_connection_state"}, nil)
	poolMax = prometheus.NewDesc("db_client_connection_max", "Most connections to the database.",
		[]string{"db_client_connection_pool_name"}, nil)
	poolWait = prometheus.NewDesc(namespace+"_database_wait_seconds_total", "Time for which somebody waited for a connection to the database.",
		[]string{"db_client_connection_pool_name"}, nil)
)

// Describe is of prometheus.Collector.
func (pools) Describe(ch chan<- *prometheus.Desc) { ch <- poolCount; ch <- poolMax; ch <- poolWait }

// Collect is of prometheus.Collector.
func (p pools) Collect(ch chan<- prometheus.Metric) {
	for name, pool := range p {
		s := pool.Stat()
		ch <- prometheus.MustNewConstMetric(poolCount, prometheus.GaugeValue, float64(s.IdleConns()), name, "idle")
		ch <- prometheus.MustNewConstMetric(poolCount, prometheus.GaugeValue, float64(s.AcquiredConns()), name, "used")
		ch <- prometheus.MustNewConstMetric(poolMax, prometheus.GaugeValue, float64(s.MaxConns()), name)
		ch <- prometheus.MustNewConstMetric(poolWait, prometheus.CounterValue, s.EmptyAcquireWaitTime().Seconds(), name)
	}
}
