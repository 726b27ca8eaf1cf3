package doctor

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/command"
)

// Exit codes beside 0, which means that all is well.
const (
	exitFault   = 1
	exitUnknown = 2
)

// doctor is one run.
type doctor struct {
	cfg      Config
	base     string // what stands before /api/
	raffle   string // the path of the raffle that is watched
	client   *http.Client
	progress io.Writer
	m        measurements
}

// Run measures, tells progress, and writes what it found to out. It returns nil
// where all is well, else a *command.ExitError.
func Run(ctx context.Context, cfg Config, out, progress io.Writer) error {
	base, err := cfg.base()
	if err != nil {
		return &command.ExitError{Code: exitUnknown, Err: err}
	}
	cfg.slack = cmp.Or(cfg.slack, time.Second)
	if cfg.patience == 0 {
		cfg.patience = min(10*time.Second, cfg.Watch/2) // twice, so that all ends with the watch
	}
	d := &doctor{cfg: cfg, base: base, progress: progress}
	d.client = d.newClient()
	defer d.client.CloseIdleConnections()
	if err := d.arrive(ctx); err != nil {
		return &command.ExitError{Code: exitUnknown, Err: err}
	}
	fmt.Fprintf(progress, "watching raffle %d at %s for %v\n", d.m.raffle, base, cfg.Watch)
	d.measure(ctx)
	if err := ctx.Err(); err != nil {
		return &command.ExitError{Code: exitUnknown, Err: errors.New("stopped before all was measured")}
	}
	return report(out, diagnose(&cfg, &d.m))
}

// measure takes all measurements, the short ones beside the long ones. The crowd
// comes after the others, so that no limit turns one of them away.
func (d *doctor) measure(ctx context.Context) {
	long, stop := context.WithTimeout(ctx, d.cfg.Watch)
	defer stop()
	var all, short sync.WaitGroup
	all.Go(func() { d.watch(long) })
	all.Go(func() { d.wait(long) })
	short.Go(func() { d.m.unknown = d.briefly(ctx, "/api/v1/raffle/9223372036854775807/odds") })
	short.Go(func() { d.pack(ctx) })
	short.Go(func() {
		d.m.byField = d.resume(ctx, func(id string) (string, http.Header) { return "", http.Header{"Last-Event-Id": {id}} })
	})
	short.Go(func() {
		d.m.byQuery = d.resume(ctx, func(id string) (string, http.Header) { return "?lastEventId=" + id, nil })
	})
	short.Wait()
	d.gather(ctx)
	all.Wait()
}

// briefly is get for what should be answered at once.
func (d *doctor) briefly(ctx context.Context, path string) answer {
	ctx, stop := context.WithTimeout(ctx, d.cfg.patience)
	defer stop()
	return d.get(ctx, path, nil)
}

// pack asks for a stream as a browser does, which takes every compression.
func (d *doctor) pack(ctx context.Context) {
	ctx, stop := context.WithTimeout(ctx, d.cfg.patience)
	defer stop()
	resp, head := d.request(ctx, d.client, d.raffle+"/subscribe", http.Header{"Accept-Encoding": {"gzip, deflate, br, zstd"}})
	d.m.packed = head
	if resp != nil {
		defer resp.Body.Close()
	}
}

// arrive finds the raffle to watch, and how quick plain answers are.
func (d *doctor) arrive(ctx context.Context) error {
	ctx, stop := context.WithTimeout(ctx, 3*dialTimeout)
	defer stop()
	d.m.raffle = int64(d.cfg.Raffle)
	if d.m.raffle == 0 {
		if err := d.choose(ctx); err != nil {
			return err
		}
	}
	d.raffle = fmt.Sprintf("/api/v1/raffle/%d", d.m.raffle)
	for range 3 {
		a := d.get(ctx, d.raffle+"/odds", nil)
		var body struct{ State string }
		if err := a.understood(&body); err != nil {
			return fmt.Errorf("%s%s/odds: %w", d.base, d.raffle, err)
		}
		if body.State != "OPEN" && body.State != "SCHEDULED" {
			return fmt.Errorf("raffle %d is %s, so its stream has ended: name another with --raffle", d.m.raffle, body.State)
		}
		if d.m.reach.status == 0 || a.took < d.m.plain {
			d.m.reach, d.m.plain = a, a.took
		}
	}
	return nil
}

// choose takes the first raffle that is open, or will be.
func (d *doctor) choose(ctx context.Context) error {
	for _, state := range []string{"OPEN", "SCHEDULED"} {
		path := "/api/v1/raffles?pageSize=1&state=" + state
		var body struct{ Raffles []struct{ ID int64 } }
		if err := d.get(ctx, path, nil).understood(&body); err != nil {
			return fmt.Errorf("%s%s: %w", d.base, path, err)
		}
		if len(body.Raffles) > 0 {
			d.m.raffle = body.Raffles[0].ID
			return nil
		}
	}
	return errors.New("no raffle is open, so there is nothing to watch")
}

// understood reads a gateway's JSON, or tells why the answer is none.
func (a answer) understood(body any) error {
	switch {
	case a.err != nil:
		return a.err
	case a.header.Get("Location") != "":
		return fmt.Errorf("leads to %q: give that address", a.header.Get("Location"))
	case a.status != http.StatusOK:
		return fmt.Errorf("answers %d %s: %.200q", a.status, http.StatusText(a.status), a.body)
	}
	if err := json.Unmarshal(a.body, body); err != nil {
		return fmt.Errorf("answers with what no gateway says: %.200q", a.body)
	}
	return nil
}
