package connect

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"github.com/rafflecast/rafflecast/services/internal/command"
)

// The exit codes of commands.
const (
	ExitFailed  = 1 // something does not work; the same command may succeed later
	ExitUsage   = 2 // the arguments are wrong
	ExitRefused = 3 // what is named does not exist, or the service refuses the call
)

// Error is what a service has answered.
type Error struct {
	Reason string // of google.rpc.ErrorInfo; empty if the answer has none
	text   string
}

// Error implements error.
func (e *Error) Error() string { return e.text }

// Reason returns the reason of an error that a service has answered, or "".
func Reason(err error) string {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Reason
	}
	return ""
}

// Usage returns an error of the arguments.
func Usage(format string, args ...any) error {
	return &command.ExitError{Code: ExitUsage, Err: fmt.Errorf(format, args...)}
}

func failure(code int, reason, text string) error {
	return &command.ExitError{Code: code, Err: &Error{Reason: reason, text: text}}
}

func nobodyAnswers(target string) error {
	return failure(
		ExitFailed,
		"",
		"nobody answers at "+target+"; is rafflecast run running? --target names another address",
	)
}

// explain returns the error of a call as a sentence.
func explain(target string, err error) error {
	st := status.Convert(err)
	info := detail[errdetails.ErrorInfo](st)
	if info.GetDomain() != "rafflecast" {
		return explainTransport(target, st)
	}
	return failure(exitCode(st.Code()), info.GetReason(), sentence(st, info)+" ("+info.GetReason()+")")
}

func exitCode(code codes.Code) int {
	switch code { //nolint:exhaustive // others are failures
	case codes.InvalidArgument:
		return ExitUsage
	case codes.NotFound, codes.FailedPrecondition, codes.PermissionDenied, codes.Unauthenticated:
		return ExitRefused
	}
	return ExitFailed
}

// explainTransport is for errors that are not the service's.
func explainTransport(target string, st *status.Status) error {
	message := st.Message()
	const perhaps = "what was asked for may or may not have been done"
	switch code := st.Code(); {
	case code == codes.Canceled:
		return failure(ExitFailed, "", "interrupted; "+perhaps)
	case code == codes.DeadlineExceeded:
		return failure(ExitFailed, "", target+" has not answered in time; "+perhaps)
	case code == codes.Unimplemented:
		return failure(ExitRefused, "", target+" does not know this call: it is an earlier version, or another service")
	case code == codes.Unavailable && strings.Contains(message, "first record does not look like a TLS handshake"):
		return failure(ExitFailed, "", target+" has no TLS: leave out --tls, --ca and --cert")
	case code == codes.Unavailable && strings.Contains(message, "tls: "),
		code == codes.Unavailable && strings.Contains(message, "x509: "):
		return failure(ExitFailed, "", fmt.Sprintf("no trusted connection to %s: %s", target, lastPart(message)))
	case code == codes.Unavailable && strings.Contains(message, "error reading server preface"):
		return failure(ExitFailed, "", target+" does not answer by gRPC: it may need --tls or --ca, or be another port")
	case code == codes.Unavailable:
		return nobodyAnswers(target)
	}
	return failure(ExitFailed, "", fmt.Sprintf("%s answers: %s", target, cmp.Or(message, st.Code().String())))
}

// lastPart returns the text of a connection's error without what gRPC has put before it.
func lastPart(message string) string {
	for _, begin := range []string{"tls: ", "x509: "} {
		if _, after, ok := strings.Cut(message, begin); ok {
			return strings.Trim(begin+after, `"`)
		}
	}
	return message
}

// sentence returns what the service has answered, in the words of the command line.
func sentence(st *status.Status, info *errdetails.ErrorInfo) string {
	meta := info.GetMetadata()
	switch info.GetReason() {
	case "INVALID":
		return invalid(st)
	case "TOKEN_MISSING":
		return "the service asks who calls: give --token or --token-file"
	case "ROLE_MISSING":
		return fmt.Sprintf("the token does not allow this: it takes the role %s", meta["role"])
	case "RAFFLE_NOT_OPEN":
		if meta["opensAt"] != "" {
			return fmt.Sprintf("raffle %s is not open yet: it opens at %s", meta["raffleId"], meta["opensAt"])
		}
		return fmt.Sprintf("raffle %s is not open: it is %s", meta["raffleId"], meta["state"])
	case "TIME_PASSED":
		return fmt.Sprintf("%s: must be in the future, and %s has passed", flagOf(meta["field"]), meta["time"])
	case "TIMES_OUT_OF_ORDER":
		return fmt.Sprintf("--closes: must be after --opens, and %s is not after %s", meta["closesAt"], meta["opensAt"])
	case "FIELD_IMMUTABLE":
		if meta["state"] != "" {
			return fmt.Sprintf("%s: cannot be changed any more: raffle %s is %s",
				flagOf(meta["field"]), meta["raffleId"], meta["state"])
		}
		return flagOf(meta["field"]) + ": cannot be changed"
	}
	return st.Message()
}

// invalid returns the violations of a request, each by the flag that it is about.
func invalid(st *status.Status) string {
	violations := detail[errdetails.BadRequest](st).GetFieldViolations()
	if len(violations) == 0 {
		return st.Message()
	}
	var texts []string
	for _, v := range violations {
		texts = append(texts, strings.TrimPrefix(flagOf(v.GetField())+": "+v.GetDescription(), ": "))
	}
	return strings.Join(slices.Compact(texts), "; ")
}

// flags are what fields of the contract are called on the command line.
var flags = map[string]string{
	"title": "title", "winners": "--winners", "prizes": "--prize", "max_entries_per_member": "--max-entries",
	"opens_at": "--opens", "closes_at": "--closes", "description": "--description", "picture_url": "--picture",
	"rule": "--rule", "alternates": "--alternates", "draw": "--draw",
	"draw.delay": "--draw-delay", "draw.chain": "--draw-chain",
	"visibility": "--members-only", "member_id": "member", "raffle_id": "raffle", "request_id": "--request-id",
	"ordinal": "--ordinal", "ticket": "ticket", "reason": "--reason", "signature": "--signature",
}

// flagOf returns what a field is called on the command line: winners, prizes[0].count
// and raffle.winners are --winners, --prize and --winners.
func flagOf(field string) string {
	name := strings.TrimPrefix(field, "raffle.")
	if flag, ok := flags[name]; ok {
		return flag
	}
	name, _, _ = strings.Cut(name, "[")
	return cmp.Or(flags[name], field)
}

// detail returns the detail of a status that has type T, or nil.
func detail[T any](st *status.Status) *T {
	for _, d := range st.Details() {
		if found, ok := d.(*T); ok {
			return found
		}
	}
	return nil
}
