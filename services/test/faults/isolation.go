package faults

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

const (
	lockedFor = 1500 * time.Millisecond
	// promptly bounds a call for a raffle that nobody holds.
	promptly = time.Second
	// tooLate is how late this process may be while a call for a locked raffle waits.
	// The call has two seconds to spare; on a machine that is busier than that, nothing
	// is known, and the call is repeated.
	tooLate = 300 * time.Millisecond
	// lockedTries is how often it is repeated at most.
	lockedTries = 5
)

// judgeIsolation has a stranger lock one raffle while nothing else is wrong: calls for
// it are refused before their deadline, and those for others are answered promptly.
func (r *run) judgeIsolation(ctx context.Context) error {
	conn, err := pgx.Connect(ctx, r.system.database().dsn("rafflecast"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	locked := r.callers.ids[4] // shares its partition with the first, by default
	if _, err := conn.Exec(ctx, `BEGIN`); err != nil {
		return err
	}
	if _, err := conn.Exec(ctx, `SELECT FROM raffles WHERE id = $1 FOR UPDATE`, locked); err != nil {
		return err
	}
	var calling sync.WaitGroup
	end := time.Now().Add(lockedFor)
	for i, service := range r.callers.services {
		for range 4 {
			calling.Go(func() { r.callLocked(ctx, service, locked) })
		}
		for _, id := range []int64{r.callers.ids[0], r.callers.ids[1]} {
			calling.Go(func() {
				for n := 0; time.Now().Before(end) && ctx.Err() == nil; n++ {
					r.callFree(ctx, service, id, fmt.Sprintf("isolated%d-%d", i, n%50))
					pause(ctx, pace)
				}
			})
		}
	}
	calling.Wait()
	_, err = conn.Exec(ctx, `ROLLBACK`)
	return err
}

// callLocked withdraws from the raffle that is locked, for a member who has nothing.
func (r *run) callLocked(ctx context.Context, service *grpc.ClientConn, id int64) {
	for try := 1; ; try++ {
		began := time.Now()
		call, cancel := context.WithTimeout(ctx, callDeadline)
		_, err := rafflev1.NewParticipationServiceClient(service).Withdraw(call, &rafflev1.WithdrawRequest{
			RaffleId: id, MemberId: "nobody", RequestId: uuid.NewString(),
		})
		cancel()
		code, late := status.Code(err), r.lateness.since(began)
		switch {
		case code == codes.Unavailable && reason(err) != "": // the service's answer, and not a lack of one
			r.callers.failed(nil, err, began)
			return
		case code == codes.DeadlineExceeded && late > tooLate && try < lockedTries:
			continue
		}
		r.found("a call to %s for a locked raffle was answered after %v with %v, while this process was late by %v: %v",
			service.Target(), time.Since(began), code, late, err)
		return
	}
}

// reason returns the reason that a service gave for an error, or "".
func reason(err error) string {
	for _, d := range status.Convert(err).Details() {
		if info, ok := d.(*errdetails.ErrorInfo); ok {
			return info.GetReason()
		}
	}
	return ""
}

func (r *run) callFree(ctx context.Context, service *grpc.ClientConn, id int64, member string) {
	e := r.callers.add(id, member)
	began := time.Now()
	r.callers.enter(ctx, []*grpc.ClientConn{service}, e)
	if took, late := time.Since(began), r.lateness.since(began); took > promptly+late {
		r.callers.mu.Lock()
		last := r.callers.last[e.requestID]
		r.callers.mu.Unlock()
		r.found("a call for raffle %d took %v at %s while another one was locked; this process was late by %v; the last attempt that failed: %s",
			id, took, service.Target(), late, last)
	}
}

// found notes something that has no list of its own.
func (r *run) found(format string, args ...any) {
	r.callers.mu.Lock()
	defer r.callers.mu.Unlock()
	r.callers.faults = append(r.callers.faults, fmt.Sprintf(format, args...))
}
