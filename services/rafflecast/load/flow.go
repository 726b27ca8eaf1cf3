package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"google.golang.org/grpc"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/ctxtime"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/flow"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/sseclient"
)

const (
	lookInterval  = 250 * time.Millisecond // between two looks at participation
	lookTimeout   = 3 * time.Second        // for each
	reconnectWait = time.Second            // before the watcher connects again
	headerTimeout = 15 * time.Second       // for the head of a stream; the gateway may have vanished
	maxSilence    = 45 * time.Second       // three heartbeats; a connection that is silent for longer is dead
	// minUpdates is in percent of the looks that found a newer version. A raffle that
	// changes all the time has five updates in the time between two looks.
	minUpdates = 50
)

// flowWatch watches a raffle at a gateway. A nil one watches nothing.
type flowWatch struct {
	url     string
	http    *http.Client
	cfg     *Config
	stop    context.CancelFunc
	running sync.WaitGroup
	commits flow.Commits
	ages    *flow.Ages

	mu       sync.Mutex
	client   *flow.Client
	connects int
	faults   []error
}

// watchFlow begins to watch a raffle at cfg.Gateway, until finish is called.
func watchFlow(ctx context.Context, cfg *Config, raffleID int64, conn *grpc.ClientConn) (*flowWatch, error) {
	if cfg.Gateway == "" {
		return nil, nil //nolint:nilnil // nil watches nothing
	}
	client, err := cfg.Credentials.HTTPClient()
	if err != nil {
		return nil, err
	}
	client.Transport.(*http.Transport).ResponseHeaderTimeout = headerTimeout
	f := &flowWatch{
		url:  fmt.Sprintf("%s/api/v1/raffles/%d/subscribe", strings.TrimSuffix(cfg.Gateway, "/"), raffleID),
		http: client, cfg: cfg, ages: flow.NewAges(),
	}
	f.client = flow.NewClient(flow.Limits{MaxAge: cfg.MaxAge, MinUpdates: minUpdates}, f.ages)
	ctx, f.stop = context.WithCancel(context.WithoutCancel(ctx))
	f.running.Go(func() { f.look(ctx, rafflev1.NewParticipationServiceClient(conn), raffleID) })
	f.running.Go(func() {
		for {
			f.read(ctx)
			if !ctxtime.Sleep(ctx, reconnectWait) {
				return
			}
		}
	})
	return f, nil
}

// finish ends the watching and writes what was seen. It returns the faults, joined.
func (f *flowWatch) finish(out io.Writer) error {
	if f == nil {
		return nil
	}
	f.stop()
	f.running.Wait()
	f.fault(f.client.Finish())
	if f.connects == 0 {
		f.fault(errors.New("it was never connected"))
	}
	fmt.Fprintf(out, "%-28s %12d of %d versions\n", "updates seen", f.client.Updates(), f.commits.Versions())
	for _, percent := range []float64{50, 99, 100} {
		fmt.Fprintf(out, "%-28s %12v\n", fmt.Sprintf("age of updates p%v", percent), f.ages.At(percent).Round(time.Millisecond))
	}
	fmt.Fprintf(out, "RESULT updates_seen %d\nRESULT flow_faults %d\n", f.client.Updates(), len(f.faults))
	return errors.Join(f.faults...)
}

// fault records err, unless it is nil.
func (f *flowWatch) fault(err error) {
	if err != nil {
		f.faults = append(f.faults, fmt.Errorf("the watcher at the gateway: %w", err))
	}
}

// look compares the watcher with what participation has, several times a second.
func (f *flowWatch) look(ctx context.Context, service rafflev1.ParticipationServiceClient, raffleID int64) {
	for ctxtime.Sleep(ctx, lookInterval) {
		call, done := context.WithTimeout(ctx, lookTimeout)
		resp, err := service.GetOdds(call, &rafflev1.GetOddsRequest{RaffleId: raffleID})
		done()
		if err != nil {
			continue // the load's own calls report that
		}
		isNewer := f.commits.Add(resp.GetOdds().GetVersion(), resp.GetOdds().GetAt().AsTime())
		f.mu.Lock()
		f.fault(f.client.Look(&f.commits, isNewer, time.Now()))
		f.mu.Unlock()
	}
}

// read reads one stream to its end.
func (f *flowWatch) read(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, f.url, nil)
	if err != nil {
		return // the URL was checked
	}
	if err := f.cfg.Credentials.Authorize(req.Header); err != nil {
		return // a file with the token may be replaced just now
	}
	resp, err := f.http.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return
	}
	f.connect(true)
	defer f.connect(false)
	silence := time.AfterFunc(maxSilence, cancel)
	defer silence.Stop()
	events := sseclient.New(resp.Body, "", func() { silence.Reset(maxSilence) })
	defer events.Close()
	for {
		e, err := events.Next()
		if err != nil {
			return
		}
		var odds struct {
			Version int64
			At      time.Time
		}
		if e.Name == sseclient.OddsEvent && json.Unmarshal([]byte(e.Data), &odds) == nil {
			f.mu.Lock()
			f.fault(f.client.Receive(odds.Version, odds.At, time.Now()))
			f.mu.Unlock()
		}
	}
}

func (f *flowWatch) connect(on bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if on {
		f.connects++
		f.client.Connect(time.Now())
	} else {
		f.client.Disconnect()
	}
}
