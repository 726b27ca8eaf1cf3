package httpapi

import (
	"context"
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
)

// forwarder sends requests on to participation's HTTP facade, a bounded number at
// a time, each for a bounded time. Its methods are safe for concurrent use.
type forwarder struct {
	respond *respond.Responder
	log     *slog.Logger
	proxy   *httputil.ReverseProxy
	timeout time.Duration // for participation's answer to begin, and again for its transfer
	slots   chan struct{} // one element per request under way
}

// connectTimeout bounds dialling, and again the TLS handshake. It is short, so that
// clients learn of an outage early.
const connectTimeout = 2 * time.Second

var (
	// notForwarded are header fields of requests that participation does not get: it
	// reads no cookies, changes no protocol, and must not encode its answers.
	notForwarded = []string{"Accept-Encoding", "Connection", "Cookie", "Upgrade"}
	// passedOn are header fields of participation's answers that clients get.
	passedOn = []string{"Content-Length", "Content-Type", "Retry-After"}
)

// newForwarder returns a forwarder to the base URL to.
func newForwarder(to *url.URL, limit int, timeout time.Duration, re *respond.Responder, log *slog.Logger) *forwarder {
	f := &forwarder{respond: re, log: log, timeout: timeout, slots: make(chan struct{}, limit)}
	f.proxy = &httputil.ReverseProxy{
		Transport: &http.Transport{
			DialContext:           (&net.Dialer{Timeout: connectTimeout}).DialContext,
			TLSHandshakeTimeout:   connectTimeout,
			ResponseHeaderTimeout: timeout,
			ForceAttemptHTTP2:     true,
			MaxIdleConnsPerHost:   limit,
			IdleConnTimeout:       time.Minute, // participation's server allows two
			DisableCompression:    true,
		},
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.SetXForwarded()
			for _, name := range notForwarded {
				r.Out.Header.Del(name)
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

// change forwards a request that changes something. Participation checks all of
// its parameters and its body.
func (f *forwarder) change(w http.ResponseWriter, r *http.Request) error {
	if _, err := url.ParseQuery(r.URL.RawQuery); err != nil {
		return errQuery()
	}
	if _, err := raffleID(r.PathValue("id")); err != nil {
		return err
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
	if query.Get("memberId") == "" {
		return respond.Errorf(respond.Invalid, "memberId: must be given")
	}
	return f.forward(w, r)
}

// read returns what forwards a request that reads something public about a raffle, and
// takes these parameters.
func (f *forwarder) read(allowed params) respond.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) error {
		if _, err := allowed.read(r); err != nil {
			return err
		}
		if _, err := raffleID(r.PathValue("id")); err != nil {
			return err
		}
		return f.forward(w, r)
	}
}

// forward sends a request to participation and passes the answer on. The query
// must be well-formed, since ReverseProxy drops the parameters that it can't read.
func (f *forwarder) forward(w http.ResponseWriter, r *http.Request) error {
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
	f.proxy.ServeHTTP(w, r.WithContext(ctx))
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
	if mediaType != "application/json" && resp.StatusCode == http.StatusOK {
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
