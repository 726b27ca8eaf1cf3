package load

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// A request on a stream bears its number and the slot that waits for its
// answer, so that an answer that comes late is told from the slot's present one.
const (
	slotBits    = 16
	maxInFlight = 60_000 // slots of one stream
)

// stream sends requests over one EnterStream, opened again where it breaks.
type stream struct {
	*run
	client rafflev1.ParticipationServiceClient
	free   chan int      // slots without a request
	opened chan struct{} // closed once the first stream is open

	mu    sync.Mutex // over slots
	slots []slot

	sending sync.Mutex // over call and its Send
	call    grpc.BidiStreamingClient[rafflev1.EnterStreamRequest, rafflev1.EnterStreamResponse]
	closing bool // all is answered: no more will be sent
}

// slot is the place of one request in flight.
type slot struct {
	n        int64
	intended time.Time
	attempt  int
	busy     bool
}

func (r *run) newStream(client rafflev1.ParticipationServiceClient, inFlight int) *stream {
	s := &stream{run: r, client: client, free: make(chan int, inFlight), opened: make(chan struct{}), slots: make([]slot, inFlight)}
	for i := range inFlight {
		s.free <- i
	}
	return s
}

// streams drives one stream per connection. It fails where the service can't be
// reached any more.
func (r *run) streams(ctx, calls context.Context) error {
	var drivers sync.WaitGroup
	errs := make([]error, len(r.clients))
	for i, client := range r.clients {
		inFlight := (r.cfg.Concurrency + i) / len(r.clients)
		if inFlight == 0 {
			continue
		}
		drivers.Go(func() { errs[i] = r.newStream(client, inFlight).drive(ctx, calls) })
	}
	drivers.Wait()
	return errors.Join(errs...)
}

// drive sends until the schedule ends and every answer is there.
func (s *stream) drive(ctx, calls context.Context) error {
	calls, stop := context.WithCancel(calls)
	defer stop()
	var feeding sync.WaitGroup
	feeding.Go(func() { s.feed(ctx, calls) })
	var err error
	for failures := 0; failures <= s.cfg.Retries; failures++ {
		var answers int
		if answers, err = s.session(calls); err == nil {
			break
		}
		if errors.Is(err, errAnnounced) {
			failures = -1
			continue
		}
		if answers > 0 {
			failures = 0
		}
		a := failed(err)
		s.tally.failed(a)
		if !sleep(calls, a.pause(failures+1)) {
			break
		}
	}
	stop()
	feeding.Wait()
	s.abandon()
	return err
}

// feed puts every request into a free slot and sends it, then waits for all
// answers and ends the stream.
func (s *stream) feed(ctx, calls context.Context) {
	select {
	case <-s.opened:
	case <-calls.Done():
		return
	}
	for {
		i, ok := s.slot(calls)
		if !ok {
			return
		}
		n, intended, ok := s.schedule.take(ctx)
		if !ok {
			s.free <- i
			break
		}
		s.ledger.Sent(n)
		s.tally.inFlight.Add(1)
		s.mu.Lock()
		s.slots[i] = slot{n: n, intended: intended, busy: true}
		s.mu.Unlock()
		s.send(i, n)
		s.provoke(i, n)
	}
	for range s.slots {
		if _, ok := s.slot(calls); !ok {
			return
		}
	}
	s.sending.Lock()
	defer s.sending.Unlock()
	s.closing = true
	_ = s.call.CloseSend() // what fails here, the receiver sees
}

// provoke sends some requests once more: at once, or before their answer.
func (s *stream) provoke(i int, n int64) {
	if s.plan.chance(n, toRepeat, s.cfg.RepeatPercent) {
		s.tally.repeated.Add(1)
		s.send(i, n)
	}
	if s.plan.chance(n, toGiveUp, s.cfg.GiveUpPercent) {
		time.AfterFunc(s.cfg.GiveUpAfter, func() {
			if s.waits(i, n) {
				s.tally.givenUp.Add(1)
				s.send(i, n)
			}
		})
	}
}

func (s *stream) slot(ctx context.Context) (int, bool) {
	select {
	case i := <-s.free:
		return i, true
	case <-ctx.Done():
		return 0, false
	}
}

// waits tells whether request n still waits in slot i.
func (s *stream) waits(i int, n int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.slots[i].busy && s.slots[i].n == n
}

// send sends request n on the newest stream; where that is broken, the next one
// begins with it. Call it once opened is closed.
func (s *stream) send(i int, n int64) {
	msg := &rafflev1.EnterStreamRequest{CorrelationId: n<<slotBits | int64(i), Enter: &rafflev1.EnterRequest{}}
	s.plan.Request(n, msg.Enter)
	s.sending.Lock()
	defer s.sending.Unlock()
	if !s.closing {
		_ = s.call.Send(msg) // what fails here, the receiver sees
	}
}

// session opens a stream, sends what waits, and reads answers until the end. It
// returns how many there were, and an error where the stream broke.
func (s *stream) session(ctx context.Context) (answers int, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	call, err := s.client.EnterStream(ctx)
	if err != nil {
		return 0, err
	}
	s.sending.Lock()
	if s.call == nil {
		close(s.opened)
	}
	s.call = call
	if s.closing {
		_ = call.CloseSend()
	}
	s.sending.Unlock()
	var resending sync.WaitGroup // beside the reading, lest both sides wait to write
	resending.Go(s.resend)
	defer resending.Wait()
	defer cancel()
	announced := false
	for {
		resp, err := call.Recv()
		if errors.Is(err, io.EOF) {
			return answers, s.ended(announced)
		}
		if err != nil {
			return answers, fmt.Errorf("stream: %w", err)
		}
		if resp.GetEnding() != nil {
			announced = true
			continue
		}
		answers++
		s.receive(ctx, resp)
	}
}

var (
	// errEarly says that the service ended the stream, without an error or an
	// announcement, while requests waited.
	errEarly = errors.New("the service ended the stream early")
	// errAnnounced says that the service ended the stream as it had announced:
	// another one is opened at once.
	errAnnounced = errors.New("the service ended the stream, as it had announced")
)

func (s *stream) ended(announced bool) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	switch {
	case s.closing:
		return nil
	case announced:
		return errAnnounced
	}
	return errEarly
}

func (s *stream) resend() {
	for i := range s.slots {
		s.mu.Lock()
		waiting := s.slots[i]
		s.mu.Unlock()
		if waiting.busy {
			s.send(i, waiting.n)
		}
	}
}

// receive notes an answer, and frees the slot or sends the request again.
func (s *stream) receive(ctx context.Context, resp *rafflev1.EnterStreamResponse) {
	n, i := resp.GetCorrelationId()>>slotBits, int(resp.GetCorrelationId()&(1<<slotBits-1))
	a := streamed(resp)
	s.note(n, a)
	final := a.code == codes.OK || a.refused()
	if !final {
		s.tally.failed(a)
	}
	s.mu.Lock()
	w := &s.slots[i]
	if !w.busy || w.n != n {
		s.mu.Unlock()
		return // answered before: this is the answer to a repeat
	}
	w.attempt++
	again := !final && w.attempt <= s.cfg.Retries
	w.busy = again
	pending := *w
	s.mu.Unlock()
	switch {
	case again:
		time.AfterFunc(a.pause(pending.attempt), func() {
			if ctx.Err() == nil && s.waits(i, n) {
				s.send(i, n)
			}
		})
		return
	case final:
		s.tally.answered(n, a, pending.intended)
	default:
		s.tally.unknown.Add(1)
	}
	s.tally.inFlight.Add(-1)
	s.free <- i
}

// abandon counts what will have no answer any more.
func (s *stream) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.slots {
		if s.slots[i].busy {
			s.slots[i].busy = false
			s.tally.unknown.Add(1)
			s.tally.inFlight.Add(-1)
		}
	}
}
