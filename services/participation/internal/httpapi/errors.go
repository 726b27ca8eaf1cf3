package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

// reason is why a request is refused before it becomes a call. The gateway has the
// same words for the same reasons.
type reason struct {
	name   string
	status int
	code   code.Code
}

var (
	invalidReason          = reason{"INVALID", http.StatusBadRequest, code.Code_INVALID_ARGUMENT}
	pathNotFound           = reason{"PATH_NOT_FOUND", http.StatusNotFound, code.Code_NOT_FOUND}
	methodNotAllowedReason = reason{"METHOD_NOT_ALLOWED", http.StatusMethodNotAllowed, code.Code_UNIMPLEMENTED}
	bodyTooLarge           = reason{"BODY_TOO_LARGE", http.StatusRequestEntityTooLarge, code.Code_INVALID_ARGUMENT}
	bodyTimeout            = reason{"BODY_TIMEOUT", http.StatusRequestTimeout, code.Code_DEADLINE_EXCEEDED}
	unsupportedType        = reason{"UNSUPPORTED_MEDIA_TYPE", http.StatusUnsupportedMediaType, code.Code_INVALID_ARGUMENT}
	hostNotAllowed         = reason{"HOST_NOT_ALLOWED", http.StatusMisdirectedRequest, code.Code_INVALID_ARGUMENT}
	crossOrigin            = reason{"CROSS_ORIGIN", http.StatusForbidden, code.Code_PERMISSION_DENIED}
	unavailable            = reason{"UNAVAILABLE", http.StatusServiceUnavailable, code.Code_UNAVAILABLE}
	cancelled              = reason{"CANCELLED", 499, code.Code_CANCELLED}
	internal               = reason{"INTERNAL", http.StatusInternalServerError, code.Code_INTERNAL}
)

// requestError is a refusal as the client sees it. Its JSON is the value of "error".
type requestError struct {
	Code       string            `json:"code"`
	Reason     string            `json:"reason"`
	Message    string            `json:"message"`
	Metadata   map[string]string `json:"metadata,omitempty"`
	Violations []violation       `json:"fieldViolations,omitempty"`

	status     int
	retryAfter time.Duration
}

// violation is one of google.rpc.BadRequest.
type violation struct {
	Field       string `json:"field"`
	Description string `json:"description"`
	Reason      string `json:"reason,omitempty"`
}

func (e *requestError) Error() string { return e.Message }

func refuse(why reason, format string, args ...any) *requestError {
	return &requestError{Code: why.code.String(), Reason: why.name, Message: fmt.Sprintf(format, args...), status: why.status}
}

// invalid returns an error about one field, or about the whole request if field is
// empty.
func invalid(field, format string, args ...any) *requestError {
	e := refuse(invalidReason, format, args...)
	e.Violations = []violation{{Field: field, Description: e.Message, Reason: e.Reason}}
	if field != "" {
		e.Message = field + ": " + e.Message
		return e.with("field", field)
	}
	return e
}

// with adds a part of the message that varies.
func (e *requestError) with(name, value string) *requestError {
	if e.Metadata == nil {
		e.Metadata = map[string]string{}
	}
	e.Metadata[name] = value
	return e
}

// errorWriter answers with errors. It is safe for concurrent use.
type errorWriter struct{ log *slog.Logger }

func (w *errorWriter) write(ctx context.Context, rw http.ResponseWriter, err error) {
	e := w.convert(ctx, err)
	header := rw.Header()
	if e.retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(max(1, int((e.retryAfter+time.Second-1)/time.Second))))
	}
	if e.status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", challenge(e.Reason))
	}
	header.Set("Content-Type", "application/json; charset=utf-8")
	rw.WriteHeader(e.status)
	_, _ = rw.Write(append(e.line(), '\n')) // fails if the client is gone, which needs no action
}

// challenge returns what a caller that is not known must bring. A caller that has
// brought nothing is not told of an error: https://www.rfc-editor.org/rfc/rfc6750#section-3
func challenge(reason string) string {
	if reason == "TOKEN_MISSING" {
		return `Bearer realm="rafflecast"`
	}
	return `Bearer realm="rafflecast", error="invalid_token"`
}

// line returns the error as JSON, on one line.
func (e *requestError) line() []byte {
	data, err := json.Marshal(map[string]any{"error": e})
	if err != nil { // a defect: texts always have JSON
		panic(err)
	}
	return data
}

// convert returns what a client may read of an error: one of ours, or one of the
// gRPC server's with its details. All else is of a library, and goes to the log.
func (w *errorWriter) convert(ctx context.Context, err error) *requestError {
	if e, ok := errors.AsType[*requestError](err); ok {
		return e
	}
	st := status.Convert(err)
	e := &requestError{Code: code.Code(st.Code()).String(), Message: st.Message(), status: runtime.HTTPStatusFromCode(st.Code())}
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			e.Reason, e.Metadata = d.GetReason(), d.GetMetadata()
		case *errdetails.RetryInfo:
			e.retryAfter = d.GetRetryDelay().AsDuration()
		case *errdetails.BadRequest:
			for _, v := range d.GetFieldViolations() {
				e.Violations = append(e.Violations, violation{Field: v.GetField(), Description: v.GetDescription(), Reason: v.GetReason()})
			}
		}
	}
	if e.Reason != "" {
		return e
	}
	switch st.Code() { // a status of gRPC itself
	case codes.Canceled:
		return refuse(cancelled, "the request was cancelled; a change may or may not have been made")
	case codes.Unavailable:
		e = refuse(unavailable, "this instance is shutting down: send the request again, with the same requestId")
		e.retryAfter = time.Second
		return e
	}
	w.log.ErrorContext(ctx, "a call over HTTP failed", "error", err)
	return refuse(internal, "internal error")
}
