package load

import (
	"context"
	"io"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Session is one load on one service, for programs that measure. Make it with
// Prepare; send once, then verify.
type Session struct{ *run }

// Result is what came of a session's requests.
type Result struct {
	Acknowledged int64
	Refused      int64 // for good
	Unknown      int64 // not answered, after all retries
	Elapsed      time.Duration
	Latency      *hdrhistogram.Histogram // in microseconds
}

// Rate returns acknowledged entries per second.
func (r *Result) Rate() float64 { return float64(r.Acknowledged) / r.Elapsed.Seconds() }

// Prepare makes the raffles of a load on the service behind conns.
func Prepare(ctx context.Context, cfg Config, conns Conns) (*Session, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	plan, err := makePlan(ctx, &cfg, conns[0])
	if err != nil {
		return nil, err
	}
	return &Session{newRun(cfg, plan, conns)}, nil
}

// Plan returns what is asked for; requests have the numbers from 0 on.
func (s *Session) Plan() *Plan { return s.plan }

// Acknowledged returns how many entries were acknowledged by now.
func (s *Session) Acknowledged() int64 { return s.tally.acknowledged.Load() }

// Send sends everything and waits for the answers, with a line per second to
// progress.
func (s *Session) Send(ctx context.Context, progress io.Writer) (Result, error) {
	began := time.Now()
	err := s.send(ctx, progress)
	refused, _ := s.tally.reasons()
	result := Result{
		Acknowledged: s.tally.acknowledged.Load(),
		Unknown:      s.tally.unknown.Load(),
		Elapsed:      s.lasted(began),
		Latency:      s.tally.histogram(),
	}
	for _, n := range refused {
		result.Refused += n
	}
	return result, err
}

// Verify compares the service's database with the answers. It returns an error
// where anything is wrong.
func (s *Session) Verify(ctx context.Context, databaseURL string) error {
	database, err := openDatabase(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer database.close(context.WithoutCancel(ctx))
	found, err := s.verify(ctx, database)
	if err != nil {
		return err
	}
	return found.err()
}
