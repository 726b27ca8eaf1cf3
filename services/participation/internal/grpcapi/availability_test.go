package grpcapi

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// validRequests has, for each unary call of the contract, a request that its rules accept.
var validRequests = []proto.Message{
	&rafflev1.GetRaffleRequest{RaffleId: 1}, &rafflev1.ListRafflesRequest{},
	&rafflev1.CreateRaffleRequest{Title: "A", Winners: 1},
	&rafflev1.UpdateRaffleRequest{Raffle: &rafflev1.Raffle{Id: 1, Title: "B"}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"title"}}},
	&rafflev1.CloseRaffleRequest{RaffleId: 1}, &rafflev1.CancelRaffleRequest{RaffleId: 1},
	&rafflev1.DrawRaffleRequest{RaffleId: 1}, &rafflev1.RedrawRaffleRequest{RaffleId: 1}, &rafflev1.PurgeRaffleRequest{RaffleId: 1},
	&rafflev1.StrikeWinnerRequest{RaffleId: 1, Reason: rafflev1.Winner_INELIGIBLE},
	&rafflev1.GetDrawRequest{RaffleId: 1}, &rafflev1.ListWinnersRequest{RaffleId: 1}, &rafflev1.GetTicketRequest{RaffleId: 1},
	&rafflev1.GetCheckpointRequest{RaffleId: 1}, &rafflev1.GetLogRequest{RaffleId: 1},
	&rafflev1.GetOddsRequest{RaffleId: 1}, &rafflev1.EnterRequest{RaffleId: 1, MemberId: "7"},
	&rafflev1.WithdrawRequest{RaffleId: 1, MemberId: "7"}, &rafflev1.ListEntriesRequest{RaffleId: 1},
	&rafflev1.ListAuditEventsRequest{},
}

// invoke makes a unary call with its request in validRequests.
func (b *testBundle) invoke(ctx context.Context, t *testing.T, method string) error {
	t.Helper()
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(strings.ReplaceAll(method[1:], "/", ".")))
	if err != nil {
		t.Fatal(err)
	}
	descriptor := found.(protoreflect.MethodDescriptor)
	out, err := protoregistry.GlobalTypes.FindMessageByName(descriptor.Output().FullName())
	if err != nil {
		t.Fatal(err)
	}
	for _, req := range validRequests {
		if req.ProtoReflect().Descriptor().FullName() == descriptor.Input().FullName() {
			return b.conn.Invoke(ctx, method, req, out.New().Interface())
		}
	}
	t.Fatalf("validRequests has none for %s", method)
	return nil
}

// eachUnary calls f with each unary call of the contract that is in the table of permissions.
func eachUnary(f func(method string)) {
	for method := range permissions {
		if strings.HasPrefix(method, "/raffle.") && method != rafflev1.ParticipationService_EnterStream_FullMethodName {
			f(method)
		}
	}
}

// wantUnavailable checks that a call was told to try again.
func wantUnavailable(t *testing.T, method string, err error) {
	t.Helper()
	st := wantError(t, err, codes.Unavailable, "STORE_UNAVAILABLE")
	if detail[errdetails.RetryInfo](st).GetRetryDelay().AsDuration() <= 0 {
		t.Errorf("%s: no RetryInfo", method)
	}
}

var errNoAnswer = errors.New("it does not answer")

// While the database is unavailable, no call reaches the store. Only Enter reaches the
// batch writer, which refuses it in the same way.
func TestAvailability_RefusesEveryCallAtOnce(t *testing.T) {
	t.Parallel()
	availability := new(Availability)
	a := setupAuthenticated(t, func(c *Config) { c.Availability = availability })
	ctx := a.as(t, "7", "operator backend")
	asked := 0
	a.store.call = func(context.Context) error {
		asked++
		return raffle.ErrUnavailable
	}
	availability.Set(errNoAnswer)
	eachUnary(func(method string) {
		asked = 0
		wantUnavailable(t, method, a.invoke(ctx, t, method))
		if asked > 0 && method != rafflev1.ParticipationService_Enter_FullMethodName {
			t.Errorf("%s has asked the store", method)
		}
	})
	_, err := a.raffles.GetRaffle(ctx, &rafflev1.GetRaffleRequest{})
	wantError(t, err, codes.InvalidArgument, "INVALID") // for which no database is needed
	_, err = a.raffles.GetRaffle(t.Context(), &rafflev1.GetRaffleRequest{RaffleId: 1})
	wantError(t, err, codes.Unauthenticated, "TOKEN_MISSING")

	availability.Set(nil)
	a.store.call = succeed
	if _, err := a.raffles.GetRaffle(ctx, &rafflev1.GetRaffleRequest{RaffleId: 1}); err != nil {
		t.Errorf("once it is available: %v", err)
	}
}

// Calls that wait for the database when it becomes unavailable do so no longer.
func TestAvailability_EndsCallsUnderWay(t *testing.T) {
	t.Parallel()
	availability := new(Availability)
	b := setup(t, func(c *Config) { c.Availability = availability })
	waiting := make(chan struct{})
	b.store.call = func(ctx context.Context) error {
		waiting <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	get := func(ctx context.Context) <-chan error {
		ended := make(chan error, 1)
		go func() {
			_, err := b.raffles.GetRaffle(ctx, &rafflev1.GetRaffleRequest{RaffleId: 1})
			ended <- err
		}()
		<-waiting
		return ended
	}
	const method = rafflev1.RaffleService_GetRaffle_FullMethodName
	first, second := get(t.Context()), get(t.Context())
	availability.Set(errNoAnswer)
	wantUnavailable(t, method, <-first)
	wantUnavailable(t, method, <-second)

	availability.Set(nil)
	ctx, cancel := context.WithCancel(t.Context())
	third := get(ctx)
	cancel()
	if code := status.Code(<-third); code != codes.Canceled {
		t.Errorf("a call that its caller cancels: %v", code)
	}
	testenv.Eventually(t, "no call is under way", 10*time.Second, func() bool {
		availability.mu.Lock()
		defer availability.mu.Unlock()
		return len(availability.calls) == 0
	})
}

// Only a call that has succeeded shows that the database answers.
func TestAvailability_TellsOfAnswers(t *testing.T) {
	t.Parallel()
	answers := 0
	b := setup(t, func(c *Config) { c.Availability = &Availability{OnAnswered: func() { answers++ }} })
	call := func(want int) {
		t.Helper()
		_, _ = b.raffles.GetRaffle(t.Context(), &rafflev1.GetRaffleRequest{RaffleId: 1})
		if answers != want {
			t.Errorf("%d answers, want %d", answers, want)
		}
	}
	call(1)
	b.store.call = func(context.Context) error { return raffle.ErrUnavailable }
	call(1)
}
