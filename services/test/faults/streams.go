package faults

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// stream places entries over streams, one after the other: what a stream leaves
// unanswered, the next one sends again.
func (c *callers) stream(ctx, calls context.Context, i int) {
	pending := make(map[int64]*entry)
	next := int64(0)
	for calls.Err() == nil && (ctx.Err() == nil || len(pending) > 0) {
		err := c.session(ctx, calls, i, pending, &next)
		if err != nil && calls.Err() == nil {
			c.failed(nil, err, time.Time{})
			pause(calls, 100*time.Millisecond+rand.N(100*time.Millisecond))
		}
	}
}

// errStalled ends a stream whose answers do not come.
var errStalled = status.Error(codes.DeadlineExceeded, "no answer came on the stream in time")

func (c *callers) session(ctx, calls context.Context, i int, pending map[int64]*entry, next *int64) error {
	session, cancel := context.WithCancel(calls)
	defer cancel()
	client := rafflev1.NewParticipationServiceClient(c.services[rand.IntN(len(c.services))])
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
		if !c.failed(e, status.ErrorProto(st), time.Time{}) {
			delete(pending, id)
			return
		}
		_ = stream.Send(&rafflev1.EnterStreamRequest{CorrelationId: id, Enter: e.request()}) // the receiver sees what fails
	}
}
