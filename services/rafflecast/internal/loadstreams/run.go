package loadstreams

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"google.golang.org/grpc"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/ctxtime"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/flow"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/sseclient"
	"github.com/rafflecast/rafflecast/services/rafflecast/load"
)

const (
	pollInterval = 250 * time.Millisecond // between two calls of GetOdds
	callTimeout  = 3 * time.Second        // for each
	stopGrace    = 15 * time.Second       // for a client with the final odds to reconnect and be stopped
)

// raffleEnd is what participation reports once the raffle is closed.
type raffleEnd struct {
	version   int64
	noticedAt time.Time // by us
}

// run is one run of the checker.
type run struct {
	cfg     Config
	clients []*client
	changes chan struct{} // capacity 1: a client's history has changed
	commits flow.Commits
	ages    *flow.Ages
	losses  bursts   // of streams, before the final odds
	returns bursts   // of clients that had lost their streams
	faults  []string // that concern all clients
}

// Run watches the raffle until it is closed and every client was stopped. It
// writes a line every few seconds to progress, and the result to out. It returns an
// error if the raffle is not closed in time, or a client saw what it must not see.
func Run(ctx context.Context, cfg Config, out, progress io.Writer) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	options, err := cfg.Service.Credentials.DialOptions()
	if err != nil {
		return err
	}
	conns, err := load.Dial(cfg.Service.Target, 1, options...)
	if err != nil {
		return err
	}
	defer conns.Close()
	r, err := newRun(cfg)
	if err != nil {
		return err
	}
	return r.watch(ctx, conns[0], out, progress)
}

// client is one client, and what it has seen.
type client struct {
	stream  *sseclient.Client
	history *history
}

func (r *run) watch(ctx context.Context, participation *grpc.ClientConn, out, progress io.Writer) error {
	watching, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { r.startClients(watching, &running) })
	running.Go(func() { r.reportProgress(watching, progress) })
	end, err := r.awaitEnd(ctx, rafflev1.NewParticipationServiceClient(participation))
	if err == nil {
		r.faults = r.checkBursts() // before the streams that we end ourselves
		r.awaitStops(ctx, r.allowTime()+stopGrace)
	}
	stop()
	running.Wait()
	if err == nil {
		r.check(end)
	}
	if faults := r.report(out, end); faults > 0 {
		err = errors.Join(err, fmt.Errorf("%d faults", faults))
	}
	return err
}

func newRun(cfg Config) (*run, error) {
	r := &run{cfg: cfg, changes: make(chan struct{}, 1), ages: flow.NewAges()}
	limits := flow.Limits{MaxAge: cfg.MaxAge, MinUpdates: cfg.MinUpdates}
	shared, err := cfg.Service.Credentials.HTTPClient()
	if err != nil {
		return nil, err
	}
	shared.Transport.(*http.Transport).ResponseHeaderTimeout = 15 * time.Second
	for range cfg.Clients {
		h := &history{
			raffleID: int64(cfg.Raffle), changed: r.signalChange, losses: &r.losses, returns: &r.returns,
			counts: counts{refusals: map[int]int{}}, flow: flow.NewClient(limits, r.ages),
		}
		stream := cfg.Gateway.Subscribe(&cfg.Service.Credentials, shared, int64(cfg.Raffle), h)
		r.clients = append(r.clients, &client{stream, h})
	}
	return r, nil
}

func (r *run) signalChange() {
	select {
	case r.changes <- struct{}{}:
	default:
	}
}

// startClients starts the clients, evenly over cfg.Over.
func (r *run) startClients(ctx context.Context, running *sync.WaitGroup) {
	for _, c := range r.clients {
		running.Go(func() { c.stream.Run(ctx) })
		if !ctxtime.Sleep(ctx, r.cfg.Over/time.Duration(len(r.clients))) {
			return
		}
	}
}

var errStillOpen = errors.New("it is still open")

// awaitEnd polls GetOdds until the odds are final, and compares the clients with each
// answer.
func (r *run) awaitEnd(ctx context.Context, service rafflev1.ParticipationServiceClient) (raffleEnd, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	for {
		call, done := context.WithTimeout(ctx, callTimeout)
		resp, err := service.GetOdds(call, &rafflev1.GetOddsRequest{RaffleId: int64(r.cfg.Raffle)})
		done()
		if err == nil && sseclient.IsFinal(resp.GetOdds().GetState().String(), resp.GetOdds().GetDrawsAt() != nil) {
			return raffleEnd{resp.GetOdds().GetVersion(), time.Now()}, nil
		}
		if err == nil {
			r.look(resp.GetOdds())
		}
		if !ctxtime.Sleep(ctx, pollInterval) {
			return raffleEnd{}, fmt.Errorf(
				"the raffle was not closed within %v (last answer of %s: %w)",
				r.cfg.Timeout,
				r.cfg.Service.Target,
				cmp.Or(err, errStillOpen),
			)
		}
	}
}

// look compares every client with the odds that participation has.
func (r *run) look(newest *rafflev1.Odds) {
	isNewer := r.commits.Add(newest.GetVersion(), newest.GetAt().AsTime())
	for _, c := range r.clients {
		c.history.look(&r.commits, isNewer)
	}
}

// awaitStops waits until every client was stopped, or time is up.
func (r *run) awaitStops(ctx context.Context, timeout time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for _, c := range r.clients {
		for !c.history.isStopped() {
			select {
			case <-r.changes:
			case <-ctx.Done():
				return
			}
		}
	}
}
