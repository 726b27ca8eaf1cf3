package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"google.golang.org/grpc"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/ctxtime"
)

// streamSender sends requests over one EnterStream, and opens another one whenever
// it ends before every request is answered. A request's correlation id is its
// number.
type streamSender struct {
	g      *Generator
	client rafflev1.ParticipationServiceClient
	slots  chan struct{} // one for each request in flight
	opened chan struct{} // closed once the first stream is open

	mu      sync.Mutex
	pending map[int64]*pendingRequest // by number: sent, and without a final answer

	sendMu   sync.Mutex // over Send, too
	stream   grpc.BidiStreamingClient[rafflev1.EnterStreamRequest, rafflev1.EnterStreamResponse]
	finished bool // every request is answered
}

// pendingRequest is a request without a final answer.
type pendingRequest struct {
	due      time.Time
	attempts int
}

// sendByStreams sends requests over one stream per connection. It fails if the
// service stays unreachable. It stops sending when ctx ends; calls bounds the
// streams.
func (g *Generator) sendByStreams(ctx, calls context.Context) error {
	var senders sync.WaitGroup
	errs := make([]error, len(g.conns))
	for i, conn := range g.conns {
		inFlight := (g.cfg.Concurrency + i) / len(g.conns)
		if inFlight == 0 {
			continue
		}
		s := &streamSender{
			g:      g,
			client: rafflev1.NewParticipationServiceClient(conn),
			slots: make(
				chan struct{},
				inFlight,
			),
			opened:  make(chan struct{}),
			pending: make(map[int64]*pendingRequest, inFlight),
		}
		senders.Go(func() { errs[i] = s.run(ctx, calls) })
	}
	senders.Wait()
	return errors.Join(errs...)
}

// run sends until the schedule ends and every request is answered.
func (s *streamSender) run(ctx, calls context.Context) error {
	calls, stop := context.WithCancel(calls)
	defer stop()
	var sending sync.WaitGroup
	sending.Go(func() { s.sendAll(ctx, calls) })
	err := s.receiveAll(calls)
	stop()
	sending.Wait()
	s.abandonPending()
	return err
}

// abandonPending counts the requests that will not be answered any more.
func (s *streamSender) abandonPending() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.g.counters.unknown.Add(int64(len(s.pending)))
	s.g.counters.inFlight.Add(-int64(len(s.pending)))
	clear(s.pending)
}

// sendAll sends every request, waits until all are answered, and closes the stream.
func (s *streamSender) sendAll(ctx, calls context.Context) {
	select {
	case <-s.opened:
	case <-calls.Done():
		return
	}
	for s.takeSlot(calls) {
		n, due, ok := s.g.schedule.take(ctx)
		if !ok {
			<-s.slots
			break
		}
		s.g.outcomes.sent(n)
		s.g.counters.inFlight.Add(1)
		s.mu.Lock()
		s.pending[n] = &pendingRequest{due: due}
		s.mu.Unlock()
		s.send(n)
		s.sendAgain(n)
	}
	for range cap(s.slots) {
		if !s.takeSlot(calls) {
			return
		}
	}
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	s.finished = true
	_ = s.stream.CloseSend() // Recv returns what fails here
}

// sendAgain sends some requests a second time, at once or before the answer.
func (s *streamSender) sendAgain(n int64) {
	g := s.g
	if g.plan.selects(n, forRepeat, g.cfg.RepeatPercent) {
		g.counters.repeated.Add(1)
		s.send(n)
	}
	if g.plan.selects(n, forCancel, g.cfg.CancelPercent) {
		time.AfterFunc(g.cfg.CancelAfter, func() {
			if s.isPending(n) {
				g.counters.cancelled.Add(1)
				s.send(n)
			}
		})
	}
}

func (s *streamSender) takeSlot(ctx context.Context) bool {
	select {
	case s.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
	}
}

func (s *streamSender) isPending(n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.pending[n] != nil
}

// send sends request n on the newest stream. If that is broken, the next one sends
// it. Call it after opened is closed.
func (s *streamSender) send(n int64) {
	msg := &rafflev1.EnterStreamRequest{CorrelationId: n, Enter: &rafflev1.EnterRequest{}}
	s.g.plan.Request(n, msg.Enter)
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if !s.finished {
		_ = s.stream.Send(msg) // Recv returns what fails here
	}
}

// receiveAll opens streams and reads answers until every request is answered, or
// more streams in a row fail than cfg.Retries without an answer.
func (s *streamSender) receiveAll(ctx context.Context) error {
	for failures := 0; ; {
		answers, err := s.receiveStream(ctx)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, errAnnouncedEnd):
			failures = 0
			continue
		case answers > 0:
			failures = 0
		}
		failures++
		a := answerOfError(err)
		s.g.counters.failed(a)
		if failures > s.g.cfg.Retries || !ctxtime.Sleep(ctx, a.backoff(failures)) {
			return err
		}
	}
}

var (
	// errEarlyEnd says that the service ended a stream without an error or an
	// announcement before every request was answered.
	errEarlyEnd = errors.New("the service ended the stream early")
	// errAnnouncedEnd says that the service ended a stream as it had announced.
	errAnnouncedEnd = errors.New("the service ended the stream, as it had announced")
)

// receiveStream opens a stream, sends the pending requests, and reads answers until
// the stream ends. It returns how many there were, and nil if every request is
// answered.
func (s *streamSender) receiveStream(ctx context.Context) (answers int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stream, err := s.client.EnterStream(ctx)
	if err != nil {
		return 0, err
	}
	s.setStream(stream)
	var resending sync.WaitGroup // while answers are read, since otherwise both sides could wait to write
	resending.Go(s.resendPending)
	defer resending.Wait()
	defer cancel()
	announced := false
	for {
		resp, err := stream.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return answers, s.endOfStream(announced)
		case err != nil:
			return answers, fmt.Errorf("stream: %w", err)
		case resp.GetEnding() != nil:
			announced = true
		default:
			answers++
			s.receive(ctx, resp)
		}
	}
}

func (s *streamSender) setStream(
	stream grpc.BidiStreamingClient[rafflev1.EnterStreamRequest, rafflev1.EnterStreamResponse],
) {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	if s.stream == nil {
		close(s.opened)
	}
	s.stream = stream
	if s.finished {
		_ = stream.CloseSend()
	}
}

func (s *streamSender) endOfStream(announced bool) error {
	s.sendMu.Lock()
	defer s.sendMu.Unlock()
	switch {
	case s.finished:
		return nil
	case announced:
		return errAnnouncedEnd
	}
	return errEarlyEnd
}

func (s *streamSender) resendPending() {
	s.mu.Lock()
	numbers := slices.Sorted(maps.Keys(s.pending))
	s.mu.Unlock()
	for _, n := range numbers {
		if s.isPending(n) {
			s.send(n)
		}
	}
}

// receive records an answer. If it is not final, the request is sent again later.
func (s *streamSender) receive(ctx context.Context, resp *rafflev1.EnterStreamResponse) {
	n, a := resp.GetCorrelationId(), answerOfStream(resp)
	s.g.record(n, a)
	if !a.final() {
		s.g.counters.failed(a)
	}
	s.mu.Lock()
	request := s.pending[n]
	if request == nil {
		s.mu.Unlock()
		return // it was answered before, and was sent more than once
	}
	request.attempts++
	attempts := request.attempts
	again := !a.final() && attempts <= s.g.cfg.Retries
	if !again {
		delete(s.pending, n)
	}
	s.mu.Unlock()
	switch {
	case again:
		time.AfterFunc(a.backoff(attempts), func() {
			if ctx.Err() == nil && s.isPending(n) {
				s.send(n)
			}
		})
		return
	case a.final():
		s.g.counters.answered(a, request.due)
	default:
		s.g.counters.unknown.Add(1)
	}
	s.g.counters.inFlight.Add(-1)
	<-s.slots
}
