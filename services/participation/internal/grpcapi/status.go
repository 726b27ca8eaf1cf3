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
	if contradiction, ok := errors.AsType[*raffle.ContradictionError](err); ok {
		return invalid(contradiction.Field, contradiction.Description)
	}
	if notOpen, ok := errors.AsType[*raffle.NotOpenError](err); ok {
		return newStatus(codes.FailedPrecondition, err.Error(), info("RAFFLE_NOT_OPEN", notOpen.RaffleID))
	}
	if limit, ok := errors.AsType[*raffle.EntryLimitError](err); ok {
		return newStatus(codes.AlreadyExists, err.Error(), info("ENTRY_LIMIT_REACHED", limit.RaffleID))
	}
	if _, ok := errors.AsType[*raffle.RequestReusedError](err); ok {
		return invalid("request_id", err.Error())
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

// streamEnded says that a stream takes no more requests, though nothing is wrong.
func streamEnded(why string) error {
	return newStatus(codes.Unavailable, why+": open another, and send again what was not answered", info("STREAM_ENDED", 0), retry(0))
}

// invalid says that one field has a value that it can't have.
func invalid(field, description string) error {
	return invalidFields(field+": "+description, &errdetails.BadRequest_FieldViolation{Field: field, Description: description})
}

func invalidFields(message string, fields ...*errdetails.BadRequest_FieldViolation) error {
	return newStatus(codes.InvalidArgument, message, info("INVALID", 0), &errdetails.BadRequest{FieldViolations: fields})
}
