// Package api is the edge of the gateway: the HTTP routes, and what a request
// may ask for.
package api

import (
	"fmt"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strconv"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/fanout"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// Feed knows the newest odds of all raffles.
type Feed interface {
	Ready() bool
	Newest(raffleID int64) *odds.Update
	Since(raffleID, version int64) (updates []*odds.Update, complete bool)
	List(after int64, limit int, keep func(*odds.Update) bool) []*odds.Update
}

// Config is how the edge treats its clients.
type Config struct {
	Heartbeat     time.Duration // silence before a heartbeat, give or take 20 %
	Lifetime      time.Duration // of a stream, give or take 20 %
	RetryMin      time.Duration // bounds of the wait that a client is told
	RetryMax      time.Duration
	WriteTimeout  time.Duration // a client that takes nothing for so long is dropped
	Participation *url.URL      // entries are forwarded there; nil: not taken here
}

// API answers HTTP requests. Make it with New; its methods are safe for
// concurrent use.
type API struct {
	cfg     Config
	feed    Feed
	hub     *fanout.Hub
	streams streams
}

// New returns the edge over a feed and a hub.
func New(cfg Config, feed Feed, hub *fanout.Hub) *API {
	return &API{cfg: cfg, feed: feed, hub: hub, streams: newStreams()}
}

// Handler serves the API under /api/ and page everywhere else.
func (a *API) Handler(page http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/raffle/{id}/subscribe", a.subscribe)
	mux.HandleFunc("GET /api/v1/raffle/{id}/odds", a.odds)
	mux.HandleFunc("GET /api/v1/raffles", a.list)
	if a.cfg.Participation != nil {
		mux.Handle("POST /api/v1/raffle/{id}", entries(a.cfg.Participation))
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		notFound(fmt.Sprintf("there is no %s %.100q here", r.Method, r.URL.Path)).write(w)
	})
	mux.Handle("/", page)
	return mux
}

// raffleID reads the id of a path or query.
func raffleID(text string) (int64, *httpError) {
	id, err := strconv.ParseInt(text, 10, 64)
	if err != nil || id <= 0 {
		return 0, invalid(fmt.Sprintf("id: must be a whole number from 1 to 9223372036854775807 (got %.40q)", text))
	}
	return id, nil
}

// known returns the raffle of a request's path with its newest odds.
func (a *API) known(r *http.Request) (*odds.Update, *httpError) {
	id, refused := raffleID(r.PathValue("id"))
	if refused != nil {
		return nil, refused
	}
	if u := a.feed.Newest(id); u != nil {
		return u, nil
	}
	if !a.feed.Ready() {
		return nil, unavailable("the odds are not here yet: try again shortly")
	}
	return nil, notFound(fmt.Sprintf("raffle %d is not known", id))
}

// entries forwards entries to the participation service.
func entries(to *url.URL) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(to)
			r.SetXForwarded()
			r.Out.Header.Del("Cookie") // nothing behind asks for it
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
			unavailable("entries can't be taken now: try again shortly, with the same requestId").write(w)
		},
	}
}
