package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// fastBackoff has callers reconnect soon after a fault has ended.
var fastBackoff = backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.3, Jitter: 0.2, MaxDelay: time.Second}

const (
	raffles      = 8               // that are open all the time
	maxEntries   = 1000            // of a member in a raffle
	limited      = 2               // likewise, in the last raffle, which refuses many
	shortTime    = 8 * time.Second // that the raffle of a phase is open
	unaryCallers = 8
	streams      = 2
	withdrawers  = 1
	// callDeadline bounds one attempt; a call that takes longer is a fault.
	callDeadline = 3 * time.Second
	overdue      = 500 * time.Millisecond
	pace         = 60 * time.Millisecond // between two calls of one caller
)

// callers place entries until they are stopped, and keep a record of the answers.
type callers struct {
	services []*grpc.ClientConn // participation's instances
	lateness *lateness
	ids      []int64 // of the raffles that are open all the time
	short    int64   // that closes during the phase; 0: none

	mu           sync.Mutex
	entries      map[string]*entry // by request id
	acknowledged int               // answers so far
	codes        map[string]int    // errors, by code and reason
	last         map[string]string // the last error of a request, by its id
	faults       []string          // errors that no caller should see
	slowest      time.Duration     // of all attempts that failed
}

func newCallers(services []*grpc.ClientConn, late *lateness) *callers {
	return &callers{services: services, lateness: late, entries: make(map[string]*entry), codes: make(map[string]int), last: make(map[string]string)}
}

// create makes the raffles that are open all the time.
func (c *callers) create(ctx context.Context) error {
	for i := range raffles {
		most := int32(maxEntries)
		if i == raffles-1 {
			most = limited
		}
		id, err := c.createRaffle(ctx, &rafflev1.CreateRaffleRequest{
			Title: fmt.Sprintf("Raffle %d of the fault run", i), Winners: 3, MaxEntriesPerMember: most,
		})
		if err != nil {
			return err
		}
		c.ids = append(c.ids, id)
	}
	return nil
}

// createShort makes a raffle that closes by itself during a phase. No call may be
// under way.
func (c *callers) createShort(ctx context.Context) error {
	id, err := c.createRaffle(ctx, &rafflev1.CreateRaffleRequest{
		Title: "A raffle that closes among faults", Winners: 1, MaxEntriesPerMember: maxEntries,
		ClosesAt: timestamppb.New(time.Now().Add(shortTime)),
	})
	c.short = id
	return err
}

func (c *callers) createRaffle(ctx context.Context, req *rafflev1.CreateRaffleRequest) (id int64, err error) {
	req.RequestId = uuid.NewString()
	err = eventually(ctx, 10*time.Second, "a raffle is made", func(ctx context.Context) error {
		made, err := rafflev1.NewRaffleServiceClient(c.services[0]).CreateRaffle(ctx, req, grpc.WaitForReady(true))
		id = made.GetRaffle().GetId()
		return err
	})
	return id, err
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
	switch n := rand.IntN(10); {
	case n == 0 && c.short != 0:
		id = c.short
	case n < 6:
		id = c.ids[rand.IntN(len(c.ids))]
	}
	return c.add(id, fmt.Sprintf("%s-%d", caller, rand.IntN(50)))
}

// failed records an error of an attempt for e, which began at a time; zero: it has
// no deadline of its own. It reports whether the attempt may be repeated.
func (c *callers) failed(e *entry, err error, began time.Time) bool {
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
	var took, late time.Duration
	if !began.IsZero() {
		took, late = time.Since(began), c.lateness.since(began)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.codes[st.Code().String()+" "+info.GetReason()]++
	c.slowest = max(c.slowest, took)
	if e != nil {
		c.last[e.requestID] = fmt.Sprintf("%v after %v", err, took)
	}
	if took > callDeadline+overdue+late {
		c.faults = append(c.faults, fmt.Sprintf("a call took %v, and this process was late by %v: %v", took.Round(time.Millisecond), late, err))
	}
	if reason := info.GetReason(); e != nil && st.Code() == codes.FailedPrecondition && reason != "" && reason == c.rules(e) {
		if e.ordinal > 0 {
			c.faults = append(c.faults, fmt.Sprintf("request %s was acknowledged and then refused: %v", e.requestID, err))
		}
		e.refused = reason
		return false
	}
	if e != nil && e.gone && st.Code() == codes.NotFound {
		return false // the restore did take it away
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

// attempt calls one of the services for e until it succeeds, may not be repeated, or
// ctx ends.
func (c *callers) attempt(ctx context.Context, services []*grpc.ClientConn, e *entry, call func(context.Context, rafflev1.ParticipationServiceClient) error) {
	for ctx.Err() == nil {
		client := rafflev1.NewParticipationServiceClient(services[rand.IntN(len(services))])
		attempt, cancel := context.WithTimeout(ctx, callDeadline)
		began := time.Now()
		err := call(attempt, client)
		cancel()
		if err == nil {
			return
		}
		if ctx.Err() != nil || !c.failed(e, err, began) {
			return
		}
		pause(ctx, 50*time.Millisecond+rand.N(100*time.Millisecond))
	}
}

func (c *callers) unary(ctx, calls context.Context, i int) {
	for ctx.Err() == nil {
		e := c.next(fmt.Sprintf("unary%d", i))
		c.enter(calls, c.services, e)
		pause(ctx, pace/2+rand.N(pace))
	}
}

// enter sends e until it is answered.
func (c *callers) enter(ctx context.Context, services []*grpc.ClientConn, e *entry) {
	c.attempt(ctx, services, e, func(ctx context.Context, client rafflev1.ParticipationServiceClient) error {
		resp, err := client.Enter(ctx, e.request())
		if err == nil {
			c.acknowledge(e, resp.GetEntry())
		}
		return err
	})
}

// withdraw takes back some of the acknowledged entries.
func (c *callers) withdraw(ctx, calls context.Context) {
	for ctx.Err() == nil {
		pause(ctx, 5*pace)
		e, ordinal := c.pick()
		if e == nil {
			continue
		}
		c.attempt(calls, c.services, e, func(ctx context.Context, client rafflev1.ParticipationServiceClient) error {
			resp, err := client.Withdraw(ctx, &rafflev1.WithdrawRequest{
				RaffleId: e.raffleID, MemberId: e.member, Ordinal: new(ordinal), RequestId: e.withdrawID,
			})
			if err == nil {
				c.mu.Lock()
				e.withdrawn = !e.gone
				e.contradicted = e.contradicted || resp.GetEntry().GetOrdinal() != ordinal
				c.mu.Unlock()
			}
			return err
		})
	}
}
