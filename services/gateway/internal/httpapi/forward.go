package httpapi

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"mime"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
	"github.com/rafflecast/rafflecast/services/internal/ratelimit"
)

// forwarder sends requests on to participation's HTTP facade, a bounded number at
// a time, each for a bounded time. Its methods are safe for concurrent use.
type forwarder struct {
	rates   *ratelimit.Limiter[client] // of changes
	api     *API
	respond *respond.Responder
	log     *slog.Logger
	proxy   *httputil.ReverseProxy
	timeout time.Duration // for participation's answer to begin, and again for its transfer
	slots   chan struct{} // one element per request under way
}

// connectTimeout bounds dialling. It is short, so that
// clients learn of an outage early.
const connectTimeout = 2 * time.Second

var (
	// notForwarded are header fields of requests that participation does not get: it
	// reads no cookies, changes no protocol, and must not encode its answers. It gets the
	// token that was verified here. Whether a page may send the request was decided here,
	// too: participation has another name than the gateway, and would take our own page for
	// that of a stranger.
	notForwarded = []string{"Accept-Encoding", "Authorization", "Connection", "Cookie", "Origin", "Sec-Fetch-Site", "Upgrade"}
	// passedOn are header fields of participation's answers that clients get.
	passedOn = []string{"Content-Length", "Content-Type", "Retry-After", "Www-Authenticate"}
)

// newForwarder returns a forwarder to the participation of an API.
func newForwarder(a *API) *forwarder {
	to, limit, timeout, log := a.cfg.Participation, a.cfg.ForwardLimit, a.cfg.ForwardTimeout, a.cfg.Log
	f := &forwarder{rates: ratelimit.PerMinute[client](a.cfg.ChangesPerClient), api: a, respond: a.respond, log: log, timeout: timeout, slots: make(chan struct{}, limit)}
	f.proxy = &httputil.ReverseProxy{
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: connectTimeout}).DialContext,
			DialTLSContext:        f.dialTLS,
			ResponseHeaderTimeout: timeout,
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   limit,
			IdleConnTimeout:       time.Minute, // participation's server allows ten, by default
			DisableCompression:    true,
		},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.SetXForwarded()
			for _, name := range notForwarded {
				r.Out.Header.Del(name)
			}
			if token, _ := r.In.Context().Value(tokenKey{}).(string); token != "" {
				r.Out.Header.Set("Authorization", "Bearer "+token)
			}
			if r.Out.Method == http.MethodHead {
				r.Out.Method = http.MethodGet // the facade has no HEAD; net/http drops the body
			}
		},
		ModifyResponse: checkAnswer,
		ErrorHandler:   f.fail,
		ErrorLog:       slog.NewLogLogger(log.Handler(), slog.LevelDebug), // clients that went away
	}
	return f
}

// dialTLS connects to participation with the newest certificates.
func (f *forwarder) dialTLS(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: connectTimeout}}
	if f.api.cfg.ParticipationTLS != nil {
		var err error
		if dialer.Config, err = f.api.cfg.ParticipationTLS(); err != nil {
			return nil, err
		}
	}
	ctx, cancel := context.WithTimeout(ctx, 2*connectTimeout) // dialling and the handshake
	defer cancel()
	return dialer.DialContext(ctx, network, address)
}

// change forwards a request that changes something. Participation checks all of
// its parameters and its body.
func (f *forwarder) change(w http.ResponseWriter, r *http.Request) error {
	if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
		return errQuery()
	}
	if _, err := raffleID(r.PathValue("id")); err != nil {
		return err
	}
	if wait, ok := f.rates.Allow(f.api.clientOf(r)); !ok {
		return respond.RetryAfter(wait, respond.RateLimited, "your address has sent too many entries; retry later")
	}
	return f.forward(w, r)
}

var ownEntriesParams = params{"memberId": once, "pageSize": once, "pageToken": once}

// ownEntries forwards a request for the entries of one member. It takes no other
// parameter, so that participation can't read the member's name from another one.
func (f *forwarder) ownEntries(w http.ResponseWriter, r *http.Request) error {
	query, err := ownEntriesParams.read(r)
	if err != nil {
		return err
	}
	if _, err := raffleID(r.PathValue("id")); err != nil {
		return err
	}
	if query.Get("memberId") == "" && f.api.cfg.Tokens == nil {
		return respond.Errorf(respond.Invalid, "memberId: must be given")
	}
	return f.forward(w, r)
}

// read returns what forwards a request that reads what anybody may who may watch the
// raffle, and takes these parameters.
func (f *forwarder) read(allowed params) respond.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if _, err := allowed.read(r); err != nil {
			return err
		}
		id, err := raffleID(r.PathValue("id"))
		if err != nil {
			return err
		}
		// What is known of a raffle for members is for members, its draw included. So whose it
		// is must be known: participation may accept no tokens, and trust its gateways.
		u, err := f.api.known(r.Context(), id)
		if err != nil {
			return err
		}
		if _, err := f.api.mayWatch(r, u); err != nil {
			return err
		}
		if u.MembersOnly {
			return f.forward(w, r)
		}
		return f.send(w, r, "")
	}
}

type tokenKey struct{}

// forward sends a request to participation and passes the answer on. The query
// must be well-formed, since ReverseProxy drops the parameters that it can't read.
func (f *forwarder) forward(w http.ResponseWriter, r *http.Request) error {
	if f.api.cfg.Tokens == nil {
		return f.send(w, r, "")
	}
	_, token, err := f.api.identify(r)
	if err != nil {
		return err
	}
	return f.send(w, r, token)
}

// send forwards a request with the token of its caller, "" for none.
func (f *forwarder) send(w http.ResponseWriter, r *http.Request, token string) error {
	select {
	case f.slots <- struct{}{}:
		defer func() { <-f.slots }()
	default:
		return respond.Errorf(respond.Busy, "too many requests are waiting for participation; nothing was changed; retry")
	}
	deadline := time.Now().Add(2 * f.timeout)
	ctx, cancel := context.WithDeadline(r.Context(), deadline)
	defer cancel()
	// For a client that does not read its answer. The deadline ends with the request.
	_ = http.NewResponseController(w).SetWriteDeadline(deadline)
	f.proxy.ServeHTTP(w, r.WithContext(context.WithValue(ctx, tokenKey{}, token)))
	return nil
}

// checkAnswer accepts answers of the facade, which are JSON but for the checkpoint and
// the log. Others come from something between, such as a proxy's page about an outage.
func checkAnswer(resp *http.Response) error {
	contentType := resp.Header.Get("Content-Type")
	mediaType, _, err := mime.ParseMediaType(contentType)
	if err != nil || mediaType != "application/json" && mediaType != rawType(resp.Request.URL.Path) {
		return fmt.Errorf("participation answered %s with content type %q", resp.Status, contentType)
	}
	cacheControl := "no-store"
	token, _ := resp.Request.Context().Value(tokenKey{}).(string)
	if mediaType != "application/json" && resp.StatusCode == http.StatusOK && token == "" {
		cacheControl = resp.Header.Get("Cache-Control") // most of a log never changes
	}
	maps.DeleteFunc(resp.Header, func(name string, _ []string) bool { return !slices.Contains(passedOn, name) })
	resp.Header.Set("Cache-Control", cacheControl)
	resp.Header.Set("X-Content-Type-Options", "nosniff")
	return nil
}

// rawType returns the media type of the answer at a path, if it is not JSON.
func rawType(path string) string {
	switch {
	case strings.HasSuffix(path, "/checkpoint"):
		return "text/plain"
	case strings.HasSuffix(path, "/log"):
		return "application/octet-stream"
	}
	return ""
}

// fail answers a request that participation did not answer.
func (f *forwarder) fail(w http.ResponseWriter, r *http.Request, err error) {
	if errors.Is(err, context.Canceled) {
		panic(http.ErrAbortHandler) // the client is gone; participation is not to blame
	}
	f.log.DebugContext(r.Context(), "forwarding failed", "error", err)
	f.respond.Error(w, r, forwardError(err))
}

// forwardError returns what a client is told about a request that failed with err.
func forwardError(err error) error {
	const again = "send the request again (an entry or withdrawal with the same requestId)"
	failed, isNet := errors.AsType[net.Error](err)
	op, isOp := errors.AsType[*net.OpError](err)
	if isNet && failed.Timeout() && (!isOp || op.Op != "dial") {
		return respond.Errorf(respond.ParticipationTimeout, "participation did not answer in time; "+again)
	}
	return respond.Errorf(respond.ParticipationUnavailable, "participation is unavailable; "+again)
}
