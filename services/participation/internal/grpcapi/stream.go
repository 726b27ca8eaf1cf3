package grpcapi

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/status"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// maxInFlight is how many requests of one stream may be under way. Beyond it the
// stream is not read, and the transport's flow control stops the caller. It is two
// full batches: one is written while the next one gathers.
const maxInFlight = 4096

// entryStream is one call of EnterStream. receive reads requests and submits them,
// send writes responses; each runs in a goroutine of its own, and the queue between
// them takes memory only for requests under way.
type entryStream struct {
	stream    grpc.BidiStreamingServer[rafflev1.EnterStreamRequest, rafflev1.EnterStreamResponse]
	who       *access.Identity // nil: nobody is authenticated
	submit    func(ctx context.Context, correlationID int64, req raffle.EnterRequest)
	validator *validator
	rates     *rates
	odds      func(*raffle.Raffle) *sharedOdds
	log       *slog.Logger

	slots chan struct{} // holds a value for each request under way

	mu       sync.Mutex
	outcomes []outcome     // to send
	ready    chan struct{} // holds a value if there are outcomes
	underWay int           // requests whose outcome was not sent
	ended    bool          // no request begins any more
	idle     chan struct{} // closed when ended is set and no request is under way
}

// outcome is the result of a request or, without a result, the announcement that
// the stream is ending.
type outcome struct {
	correlationID int64
	res           *raffle.EnterResult
	ending        rafflev1.StreamEnding_Reason
}

// EnterStream answers each request as soon as its batch is written.
func (s *participationService) EnterStream(stream grpc.BidiStreamingServer[rafflev1.EnterStreamRequest, rafflev1.EnterStreamResponse]) error {
	e := &entryStream{
		stream: stream, who: access.From(stream.Context()), validator: s.validator, rates: s.rates, odds: s.oddsOf, log: s.log,
		slots: make(chan struct{}, maxInFlight), ready: make(chan struct{}, 1), idle: make(chan struct{}),
	}
	e.submit = s.writer.Submitter(e.complete)
	received, sent := make(chan error, 1), make(chan error, 1)
	answered := make(chan struct{}) // closed when no outcome will be added any more
	// Only the end of the stream interrupts a Recv. So if the server ends the stream,
	// receive outlives this call, by the time that gRPC takes to end the stream.
	go func() { received <- e.receive() }()
	go func() { sent <- e.send(answered) }()
	var err error
	expired, stop := expiryOf(stream.Context())
	defer stop()
	select {
	case err = <-received:
	case <-s.stopping:
		e.add(outcome{ending: rafflev1.StreamEnding_SHUTDOWN})
	case <-expiry(s.maxStreamAge):
		e.add(outcome{ending: rafflev1.StreamEnding_MAX_AGE})
	case <-expired:
		e.add(outcome{ending: rafflev1.StreamEnding_CREDENTIALS_EXPIRED})
	}
	e.end()
	<-e.idle
	close(answered)
	if sendErr := <-sent; err == nil {
		err = sendErr
	}
	return err
}

// expiry returns a channel that receives when a stream that begins now has reached
// its greatest age, give or take 10 %. It returns nil if age is 0.
func expiry(age time.Duration) <-chan time.Time {
	if age == 0 {
		return nil
	}
	return time.After(age*9/10 + rand.N(age/5+1))
}

// receive submits requests until the caller has closed its side of the stream.
func (e *entryStream) receive() error {
	ctx := e.stream.Context()
	for {
		req, err := e.stream.Recv()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return err
		}
		select {
		case e.slots <- struct{}{}:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if !e.begin() {
			return nil
		}
		id := req.GetCorrelationId()
		if err := e.check(req); err != nil {
			e.complete(id, &raffle.EnterResult{Err: err})
			continue
		}
		e.submit(ctx, id, enterRequest(req.GetEnter()))
	}
}

// begin counts a request as under way, and reports false if the stream has ended.
func (e *entryStream) begin() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.ended {
		e.underWay++
	}
	return !e.ended
}

// finish counts n requests as answered.
func (e *entryStream) finish(n int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.underWay -= n
	if n > 0 && e.ended && e.underWay == 0 {
		close(e.idle)
	}
}

// end lets no request begin any more. Call it once.
func (e *entryStream) end() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.ended = true
	if e.underWay == 0 {
		close(e.idle)
	}
}

// check checks a request by itself, so that errors are those of Enter.
func (e *entryStream) check(req *rafflev1.EnterStreamRequest) error {
	if req.GetEnter() == nil {
		return e.validator.check(req)
	}
	if err := own(e.who, req.GetEnter()); err != nil {
		return err
	}
	if err := e.validator.check(req.GetEnter()); err != nil {
		return err
	}
	return e.rates.check(e.stream.Context(), req.GetEnter())
}

// complete queues the outcome of a request for send. It never blocks.
func (e *entryStream) complete(correlationID int64, res *raffle.EnterResult) {
	e.add(outcome{correlationID: correlationID, res: res})
}

// add queues an outcome for send. It never blocks.
func (e *entryStream) add(o outcome) {
	e.mu.Lock()
	e.outcomes = append(e.outcomes, o)
	e.mu.Unlock()
	select {
	case e.ready <- struct{}{}:
	default:
	}
}

// send sends outcomes until last is closed and all are sent. If the caller is
// gone, it discards them.
func (e *entryStream) send(last <-chan struct{}) (err error) {
	var outcomes []outcome
	for ended := false; !ended; {
		select {
		case <-e.ready:
		case <-last:
			ended = true
		}
		e.mu.Lock()
		outcomes, e.outcomes = e.outcomes, outcomes[:0]
		e.mu.Unlock()
		answered := 0
		for _, o := range outcomes {
			if err == nil {
				err = e.stream.SendMsg(e.response(o))
			}
			if o.res != nil {
				<-e.slots
				answered++
			}
		}
		clear(outcomes)
		e.finish(answered)
	}
	return err
}

// response returns the message for an outcome: an EnterStreamResponse, or an entered.
func (e *entryStream) response(o outcome) any {
	switch {
	case o.res == nil:
		return &rafflev1.EnterStreamResponse{Result: &rafflev1.EnterStreamResponse_Ending{Ending: &rafflev1.StreamEnding{Reason: o.ending}}}
	case o.res.Err != nil:
		failure := status.Convert(toStatus(e.stream.Context(), e.log, o.res.Err))
		return &rafflev1.EnterStreamResponse{CorrelationId: o.correlationID, Result: &rafflev1.EnterStreamResponse_Status{Status: failure.Proto()}}
	default:
		return newEntered(o.correlationID, o.res, e.odds(o.res.Raffle))
	}
}
