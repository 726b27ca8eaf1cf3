package client

import (
	"cmp"
	"context"
	"errors"
	"io"
	"maps"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// maxRequest is the largest request that the service's transport takes, less what
// surrounds it. A larger one would end the stream for all others.
const maxRequest = 15 << 10

// defaultInFlight is enough to fill the service's batches from a single stream.
const defaultInFlight = 1000

// ErrClosed is returned for requests after the end of a Stream.
var ErrClosed = errors.New("the stream of entries is closed")

// Stream places many entries over one call of EnterStream at a time. If that ends, be it
// that the service says so, shuts down, or is cut off, another one is opened, and what was
// not answered is sent again with its own request id. Start one with Client.Stream.
type Stream struct {
	client  *Client
	running sync.WaitGroup
	slots   chan struct{} // holds a value for each request without an answer
	changed chan struct{} // capacity 1: there is something to send, or closed is set
	ended   chan struct{} // closed when nothing is sent any more

	mu      sync.Mutex
	last    int64             // the newest correlation id
	pending map[int64]*Future // those without an answer
	unsent  []*Future         // of them, what the call under way was not sent yet
	closed  bool
}

// Future is the answer to a request, once it is there.
type Future struct {
	id       int64
	msg      *rafflev1.EnterStreamRequest
	attempts int         // that were refused
	waits    bool        // refused for now, and not repeated yet
	release  func() bool // ends watching the context of Enter
	done     chan struct{}
	resp     *rafflev1.EnterResponse
	err      error
}

// Done is closed when the answer is there.
func (f *Future) Done() <-chan struct{} { return f.done }

// Wait waits for the answer: the stored entry, or an *Error. If the context of Enter ended
// before it, the entry may or may not be stored; the same request sent again tells.
func (f *Future) Wait(ctx context.Context) (*rafflev1.EnterResponse, error) {
	select {
	case <-f.done:
		return f.resp, f.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Stream starts a stream of entries, which ends with ctx or by Close. inFlight bounds the
// requests without an answer; 0 means 1,000.
func (c *Client) Stream(ctx context.Context, inFlight int) *Stream {
	s := &Stream{
		client: c, slots: make(chan struct{}, cmp.Or(inFlight, defaultInFlight)),
		changed: make(chan struct{}, 1), ended: make(chan struct{}), pending: map[int64]*Future{},
	}
	s.running.Go(func() { s.run(ctx) })
	return s
}

// Close waits until all requests are answered, or the context of the stream has ended, and
// ends the stream. Idempotent.
func (s *Stream) Close() {
	s.mu.Lock()
	s.closed = true
	s.mu.Unlock()
	s.signal()
	s.running.Wait()
}

// Enter sends a request, once fewer than the stream's bound are without an answer. It is
// sent again until ctx ends, which the Future reports.
func (s *Stream) Enter(ctx context.Context, req *rafflev1.EnterRequest) (*Future, error) {
	if proto.Size(req) > maxRequest || !utf8.ValidString(req.GetMemberId()) || !utf8.ValidString(req.GetRequestId()) {
		return nil, newError(status.Newf(codes.InvalidArgument, "a request must be UTF-8 and have at most %d bytes", maxRequest))
	}
	enter, _ := withRequestID(req).(*rafflev1.EnterRequest)
	if enter == req {
		enter = proto.CloneOf(req) // the caller may change it
	}
	select {
	case s.slots <- struct{}{}:
	case <-s.ended:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		<-s.slots
		return nil, ErrClosed
	}
	s.last++
	f := &Future{
		id: s.last, msg: &rafflev1.EnterStreamRequest{CorrelationId: s.last, Enter: enter}, done: make(chan struct{}),
	}
	f.release = context.AfterFunc(ctx, func() { s.finish(f, nil, newError(status.FromContextError(ctx.Err()))) })
	s.pending[f.id] = f
	s.unsent = append(s.unsent, f)
	s.signal()
	return f, nil
}

func (s *Stream) signal() {
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// finish answers a request, unless it is answered.
func (s *Stream) finish(f *Future, resp *rafflev1.EnterResponse, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending[f.id] == nil {
		return
	}
	delete(s.pending, f.id)
	f.resp, f.err = resp, err
	close(f.done)
	f.release()
	<-s.slots
	s.signal()
}

// fail answers all requests.
func (s *Stream) fail(err error) {
	s.mu.Lock()
	pending := slices.Collect(maps.Values(s.pending))
	s.mu.Unlock()
	for _, f := range pending {
		s.finish(f, nil, err)
	}
}

// run opens one call after the other, while there are requests.
func (s *Stream) run(ctx context.Context) {
	defer func() {
		s.mu.Lock()
		s.closed = true
		s.mu.Unlock()
		close(s.ended)
		s.fail(newError(status.FromContextError(cmp.Or(ctx.Err(), context.Canceled))))
	}()
	for failures := 0; s.awaitRequest(ctx); {
		answers, err := s.serve(ctx)
		if answers > 0 {
			failures = 0
		}
		failures++
		e := newError(status.Convert(err))
		switch {
		case err == nil && answers > 0: // as announced
			continue
		case e.Reason == tokenExpired && failures == 1 && s.client.tokens.drop():
			continue
		case isFinal(e):
			s.fail(e)
		}
		if !s.isFinished() {
			sleep(ctx, pause(failures, e.RetryAfter))
		}
	}
}

// isFinal reports whether another call would fail as this one has.
func isFinal(e *Error) bool {
	switch e.Code {
	case codes.OK, codes.Unavailable, codes.Internal, codes.Unknown, codes.Canceled, codes.Aborted, codes.DeadlineExceeded:
		return false
	}
	return !e.mayPass()
}

// isFinished reports whether everything is answered after Close.
func (s *Stream) isFinished() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed && len(s.pending) == 0
}

// takeUnsent returns what the call under way was not sent yet.
func (s *Stream) takeUnsent() []*Future {
	s.mu.Lock()
	defer s.mu.Unlock()
	unsent := s.unsent
	s.unsent = nil
	return unsent
}

// awaitRequest waits for a request to send, and reports false at the end. Then unsent
// holds all that the next call is to send.
func (s *Stream) awaitRequest(ctx context.Context) bool {
	for ctx.Err() == nil && !s.isFinished() {
		s.mu.Lock()
		s.unsent = slices.DeleteFunc(slices.Collect(maps.Values(s.pending)), func(f *Future) bool { return f.waits })
		slices.SortFunc(s.unsent, func(a, b *Future) int { return cmp.Compare(a.id, b.id) })
		ready := len(s.unsent) > 0
		s.mu.Unlock()
		if ready {
			return true
		}
		select {
		case <-s.changed:
		case <-ctx.Done():
		}
	}
	return false
}

type entryCall = grpc.BidiStreamingClient[rafflev1.EnterStreamRequest, rafflev1.EnterStreamResponse]

// serve opens a call, sends what is pending, and reads answers until the call ends. It
// returns how many there were, and nil if the service has ended the call with OK.
func (s *Stream) serve(ctx context.Context) (answers int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	call, err := s.client.Entries.EnterStream(ctx)
	if err != nil {
		return 0, err
	}
	ending := make(chan struct{})
	var sending sync.WaitGroup
	sending.Go(func() { s.send(ctx, call, ending) })
	defer sending.Wait()
	defer cancel() // before waiting
	announced := false
	for {
		resp, err := call.Recv()
		switch {
		case errors.Is(err, io.EOF):
			return answers, nil
		case err != nil:
			return answers, err
		case resp.GetEnding() != nil && !announced:
			announced = true
			close(ending)
			if resp.GetEnding().GetReason() == rafflev1.StreamEnding_CREDENTIALS_EXPIRED {
				s.client.tokens.drop()
			}
		case resp.GetEnding() == nil:
			answers++
			s.receive(resp)
		}
	}
}

// send sends what is unsent until the call ends or, after Close, everything is answered.
func (s *Stream) send(ctx context.Context, call entryCall, ending <-chan struct{}) {
	for {
		if s.isFinished() {
			_ = call.CloseSend() // Recv returns what fails here, and in Send
			return
		}
		for _, f := range s.takeUnsent() {
			select {
			case <-f.done: // in the meantime
				continue
			case <-ending:
				return
			default:
			}
			if call.Send(f.msg) != nil {
				return
			}
		}
		select {
		case <-s.changed:
		case <-ending:
			return
		case <-ctx.Done():
			return
		}
	}
}

// receive takes an answer. A request that may pass later is repeated when it may.
func (s *Stream) receive(resp *rafflev1.EnterStreamResponse) {
	s.mu.Lock()
	f := s.pending[resp.GetCorrelationId()]
	s.mu.Unlock()
	switch {
	case f == nil: // its context has ended
	case resp.GetEntered() != nil:
		s.finish(f, resp.GetEntered(), nil)
	default:
		e := newError(status.FromProto(resp.GetStatus()))
		if !e.mayPass() {
			s.finish(f, nil, e)
			return
		}
		s.mu.Lock()
		f.waits = true
		s.mu.Unlock()
		f.attempts++
		time.AfterFunc(pause(f.attempts, e.RetryAfter), func() { s.repeat(f) })
	}
}

// repeat sends a request again, unless it is answered.
func (s *Stream) repeat(f *Future) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.pending[f.id] != nil {
		f.waits = false
		s.unsent = append(s.unsent, f)
		s.signal()
	}
}
