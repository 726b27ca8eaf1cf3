package observability

// firing are what each alert is for, what it is told apart by, and what the
// operator reads.
var firing = []firingCase{
	{"RafflecastOddsLate", "12m", namespaced, series{
		`rafflecast_gateway_commit_to_last_write_seconds_bucket{@gateway,le="1"}`:    "0+90x80",
		`rafflecast_gateway_commit_to_last_write_seconds_bucket{@gateway,le="5"}`:    "0+100x80",
		`rafflecast_gateway_commit_to_last_write_seconds_bucket{@gateway,le="+Inf"}`: "0+100x80",
	}, "1 % of the odds reach the last viewer 4.6s or more after their commit, where 0.1 s is usual."},
	{"RafflecastOddsNotHeard", "6m", gatewayPod, series{
		`rafflecast_gateway_feed_lag_seconds_count{@gateway}`:                    "7x80",
		`rafflecast_gateway_feed_lag_seconds_count{@another}`:                    "0+10x80",
		`rafflecast_participation_entries_total{@participation,result="placed"}`: "0+100x80",
	}, "Entries are placed, and gateway-1 hears 0 odds a second. All its viewers see old ones."},
	{"RafflecastOddsNotStored", "4m", participationPod, series{
		`rafflecast_participation_publish_failures_total{@participation}`: "0+60x80",
		`rafflecast_participation_odds_waiting{@participation}`:           "3x80",
	}, "participation-1 fails 4 times a second to store odds in NATS. Viewers see old ones."},
	{"RafflecastEntriesFail", "6m", namespaced, series{
		`rafflecast_participation_entries_total{@participation,result="placed"}`: "0+90x80",
		`rafflecast_participation_entries_total{@participation,result="failed"}`: "0+10x80",
	}, "10% of the entries fail in the database."},
	{"RafflecastEntriesRefused", "6m", namespaced, series{
		`rafflecast_participation_entries_total{@participation,result="placed"}`: "0+90x80",
		`rafflecast_participation_entries_total{@participation,result="busy"}`:   "0+10x80",
	}, "10% of the entries are refused as BUSY."},
	{"RafflecastEntriesSlow", "12m", namespaced, series{
		`rafflecast_participation_batch_seconds_bucket{@participation,le="2.5"}`:  "0+50x80",
		`rafflecast_participation_batch_seconds_bucket{@participation,le="5"}`:    "0+100x80",
		`rafflecast_participation_batch_seconds_bucket{@participation,le="+Inf"}`: "0+100x80",
	}, "1 % of the transactions that write entries take 4.95s or more, where 0.03 s is usual."},
	{"RafflecastCallsFail", "6m", labelSet{"namespace": "r", "rpc_method": "raffle.v1.ParticipationService/Enter"}, series{
		enter + `,rpc_response_status_code="OK"}`:                "0+80x80",
		enter + `,rpc_response_status_code="INTERNAL"}`:          "0+15x80",
		enter + `,rpc_response_status_code="DEADLINE_EXCEEDED"}`: "0+5x80",
	}, "20% of the calls of raffle.v1.ParticipationService/Enter fail, though nothing is wrong with them."},
	{"RafflecastViewersRefused", "6m", labelSet{"namespace": "r", "reason": "connections"}, series{
		`rafflecast_gateway_refusals_total{@gateway,reason="connections"}`: "0+30x80",
	}, "Gateways refuse 2 requests a second, for the reason connections."},
	{"RafflecastAbsent", "4m", labelSet{"job": "rafflecast-gateway"}, series{
		`rafflecast_participation_nats_connected{@participation}`: "1x80",
	}, "No target of rafflecast-gateway answers Prometheus."},
	{"RafflecastNATSAway", "2m", labelSet{"namespace": "r", "job": "rafflecast-gateway"}, series{
		`rafflecast_gateway_nats_connected{@gateway}`:             "0x80",
		`rafflecast_gateway_nats_connected{@another}`:             "0x80",
		`rafflecast_participation_nats_connected{@participation}`: "1x80",
	}, "Instances of rafflecast-gateway without a connection to NATS: 2. Entries are taken; viewers see old odds."},
	{"RafflecastFeedNotReady", "3m", gatewayPod, series{
		`rafflecast_gateway_feed_ready{@gateway}`: "0x80",
	}, "gateway-1 has not read the stream since it started, and serves nobody (feed_ready is 0)."},
	{"RafflecastVersionsRaised", "6m", participationPod, series{ // as it starts, before the first scrape
		`rafflecast_participation_versions_raised_total{@participation}`: "_x20 4x80",
	}, "The stream was ahead of the database by 4 raffles within the last hour. Entries may be lost."},
	{"RafflecastTargetDown", "6m", gatewayPod, series{
		`up{@gateway}`: "0x80",
	}, "gateway-1 of rafflecast-gateway does not answer Prometheus (up is 0)."},
	{"RafflecastGatewayFull", "11m", gatewayPod, series{
		`rafflecast_gateway_connections{@gateway}`:       "18000x80",
		`rafflecast_gateway_connections_limit{@gateway}`: "20000x80",
	}, "gateway-1 has 90% of the connections that it may have."},
	{"RafflecastClientsRefused", "16m", namespaced, series{
		`rafflecast_gateway_refusals_total{@gateway,reason="client_connections"}`: "0+300x80",
	}, "Gateways refuse 20 requests a second, since their address has all the connections that it may have."},
	{"RafflecastClientsBehind", "11m", namespaced, series{
		`rafflecast_gateway_connections{@gateway}`:        "1000x80",
		`rafflecast_gateway_connections_behind{@gateway}`: "400x80",
	}, "40% of the connections are behind; they skip odds between."},
	{"RafflecastSnapshotsRepeat", "20m", labelSet{"namespace": "r", "pod": "gateway-1", "job": "rafflecast-gateway", "cause": "slow_consumer"}, series{
		`rafflecast_gateway_snapshots_total{@gateway,cause="slow_consumer"}`: "0+1x80",
	}, "gateway-1 read all odds anew 60 times in 15 minutes, for the cause slow_consumer."},
	{"RafflecastQueueFills", "6m", participationPod, series{
		`rafflecast_participation_entries_waiting{@participation}`:       "8192x80",
		`rafflecast_participation_entries_waiting_limit{@participation}`: "32768x80",
	}, "25% of the entries that may wait in participation-1 do; a full lane refuses more."},
	{"RafflecastPoolExhausted", "11m", labelSet{"namespace": "r", "pod": "participation-1", "job": "rafflecast-participation", "db_client_connection_pool_name": "calls"}, series{
		`db_client_connection_count{@participation,db_client_connection_pool_name="calls",db_client_connection_state="used"}`: "16x80",
		`db_client_connection_count{@participation,db_client_connection_pool_name="calls",db_client_connection_state="idle"}`: "0x80",
		`db_client_connection_max{@participation,db_client_connection_pool_name="calls"}`:                                     "16x80",
		`rafflecast_participation_database_wait_seconds_total{@participation,db_client_connection_pool_name="calls"}`:         "0+60x80",
	}, "participation-1 uses 100% of the pool calls, and calls wait for it."},
	{"RafflecastFilesNearLimit", "11m", participationPod, series{
		`process_open_fds{@participation}`: "980x80",
		`process_max_fds{@participation}`:  "1024x80",
	}, "participation-1 has 95.7% of its file descriptors open."},
}
