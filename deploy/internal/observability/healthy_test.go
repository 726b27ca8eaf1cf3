package observability

// healthy is an hour of a system in which no alert may fire. After 25 minutes one batch
// fails, a burst fills the queue, and NATS is unavailable for half a minute; relays of
// drand are late, and clocks disagree for a moment. After 40
// minutes nobody enters any more.
var healthy = series{
	`rafflecast_gateway_commit_to_last_write_seconds_bucket{@gateway,le="0.05"}`:   "0+2x240",
	`rafflecast_gateway_commit_to_last_write_seconds_bucket{@gateway,le="0.1"}`:    "0+100x240",
	`rafflecast_gateway_commit_to_last_write_seconds_bucket{@gateway,le="1"}`:      "0+100x240",
	`rafflecast_gateway_commit_to_last_write_seconds_bucket{@gateway,le="+Inf"}`:   "0+100x240",
	`rafflecast_gateway_feed_lag_seconds_count{@gateway}`:                          "0+100x160 16000x79",
	`rafflecast_gateway_feed_ready{@gateway}`:                                      "0 0 1x238",
	`rafflecast_gateway_nats_connected{@gateway}`:                                  "1x100 0x2 1x137",
	`rafflecast_gateway_connections{@gateway}`:                                     "10000x240",
	`rafflecast_gateway_connections_limit{@gateway}`:                               "20000x240",
	`rafflecast_gateway_connections_blocked{@gateway}`:                             "100x240",
	`rafflecast_gateway_refusals_total{@gateway,reason="connection_limit"}`:        "0x240",
	`rafflecast_gateway_refusals_total{@gateway,reason="not_ready"}`:               "0 5 5x238",
	`rafflecast_gateway_refusals_total{@gateway,reason="raffle_not_found"}`:        "0+100x240",
	`rafflecast_gateway_refusals_total{@gateway,reason="client_connection_limit"}`: "0+1x240",
	`rafflecast_gateway_snapshots_total{@gateway,cause="connected"}`:               "1x240",
	`rafflecast_gateway_snapshots_total{@gateway,cause="gap"}`:                     "0x100 1x139",

	`rafflecast_participation_batch_seconds_bucket{@participation,le="0.025"}`:                 "0+99x240",
	`rafflecast_participation_batch_seconds_bucket{@participation,le="0.05"}`:                  "0+100x240",
	`rafflecast_participation_batch_seconds_bucket{@participation,le="1"}`:                     "0+100x240",
	`rafflecast_participation_batch_seconds_bucket{@participation,le="+Inf"}`:                  "0+100x240",
	`rafflecast_participation_entries_total{@participation,result="placed"}`:                   "0+1000x160 160000x79",
	`rafflecast_participation_entries_total{@participation,result="rejected"}`:                 "0+1000x160 160000x79",
	`rafflecast_participation_entries_total{@participation,result="failed"}`:                   "0x100 500x139",
	`rafflecast_participation_entries_total{@participation,result="busy"}`:                     "0x100 500x139",
	`rafflecast_participation_entries_waiting{@participation}`:                                 "0x100 30000x2 0x138",
	`rafflecast_participation_entries_waiting_limit{@participation}`:                           "32768x240",
	`rafflecast_participation_publish_failures_total{@participation}`:                          "0x100 8 16x138",
	`rafflecast_participation_odds_waiting{@participation}`:                                    "0 3 1 0x97 3 3 0x138",
	`rafflecast_participation_versions_bumped_total{@participation}`:                           "0x240",
	`rafflecast_participation_nats_connected{@participation}`:                                  "1x100 0x2 1x137",
	`rafflecast_participation_draws_overdue_seconds{@participation}`:                           "0x60 1 0x40 5 20 0x137",
	`rafflecast_participation_closings_overdue_seconds{@participation}`:                        "0x60 1 0x40 5 20 0x137",
	`rafflecast_participation_draw_failures_total{@participation,reason="beacon_unavailable"}`: "0x60 1x40 3 6x138",
	`rafflecast_participation_draw_failures_total{@participation,reason="clock_skew"}`:         "0x100 60x139",
	`rafflecast_participation_draw_failures_total{@participation,reason="chain_unknown"}`:      "0x100 3x139",
	`rafflecast_participation_draw_failures_total{@participation,reason="log_mismatch"}`:       "0x240",

	`db_client_connection_count{@participation,db_client_connection_pool_name="calls",db_client_connection_state="used"}`: "2x240",
	`db_client_connection_max{@participation,db_client_connection_pool_name="calls"}`:                                     "16x240",
	`rafflecast_participation_database_wait_seconds_total{@participation,db_client_connection_pool_name="calls"}`:         "0+0.1x240",

	enter + `,rpc_response_status_code="OK"}`:                  "0+1000x240",
	enter + `,rpc_response_status_code="FAILED_PRECONDITION"}`: "0+500x240",
	enter + `,rpc_response_status_code="UNAVAILABLE"}`:         "0x100 500x139",
	enterStream + `,rpc_response_status_code="OK"}`:            "0+2x240",
	enterStream + `,rpc_response_status_code="CANCELLED"}`:     "0+1x240",

	`process_open_fds{@gateway}`: "10050x240",
	`process_max_fds{@gateway}`:  "65536x240",
	`up{@gateway}`:               "1x240",
	`up{@participation}`:         "1x240",
}

const (
	calls       = `rpc_server_call_duration_seconds_count{@participation,rpc_method="raffle.v1.ParticipationService/`
	enter       = calls + `Enter"`
	enterStream = calls + `EnterStream"`
)
