package main

// row is a line of panels under a title.
type row struct {
	title  string
	panels []panel
}

// panel draws the values of queries over time.
type panel struct {
	title   string
	about   string // what it shows, where the title does not say
	unit    string // of Grafana: s, ops, bytes, percentunit, short
	queries []query
}

// query is an expression of PromQL; in it {@} selects the namespaces and pods
// that are chosen on the dashboard, and so does @ among other matchers.
type query struct{ expr, legend string }

// quantiles are the median and the 99th percentile of a histogram.
func quantiles(metric string) []query {
	of := func(q string) string {
		return "histogram_quantile(" + q + ", sum by (le) (rate(" + metric + "_bucket{@}[$__rate_interval])))"
	}
	return []query{{of("0.5"), "p50"}, {of("0.99"), "p99"}}
}

var rows = []row{
	{"What users feel", []panel{
		{
			"Age of odds at the last write", "Time from the commit of an entry until the last viewer had been sent the odds; 0.05 s of it are the least time between two updates.", "s",
			quantiles("rafflecast_gateway_commit_to_last_write_seconds"),
		},
		{"Entries", "By what came of them.", "ops", []query{
			{`sum by (result) (rate(rafflecast_participation_entries_total{@}[$__rate_interval]))`, "{{result}}"},
		}},
		{"Connections", "Viewers, and how many there may be.", "short", []query{
			{`sum(rafflecast_gateway_connections{@})`, "open"},
			{`sum(rafflecast_gateway_connections_limit{@})`, "limit"},
		}},
		{"Raffles", "Raffles that each gateway knows; all should know the same.", "short", []query{
			{`rafflecast_gateway_raffles_known{@}`, "{{pod}}"},
		}},
	}},
	{"Participation", []panel{
		{"Calls", "EnterStream ends with UNAVAILABLE when its time is over; that is no failure.", "ops", []query{
			{`sum by (rpc_method, rpc_response_status_code) (rate(rpc_server_call_duration_seconds_count{@}[$__rate_interval]))`, "{{rpc_method}} {{rpc_response_status_code}}"},
		}},
		{"Duration of calls", "99th percentile, without EnterStream, which lasts for minutes.", "s", []query{
			{`histogram_quantile(0.99, sum by (rpc_method, le) (rate(rpc_server_call_duration_seconds_bucket{rpc_method!="raffle.v1.ParticipationService/EnterStream",@}[$__rate_interval])))`, "{{rpc_method}}"},
		}},
		{
			"Batch time", "Duration of a transaction that writes entries.", "s",
			quantiles("rafflecast_participation_batch_seconds"),
		},
		{"Batch size", "Entries in one transaction, on average.", "short", []query{
			{`sum by (pod) (rate(rafflecast_participation_batch_entries_sum{@}[$__rate_interval])) / sum by (pod) (rate(rafflecast_participation_batch_entries_count{@}[$__rate_interval]))`, "{{pod}}"},
		}},
		{"Queue", "Share of the entries that may wait which do. One hot raffle can fill one lane: of four, a quarter.", "percentunit", []query{
			{`rafflecast_participation_entries_waiting{@} / rafflecast_participation_entries_waiting_limit{@}`, "{{pod}}"},
		}},
		{"Database connections", "Those in use, of the most that a pool may have.", "percentunit", []query{
			{`db_client_connection_count{db_client_connection_state="used",@} / ignoring (db_client_connection_state) db_client_connection_max{@}`, "{{pod}} {{db_client_connection_pool_name}}"},
		}},
		{"Waiting for the database", "Calls that wait for a connection of a pool, on average.", "short", []query{
			{`rate(rafflecast_participation_database_wait_seconds_total{@}[$__rate_interval])`, "{{pod}} {{db_client_connection_pool_name}}"},
		}},
		{
			"Commit to stream", "Age of odds when NATS had stored them.", "s",
			quantiles("rafflecast_participation_commit_to_stream_seconds"),
		},
		{"Publishing", "Failures per second, raffles whose newest odds are not stored yet, and versions raised after a restore.", "short", []query{
			{`sum by (pod) (rate(rafflecast_participation_publish_failures_total{@}[$__rate_interval]))`, "{{pod}} failures"},
			{`rafflecast_participation_odds_waiting{@}`, "{{pod}} waiting"},
			{`rafflecast_participation_versions_raised_total{@}`, "{{pod}} raised"},
		}},
	}},
	{"Gateway", []panel{
		{
			"Feed lag", "Age of odds when a gateway heard them.", "s",
			quantiles("rafflecast_gateway_feed_lag_seconds"),
		},
		{"Odds heard", "From NATS, by each gateway; all should hear as many.", "ops", []query{
			{`rate(rafflecast_gateway_feed_lag_seconds_count{@}[$__rate_interval])`, "{{pod}}"},
		}},
		{"Deliveries", "Odds written to connections.", "ops", []query{
			{`rate(rafflecast_gateway_deliveries_total{@}[$__rate_interval])`, "{{pod}}"},
		}},
		{"Connections by instance", "", "short", []query{
			{`rafflecast_gateway_connections{@}`, "{{pod}}"},
		}},
		{"Behind", "Share of the connections whose client takes less than comes.", "percentunit", []query{
			{`rafflecast_gateway_connections_behind{@} / rafflecast_gateway_connections{@}`, "{{pod}}"},
		}},
		{"Connections ended", "By reason: client went away, lifetime was over, final odds were sent, wait_over without news, leaving since the instance stops, stalled for too long, talking too much, error.", "ops", []query{
			{`sum by (reason) (rate(rafflecast_gateway_connections_ended_total{@}[$__rate_interval]))`, "{{reason}}"},
		}},
		{"Refusals", "Requests that were refused, by reason.", "ops", []query{
			{`sum by (reason) (rate(rafflecast_gateway_refusals_total{@}[$__rate_interval]))`, "{{reason}}"},
		}},
		{"Snapshots", "Times that a gateway read all odds anew, by cause.", "short", []query{
			{`sum by (cause) (increase(rafflecast_gateway_snapshots_total{@}[$__rate_interval]))`, "{{cause}}"},
		}},
		{"Connected to NATS", "1 while connected; and of gateways, 1 once they have read the stream.", "short", []query{
			{`rafflecast_gateway_nats_connected{@}`, "{{pod}}"},
			{`rafflecast_participation_nats_connected{@}`, "{{pod}}"},
			{`rafflecast_gateway_feed_ready{@}`, "{{pod}} ready"},
		}},
	}},
	{"Processes", []panel{
		{"CPU", "Cores in use.", "short", []query{
			{`rate(process_cpu_seconds_total{job=~"rafflecast-.+",@}[$__rate_interval])`, "{{pod}}"},
		}},
		{"Memory", "Resident memory. What the kernel holds for sockets comes on top, and counts against the container's limit.", "bytes", []query{
			{`process_resident_memory_bytes{job=~"rafflecast-.+",@}`, "{{pod}}"},
		}},
		{"Goroutines", "", "short", []query{
			{`go_goroutines{job=~"rafflecast-.+",@}`, "{{pod}}"},
		}},
		{"File descriptors", "Share of those that the process may have open.", "percentunit", []query{
			{`process_open_fds{job=~"rafflecast-.+",@} / process_max_fds{job=~"rafflecast-.+",@}`, "{{pod}}"},
		}},
		{"Network", "Bytes per second that the pod sends.", "Bps", []query{
			{`rate(process_network_transmit_bytes_total{job=~"rafflecast-.+",@}[$__rate_interval])`, "{{pod}}"},
		}},
		{"Age of the process", "It begins anew where an instance was restarted.", "s", []query{
			{`time() - process_start_time_seconds{job=~"rafflecast-.+",@}`, "{{pod}}"},
		}},
	}},
}
