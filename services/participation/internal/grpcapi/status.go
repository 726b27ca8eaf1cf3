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

	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/participation/internal/drawer"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// domain is the ErrorInfo domain of all our errors.
const domain = "rafflecast"

// How long a caller is asked to wait before it tries again: a full queue drains
// in milliseconds, a database comes back in seconds.
const (
	busyDelay        = 100 * time.Millisecond
	unavailableDelay = time.Second
	beaconDelay      = 3 * time.Second // the period of drand's quicknet
	clockDelay       = 10 * time.Second
)

// statusTable says which status an error becomes: that of the first row which
// matches. An error that no row matches is a defect and becomes INTERNAL.
var statusTable = []statusRow{
	row(codes.InvalidArgument, "INVALID", (*invalidError).metadata),
	fixedRow(codes.Unauthenticated, "TOKEN_MISSING", access.ErrMissing, access.ErrMissing.Error(), 0),
	fixedRow(codes.Unauthenticated, "TOKEN_EXPIRED", access.ErrExpired, access.ErrExpired.Error(), 0),
	row(codes.Unauthenticated, "TOKEN_INVALID", func(e *access.InvalidError) metadata { return metadata{"cause": e.Error()} }),
	fixedRow(codes.Unavailable, "KEYS_UNAVAILABLE", access.ErrKeysUnavailable, access.ErrKeysUnavailable.Error(), unavailableDelay),
	row(codes.PermissionDenied, "ROLE_MISSING", func(e *access.RoleError) metadata { return metadata{"role": e.Needed.String()} }),
	fixedRow(codes.PermissionDenied, "OTHER_MEMBER", access.ErrOtherMember, access.ErrOtherMember.Error(), 0),
	row(codes.NotFound, "RAFFLE_NOT_FOUND", func(e *raffle.NotFoundError) metadata {
		return metadata{"raffleId": decimal(e.RaffleID)}
	}),
	row(codes.Internal, "RAFFLE_UNREADABLE", func(e *raffle.UnreadableError) metadata {
		return metadata{"raffleId": decimal(e.RaffleID), "column": e.Column, "value": e.Value}
	}),
	row(codes.NotFound, "ENTRY_NOT_FOUND", func(e *raffle.EntryNotFoundError) metadata {
		return metadata{"raffleId": decimal(e.RaffleID)}.addIf(e.Ordinal != 0, "ordinal", decimal(e.Ordinal))
	}),
	row(codes.FailedPrecondition, "RAFFLE_NOT_OPEN", func(e *raffle.NotOpenError) metadata {
		return metadata{"raffleId": decimal(e.RaffleID), "state": e.State.String()}.
			addIf(e.State == raffle.Scheduled, "opensAt", rfc3339(e.OpensAt))
	}),
	row(codes.FailedPrecondition, "ENTRY_LIMIT_REACHED", func(e *raffle.EntryLimitError) metadata {
		return metadata{"raffleId": decimal(e.RaffleID), "limit": decimal(e.Max)}
	}),
	row(codes.FailedPrecondition, "WITHDRAWAL_LIMIT_REACHED", func(e *raffle.WithdrawalLimitError) metadata {
		return metadata{"raffleId": decimal(e.RaffleID), "limit": decimal(e.Max)}
	}),
	row(codes.FailedPrecondition, "TIME_PASSED", func(e *raffle.TimePassedError) metadata {
		return metadata{"field": e.Field, "time": rfc3339(e.Time)}
	}),
	row(codes.FailedPrecondition, "TIMES_OUT_OF_ORDER", func(e *raffle.TimesOutOfOrderError) metadata {
		return metadata{"opensAt": rfc3339(e.OpensAt), "closesAt": rfc3339(e.ClosesAt)}
	}),
	row(codes.FailedPrecondition, "FIELD_IMMUTABLE", func(e *raffle.ImmutableError) metadata {
		return metadata{"raffleId": decimal(e.RaffleID), "field": e.Field}.addIf(e.State != 0, "state", e.State.String())
	}),
	row(codes.InvalidArgument, "INVALID", func(e *raffle.WinnersError) metadata {
		return metadata{"field": "winners", "value": decimal(e.Winners), "places": decimal(e.Places)}
	}),
	row(codes.InvalidArgument, "INVALID", func(e *raffle.PrizesError) metadata {
		return metadata{"field": "prizes", "value": decimal(e.Places)}
	}),
	fixedRow(codes.FailedPrecondition, "DRAWS_OFF", raffle.ErrDrawsOff, raffle.ErrDrawsOff.Error(), 0),
	row(codes.FailedPrecondition, "CHAIN_UNKNOWN", func(e *raffle.ChainUnknownError) metadata {
		return metadata{"chain": e.Chain}
	}),
	row(codes.FailedPrecondition, "NO_LOG", func(e *raffle.NoLogError) metadata {
		return metadata{"raffleId": decimal(e.RaffleID)}
	}),
	row(codes.FailedPrecondition, "NO_DRAW", func(e *raffle.NoDrawError) metadata {
		return metadata{"raffleId": decimal(e.RaffleID)}
	}),
	row(codes.FailedPrecondition, "DRAW_NOT_DUE", func(e *raffle.DrawNotDueError) metadata {
		return metadata{"raffleId": decimal(e.RaffleID), "drawsAt": rfc3339(e.DrawsAt)}
	}),
	row(codes.FailedPrecondition, "DRAW_AHEAD", func(e *raffle.DrawAheadError) metadata {
		return metadata{"raffleId": decimal(e.RaffleID), "drawsAt": rfc3339(e.DrawsAt)}
	}),
	row(codes.FailedPrecondition, "NOT_DRAWN", func(e *raffle.NotDrawnError) metadata {
		return metadata{"raffleId": decimal(e.RaffleID)}
	}),
	row(codes.FailedPrecondition, "NOT_A_WINNER", func(e *raffle.NotAWinnerError) metadata {
		return metadata{"raffleId": decimal(e.RaffleID), "ticket": decimal(e.Ticket)}
	}),
	row(codes.NotFound, "TICKET_NOT_FOUND", func(e *raffle.TicketNotFoundError) metadata {
		return metadata{"raffleId": decimal(e.RaffleID), "ticket": decimal(e.Ticket)}
	}),
	row(codes.FailedPrecondition, "NOTHING_VACANT", func(e *raffle.NothingVacantError) metadata {
		return metadata{"raffleId": decimal(e.RaffleID)}
	}),
	row(codes.FailedPrecondition, "RAFFLE_NOT_ENDED", func(e *raffle.StillOpenError) metadata {
		return metadata{"raffleId": decimal(e.RaffleID), "state": e.State.String()}
	}),
	row(codes.FailedPrecondition, "LOG_BEHIND", func(e *raffle.LogBehindError) metadata {
		return metadata{"raffleId": decimal(e.RaffleID)}
	}),
	row(codes.FailedPrecondition, "LOG_MISMATCH", func(e *raffle.LogMismatchError) metadata {
		return metadata{"raffleId": decimal(e.RaffleID)}
	}),
	row(codes.InvalidArgument, "SIGNATURE_INVALID", func(e *drawer.SignatureError) metadata {
		return metadata{"round": decimal(e.Round)}
	}),
	retryRow(codes.Unavailable, "CLOCK_SKEW", clockDelay, func(e *raffle.ClockSkewError) metadata {
		return metadata{"skew": e.Skew.String(), "max": e.Max.String()}
	}),
	fixedRow(codes.Unavailable, "LOG_NOT_COMPARED", raffle.ErrNotCompared, raffle.ErrNotCompared.Error(), unavailableDelay),
	retryRow(codes.Unavailable, "BEACON_UNAVAILABLE", beaconDelay, func(*drawer.BeaconError) metadata { return nil }),
	row(codes.FailedPrecondition, "REQUEST_ID_REUSED", func(*raffle.RequestReusedError) metadata { return nil }),
	row(codes.ResourceExhausted, "RATE_LIMITED", func(e *rateError) metadata { return metadata{"of": e.who} }),
	fixedRow(codes.ResourceExhausted, "BUSY", raffle.ErrBusy,
		"too many calls are waiting: try again shortly", busyDelay),
	fixedRow(codes.Unavailable, "STORE_UNAVAILABLE", raffle.ErrUnavailable,
		"the database is unavailable: try again, with the same request_id", unavailableDelay),
	fixedRow(codes.DeadlineExceeded, "DEADLINE_EXCEEDED", context.DeadlineExceeded,
		"the deadline has passed; a change may or may not have been made", 0),
	fixedRow(codes.Canceled, "CANCELLED", context.Canceled,
		"the call was cancelled; a change may or may not have been made", 0),
}

// statusRow is one row of the table.
type statusRow struct {
	code   codes.Code
	reason string
	retry  time.Duration // the delay of RetryInfo; 0 means no RetryInfo
	// match returns the message and the metadata for err, and false if the row is
	// for other errors.
	match func(err error) (message string, m metadata, ok bool)
}

// row is for errors of type E. The message is that of the error, without the text
// of errors that wrap it.
func row[E error](code codes.Code, reason string, describe func(E) metadata) statusRow {
	return statusRow{code: code, reason: reason, match: func(err error) (string, metadata, bool) {
		e, ok := errors.AsType[E](err)
		if !ok {
			return "", nil, false
		}
		return e.Error(), describe(e), true
	}}
}

// retryRow is row for errors after which the caller should try again.
func retryRow[E error](code codes.Code, reason string, retry time.Duration, describe func(E) metadata) statusRow {
	r := row(code, reason, describe)
	r.retry = retry
	return r
}

// fixedRow is for one error, whose message does not vary.
func fixedRow(code codes.Code, reason string, target error, message string, retry time.Duration) statusRow {
	return statusRow{code: code, reason: reason, retry: retry, match: func(err error) (string, metadata, bool) {
		return message, nil, errors.Is(err, target)
	}}
}

// metadata holds every part of a message that varies, except member ids.
type metadata map[string]string

func (m metadata) addIf(condition bool, name, value string) metadata {
	if condition {
		m[name] = value
	}
	return m
}

func decimal[N int32 | int64](n N) string { return strconv.FormatInt(int64(n), 10) }

func rfc3339(t time.Time) string { return t.UTC().Format(time.RFC3339Nano) }

// toStatus returns the status of an error. An error that is a status already stays
// as it is. The text of an error that the table does not know goes to the log only.
func toStatus(ctx context.Context, log *slog.Logger, err error) error {
	if _, ok := status.FromError(err); ok {
		return err
	}
	for i := range statusTable {
		row := &statusTable[i]
		if message, m, ok := row.match(err); ok {
			if row.code == codes.Unavailable {
				log.DebugContext(ctx, "the database is unavailable", "error", err) // thousands of calls may fail at once
			}
			return newStatus(row.code, message, row.details(err, m)...)
		}
	}
	log.ErrorContext(ctx, "internal error", "error", err)
	return newStatus(codes.Internal, "internal error", &errdetails.ErrorInfo{Reason: "INTERNAL", Domain: domain})
}

func (r *statusRow) details(err error, m metadata) []protoadapt.MessageV1 {
	details := []protoadapt.MessageV1{&errdetails.ErrorInfo{Reason: r.reason, Domain: domain, Metadata: m}}
	if invalid, ok := errors.AsType[*invalidError](err); ok {
		details = append(details, &errdetails.BadRequest{FieldViolations: invalid.violations})
	}
	if limited, ok := errors.AsType[*rateError](err); ok {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(limited.wait)})
	}
	if r.retry != 0 {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(r.retry)})
	}
	return details
}

func newStatus(code codes.Code, message string, details ...protoadapt.MessageV1) error {
	st, err := status.New(code, message).WithDetails(details...)
	if err != nil {
		return status.Error(code, message)
	}
	return st.Err()
}
