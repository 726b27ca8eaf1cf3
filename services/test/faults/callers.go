package faults

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// fastBackoff has callers reconnect soon after a fault has ended.
var fastBackoff = backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.3, Jitter: 0.2, MaxDelay: time.Second}

const (
	raffles      = 8
	maxEntries   = 1000
	unaryCallers = 8
	streams      = 2
	withdrawers  = 1
	// callDeadline bounds one attempt; a call that takes longer is a fault.
	callDeadline = 3 * time.Second
	overdue      = 500 * time.Millisecond
	pace         = 60 * time.Millisecond // between two calls of one caller
)

// entry is a request to enter, and what came of it.
type entry struct {
	raffleID     int64
	member       string
	requestID    string
	ordinal      int32 // of the acknowledged entry; 0: not acknowledged
	withdrawID   string
	withdrawn    bool // acknowledged
	contradicted bool // two answers name different entries
	uncertain    bool // a restore may have taken it away
}

// callers place entries until they are stopped, and keep a record of the answers.
type callers struct {
	system *system
	ids    []int64

	mu      sync.Mutex
	entries map[string]*entry // by request id
	codes   map[string]int    // errors, by code and reason
	faults  []string          // errors that no caller should see
	slowest time.Duration     // of all attempts
}

func newCallers(s *system) *callers {
	return &callers{system: s, entries: make(map[string]*entry), codes: make(map[string]int)}
}

// create makes the raffles.
func (c *callers) create(ctx context.Context) error {
	client := rafflev1.NewRaffleServiceClient(c.system.callers[0])
	for i := range raffles {
		made, err := client.CreateRaffle(ctx, &rafflev1.CreateRaffleRequest{
			Title: fmt.Sprintf("Raffle %d of the fault run", i), Winners: 3, MaxEntriesPerMember: maxEntries, RequestId: uuid.NewString(),
		}, grpc.WaitForReady(true))
		if err != nil {
			return err
		}
		c.ids = append(c.ids, made.GetRaffle().GetId())
	}
	return nil
}

// run places entries until ctx ends; calls under way then have until calls ends.
func (c *callers) run(ctx, calls context.Context) {
	var running sync.WaitGroup
	for i := range unaryCallers {
		running.Go(func() { c.unary(ctx, calls, i) })
	}
	for i := range streams {
		running.Go(func() { c.stream(ctx, calls, i) })
	}
	for range withdrawers {
		running.Go(func() { c.withdraw(ctx, calls) })
	}
	running.Wait()
}

// next returns a new request, which is in the record from now on.
func (c *callers) next(caller string) *entry {
	// The first raffle is hot: it has half of all entries.
	id := c.ids[0]
	if rand.IntN(2) == 0 {
		id = c.ids[rand.IntN(len(c.ids))]
	}
	e := &entry{raffleID: id, member: fmt.Sprintf("%s-%d", caller, rand.IntN(50)), requestID: uuid.NewString()}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries[e.requestID] = e
	return e
}

func (c *callers) acknowledge(e *entry, got *rafflev1.Entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e.ordinal != 0 && e.ordinal != got.GetOrdinal() {
		e.contradicted = true
	}
	e.ordinal = got.GetOrdinal()
}

// failed records an error. It reports whether the call may be repeated.
func (c *callers) failed(err error, took time.Duration) bool {
	st := status.Convert(err)
	var info *errdetails.ErrorInfo
	var retry *errdetails.RetryInfo
	for _, d := range st.Details() {
		switch d := d.(type) {
		case *errdetails.ErrorInfo:
			info = d
		case *errdetails.RetryInfo:
			retry = d
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.codes[st.Code().String()+" "+info.GetReason()]++
	c.slowest = max(c.slowest, took)
	if took > callDeadline+overdue {
		c.faults = append(c.faults, fmt.Sprintf("a call took %v: %v", took.Round(time.Millisecond), err))
	}
	switch st.Code() {
	case codes.Unavailable, codes.ResourceExhausted:
		// An error of the client's own library has no details.
		if info != nil && retry == nil {
			c.faults = append(c.faults, fmt.Sprintf("no RetryInfo: %v", err))
		}
		return true
	case codes.DeadlineExceeded, codes.Canceled:
		return true
	}
	c.faults = append(c.faults, fmt.Sprintf("not retryable: %v %s", err, info.GetReason()))
	return st.Code() != codes.NotFound && st.Code() != codes.FailedPrecondition
}

// attempt calls until it succeeds, may not be repeated, or ctx ends.
func (c *callers) attempt(ctx context.Context, call func(context.Context, rafflev1.ParticipationServiceClient) error) {
	for ctx.Err() == nil {
		client := rafflev1.NewParticipationServiceClient(c.system.callers[rand.IntN(participations)])
		attempt, cancel := context.WithTimeout(ctx, callDeadline)
		began := time.Now()
		err := call(attempt, client)
		cancel()
		if err == nil {
			return
		}
		if ctx.Err() != nil || !c.failed(err, time.Since(began)) {
			return
		}
		pause(ctx, 50*time.Millisecond+rand.N(100*time.Millisecond))
	}
}

func (c *callers) unary(ctx, calls context.Context, i int) {
	for ctx.Err() == nil {
		e := c.next(fmt.Sprintf("unary%d", i))
		c.attempt(calls, func(ctx context.Context, client rafflev1.ParticipationServiceClient) error {
			resp, err := client.Enter(ctx, e.request())
			if err == nil {
				c.acknowledge(e, resp.GetEntry())
			}
			return err
		})
		pause(ctx, pace/2+rand.N(pace))
	}
}

func (e *entry) request() *rafflev1.EnterRequest {
	return &rafflev1.EnterRequest{RaffleId: e.raffleID, MemberId: e.member, RequestId: e.requestID}
}

// withdraw takes back some of the acknowledged entries.
func (c *callers) withdraw(ctx, calls context.Context) {
	for ctx.Err() == nil {
		pause(ctx, 5*pace)
		e := c.pick()
		if e == nil {
			continue
		}
		c.attempt(calls, func(ctx context.Context, client rafflev1.ParticipationServiceClient) error {
			resp, err := client.Withdraw(ctx, &rafflev1.WithdrawRequest{
				RaffleId: e.raffleID, MemberId: e.member, Ordinal: new(e.ordinal), RequestId: e.withdrawID,
			})
			if err == nil {
				c.mu.Lock()
				e.withdrawn = true
				e.contradicted = e.contradicted || resp.GetEntry().GetOrdinal() != e.ordinal
				c.mu.Unlock()
			}
			return err
		})
	}
}

// pick returns an acknowledged entry that nobody withdraws yet, or nil.
func (c *callers) pick() *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := range maps.Values(c.entries) {
		if e.ordinal > 0 && e.withdrawID == "" {
			e.withdrawID = uuid.NewString()
			return e
		}
	}
	return nil
}

// stream places entries over streams, one after the other: what a stream leaves
// unanswered, the next one sends again.
func (c *callers) stream(ctx, calls context.Context, i int) {
	pending := make(map[int64]*entry)
	next := int64(0)
	for calls.Err() == nil && (ctx.Err() == nil || len(pending) > 0) {
		began := time.Now()
		err := c.session(ctx, calls, i, pending, &next)
		if err != nil && calls.Err() == nil {
			c.failed(err, min(time.Since(began), callDeadline))
			pause(calls, 100*time.Millisecond+rand.N(100*time.Millisecond))
		}
	}
}

// errStalled ends a stream whose answers do not come.
var errStalled = status.Error(codes.DeadlineExceeded, "no answer came on the stream in time")

func (c *callers) session(ctx, calls context.Context, i int, pending map[int64]*entry, next *int64) error {
	session, cancel := context.WithCancel(calls)
	defer cancel()
	client := rafflev1.NewParticipationServiceClient(c.system.callers[rand.IntN(participations)])
	stream, err := client.EnterStream(session)
	if err != nil {
		return err
	}
	for id, e := range pending {
		if err := stream.Send(&rafflev1.EnterStreamRequest{CorrelationId: id, Enter: e.request()}); err != nil {
			break
		}
	}
	answers, failed := make(chan *rafflev1.EnterStreamResponse), make(chan error, 1)
	go func() {
		for {
			resp, err := stream.Recv()
			if err != nil {
				failed <- err
				return
			}
			select {
			case answers <- resp:
			case <-session.Done():
				return
			}
		}
	}()
	tick := time.NewTicker(pace / 2)
	defer tick.Stop()
	stalled := time.NewTimer(callDeadline)
	defer stalled.Stop()
	ending := false
	for {
		if ctx.Err() != nil && len(pending) == 0 {
			return nil
		}
		select {
		case <-tick.C:
			if ctx.Err() != nil || ending || len(pending) > 200 {
				continue
			}
			*next++
			e := c.next(fmt.Sprintf("stream%d", i))
			pending[*next] = e
			_ = stream.Send(&rafflev1.EnterStreamRequest{CorrelationId: *next, Enter: e.request()}) // the receiver sees what fails
		case resp := <-answers:
			stalled.Reset(callDeadline)
			ending = ending || resp.GetEnding() != nil
			c.answered(pending, resp, stream)
		case err := <-failed:
			if ending {
				return nil // as announced
			}
			return err
		case <-stalled.C:
			if len(pending) > 0 {
				return errStalled
			}
			stalled.Reset(callDeadline)
		case <-calls.Done():
			return nil
		}
	}
}

func (c *callers) answered(pending map[int64]*entry, resp *rafflev1.EnterStreamResponse,
	stream grpc.BidiStreamingClient[rafflev1.EnterStreamRequest, rafflev1.EnterStreamResponse],
) {
	id := resp.GetCorrelationId()
	e := pending[id]
	if e == nil {
		return
	}
	if entered := resp.GetEntered(); entered != nil {
		c.acknowledge(e, entered.GetEntry())
		delete(pending, id)
		return
	}
	if st := resp.GetStatus(); st != nil {
		if !c.failed(status.ErrorProto(st), 0) {
			delete(pending, id)
			return
		}
		_ = stream.Send(&rafflev1.EnterStreamRequest{CorrelationId: id, Enter: e.request()}) // the receiver sees what fails
	}
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-time.After(d):
	case <-ctx.Done():
	}
}

// restored takes the record back to that of a dump. What was under way when the
// dump was taken may or may not be in it.
func (c *callers) restored(kept map[string]entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, e := range c.entries {
		before, ok := kept[id]
		if !ok || before.ordinal == 0 {
			// Acknowledged after the dump, or not at all: its row may be missing.
			e.ordinal, e.withdrawn = 0, false
			if ok {
				e.uncertain = true
			}
			continue
		}
		if e.withdrawn && !before.withdrawn {
			e.withdrawn = false
		}
	}
}
