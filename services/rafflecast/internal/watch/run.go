package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/rafflecast/load"
)

const (
	askEvery  = 250 * time.Millisecond // how often participation is asked for the odds
	askFor    = 3 * time.Second        // for one answer
	stopGrace = 15 * time.Second       // for a client that has the final odds to come back and be stopped
)

// truth is what participation says of the raffle once it is closed.
type truth struct {
	version int64
	at      time.Time // when that was noticed
}

// run is one run of the checker.
type run struct {
	cfg     Config
	clients []*client
	news    chan struct{} // holds one: a client has seen something
}

// Run watches the raffle until it is closed and every client was told to stop,
// with a line every few seconds to progress and the result to out. It fails where
// the raffle is not closed in time, and where any client saw what it must not see.
func Run(ctx context.Context, cfg Config, out, progress io.Writer) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	conns, err := load.Dial(cfg.Target, 1)
	if err != nil {
		return err
	}
	defer conns.Close()
	return newRun(cfg).watch(ctx, conns[0], out, progress)
}

func (r *run) watch(ctx context.Context, participation *grpc.ClientConn, out, progress io.Writer) error {
	watching, stop := context.WithCancel(ctx)
	var living sync.WaitGroup
	living.Go(func() { r.arrive(watching, &living) })
	living.Go(func() { r.tell(watching, progress) })
	last, err := r.untilClosed(ctx, rafflev1.NewParticipationServiceClient(participation))
	if err == nil {
		r.await(ctx, r.allow()+stopGrace)
	}
	stop()
	living.Wait()
	if err == nil {
		r.judge(last)
	}
	faults := r.report(out, last)
	if faults > 0 {
		err = errors.Join(err, fmt.Errorf("%d faults", faults))
	}
	return err
}

func newRun(cfg Config) *run {
	r := &run{cfg: cfg, news: make(chan struct{}, 1)}
	dialer := &net.Dialer{Timeout: 10 * time.Second}
	transport := &http.Transport{DialContext: dialer.DialContext, ResponseHeaderTimeout: 15 * time.Second, DisableCompression: true}
	url := fmt.Sprintf("%s/api/v1/raffle/%d/subscribe", strings.TrimSuffix(cfg.Gateway, "/"), cfg.Raffle)
	for range cfg.Clients {
		seen := &record{raffle: int64(cfg.Raffle), notice: r.notice, refusals: map[int]int{}}
		r.clients = append(r.clients, &client{record: seen, url: url, http: &http.Client{Transport: transport}, retry: firstRetry})
	}
	return r
}

func (r *run) notice() {
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// arrive starts the clients, evenly over the time that they have for it.
func (r *run) arrive(ctx context.Context, living *sync.WaitGroup) {
	for _, c := range r.clients {
		living.Go(func() { c.live(ctx) })
		if !sleep(ctx, r.cfg.Over/time.Duration(len(r.clients))) {
			return
		}
	}
}

// errStillOpen is what the last answer was where it was none of failure.
var errStillOpen = errors.New("it is still open")

// untilClosed asks for the odds until they are final.
func (r *run) untilClosed(ctx context.Context, service rafflev1.ParticipationServiceClient) (truth, error) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.Timeout)
	defer cancel()
	var err error
	for {
		var resp *rafflev1.GetOddsResponse
		call, done := context.WithTimeout(ctx, askFor)
		resp, err = service.GetOdds(call, &rafflev1.GetOddsRequest{RaffleId: int64(r.cfg.Raffle)})
		done()
		state := strings.TrimPrefix(resp.GetOdds().GetState().String(), "RAFFLE_STATE_")
		if err == nil && final(state) {
			return truth{resp.GetOdds().GetVersion(), time.Now()}, nil
		}
		if !sleep(ctx, askEvery) {
			return truth{}, fmt.Errorf("the raffle was not closed within %v (last answer of %s: %w)", r.cfg.Timeout, r.cfg.Target, cmp.Or(err, errStillOpen))
		}
	}
}

// await waits until every client was told to stop, or time is up.
func (r *run) await(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	for _, c := range r.clients {
		for !c.done() {
			select {
			case <-r.news:
			case <-ctx.Done():
				return
			}
		}
	}
}
