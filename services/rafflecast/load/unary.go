package load

import (
	"context"
	"sync"
	"time"

	"google.golang.org/grpc/codes"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// What chance decides on, for Plan.chance.
const (
	toRepeat uint64 = iota + 1
	toGiveUp
)

// unary sends requests as unary calls, each from a goroutine of its own.
func (r *run) unary(ctx, calls context.Context) {
	var callers sync.WaitGroup
	for i := range r.cfg.Concurrency {
		client := r.clients[i%len(r.clients)]
		callers.Go(func() {
			var req rafflev1.EnterRequest
			for {
				n, intended, ok := r.schedule.take(ctx)
				if !ok {
					return
				}
				r.plan.Request(n, &req)
				r.call(calls, client, n, &req, intended)
			}
		})
	}
	callers.Wait()
}

// call sends one request until it has a final answer.
func (r *run) call(ctx context.Context, client rafflev1.ParticipationServiceClient, n int64, req *rafflev1.EnterRequest, intended time.Time) {
	r.ledger.Sent(n)
	r.tally.inFlight.Add(1)
	defer r.tally.inFlight.Add(-1)
	var copied sync.WaitGroup
	if r.plan.chance(n, toRepeat, r.cfg.RepeatPercent) {
		r.tally.repeated.Add(1)
		copied.Go(func() { r.settle(ctx, client, n, req) })
	}
	if r.plan.chance(n, toGiveUp, r.cfg.GiveUpPercent) {
		if r.attempt(ctx, client, n, req, r.cfg.GiveUpAfter).code == codes.DeadlineExceeded {
			r.tally.givenUp.Add(1)
		}
		// Where it was answered in time, it is sent again all the same, as by a
		// caller who never saw the answer.
	}
	if a, ok := r.settle(ctx, client, n, req); ok {
		r.tally.answered(n, a, intended)
	} else {
		r.tally.unknown.Add(1)
	}
	copied.Wait()
}

// settle sends a request until its answer is final, and tells whether it became so.
func (r *run) settle(ctx context.Context, client rafflev1.ParticipationServiceClient, n int64, req *rafflev1.EnterRequest) (answer, bool) {
	for attempt := 0; ; attempt++ {
		a := r.attempt(ctx, client, n, req, r.cfg.Timeout)
		if a.code == codes.OK || a.refused() {
			return a, true
		}
		r.tally.failed(a)
		if attempt >= r.cfg.Retries || !sleep(ctx, a.pause(attempt+1)) {
			return a, false
		}
	}
}

// attempt sends a request once, and notes the answer where it is final.
func (r *run) attempt(ctx context.Context, client rafflev1.ParticipationServiceClient, n int64, req *rafflev1.EnterRequest, timeout time.Duration) answer {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	resp, err := client.Enter(ctx, req)
	var a answer
	if err != nil {
		a = failed(err)
	} else {
		a = entered(resp)
	}
	r.note(n, a)
	return a
}

// notOpen is the reason for which a closed raffle refuses.
const notOpen = "RAFFLE_NOT_OPEN"

// note writes an answer into the ledger, where it is final.
func (r *run) note(n int64, a answer) {
	if r.cfg.UntilClosed && a.reason == notOpen {
		r.schedule.stop()
	}
	switch {
	case a.code == codes.OK:
		r.ledger.Acknowledge(n, a.ordinal)
	case a.refused():
		r.ledger.Refuse(n)
	}
}
