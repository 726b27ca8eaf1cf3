package participation

import (
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/rafflecast/rafflecast/services/internal/accept"
	"github.com/rafflecast/rafflecast/services/internal/ops"
	"github.com/rafflecast/rafflecast/services/participation/internal/batch"
	"github.com/rafflecast/rafflecast/services/participation/internal/drawer"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

const namespace = "rafflecast_participation"

// durations are the buckets of histograms of transactions and of publishing, in
// seconds.
var durations = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}

// metrics are the service's metrics. Those in fields are counted as things happen; the
// gauges ask the parts of the service when they are read.
type metrics struct {
	registry        *prometheus.Registry
	entries         *prometheus.CounterVec
	batchEntries    prometheus.Histogram
	batchSeconds    prometheus.Histogram
	commitToStream  prometheus.Histogram
	publishFailures prometheus.Counter
	versionsBumped  prometheus.Counter
	rafflesRemoved  prometheus.Counter
	damagedMessages prometheus.Counter
	draws           prometheus.Counter
	drawFailures    *prometheus.CounterVec
	closedIdle      prometheus.Counter
	refused         *prometheus.CounterVec
	unreadable      prometheus.Counter
	busiest         *busiest
}

func newMetrics() *metrics {
	m := &metrics{
		registry: ops.NewRegistry(),
		entries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "entries_total",
			Help: "Requests to enter, by result: placed; replayed, the answer to a request that was placed before; " +
				"rejected by the rules; failed with the transaction; busy, refused because too many calls wait.",
		}, []string{"result"}),
		batchEntries: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "batch_entries",
			Help:    "Requests in one transaction.",
			Buckets: prometheus.ExponentialBuckets(1, 4, 7), // 1 to 4096
		}),
		batchSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "batch_seconds",
			Help:    "Duration of a transaction that writes entries, since it was sent, retries included.",
			Buckets: durations,
		}),
		commitToStream: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: namespace, Name: "commit_to_stream_seconds",
			Help: "Time from the commit of a version, by the database's clock, to its acknowledgement by the stream. " +
				"It includes waiting for the conflation interval. Versions that a newer one replaced are not counted.",
			Buckets: durations,
		}),
		publishFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "publish_failures_total",
			Help: "Attempts to publish odds that failed. Publishing is repeated until it succeeds.",
		}),
		versionsBumped: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "versions_bumped_total",
			Help: "Raffles whose version was bumped above the stream's, because the database was restored or " +
				"has lost commits.",
		}),
		rafflesRemoved: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "raffles_removed_total",
			Help: "Raffles that the stream had and the database has not, because it was restored or has lost commits. Their viewers were told that they are gone.",
		}),
		damagedMessages: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "damaged_messages_total",
			Help: "Messages in the stream that can't be odds of their raffle. They are ignored, and the raffle's odds are published again.",
		}),
		unreadable: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "unreadable_raffles_total",
			Help: "Times that a raffle was met whose row in the database has a value that no raffle can have. Calls for it fail; other raffles are not affected. The log names it.",
		}),
		closedIdle: prometheus.NewCounter(prometheus.CounterOpts{
			Namespace: namespace, Name: "closed_idle_connections_total",
			Help: "HTTP connections that were closed because too many of their peer's address waited for another request.",
		}),
	}
	m.busiest = newBusiest(time.Now)
	m.draws = prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: namespace, Name: "draws_total", Help: "Drawings that this instance has made.",
	})
	m.drawFailures = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "draw_failures_total",
		Help: "Attempts to make a draw that is due, or to close a raffle that will be drawn, which failed, by reason: " +
			"beacon_unavailable, no relay has the round; log_mismatch, the log is not what was signed, and is never drawn; " +
			"chain_unknown; clock_skew, the clocks of database and service disagree; draws_off, the service has no signing key; " +
			"not_compared, the logs are not compared yet with what was published of them; store_unavailable.",
	}, []string{"reason"})
	for _, reason := range drawer.Reasons {
		m.drawFailures.WithLabelValues(reason)
	}
	m.refused = prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: namespace, Name: "refused_connections_total",
		Help: "Connections that were closed at once, by reason: too_many, are open; too_fast, they come from one client address; " +
			"banned, their address was a flood of HTTP/2 frames a moment ago. dropped counts addresses that went on although they were " +
			"refused: for some seconds, the kernel drops their SYN packets.",
	}, []string{"reason"})
	for _, reason := range accept.Reasons() {
		m.refused.WithLabelValues(reason)
	}
	// Every result exists from the start, so that rate() sees the first increase.
	for _, result := range []string{"placed", "replayed", "rejected", "failed", "busy"} {
		m.entries.WithLabelValues(result)
	}
	m.registry.MustRegister(m.entries, m.batchEntries, m.batchSeconds, m.commitToStream, m.publishFailures, m.versionsBumped,
		m.rafflesRemoved, m.damagedMessages, m.draws, m.drawFailures, m.closedIdle, m.refused, m.unreadable, m.busiest)
	return m
}

func (m *metrics) onWritten(o batch.Outcome) {
	counts := map[string]int{"placed": o.Placed, "replayed": o.Replayed, "rejected": o.Rejected, "failed": o.Failed}
	for result, n := range counts {
		m.entries.WithLabelValues(result).Add(float64(n))
	}
	if o.Duration == 0 {
		return // there was no transaction
	}
	m.batchEntries.Observe(float64(o.Placed + o.Replayed + o.Rejected + o.Failed))
	m.batchSeconds.Observe(o.Duration.Seconds())
}

func (m *metrics) onDrawFailed(reason string) { m.drawFailures.WithLabelValues(reason).Inc() }

func (m *metrics) refusedConnection(reason string) { m.refused.WithLabelValues(reason).Inc() }

func (m *metrics) onRefused() { m.entries.WithLabelValues("busy").Inc() }

func (m *metrics) onPublished(r raffle.Raffle) {
	m.commitToStream.Observe(time.Since(r.UpdatedAt).Seconds())
}

// registerGauges adds the metrics whose values the parts of the service know.
func (m *metrics) registerGauges(s *service) {
	m.gauge("entries_waiting", "Calls that wait in the queue to be written.", s.writer.Waiting)
	m.gauge("entries_waiting_limit", "Calls that may wait in the queue, over all partitions. Entries of streams have as many places besides.",
		func() int { return s.cfg.Partitions * s.cfg.Queue })
	m.gauge("odds_waiting", "Raffles whose newest version is not in the stream yet.", s.queue.Pending)
	m.gauge("draws_overdue_seconds", "Time since when the longest overdue draw has been due, 0 if none is.",
		func() int { return int(s.drawer.Overdue().Seconds()) })
	m.gauge("closings_overdue_seconds", "Time since when the raffle that waits longest for its close should have been closed, 0 if none waits.",
		func() int { return int(s.scheduler.Overdue().Seconds()) })
	m.gauge("raffles_open", "Raffles that are open, by the database. Every instance reports all.", func() int { return s.open.get().Open })
	m.gauge("raffles_closing_soon", "Of them, those that will be closed within the hour.", func() int { return s.open.get().ClosingSoon })
	m.gauge("stream_foreign", "1 while the stream of odds belongs to another database, so that nothing is published, 0 otherwise.", func() int {
		if s.stream.Foreign() != nil {
			return 1
		}
		return 0
	})
	m.gauge("nats_connected", "1 while the service is connected to NATS, 0 otherwise.", func() int {
		if s.conns.nats.IsConnected() {
			return 1
		}
		return 0
	})
	m.registry.MustRegister(pools{"calls": s.conns.pool, "writes": s.conns.writePool})
}

func (m *metrics) gauge(name, help string, value func() int) {
	m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: namespace, Name: name, Help: help},
		func() float64 { return float64(value()) }))
}

// pools are the pools of database connections, by name. It collects metrics that are
// named after OpenTelemetry's conventions:
// https://opentelemetry.io/docs/specs/semconv/db/database-metrics/#connection-pools
type pools map[string]*pgxpool.Pool

var (
	poolCount = prometheus.NewDesc("db_client_connection_count", "Connections to the database, by state: idle or used.",
		[]string{"db_client_connection_pool_name", "db_client_connection_state"}, nil)
	poolMax = prometheus.NewDesc("db_client_connection_max", "Most connections to the database.",
		[]string{"db_client_connection_pool_name"}, nil)
	poolWait = prometheus.NewDesc(namespace+"_database_wait_seconds_total",
		"Time that callers spent waiting for a connection to the database.",
		[]string{"db_client_connection_pool_name"}, nil)
)

// Describe implements prometheus.Collector.
func (pools) Describe(ch chan<- *prometheus.Desc) { ch <- poolCount; ch <- poolMax; ch <- poolWait }

// Collect implements prometheus.Collector.
func (p pools) Collect(ch chan<- prometheus.Metric) {
	for name, pool := range p {
		s := pool.Stat()
		ch <- prometheus.MustNewConstMetric(poolCount, prometheus.GaugeValue, float64(s.IdleConns()), name, "idle")
		ch <- prometheus.MustNewConstMetric(poolCount, prometheus.GaugeValue, float64(s.AcquiredConns()), name, "used")
		ch <- prometheus.MustNewConstMetric(poolMax, prometheus.GaugeValue, float64(s.MaxConns()), name)
		ch <- prometheus.MustNewConstMetric(poolWait, prometheus.CounterValue, s.EmptyAcquireWaitTime().Seconds(), name)
	}
}
