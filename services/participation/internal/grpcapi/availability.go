package grpcapi

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"google.golang.org/grpc"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// Availability keeps unary calls from waiting for a database that is known to be
// unavailable: while it is, those that need it are refused with raffle.ErrUnavailable, and
// those that were under way end with it. Enter is left to the batch writer, which does the
// same. Its methods are safe for concurrent use; in the zero value the database is available.
type Availability struct {
	// OnAnswered, if set before the first call, is called after each call that has succeeded,
	// which shows that the database answers.
	OnAnswered func()

	mu    sync.Mutex
	lost  error // why calls are refused; nil: they are not
	calls map[*context.CancelCauseFunc]struct{}
}

// Set says why the database is unavailable; nil means that it is available.
func (a *Availability) Set(cause error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if cause == nil {
		a.lost = nil
		return
	}
	a.lost = fmt.Errorf("%w: %w", raffle.ErrUnavailable, cause)
	for end := range a.calls {
		(*end)(a.lost)
	}
	clear(a.calls)
}

// begin returns the context of a call, which ends when the database becomes unavailable, or
// why the call is refused. end must be called after it.
func (a *Availability) begin(ctx context.Context) (_ context.Context, end func(), err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.lost != nil {
		return nil, nil, a.lost
	}
	ctx, cancel := context.WithCancelCause(ctx)
	if a.calls == nil {
		a.calls = make(map[*context.CancelCauseFunc]struct{})
	}
	a.calls[&cancel] = struct{}{}
	return ctx, func() {
		a.mu.Lock()
		delete(a.calls, &cancel)
		a.mu.Unlock()
		cancel(nil)
	}, nil
}

func (a *Availability) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if !strings.HasPrefix(info.FullMethod, "/raffle.") || info.FullMethod == rafflev1.ParticipationService_Enter_FullMethodName {
		return next(ctx, req)
	}
	ctx, end, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	resp, err := next(ctx, req)
	if err == nil && a.OnAnswered != nil {
		a.OnAnswered()
	}
	if lost := context.Cause(ctx); errors.Is(err, context.Canceled) && errors.Is(lost, raffle.ErrUnavailable) {
		return nil, lost
	}
	return resp, err
}
