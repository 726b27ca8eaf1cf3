package doctor

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/command"
)

// Exit codes; 0 means that no check found a fault.
const (
	exitFault   = 1
	exitUnknown = 2
)

// limits are the times that a diagnosis allows.
type limits struct {
	// tolerance is how late something may be that should happen at once: what clocks,
	// networks and busy machines add.
	tolerance time.Duration
	// timeout bounds the wait for what should happen at once.
	timeout time.Duration
}

func defaultLimits(cfg *Config) limits {
	// At most two such waits follow each other, and end with the time to watch.
	return limits{tolerance: time.Second, timeout: min(10*time.Second, cfg.Watch/2)}
}

// doctor is one diagnosis.
type doctor struct {
	cfg        Config
	limits     limits
	base       string // what precedes /api/ in a URL
	rafflePath string // of the raffle that is watched
	client     *http.Client
	tls        *tls.Config
	progress   io.Writer
	m          measurements
}

// Run measures for cfg.Watch, writes what it is doing to progress and the findings
// to out. It returns nil if every check passed, otherwise a *command.ExitError with
// code 1 if a check found a fault, and 2 if a check could not be decided.
func Run(ctx context.Context, cfg Config, out, progress io.Writer) error {
	return run(ctx, cfg, defaultLimits(&cfg), out, progress)
}

func run(ctx context.Context, cfg Config, limits limits, out, progress io.Writer) error {
	base, err := cfg.base()
	if err != nil {
		return &command.ExitError{Code: exitUnknown, Err: err}
	}
	secured, err := cfg.Credentials.TLSConfig()
	if err != nil {
		return &command.ExitError{Code: exitUnknown, Err: err}
	}
	if secured == nil {
		secured = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	secured.InsecureSkipVerify = cfg.Insecure // the user asked for it
	d := &doctor{cfg: cfg, limits: limits, base: base, progress: progress, tls: secured}
	d.client = d.newClient()
	defer d.client.CloseIdleConnections()
	if err := d.findRaffle(ctx); err != nil {
		return &command.ExitError{Code: exitUnknown, Err: err}
	}
	fmt.Fprintf(progress, "watching raffle %d at %s for %v\n", d.m.raffleID, base, cfg.Watch)
	d.measure(ctx)
	if ctx.Err() != nil {
		return &command.ExitError{Code: exitUnknown, Err: errors.New("interrupted before all was measured")}
	}
	return report(out, diagnose(&cfg, limits, &d.m))
}

// measure takes all measurements, the short ones beside the long ones. Concurrent
// streams come last of the short ones, so that no limit on connections falsifies
// the others.
func (d *doctor) measure(ctx context.Context) {
	watching, stop := context.WithTimeout(ctx, d.cfg.Watch)
	defer stop()
	var all, short sync.WaitGroup
	all.Go(func() { d.watch(watching) })
	all.Go(func() { d.measureLongPoll(watching) })
	short.Go(func() { d.m.notFound = d.getQuickly(ctx, "/api/v1/raffles/9223372036854775807/odds") })
	short.Go(func() { d.m.compressed = d.requestCompressed(ctx) })
	short.Go(func() {
		d.m.byHeader = d.resume(ctx, func(id string) (string, http.Header) { return "", http.Header{"Last-Event-Id": {id}} })
	})
	short.Go(func() {
		d.m.byQuery = d.resume(ctx, func(id string) (string, http.Header) { return "?lastEventId=" + id, nil })
	})
	short.Wait()
	d.openConcurrently(ctx)
	all.Wait()
}

// requestCompressed requests a stream as a browser does, which accepts every
// compression, and returns its head.
func (d *doctor) requestCompressed(ctx context.Context) response {
	ctx, stop := context.WithTimeout(ctx, d.limits.timeout)
	defer stop()
	resp, head := d.request(
		ctx,
		d.client,
		d.rafflePath+"/subscribe",
		http.Header{"Accept-Encoding": {"gzip, deflate, br, zstd"}},
	)
	if resp != nil {
		_ = resp.Body.Close()
	}
	return head
}

// findRaffle finds the raffle to watch, and measures how quick plain responses are.
func (d *doctor) findRaffle(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, 3*dialTimeout)
	defer stop()
	d.m.raffleID = int64(d.cfg.Raffle)
	if d.m.raffleID == 0 {
		if err := d.chooseRaffle(ctx); err != nil {
			return err
		}
	}
	d.rafflePath = fmt.Sprintf("/api/v1/raffles/%d", d.m.raffleID)
	for range 3 {
		r := d.get(ctx, d.rafflePath+"/odds", nil)
		var body struct{ State string }
		if err := r.decode(&body); err != nil {
			return fmt.Errorf("%s%s/odds: %w", d.base, d.rafflePath, err)
		}
		if body.State != "OPEN" && body.State != "SCHEDULED" {
			return fmt.Errorf("raffle %d is %s, so its stream has ended: choose another with --raffle", d.m.raffleID, body.State)
		}
		if d.m.plain.status == 0 || r.took < d.m.plain.took {
			d.m.plain = r
		}
	}
	return nil
}

// chooseRaffle chooses the first raffle that is open, or else scheduled.
func (d *doctor) chooseRaffle(ctx context.Context) error {
	for _, state := range []string{"OPEN", "SCHEDULED"} {
		path := "/api/v1/raffles?pageSize=1&state=" + state
		var body struct{ Raffles []struct{ ID int64 } }
		r := d.get(ctx, path, nil)
		if err := r.decode(&body); err != nil {
			return fmt.Errorf("%s%s: %w", d.base, path, err)
		}
		if len(body.Raffles) > 0 {
			d.m.raffleID = body.Raffles[0].ID
			return nil
		}
	}
	return errors.New("no raffle is open, so there is nothing to watch")
}
