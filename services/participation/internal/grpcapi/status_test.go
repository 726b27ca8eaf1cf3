package grpcapi

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/participation/internal/drawer"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// statusCases has a case for each row of the table, and for an unknown error.
var statusCases = []struct {
	err      error
	code     codes.Code
	reason   string
	metadata metadata
	retry    time.Duration
}{
	{
		err: &raffle.NotFoundError{RaffleID: 9}, code: codes.NotFound, reason: "RAFFLE_NOT_FOUND",
		metadata: metadata{"raffleId": "9"},
	},
	{
		err: &raffle.EntryNotFoundError{RaffleID: 9}, code: codes.NotFound, reason: "ENTRY_NOT_FOUND",
		metadata: metadata{"raffleId": "9"},
	},
	{
		err: &raffle.EntryNotFoundError{RaffleID: 9, Ordinal: 3}, code: codes.NotFound, reason: "ENTRY_NOT_FOUND",
		metadata: metadata{"raffleId": "9", "ordinal": "3"},
	},
	{
		err: &raffle.NotOpenError{RaffleID: 9, State: raffle.Closed}, code: codes.FailedPrecondition, reason: "RAFFLE_NOT_OPEN",
		metadata: metadata{"raffleId": "9", "state": "CLOSED"},
	},
	{
		err:  &raffle.NotOpenError{RaffleID: 9, State: raffle.Scheduled, OpensAt: time.Unix(1e9, 5000)},
		code: codes.FailedPrecondition, reason: "RAFFLE_NOT_OPEN",
		metadata: metadata{"raffleId": "9", "state": "SCHEDULED", "opensAt": "2001-09-09T01:46:40.000005Z"},
	},
	{
		err: &raffle.WithdrawalLimitError{RaffleID: 9, Max: 100}, code: codes.FailedPrecondition, reason: "WITHDRAWAL_LIMIT_REACHED",
		metadata: metadata{"raffleId": "9", "limit": "100"},
	},
	{
		err: &raffle.EntryLimitError{RaffleID: 9, Max: 2}, code: codes.FailedPrecondition, reason: "ENTRY_LIMIT_REACHED",
		metadata: metadata{"raffleId": "9", "limit": "2"},
	},
	{
		err: &raffle.TimePassedError{Field: "closes_at", Time: time.Unix(1e9, 0)}, code: codes.FailedPrecondition, reason: "TIME_PASSED",
		metadata: metadata{"field": "closes_at", "time": "2001-09-09T01:46:40Z"},
	},
	{
		err:  &raffle.TimesOutOfOrderError{OpensAt: time.Unix(2e9, 0), ClosesAt: time.Unix(1e9, 0)},
		code: codes.FailedPrecondition, reason: "TIMES_OUT_OF_ORDER",
		metadata: metadata{"opensAt": "2033-05-18T03:33:20Z", "closesAt": "2001-09-09T01:46:40Z"},
	},
	{
		err: &raffle.ImmutableError{RaffleID: 9, Field: "opens_at", State: raffle.Open}, code: codes.FailedPrecondition, reason: "FIELD_IMMUTABLE",
		metadata: metadata{"raffleId": "9", "field": "opens_at", "state": "OPEN"},
	},
	{
		err: &raffle.UnreadableError{RaffleID: 9, Column: "state", Value: "3"}, code: codes.Internal, reason: "RAFFLE_UNREADABLE",
		metadata: metadata{"raffleId": "9", "column": "state", "value": "3"},
	},
	{err: &raffle.RequestReusedError{}, code: codes.FailedPrecondition, reason: "REQUEST_ID_REUSED"},
	{err: access.ErrMissing, code: codes.Unauthenticated, reason: "TOKEN_MISSING"},
	{err: access.ErrExpired, code: codes.Unauthenticated, reason: "TOKEN_EXPIRED"},
	{err: &access.InvalidError{Text: "not a JWT"}, code: codes.Unauthenticated, reason: "TOKEN_INVALID", metadata: metadata{"cause": "not a JWT"}},
	{err: access.ErrKeysUnavailable, code: codes.Unavailable, reason: "KEYS_UNAVAILABLE", retry: unavailableDelay},
	{
		err: &access.RoleError{Needed: access.Backend | access.Operator}, code: codes.PermissionDenied, reason: "ROLE_MISSING",
		metadata: metadata{"role": "backend or operator"},
	},
	{err: access.ErrOtherMember, code: codes.PermissionDenied, reason: "OTHER_MEMBER"},
	{
		err: &rateError{"member", 7 * time.Second}, code: codes.ResourceExhausted, reason: "RATE_LIMITED",
		metadata: metadata{"of": "member"}, retry: 7 * time.Second,
	},
	{err: raffle.ErrBusy, code: codes.ResourceExhausted, reason: "BUSY", retry: busyDelay},
	{err: raffle.ErrUnavailable, code: codes.Unavailable, reason: "STORE_UNAVAILABLE", retry: unavailableDelay},
	{err: context.DeadlineExceeded, code: codes.DeadlineExceeded, reason: "DEADLINE_EXCEEDED"},
	{err: context.Canceled, code: codes.Canceled, reason: "CANCELLED"},
	{err: errors.New("relation does not exist"), code: codes.Internal, reason: "INTERNAL"},
	{
		err: &raffle.WinnersError{Winners: 2, Places: 3}, code: codes.InvalidArgument, reason: "INVALID",
		metadata: metadata{"field": "winners", "value": "2", "places": "3"},
	},
	{
		err: &raffle.PrizesError{Places: 1_000_001}, code: codes.InvalidArgument, reason: "INVALID",
		metadata: metadata{"field": "prizes", "value": "1000001"},
	},
	{err: raffle.ErrDrawsOff, code: codes.FailedPrecondition, reason: "DRAWS_OFF"},
	{
		err: &raffle.ChainUnknownError{Chain: "ab"}, code: codes.FailedPrecondition, reason: "CHAIN_UNKNOWN",
		metadata: metadata{"chain": "ab"},
	},
	{err: &raffle.NoLogError{RaffleID: 9}, code: codes.FailedPrecondition, reason: "NO_LOG", metadata: metadata{"raffleId": "9"}},
	{err: &raffle.NoDrawError{RaffleID: 9}, code: codes.FailedPrecondition, reason: "NO_DRAW", metadata: metadata{"raffleId": "9"}},
	{
		err: &raffle.DrawNotDueError{RaffleID: 9, DrawsAt: time.Unix(1e9, 0)}, code: codes.FailedPrecondition, reason: "DRAW_NOT_DUE",
		metadata: metadata{"raffleId": "9", "drawsAt": "2001-09-09T01:46:40Z"},
	},
	{
		err: &raffle.DrawAheadError{RaffleID: 9, DrawsAt: time.Unix(1e9, 0)}, code: codes.FailedPrecondition, reason: "DRAW_AHEAD",
		metadata: metadata{"raffleId": "9", "drawsAt": "2001-09-09T01:46:40Z"},
	},
	{err: &raffle.NotDrawnError{RaffleID: 9}, code: codes.FailedPrecondition, reason: "NOT_DRAWN", metadata: metadata{"raffleId": "9"}},
	{
		err: &raffle.NotAWinnerError{RaffleID: 9, Ticket: 3}, code: codes.FailedPrecondition, reason: "NOT_A_WINNER",
		metadata: metadata{"raffleId": "9", "ticket": "3"},
	},
	{
		err: &raffle.TicketNotFoundError{RaffleID: 9, Ticket: 3}, code: codes.NotFound, reason: "TICKET_NOT_FOUND",
		metadata: metadata{"raffleId": "9", "ticket": "3"},
	},
	{err: &raffle.NothingVacantError{RaffleID: 9}, code: codes.FailedPrecondition, reason: "NOTHING_VACANT", metadata: metadata{"raffleId": "9"}},
	{
		err: &raffle.StillOpenError{RaffleID: 9, State: raffle.Open}, code: codes.FailedPrecondition, reason: "RAFFLE_NOT_ENDED",
		metadata: metadata{"raffleId": "9", "state": "OPEN"},
	},
	{err: &raffle.LogBehindError{RaffleID: 9}, code: codes.FailedPrecondition, reason: "LOG_BEHIND", metadata: metadata{"raffleId": "9"}},
	{
		err: &raffle.LogMismatchError{RaffleID: 9, Cause: errors.New("SELECT secret")}, code: codes.FailedPrecondition, reason: "LOG_MISMATCH",
		metadata: metadata{"raffleId": "9"},
	},
	{
		err: &drawer.SignatureError{Round: 7}, code: codes.InvalidArgument, reason: "SIGNATURE_INVALID",
		metadata: metadata{"round": "7"},
	},
	{
		err: &raffle.ClockSkewError{Skew: 16 * time.Second, Max: 15 * time.Second}, code: codes.Unavailable, reason: "CLOCK_SKEW",
		retry: 10 * time.Second, metadata: metadata{"skew": "16s", "max": "15s"},
	},
	{err: raffle.ErrNotCompared, code: codes.Unavailable, reason: "LOG_NOT_COMPARED", retry: time.Second},
	{
		err: &drawer.BeaconError{Cause: errors.New("SELECT secret")}, code: codes.Unavailable, reason: "BEACON_UNAVAILABLE",
		retry: 3 * time.Second,
	},
	{
		err: invalid("page_token", "must be a token"), code: codes.InvalidArgument, reason: "INVALID",
		metadata: metadata{"field": "page_token"},
	},
}

func TestStatus_EachErrorThroughTheWire(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	tried := map[string]bool{}
	for _, c := range statusCases {
		tried[c.reason] = true
		// A store says more than a caller may read.
		b.store.call = func(context.Context) error { return fmt.Errorf("SELECT secret: %w", c.err) }
		_, unary := b.entries.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: 9, MemberId: "member-7"})
		_, read := b.raffles.GetRaffle(t.Context(), &rafflev1.GetRaffleRequest{RaffleId: 9})
		for call, err := range map[string]error{"Enter": unary, "GetRaffle": read, "EnterStream": b.enterByStream(t)} {
			st := wantError(t, err, c.code, c.reason)
			if got := detail[errdetails.ErrorInfo](st).GetMetadata(); !maps.Equal(got, c.metadata) {
				t.Errorf("%s, %s: metadata %v, want %v", call, c.reason, got, c.metadata)
			}
			if got := detail[errdetails.RetryInfo](st).GetRetryDelay().AsDuration(); got != c.retry {
				t.Errorf("%s, %s: retry after %v, want %v", call, c.reason, got, c.retry)
			}
			if strings.Contains(st.Proto().String(), "SELECT") || strings.Contains(st.Proto().String(), "relation") {
				t.Errorf("%s, %s: the text of the store reaches the caller: %v", call, c.reason, st)
			}
		}
	}
	for _, row := range statusTable {
		if !tried[row.reason] {
			t.Errorf("no case for %s", row.reason)
		}
	}
}

// enterByStream places one entry over a stream and returns its error.
func (b *testBundle) enterByStream(t *testing.T) error {
	t.Helper()
	stream, err := b.entries.EnterStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&rafflev1.EnterStreamRequest{CorrelationId: 1, Enter: &rafflev1.EnterRequest{RaffleId: 9, MemberId: "member-7"}}); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	resp, err := stream.Recv()
	if err != nil {
		t.Fatal(err)
	}
	return status.ErrorProto(resp.GetStatus())
}

// Every part of a message that differs between two errors of one kind is in the
// metadata, too.
func TestStatus_MetadataHoldsMovingParts(t *testing.T) {
	t.Parallel()
	for _, c := range statusCases {
		st := status.Convert(toStatus(t.Context(), slog.New(slog.DiscardHandler), c.err))
		for _, moving := range []string{"9", "3", "2", "CLOSED", "SCHEDULED", "OPEN", "opens_at:", "closes_at:", "page_token:"} {
			moving = strings.TrimSuffix(moving, ":")
			if !containsWord(st.Message(), moving) {
				continue
			}
			held := false
			for _, value := range detail[errdetails.ErrorInfo](st).GetMetadata() {
				held = held || value == moving
			}
			// A name in a sentence about both times is no moving part.
			if !held && c.reason != "TIMES_OUT_OF_ORDER" && c.reason != "BUSY" {
				t.Errorf("%q: %q is not in the metadata %v", st.Message(), moving, detail[errdetails.ErrorInfo](st).GetMetadata())
			}
		}
	}
}

func containsWord(text, word string) bool {
	return slices.Contains(strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ':' || r == ',' || r == ';' }), word)
}

func TestStatus_UnreadableRequest(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	garbage := grpc.ForceCodec(garbageCodec{})
	_, err := b.entries.Enter(t.Context(), &rafflev1.EnterRequest{}, garbage)
	wantUnreadable(t, err)
	stream, err := b.entries.EnterStream(t.Context(), garbage)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&rafflev1.EnterStreamRequest{}); err != nil {
		t.Fatal(err)
	}
	if err := stream.CloseSend(); err != nil {
		t.Fatal(err)
	}
	// The codec hands over the bytes of the answer.
	var resp []byte
	if err := stream.RecvMsg(&resp); err != nil || !bytes.Contains(resp, []byte("not a message")) {
		t.Errorf("answered with %q, %v", resp, err)
	}
}

func wantUnreadable(t *testing.T, err error) {
	t.Helper()
	st := wantError(t, err, codes.InvalidArgument, "INVALID")
	if strings.Contains(st.Message(), "proto") || strings.Contains(st.Message(), "grpc") {
		t.Errorf("the parser's text reaches the caller: %s", st.Message())
	}
}

// garbageCodec sends bytes that are no message.
type garbageCodec struct{}

func (garbageCodec) Marshal(any) ([]byte, error)        { return []byte{0xff, 0xff, 0xff}, nil }
func (garbageCodec) Unmarshal(data []byte, v any) error { *v.(*[]byte) = bytes.Clone(data); return nil }
func (garbageCodec) Name() string                       { return "proto" }
