package doctor

import "slices"

// fault is what a proxy does wrong.
type fault int

const (
	buffers           fault = iota // events are not passed on at once
	compresses                     // streams are compressed
	limitsSilence                  // silent streams are ended
	limitsAge                      // old streams are ended
	dropsHeader                    // Last-Event-ID does not arrive
	dropsQuery                     // ?lastEventId= does not arrive
	limitsConnections              // too few streams at once are let through
	sharedAddress                  // the gateway takes all clients for one
	noHTTP2                        // TLS without HTTP/2
	changedHeaders                 // the headers of responses are not the gateway's
	changedErrors                  // the bodies of errors are not the gateway's
)

// advice is what to change in a product.
type advice struct {
	product product
	text    string
}

// adviceByFault names the likely settings behind each fault. A product that is not
// listed cannot cause the fault, as far as we know. The settings of nginx and
// HAProxy are tested wherever there is a test case; those of the others are quoted
// from their manuals.
var adviceByFault = map[fault][]advice{
	buffers: {
		{nginx, "`proxy_buffering off;`, or no `proxy_ignore_headers X-Accel-Buffering;`"},
		{envoy, "no filter that buffers responses: `response_body_mode: BUFFERED` of `envoy.filters.http.ext_proc`, " +
			"`envoy.filters.http.file_system_buffer`"},
		{haproxy, "no `http-response wait-for-body`"},
		{cloudflare, "Network > Response Buffering off (`response_buffering`), and a Cache Rule that bypasses " +
			"the cache for /api/"},
	},
	compresses: {
		{nginx, "no `text/event-stream` (or `*`) in `gzip_types` and `brotli_types`, or `gzip off;` and `brotli off;`"},
		{envoy, "no `text/event-stream` in `content_type` of `envoy.filters.http.compressor`"},
		{haproxy, "no `text/event-stream` in `compression type`; without one, `compression algo` takes all"},
		{cloudflare, "a Compression Rule that disables compression for /api/"},
	},
	limitsSilence: {
		{nginx, "`proxy_read_timeout 75s;`"},
		{envoy, "`stream_idle_timeout: 75s`, `idle_timeout` of the route likewise, and `timeout: 0s` of the route"},
		{haproxy, "`timeout server 75s`"},
		{alb, "`idle_timeout.timeout_seconds` = 75"},
		{cloudflare, "Proxy Read Timeout (`proxy_read_timeout`), 120 s unless changed"},
	},
	limitsAge: {
		{envoy, "`timeout: 0s` of the route (15s unless set; `timeouts.request: 0s` of an HTTPRoute), " +
			"no `max_stream_duration`"},
		{nginx, "reloads end streams after `worker_shutdown_timeout`"},
		{haproxy, "reloads end streams after `hard-stop-after`"},
		{alb, "targets that deregister end streams after `deregistration_delay.timeout_seconds`"},
	},
	dropsHeader: {
		{nginx, "no `proxy_set_header Last-Event-ID \"\";`, no `proxy_pass_request_headers off;`"},
		{envoy, "no `last-event-id` in `request_headers_to_remove`"},
		{haproxy, "no `http-request del-header Last-Event-ID`"},
		{cloudflare, "no Request Header Transform Rule that removes Last-Event-ID"},
	},
	dropsQuery: {
		{nginx, "`proxy_pass` without a path, or with `$is_args$args` behind one that has variables"},
		{envoy, "no filter that writes `:path` without its query (Lua, Wasm, `envoy.filters.http.ext_proc`)"},
		{haproxy, "`http-request set-path` instead of `set-uri`, no `http-request set-query`"},
		{cloudflare, "no URL Rewrite Rule of the query, no Cache Rule that ignores the query string"},
	},
	limitsConnections: {
		{nginx, "`limit_conn` higher or gone; `worker_connections`"},
		{envoy, "`max_connections`, `max_requests` and `max_pending_requests` of `circuit_breakers`; " +
			"`max_connections` of `envoy.filters.network.connection_limit`"},
		{haproxy, "`maxconn` of the server and frontend; rules on `sc_conn_cur` or `src_conn_cur`"},
		{alb, "rate-based rules of AWS WAF"},
		{cloudflare, "Rate Limiting Rules for /api/"},
	},
	sharedAddress: {
		{ourGateway, "`--max-connections-per-client` and, so that it counts viewers and not the proxy, `--trusted-proxies`"},
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
	changedHeaders: {
		{nginx, "no `expires`, no `proxy_hide_header Cache-Control;`, no `add_header Cache-Control`"},
		{envoy, "no `cache-control` or `content-type` in `response_headers_to_add` and `response_headers_to_remove`"},
		{haproxy, "no `http-response set-header Cache-Control` or `del-header Cache-Control`"},
		{cloudflare, "no Response Header Transform Rule for Cache-Control; Browser Cache TTL: Respect Existing Headers"},
	},
	changedErrors: {
		{nginx, "`proxy_intercept_errors off;`"},
		{envoy, "no `envoy.filters.http.custom_response`, no `mappers` of `local_reply_config` for 404"},
		{haproxy, "no `http-response return` for 404"},
		{alb, "no fixed-response action for /api/"},
		{cloudflare, "no Custom Error Rule for /api/"},
	},
}

// adviceFor returns the advice for some faults, each product once, the products
// that are listed in likely first.
func adviceFor(likely []product, faults ...fault) (found []advice) {
	for _, f := range faults {
		for _, a := range adviceByFault[f] {
			i := slices.IndexFunc(found, func(other advice) bool { return other.product == a.product })
			if i < 0 {
				found = append(found, a)
			} else {
				found[i].text += "; " + a.text
			}
		}
	}
	rank := func(a advice) int {
		if i := slices.Index(likely, a.product); i >= 0 {
			return i
		}
		return len(likely)
	}
	slices.SortStableFunc(found, func(a, b advice) int { return rank(a) - rank(b) })
	return found
}
