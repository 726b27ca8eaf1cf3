// Package httpapi is the edge of the gateway: the HTTP routes, and what a request
// may ask for.
package httpapi

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"net/url"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/fanout"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// Feed knows the newest odds of all raffles.
type Feed interface {
	Ready() bool
	Newest(raffleID int64) *odds.Update
	Since(raffleID, version int64) (updates []*odds.Update, complete bool)
	// Recall fetches what Since lacks, where that can be had.
	Recall(ctx context.Context, raffleID int64)
	List(after int64, limit int, keep func(*odds.Update) bool) []*odds.Update
}

// Config is how the edge treats its clients.
type Config struct {
	RetryMin      time.Duration // bounds of the wait that a client is told
	RetryMax      time.Duration
	Participation *url.URL // entries are forwarded there; nil: not taken here

	BodyTimeout  time.Duration  // for a request's body to arrive
	MaxRaffles   int            // on one connection
	MaxOpen      int            // connections; 0: any number
	MaxPerClient int            // connections of one client address; 0: any number
	Proxies      []netip.Prefix // whose X-Forwarded-For is believed
	Origins      []string       // whose pages may read; "*": all

	// Refused, where set, is told why a request was refused.
	Refused func(reason string)
}

// API answers HTTP requests. Make it with New; its methods are safe for
// concurrent use.
type API struct {
	cfg       Config
	feed      Feed
	hub       *fanout.Hub
	admission admission
}

// New returns the edge over a feed and a hub.
func New(cfg Config, feed Feed, hub *fanout.Hub) *API {
	return &API{cfg: cfg, feed: feed, hub: hub, admission: newAdmission(cfg.MaxOpen, cfg.MaxPerClient)}
}

// Handler serves the API under /api/ and page everywhere else.
func (a *API) Handler(page http.Handler) http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, methods route) { mux.Handle(path, a.cors(methods.handler(a))) }
	handle("/api/v1/raffle/{id}/subscribe", route{http.MethodGet: http.HandlerFunc(a.subscribe)})
	handle("/api/v1/raffles/subscribe", route{http.MethodGet: http.HandlerFunc(a.subscribeSeveral)})
	handle("/api/v1/raffle/{id}/odds", route{http.MethodGet: http.HandlerFunc(a.odds)})
	handle("/api/v1/raffles", route{http.MethodGet: http.HandlerFunc(a.list)})
	if a.cfg.Participation != nil {
		handle("/api/v1/raffle/{id}", route{http.MethodPost: a.entries(a.cfg.Participation)})
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		a.refuse(w, notFound(fmt.Sprintf("there is no %s %.100q here", r.Method, r.URL.Path)))
	})
	mux.Handle("/", page)
	return a.whole(mux)
}

// refuse answers with an error.
func (a *API) refuse(w http.ResponseWriter, e *httpError) {
	if a.cfg.Refused != nil {
		a.cfg.Refused(e.reason)
	}
	if e.retryAfter < 0 {
		e.retryAfter = max(time.Second, a.retry())
	}
	e.write(w)
}

// known returns a raffle's newest odds.
func (a *API) known(id int64) (*odds.Update, *httpError) {
	if u := a.feed.Newest(id); u != nil {
		return u, nil
	}
	if !a.feed.Ready() {
		return nil, notReady()
	}
	return nil, notFound(fmt.Sprintf("raffle %d is not known", id))
}

// entries forwards entries to the participation service.
func (a *API) entries(to *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.SetXForwarded()
			r.Out.Header.Del("Cookie") // nothing behind asks for it
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			a.refuse(w, unavailable("participation_away", "entries can't be taken now: try again shortly, with the same requestId"))
		},
	}
}
