package observability

// firing lists for each alert a situation in which it must fire, with the labels and the
// description that the operator must see.
var firing = []firingCase{
	{"RafflecastOddsLate", "12m", namespaced, series{
		`rafflecast_gateway_commit_to_last_write_seconds_bucket{@gateway,le="1"}`:    "0+90x80",
		`rafflecast_gateway_commit_to_last_write_seconds_bucket{@gateway,le="5"}`:    "0+100x80",
		`rafflecast_gateway_commit_to_last_write_seconds_bucket{@gateway,le="+Inf"}`: "0+100x80",
	}, "1 % of the odds reach the last viewer 4.6s or more after their commit. 0.1 s is normal."},
	{"RafflecastOddsNotReceived", "6m", gatewayPod, series{
		`rafflecast_gateway_feed_lag_seconds_count{@gateway}`:                    "7x80",
		`rafflecast_gateway_feed_lag_seconds_count{@another}`:                    "0+10x80",
		`rafflecast_participation_entries_total{@participation,result="placed"}`: "0+100x80",
	}, "Members enter, but gateway-1 receives 0 odds a second. All its viewers see old odds."},
	{"RafflecastOddsNotPublished", "4m", participationPod, series{
		`rafflecast_participation_publish_failures_total{@participation}`: "0+60x80",
		`rafflecast_participation_odds_waiting{@participation}`:           "3x80",
	}, "participation-1 fails to publish odds to NATS 4 times a second. Viewers see old odds."},
	{"RafflecastEntriesFail", "6m", namespaced, series{
		`rafflecast_participation_entries_total{@participation,result="placed"}`: "0+90x80",
		`rafflecast_participation_entries_total{@participation,result="failed"}`: "0+10x80",
	}, "10% of the entries fail in the database."},
	{"RafflecastEntriesRefused", "6m", namespaced, series{
		`rafflecast_participation_entries_total{@participation,result="placed"}`: "0+90x80",
		`rafflecast_participation_entries_total{@participation,result="busy"}`:   "0+10x80",
	}, "10% of the entries are refused with the reason BUSY."},
	{"RafflecastEntriesSlow", "12m", namespaced, series{
		`rafflecast_participation_batch_seconds_bucket{@participation,le="2.5"}`:  "0+50x80",
		`rafflecast_participation_batch_seconds_bucket{@participation,le="5"}`:    "0+100x80",
		`rafflecast_participation_batch_seconds_bucket{@participation,le="+Inf"}`: "0+100x80",
	}, "1 % of the transactions that write entries take 4.95s or more. 0.03 s is normal."},
	{"RafflecastCallsFail", "6m", labelSet{"namespace": "r", "rpc_method": "raffle.v1.ParticipationService/Enter"}, series{
		enter + `,rpc_response_status_code="OK"}`:                "0+80x80",
		enter + `,rpc_response_status_code="INTERNAL"}`:          "0+15x80",
		enter + `,rpc_response_status_code="DEADLINE_EXCEEDED"}`: "0+5x80",
	}, "20% of the calls of raffle.v1.ParticipationService/Enter fail with UNAVAILABLE, INTERNAL or DEADLINE_EXCEEDED."},
	{"RafflecastViewersRefused", "6m", labelSet{"namespace": "r", "reason": "connection_limit"}, series{
		`rafflecast_gateway_refusals_total{@gateway,reason="connection_limit"}`: "0+30x80",
	}, "Gateways refuse 2 requests a second, with the reason connection_limit."},
	{"RafflecastDrawOverdue", "6m", namespaced, series{
		`rafflecast_participation_draws_overdue_seconds{@participation}`: "0+15x80",
	}, "A raffle should have been drawn 6m 0s ago. Viewers wait for its winners."},
	{"RafflecastCloseOverdue", "4m", namespaced, series{
		`rafflecast_participation_closings_overdue_seconds{@participation}`: "0+15x80",
	}, "A raffle should have been closed 4m 0s ago. It takes no entries, and its draw waits."},
	{"RafflecastLogMismatch", "6m", namespaced, series{
		`rafflecast_participation_draw_failures_total{@participation,reason="log_mismatch"}`: "0+1x80",
	}, "Within 5 minutes a draw was refused 20 times, because the log does not match its signed checkpoint."},
	{"RafflecastClockSkew", "6m", namespaced, series{
		`rafflecast_participation_draw_failures_total{@participation,reason="clock_skew"}`: "0+30x80",
	}, "The clocks of the database and of participation disagree too much to close a raffle that will be drawn (2 attempts a second)."},
	{"RafflecastBeaconUnavailable", "4m", namespaced, series{
		`rafflecast_participation_draw_failures_total{@participation,reason="beacon_unavailable"}`: "0+1x80",
		`rafflecast_participation_draws_overdue_seconds{@participation}`:                           "0+15x80",
	}, "No relay of drand has delivered the round of a draw that is due. It was tried 12 times within 3 minutes."},
	{"RafflecastChainUnknown", "8m", namespaced, series{
		`rafflecast_participation_draw_failures_total{@participation,reason="chain_unknown"}`: "0+1x80",
	}, "Within 5 minutes a raffle could not be closed or drawn 20 times, because an instance does not know its chain of drand."},
	{"RafflecastAbsent", "4m", labelSet{"job": "rafflecast-gateway"}, series{
		`rafflecast_participation_nats_connected{@participation}`: "1x80",
	}, "Prometheus has no data from any instance of rafflecast-gateway."},
	{"RafflecastNATSUnavailable", "2m", labelSet{"namespace": "r", "job": "rafflecast-gateway"}, series{
		`rafflecast_gateway_nats_connected{@gateway}`:             "0x80",
		`rafflecast_gateway_nats_connected{@another}`:             "0x80",
		`rafflecast_participation_nats_connected{@participation}`: "1x80",
	}, "Instances of rafflecast-gateway without a connection to NATS: 2. Members can enter, but viewers see old odds."},
	{"RafflecastFeedNotReady", "3m", gatewayPod, series{
		`rafflecast_gateway_feed_ready{@gateway}`: "0x80",
	}, "gateway-1 has not been able to read the stream since it started, and serves nobody (feed_ready is 0)."},
	{"RafflecastVersionsBumped", "6m", participationPod, series{ // bumped at the start, before the first scrape
		`rafflecast_participation_versions_bumped_total{@participation}`: "_x20 4x80",
	}, "The stream was ahead of the database for 4 raffles within the last hour. Entries may be lost."},
	{"RafflecastStreamForeign", "2m", participationPod, series{
		`rafflecast_participation_stream_foreign{@participation}`: "1x80",
	}, "participation-1 publishes nothing, because the stream of odds belongs to another database (stream_foreign is 1)."},
	{"RafflecastRaffleUnreadable", "20m", participationPod, series{
		`rafflecast_participation_unreadable_raffles_total{@participation}`: "0x20 30x100",
	}, "participation-1 has met a raffle that cannot be read 30 times within 15 minutes. Calls for it fail."},
	{"RafflecastTargetDown", "6m", gatewayPod, series{
		`up{@gateway}`: "0x80",
	}, "Prometheus cannot scrape gateway-1 of rafflecast-gateway (up is 0)."},
	{"RafflecastGatewayFull", "11m", gatewayPod, series{
		`rafflecast_gateway_connections{@gateway}`:       "18000x80",
		`rafflecast_gateway_connections_limit{@gateway}`: "20000x80",
	}, "gateway-1 has 90% of its maximum of connections."},
	{"RafflecastClientsRefused", "16m", namespaced, series{
		`rafflecast_gateway_refusals_total{@gateway,reason="client_connection_limit"}`: "0+300x80",
	}, "Gateways refuse 20 requests a second, because the client address has reached its maximum of connections."},
	{"RafflecastConnectionsBlocked", "11m", namespaced, series{
		`rafflecast_gateway_connections{@gateway}`:         "1000x80",
		`rafflecast_gateway_connections_blocked{@gateway}`: "400x80",
	}, "40% of the connections are blocked. Their viewers miss intermediate odds."},
	{"RafflecastSnapshotsRepeat", "20m", labelSet{"namespace": "r", "pod": "gateway-1", "job": "rafflecast-gateway", "cause": "slow_consumer"}, series{
		`rafflecast_gateway_snapshots_total{@gateway,cause="slow_consumer"}`: "0+1x80",
	}, "gateway-1 took 60 snapshots of all odds in 15 minutes, because of slow_consumer."},
	{"RafflecastQueueFills", "6m", participationPod, series{
		`rafflecast_participation_entries_waiting{@participation}`:       "8192x80",
		`rafflecast_participation_entries_waiting_limit{@participation}`: "32768x80",
	}, "The queue of entries in participation-1 is 25% full. A partition that is full refuses entries."},
	{"RafflecastPoolExhausted", "11m", labelSet{"namespace": "r", "pod": "participation-1", "job": "rafflecast-participation", "db_client_connection_pool_name": "calls"}, series{
		`db_client_connection_count{@participation,db_client_connection_pool_name="calls",db_client_connection_state="used"}`: "16x80",
		`db_client_connection_count{@participation,db_client_connection_pool_name="calls",db_client_connection_state="idle"}`: "0x80",
		`db_client_connection_max{@participation,db_client_connection_pool_name="calls"}`:                                     "16x80",
		`rafflecast_participation_database_wait_seconds_total{@participation,db_client_connection_pool_name="calls"}`:         "0+60x80",
	}, "participation-1 uses 100% of the connection pool calls, and calls wait for a connection."},
	{"RafflecastFilesNearLimit", "11m", participationPod, series{
		`process_open_fds{@participation}`: "980x80",
		`process_max_fds{@participation}`:  "1024x80",
	}, "participation-1 has 95.7% of its maximum of files open."},
}
