// Package httpapi is the HTTP edge of the gateway: it routes requests, reads what
// they ask for, limits how much one client may ask for, and answers them from the
// newest odds, by the fan-out, or by participation.
package httpapi

import (
	"context"
	"crypto/tls"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"github.com/jub0bs/cors"

	"github.com/rafflecast/rafflecast/services/gateway/internal/cache"
	"github.com/rafflecast/rafflecast/services/gateway/internal/fanout"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/internal/httpserver"
)

// Feed fills the cache.
type Feed interface {
	// Ready reports whether the cache has, or once had, the odds of all raffles.
	Ready() bool
	// Complete reports whether a raffle that the cache does not have does not exist. It
	// may turn false again: for as long as a new stream is being filled.
	Complete() bool
	// Backfill adds to the cache what the stream still holds of a raffle, if it can.
	Backfill(ctx context.Context, raffleID int64)
}

// Config configures an API.
type Config struct {
	RetryMin time.Duration // bounds of the wait before clients come back
	RetryMax time.Duration

	Participation *url.URL // base URL of participation's HTTP facade; nil disables forwarding
	// ParticipationTLS returns the TLS configuration of the next connection to it.
	ParticipationTLS func() (*tls.Config, error)
	ForwardLimit     int           // forwarded requests under way
	ForwardTimeout   time.Duration // for participation's answer to begin, and again for its transfer

	BodyTimeout  time.Duration // for a request's body to arrive
	MaxRaffles   int           // raffles on one connection
	MaxOpen      int           // open connections; 0 means no limit
	MaxPerClient int           // open connections of one client; 0 means no limit
	// ChangesPerClient bounds the requests of one client that enter or withdraw, per
	// minute; 0 means no bound.
	ChangesPerClient int
	Proxies          []netip.Prefix   // trusted proxies, whose X-Forwarded-For is believed
	Origins          []string         // origins whose pages may read answers; "*" means all
	Hosts            httpserver.Hosts // that requests may be for

	// Tokens verifies who enters and who watches raffles for members. nil means that no
	// token is accepted: everybody enters by name, and nobody watches such raffles.
	Tokens *access.Tokens

	// Refused, if set, is called with the reason of each refused request, as metrics
	// name it: one of Refusals.
	Refused func(reason string)
	Log     *slog.Logger // must be set
}

// API answers HTTP requests. Its methods are safe for concurrent use.
type API struct {
	cfg       Config
	cache     *cache.Cache
	feed      Feed
	hub       *fanout.Hub
	admission *admission
	cors      *cors.Middleware
	corsOnly  http.Handler // writes what cors adds to a header
	paths     http.Handler // every path of the API
	origins   *http.CrossOriginProtection
	respond   *respond.Responder
	waiting   chan struct{} // holds a value for each request that waits for a new raffle
}

// New returns an API that reads from a cache, which feed fills, and streams by hub.
// It fails if CheckOrigins does.
func New(cfg Config, newest *cache.Cache, feed Feed, hub *fanout.Hub) (*API, error) {
	a := &API{cfg: cfg, cache: newest, feed: feed, hub: hub, admission: newAdmission(cfg.MaxOpen, cfg.MaxPerClient), waiting: make(chan struct{}, maxWaiting)}
	a.respond = &respond.Responder{Retry: a.retry, Refused: cfg.Refused, Log: cfg.Log}
	var err error
	if a.cors, err = newCORS(cfg.Origins); err != nil {
		return nil, err
	}
	a.corsOnly = a.cors.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	if a.origins, err = newCrossOriginProtection(cfg.Origins); err != nil {
		return nil, err
	}
	a.paths = a.routes()
	return a, nil
}

// Responder returns what writes the API's errors, for handlers beside the API.
func (a *API) Responder() *respond.Responder { return a.respond }

// Handler serves the API under /api/ and page everywhere else. A request passes, from the
// outside in: guarded, since a request that is refused for its Host or origin should cost
// nothing more; buffered, which reads the body; for the API, CORS, which a refusal by the
// handlers needs for pages of other origins to read it; then the handler, which finds out
// who sends it if that matters.
func (a *API) Handler(page http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/", a.cors.Wrap(a.paths))
	mux.Handle("/", page)
	return a.guarded(a.buffered(mux))
}

// routes serves every path of the API, the first version's singular ones included.
func (a *API) routes() http.Handler {
	mux := http.NewServeMux()
	handle := func(path string, methods respond.Methods) {
		mux.Handle(path, a.respond.Handler(methods))
		mux.HandleFunc(path+"/{$}", respond.WithoutSlash)
	}
	get := func(h respond.HandlerFunc) respond.Methods { return respond.Methods{http.MethodGet: h} }
	handle("/api/v1/raffles", get(a.list))
	handle("/api/v1/raffles/subscribe", get(a.subscribeSeveral))
	for _, raffle := range []string{"/api/v1/raffles/{id}", "/api/v1/raffle/{id}"} {
		handle(raffle+"/subscribe", get(a.subscribe))
		handle(raffle+"/odds", get(a.odds))
	}
	session := respond.Methods{http.MethodGet: a.readSession}
	if a.cfg.Tokens != nil {
		session[http.MethodPost], session[http.MethodDelete] = a.beginSession, a.endSession
	}
	handle("/api/v1/session", session)
	if a.cfg.Participation != nil {
		f := newForwarder(a)
		handle("/api/v1/raffles/{id}/entries", respond.Methods{http.MethodPost: f.change, http.MethodGet: f.ownEntries})
		handle("/api/v1/raffles/{id}/entries:withdraw", respond.Methods{http.MethodPost: f.change})
		handle("/api/v1/raffle/{id}", respond.Methods{http.MethodPost: f.change})
		// What anybody needs to check a draw.
		handle("/api/v1/raffles/{id}/draw", get(f.read(params{})))
		handle("/api/v1/raffles/{id}/winners", get(f.read(params{"pageSize": once, "pageToken": once})))
		handle("/api/v1/raffles/{id}/tickets/{ticket}", get(f.read(params{})))
		handle("/api/v1/raffles/{id}/checkpoint", get(f.read(params{})))
		handle("/api/v1/raffles/{id}/log", get(f.read(params{"from": once})))
	}
	mux.Handle("/", a.respond.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) error {
		return respond.Errorf(respond.PathNotFound, "there is no path %.100q", r.URL.Path)
	}))
	return mux
}

// Refusals returns the reasons for which requests are refused, as metrics name
// them.
func Refusals() []string { return respond.Labels() }

// known returns a raffle's newest odds. It waits a moment for a raffle that is not known:
// whoever has just created one opens it at once, while its first odds are on the way.
func (a *API) known(ctx context.Context, id int64) (*odds.Update, error) {
	if u := a.cache.Newest(id); u != nil {
		return u, nil
	}
	if !a.feed.Complete() {
		return nil, errNotReady()
	}
	if u := a.awaitNew(ctx, id); u != nil {
		return u, nil
	}
	return nil, respond.Errorf(respond.RaffleNotFound, "raffle %d does not exist", id)
}

const (
	// newWait is how long a request waits for a raffle that is not known. Odds are
	// published within milliseconds.
	newWait = 500 * time.Millisecond
	// newLook is how often it is looked for meanwhile.
	newLook = 20 * time.Millisecond
	// maxWaiting bounds the requests that wait. Further ones are answered at once.
	maxWaiting = 256
)

// awaitNew returns the newest odds of a raffle once they are known, or nil if that takes
// too long.
func (a *API) awaitNew(ctx context.Context, id int64) *odds.Update {
	select {
	case a.waiting <- struct{}{}:
		defer func() { <-a.waiting }()
	default:
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, newWait)
	defer cancel()
	look := time.NewTicker(newLook)
	defer look.Stop()
	for {
		select {
		case <-look.C:
			if u := a.cache.Newest(id); u != nil {
				return u
			}
		case <-ctx.Done():
			return nil
		}
	}
}

func errNotReady() error { return respond.Errorf(respond.NotReady, "not ready; retry") }

// retry draws how long a client should wait before it comes back.
func (a *API) retry() time.Duration {
	return a.cfg.RetryMin + rand.N(a.cfg.RetryMax-a.cfg.RetryMin+1)
}
