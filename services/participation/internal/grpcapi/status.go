package grpcapi

import (
	"context"
	"errors"
	"log/slog"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// domain is the ErrorInfo domain of all our errors.
const domain = "rafflecast"

// How long a caller is asked to wait before it tries again: a full queue drains
// in milliseconds, a store comes back in seconds.
const (
	busyDelay = 100 * time.Millisecond
	awayDelay = time.Second
)

// toStatus is the one table from errors to statuses. What it doesn't know leaves
// as "internal", and its detail goes to the log.
func toStatus(ctx context.Context, log *slog.Logger, err error) error {
	if _, ok := status.FromError(err); ok {
		return err // nil, or a status already
	}
	if notFound, ok := errors.AsType[*raffle.NotFoundError](err); ok {
		return newStatus(codes.NotFound, err.Error(), info("RAFFLE_NOT_FOUND", notFound.RaffleID))
	}
	if entry, ok := errors.AsType[*raffle.EntryNotFoundError](err); ok {
		return newStatus(codes.NotFound, err.Error(), info("ENTRY_NOT_FOUND", entry.RaffleID))
	}
	if passed, ok := errors.AsType[*raffle.TimePassedError](err); ok {
		return precondition(err, "TIME_PASSED", map[string]string{"field": passed.Field, "time": passed.Time.UTC().Format(time.RFC3339Nano)})
	}
	if order, ok := errors.AsType[*raffle.TimesOutOfOrderError](err); ok {
		return precondition(err, "TIMES_OUT_OF_ORDER", map[string]string{
			"opensAt": order.OpensAt.UTC().Format(time.RFC3339Nano), "closesAt": order.ClosesAt.UTC().Format(time.RFC3339Nano),
		})
	}
	if immutable, ok := errors.AsType[*raffle.ImmutableError](err); ok {
		metadata := map[string]string{"field": immutable.Field, "raffleId": strconv.FormatInt(immutable.RaffleID, 10)}
		if immutable.State != 0 {
			metadata["state"] = immutable.State.String()
		}
		return precondition(err, "FIELD_IMMUTABLE", metadata)
	}
	if notOpen, ok := errors.AsType[*raffle.NotOpenError](err); ok {
		return newStatus(codes.FailedPrecondition, err.Error(), info("RAFFLE_NOT_OPEN", notOpen.RaffleID))
	}
	if limit, ok := errors.AsType[*raffle.EntryLimitError](err); ok {
		return precondition(err, "ENTRY_LIMIT_REACHED", map[string]string{
			"raffleId": strconv.FormatInt(limit.RaffleID, 10), "maxEntriesPerMember": strconv.Itoa(int(limit.Max)),
		})
	}
	if _, ok := errors.AsType[*raffle.RequestReusedError](err); ok {
		return precondition(err, "REQUEST_ID_REUSED", nil)
	}
	switch {
	case errors.Is(err, raffle.ErrBusy):
		return newStatus(codes.ResourceExhausted, "too many calls wait: try again shortly", info("BUSY", 0), retry(busyDelay))
	case errors.Is(err, raffle.ErrUnavailable):
		log.DebugContext(ctx, "the store is away", "error", err) // thousands may meet it at once
		return newStatus(codes.Unavailable, "the store is away: try again, with the same request_id", info("STORE_UNAVAILABLE", 0), retry(awayDelay))
	case errors.Is(err, context.DeadlineExceeded):
		return status.Error(codes.DeadlineExceeded, "the deadline has passed; the change may have been made")
	case errors.Is(err, context.Canceled):
		return status.Error(codes.Canceled, "the call was cancelled; the change may have been made")
	}
	log.ErrorContext(ctx, "internal error", "error", err)
	return newStatus(codes.Internal, "internal error", info("INTERNAL", 0))
}

// precondition says that the state of a raffle rules the call out.
func precondition(err error, reason string, metadata map[string]string) error {
	return newStatus(codes.FailedPrecondition, err.Error(), &errdetails.ErrorInfo{Reason: reason, Domain: domain, Metadata: metadata})
}

func newStatus(code codes.Code, message string, details ...protoadapt.MessageV1) error {
	st, err := status.New(code, message).WithDetails(details...)
	if err != nil {
		return status.Error(code, message)
	}
	return st.Err()
}

func info(reason string, raffleID int64) *errdetails.ErrorInfo {
	e := &errdetails.ErrorInfo{Reason: reason, Domain: domain}
	if raffleID != 0 {
		e.Metadata = map[string]string{"raffleId": strconv.FormatInt(raffleID, 10)}
	}
	return e
}

func retry(delay time.Duration) *errdetails.RetryInfo {
	return &errdetails.RetryInfo{RetryDelay: durationpb.New(delay)}
}

// invalid says that one field has a value that it can't have.
func invalid(field, description string) error {
	return invalidFields(field+": "+description, &errdetails.BadRequest_FieldViolation{Field: field, Description: description})
}

func invalidFields(message string, fields ...*errdetails.BadRequest_FieldViolation) error {
	return newStatus(codes.InvalidArgument, message, info("INVALID", 0), &errdetails.BadRequest{FieldViolations: fields})
}
