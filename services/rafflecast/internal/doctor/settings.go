package doctor

import "slices"

// fault is what the way does wrong.
type fault int

const (
	holds      fault = iota // events are not passed on at once
	packs                   // the stream is compressed
	cutsQuiet               // what is silent is ended
	cutsOld                 // what is old is ended
	losesField              // Last-Event-ID does not arrive
	losesQuery              // ?lastEventId= does not arrive
	fewStreams              // many at once are not let through
	oneAddress              // the gateway takes all clients for one
	noHTTP2
	rewrites // the header of answers is not ours
	replaces // the body of errors is not ours
)

// setting is what to change in a product.
type setting struct {
	product product
	text    string
}

// settings are the likely ones of each fault. A product that is not named can't
// do it, as far as we know. Those of nginx and HAProxy are tried in tests, as far
// as there is a case; those of the others are named as their manuals do.
var settings = map[fault][]setting{
	holds: {
		{nginx, "`proxy_buffering off;`, or no `proxy_ignore_headers X-Accel-Buffering;`"},
		{envoy, "no filter that holds answers: `response_body_mode: BUFFERED` of `envoy.filters.http.ext_proc`, `envoy.filters.http.file_system_buffer`"},
		{haproxy, "no `http-response wait-for-body`"},
		{cloudflare, "Network > Response Buffering off (`response_buffering`), and a Cache Rule that bypasses the cache for /api/"},
	},
	packs: {
		{nginx, "no `text/event-stream` (or `*`) in `gzip_types` and `brotli_types`, or `gzip off;` and `brotli off;`"},
		{envoy, "no `text/event-stream` in `content_type` of `envoy.filters.http.compressor`"},
		{haproxy, "no `text/event-stream` in `compression type`; without one, `compression algo` takes all"},
		{cloudflare, "a Compression Rule that disables compression for /api/"},
	},
	cutsQuiet: {
		{nginx, "`proxy_read_timeout 75s;`"},
		{envoy, "`stream_idle_timeout: 75s`, `idle_timeout` of the route likewise, and `timeout: 0s` of the route"},
		{haproxy, "`timeout server 75s`"},
		{alb, "`idle_timeout.timeout_seconds` = 75"},
		{cloudflare, "Proxy Read Timeout (`proxy_read_timeout`), 120 s unless changed"},
	},
	cutsOld: {
		{envoy, "`timeout: 0s` of the route (15s unless set; `timeouts.request: 0s` of an HTTPRoute), no `max_stream_duration`"},
		{nginx, "reloads end streams after `worker_shutdown_timeout`"},
		{haproxy, "reloads end streams after `hard-stop-after`"},
		{alb, "targets that leave end streams after `deregistration_delay.timeout_seconds`"},
	},
	losesField: {
		{nginx, "no `proxy_set_header Last-Event-ID \"\";`, no `proxy_pass_request_headers off;`"},
		{envoy, "no `last-event-id` in `request_headers_to_remove`"},
		{haproxy, "no `http-request del-header Last-Event-ID`"},
		{cloudflare, "no Request Header Transform Rule that removes Last-Event-ID"},
	},
	losesQuery: {
		{nginx, "`proxy_pass` without a path, or with `$is_args$args` behind one that has variables"},
		{envoy, "no filter that writes `:path` without its query (Lua, Wasm, `envoy.filters.http.ext_proc`)"},
		{haproxy, "`http-request set-path` instead of `set-uri`, no `http-request set-query`"},
		{cloudflare, "no URL Rewrite Rule of the query, no Cache Rule that ignores the query string"},
	},
	fewStreams: {
		{nginx, "`limit_conn` higher or gone; `worker_connections`"},
		{envoy, "`max_connections`, `max_requests` and `max_pending_requests` of `circuit_breakers`; `max_connections` of `envoy.filters.network.connection_limit`"},
		{haproxy, "`maxconn` of the server and frontend; rules on `sc_conn_cur` or `src_conn_cur`"},
		{alb, "rate-based rules of AWS WAF"},
		{cloudflare, "Rate Limiting Rules for /api/"},
	},
	oneAddress: {
		{ourselves, "`--max-connections-per-client` and, so that it counts viewers and not the proxy, `--trusted-proxies`"},
		{nginx, "`proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;`"},
		{envoy, "`use_remote_address: true`"},
		{haproxy, "`option forwardfor`"},
		{alb, "`routing.http.xff_header_processing.mode` = append"},
	},
	noHTTP2: {
		{nginx, "`http2 on;` (before 1.25.1 `listen 443 ssl http2;`)"},
		{envoy, "`alpn_protocols: [h2, http/1.1]` of the TLS context, `codec_type: AUTO`"},
		{haproxy, "`alpn h2,http/1.1` on the `bind` line"},
		{alb, "`routing.http2.enabled` = true"},
		{cloudflare, "Speed > Protocol: HTTP/2 on"},
	},
	rewrites: {
		{nginx, "no `expires`, no `proxy_hide_header Cache-Control;`, no `add_header Cache-Control`"},
		{envoy, "no `cache-control` or `content-type` in `response_headers_to_add` and `response_headers_to_remove`"},
		{haproxy, "no `http-response set-header Cache-Control` or `del-header Cache-Control`"},
		{cloudflare, "no Response Header Transform Rule for Cache-Control; Browser Cache TTL: Respect Existing Headers"},
	},
	replaces: {
		{nginx, "`proxy_intercept_errors off;`"},
		{envoy, "no `envoy.filters.http.custom_response`, no `mappers` of `local_reply_config` for 404"},
		{haproxy, "no `http-response return` for 404"},
		{alb, "no fixed-response action for /api/"},
		{cloudflare, "no Custom Error Rule for /api/"},
	},
}

// likely returns the settings of some faults, each product once, those of the
// products that come first in order before the others.
func likely(order []product, faults ...fault) (found []setting) {
	for _, f := range faults {
		for _, s := range settings[f] {
			i := slices.IndexFunc(found, func(other setting) bool { return other.product == s.product })
			if i < 0 {
				found = append(found, s)
			} else {
				found[i].text += "; " + s.text
			}
		}
	}
	rank := func(s setting) int {
		if i := slices.Index(order, s.product); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortStableFunc(found, func(a, b setting) int { return rank(a) - rank(b) })
	return found
}
