package main

// row is a group of panels under a title.
type row struct {
	title  string
	panels []panel
}

// panel draws the values of queries over time.
type panel struct {
	title       string
	description string // what the panel shows, if the title is not enough
	unit        string // one of Grafana's: s, ops, bytes, percentunit, short
	queries     []query
}

// tile shows the newest value of a query on a color: that of the last step that it has
// reached, or color below all steps.
type tile struct {
	panel
	color string
	steps []step
}

type step struct {
	from  float64
	color string
}

// query is a PromQL expression. In it {@} matches the namespaces and pods that are
// selected on the dashboard, and so does @ among other matchers.
type query struct{ expr, legend string }

// quantiles returns queries for the median and the 99th percentile of a histogram.
func quantiles(metric string) []query {
	of := func(q string) string {
		return "histogram_quantile(" + q + ", sum by (le) (rate(" + metric + "_bucket{@}[$__rate_interval])))"
	}
	return []query{{of("0.5"), "p50"}, {of("0.99"), "p99"}}
}

var operations = dashboard{"rafflecast", "Rafflecast", tiles, rows}

// tiles are what to look at first. Each is red where its alert fires.
var tiles = []tile{
	{panel{
		"Age of odds, p99", "What the oldest 1 % of the odds have behind them when the last viewer is sent them. 0.1 s is normal.", "s",
		quantiles("rafflecast_gateway_commit_to_last_write_seconds")[1:],
	}, "green", []step{{0.3, "orange"}, {1, "red"}}},
	{panel{
		"Viewers of the limit", "Connections of all gateways, as a share of what they accept.", "percentunit", []query{
			{`sum(rafflecast_gateway_connections{@}) / sum(rafflecast_gateway_connections_limit{@})`, ""},
		},
	}, "green", []step{{0.6, "orange"}, {0.8, "red"}}},
	{panel{
		"Refused viewers", "Requests a second that gateways refuse although the client has done nothing wrong.", "ops", []query{{
			`sum(rate(rafflecast_gateway_refusals_total{` +
				`reason=~"connection_limit|not_ready|busy|participation_unavailable|participation_timeout",@}[$__rate_interval]))`, "",
		}},
	}, "green", []step{{0.01, "orange"}, {0.1, "red"}}},
	{panel{
		"Entries per second", "Entries that were placed.", "ops", []query{
			{`sum(rate(rafflecast_participation_entries_total{result="placed",@}[$__rate_interval]))`, ""},
		},
	}, "blue", []step{{30_000, "orange"}, {60_000, "red"}}}, // of the 79,000 that two cores take
}

// alerts are those on what a panel shows, by its title.
var alerts = map[string][]string{
	"Age of odds, p99":              {"RafflecastOddsLate"},
	"Viewers of the limit":          {"RafflecastGatewayFull"},
	"Refused viewers":               {"RafflecastViewersRefused"},
	"Entries per second":            {"RafflecastEntriesRefused", "RafflecastEntriesFail"},
	"Age of odds at the last write": {"RafflecastOddsLate"},
	"Entries":                       {"RafflecastEntriesFail", "RafflecastEntriesRefused"},
	"Connections":                   {"RafflecastGatewayFull"},
	"Calls":                         {"RafflecastCallsFail"},
	"Batch time":                    {"RafflecastEntriesSlow"},
	"Queue":                         {"RafflecastQueueFills"},
	"Database connections":          {"RafflecastPoolExhausted"},
	"Waiting for the database":      {"RafflecastPoolExhausted"},
	"Publishing":                    {"RafflecastOddsNotPublished", "RafflecastVersionsBumped", "RafflecastStreamForeign"},
	"Draws":                         {"RafflecastLogMismatch", "RafflecastClockSkew", "RafflecastBeaconUnavailable", "RafflecastChainUnknown"},
	"Overdue draws":                 {"RafflecastDrawOverdue", "RafflecastCloseOverdue"},
	"Odds received":                 {"RafflecastOddsNotReceived"},
	"Blocked connections":           {"RafflecastConnectionsBlocked"},
	"Refusals":                      {"RafflecastViewersRefused", "RafflecastClientsRefused"},
	"Snapshots":                     {"RafflecastSnapshotsRepeat"},
	"Connected to NATS":             {"RafflecastNATSUnavailable", "RafflecastFeedNotReady"},
	"Age of the process":            {"RafflecastAbsent", "RafflecastTargetDown"},
	"File descriptors":              {"RafflecastFilesNearLimit"},
	"Unreadable raffles":            {"RafflecastRaffleUnreadable"},
	"Late closes and draws":         {"RafflecastCloseOverdue", "RafflecastDrawOverdue"},
}

var rows = []row{
	{"What users notice", []panel{
		{
			"Age of odds at the last write",
			"Time from the commit of an entry until its odds were sent to the last viewer. It includes the conflation interval, 0.05 s.",
			"s", quantiles("rafflecast_gateway_commit_to_last_write_seconds"),
		},
		{"Entries", "Requests to enter, by result.", "ops", []query{
			{`sum by (result) (rate(rafflecast_participation_entries_total{@}[$__rate_interval]))`, "{{result}}"},
		}},
		{"Connections", "Streams and long polls of all gateways, and their maximum.", "short", []query{
			{`sum(rafflecast_gateway_connections{@})`, "open"},
			{`sum(rafflecast_gateway_connections_limit{@})`, "limit"},
		}},
		{"Raffles", "Raffles in the cache of each gateway. All gateways should have the same number.", "short", []query{
			{`rafflecast_gateway_raffles_known{@}`, "{{pod}}"},
		}},
	}},
	{"Participation", []panel{
		{"Calls", "gRPC calls by method and status.", "ops", []query{{
			`sum by (rpc_method, rpc_response_status_code) (rate(rpc_server_call_duration_seconds_count{@}[$__rate_interval]))`,
			"{{rpc_method}} {{rpc_response_status_code}}",
		}}},
		{"Duration of calls", "99th percentile, without EnterStream, whose calls last for minutes.", "s", []query{{
			`histogram_quantile(0.99, sum by (rpc_method, le) (` +
				`rate(rpc_server_call_duration_seconds_bucket{rpc_method!="raffle.v1.ParticipationService/EnterStream",@}[$__rate_interval])))`,
			"{{rpc_method}}",
		}}},
		{
			"Batch time", "Duration of a transaction that writes entries.", "s",
			quantiles("rafflecast_participation_batch_seconds"),
		},
		{"Batch size", "Average number of entries in a transaction.", "short", []query{{
			`sum by (pod) (rate(rafflecast_participation_batch_entries_sum{@}[$__rate_interval]))` +
				` / sum by (pod) (rate(rafflecast_participation_batch_entries_count{@}[$__rate_interval]))`,
			"{{pod}}",
		}}},
		{"Queue", "Share of the queue of entries that is full. One hot raffle fills only its own partition: a quarter, with four partitions.", "percentunit", []query{
			{`rafflecast_participation_entries_waiting{@} / rafflecast_participation_entries_waiting_limit{@}`, "{{pod}}"},
		}},
		{"Database connections", "Connections in use, as a share of the maximum of each pool.", "percentunit", []query{{
			`db_client_connection_count{db_client_connection_state="used",@} / ignoring (db_client_connection_state) db_client_connection_max{@}`,
			"{{pod}} {{db_client_connection_pool_name}}",
		}}},
		{"Waiting for the database", "Average number of calls that wait for a connection of a pool.", "short", []query{
			{`rate(rafflecast_participation_database_wait_seconds_total{@}[$__rate_interval])`, "{{pod}} {{db_client_connection_pool_name}}"},
		}},
		{
			"Commit to stream", "Age of odds when NATS has acknowledged them.", "s",
			quantiles("rafflecast_participation_commit_to_stream_seconds"),
		},
		{"Publishing", "Failures per second, raffles whose newest odds are not published yet, and versions bumped by reconciling.", "short", []query{
			{`sum by (pod) (rate(rafflecast_participation_publish_failures_total{@}[$__rate_interval]))`, "{{pod}} failures"},
			{`rafflecast_participation_odds_waiting{@}`, "{{pod}} waiting"},
			{`rafflecast_participation_versions_bumped_total{@}`, "{{pod}} bumped"},
		}},
		{"Draws", "Drawings, and attempts to draw or close a raffle that failed, by reason. One or two of beacon_unavailable for a draw are normal.", "short", []query{
			{`sum(increase(rafflecast_participation_draws_total{@}[$__rate_interval]))`, "drawn"},
			{`sum by (reason) (increase(rafflecast_participation_draw_failures_total{@}[$__rate_interval]))`, "{{reason}}"},
		}},
		{"Overdue draws", "Time since the longest overdue draw should have been made, and since the longest overdue raffle should have been closed. A few seconds are normal.", "s", []query{
			{`max(rafflecast_participation_draws_overdue_seconds{@})`, "draw"},
			{`max(rafflecast_participation_closings_overdue_seconds{@})`, "close"},
		}},
	}},
	{"Gateway", []panel{
		{
			"Feed lag", "Age of odds when a gateway receives them.", "s",
			quantiles("rafflecast_gateway_feed_lag_seconds"),
		},
		{"Odds received", "Odds that each gateway receives from NATS. All gateways should have the same rate.", "ops", []query{
			{`rate(rafflecast_gateway_feed_lag_seconds_count{@}[$__rate_interval])`, "{{pod}}"},
		}},
		{"Deliveries", "Odds written to connections.", "ops", []query{
			{`rate(rafflecast_gateway_deliveries_total{@}[$__rate_interval])`, "{{pod}}"},
		}},
		{"Connections by instance", "", "short", []query{
			{`rafflecast_gateway_connections{@}`, "{{pod}}"},
		}},
		{"Blocked connections", "Share of the connections whose send buffer is full.", "percentunit", []query{
			{`rafflecast_gateway_connections_blocked{@} / rafflecast_gateway_connections{@}`, "{{pod}}"},
		}},
		{
			"Connections ended",
			"By reason: the client disconnected, the connection reached its maximum age, all its raffles are final, a long poll timed out without news, " +
				"the instance drained, the client read nothing for too long, the client sent unexpected data, or an error occurred.",
			"ops",
			[]query{
				{`sum by (reason) (rate(rafflecast_gateway_connections_ended_total{@}[$__rate_interval]))`, "{{reason}}"},
			},
		},
		{"Refusals", "Refused requests, by reason.", "ops", []query{
			{`sum by (reason) (rate(rafflecast_gateway_refusals_total{@}[$__rate_interval]))`, "{{reason}}"},
		}},
		{"Snapshots", "Snapshots of all odds that gateways took from the stream, by cause.", "short", []query{
			{`sum by (cause) (increase(rafflecast_gateway_snapshots_total{@}[$__rate_interval]))`, "{{cause}}"},
		}},
		{"Connected to NATS", "1 while an instance is connected. For gateways also: 1 once they have taken a snapshot (ready).", "short", []query{
			{`rafflecast_gateway_nats_connected{@}`, "{{pod}}"},
			{`rafflecast_participation_nats_connected{@}`, "{{pod}}"},
			{`rafflecast_gateway_feed_ready{@}`, "{{pod}} ready"},
		}},
	}},
	{"Processes", []panel{
		{"CPU", "Cores in use.", "short", []query{
			{`rate(process_cpu_seconds_total{job=~"rafflecast-.+",@}[$__rate_interval])`, "{{pod}}"},
		}},
		{"Memory", "Resident memory. Memory that the kernel uses for sockets is not included, but counts towards the container's limit.", "bytes", []query{
			{`process_resident_memory_bytes{job=~"rafflecast-.+",@}`, "{{pod}}"},
		}},
		{"Goroutines", "", "short", []query{
			{`go_goroutines{job=~"rafflecast-.+",@}`, "{{pod}}"},
		}},
		{"File descriptors", "Open files, as a share of the limit of the process.", "percentunit", []query{
			{`process_open_fds{job=~"rafflecast-.+",@} / process_max_fds{job=~"rafflecast-.+",@}`, "{{pod}}"},
		}},
		{"Network", "Bytes per second that the pod sends.", "Bps", []query{
			{`rate(process_network_transmit_bytes_total{job=~"rafflecast-.+",@}[$__rate_interval])`, "{{pod}}"},
		}},
		{"Age of the process", "Drops to zero when an instance restarts.", "s", []query{
			{`time() - process_start_time_seconds{job=~"rafflecast-.+",@}`, "{{pod}}"},
		}},
	}},
}
