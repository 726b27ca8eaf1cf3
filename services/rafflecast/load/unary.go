package load

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/ctxtime"
)

// entryClient places entries by calls: gRPC's client, or an httpClient.
type entryClient interface {
	Enter(ctx context.Context, req *rafflev1.EnterRequest, options ...grpc.CallOption) (*rafflev1.EnterResponse, error)
}

func (g *Generator) entryClients() (clients []entryClient, err error) {
	if g.cfg.Mode == HTTP {
		client, err := newHTTPClient(&g.cfg)
		return []entryClient{client}, err
	}
	for _, conn := range g.conns {
		clients = append(clients, rafflev1.NewParticipationServiceClient(conn))
	}
	return clients, nil
}

// sendByCalls sends requests as unary calls from as many goroutines as requests may
// be in flight. It stops sending when ctx ends; calls bounds the calls.
func (g *Generator) sendByCalls(ctx, calls context.Context) error {
	clients, err := g.entryClients()
	if err != nil {
		return err
	}
	var callers sync.WaitGroup
	for i := range g.cfg.Concurrency {
		c := &caller{g: g, client: clients[i%len(clients)]}
		callers.Go(func() {
			var req rafflev1.EnterRequest
			for {
				n, due, ok := g.schedule.take(ctx)
				if !ok {
					return
				}
				g.plan.Request(n, &req)
				c.send(calls, n, &req, due)
			}
		})
	}
	callers.Wait()
	return nil
}

// caller sends requests by one client. Safe for concurrent use.
type caller struct {
	g      *Generator
	client entryClient
}

// send sends request n until it has a final answer: some requests twice at once,
// and some once more after an attempt that is cancelled early.
func (c *caller) send(ctx context.Context, n int64, req *rafflev1.EnterRequest, due time.Time) {
	g := c.g
	g.outcomes.sent(n)
	g.counters.inFlight.Add(1)
	defer g.counters.inFlight.Add(-1)
	var second sync.WaitGroup
	defer second.Wait()
	if g.plan.selects(n, forRepeat, g.cfg.RepeatPercent) {
		g.counters.repeated.Add(1)
		second.Go(func() { c.retry(ctx, n, req) })
	}
	if g.plan.selects(n, forCancel, g.cfg.CancelPercent) {
		// If it is answered in time it is sent again all the same, as by a caller who
		// never saw the answer.
		if c.attempt(ctx, n, req, g.cfg.CancelAfter).code == codes.DeadlineExceeded {
			g.counters.cancelled.Add(1)
		}
	}
	if a, ok := c.retry(ctx, n, req); ok {
		g.counters.answered(a, due)
	} else {
		g.counters.unknown.Add(1)
	}
}

// retry sends request n until its answer is final, and reports whether it became
// so.
func (c *caller) retry(ctx context.Context, n int64, req *rafflev1.EnterRequest) (answer, bool) {
	for attempts := 1; ; attempts++ {
		a := c.attempt(ctx, n, req, c.g.cfg.Timeout)
		if a.final() {
			return a, true
		}
		c.g.counters.failed(a)
		if attempts > c.g.cfg.Retries || !ctxtime.Sleep(ctx, a.backoff(attempts)) {
			return a, false
		}
	}
}

// attempt sends request n once and records the answer.
func (c *caller) attempt(ctx context.Context, n int64, req *rafflev1.EnterRequest, timeout time.Duration) answer {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var a answer
	if resp, err := c.client.Enter(ctx, req); err != nil {
		a = answerOfError(err)
	} else {
		a = answerOf(resp)
	}
	c.g.record(n, a)
	return a
}
