// Package respond is how the gateway answers requests: as JSON, and with one
// shape of error for every refusal. A handler returns an error, and a Responder
// writes it.
package respond

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Error is a refusal as the client sees it. The reason decides the HTTP status
// and the code.
type Error struct {
	Reason  Reason
	Message string // tells the client what to change; never the text of a library
	wait    time.Duration
}

func (e *Error) Error() string { return e.Message }

// Errorf returns an *Error with a formatted message.
func Errorf(reason Reason, format string, args ...any) error {
	return &Error{Reason: reason, Message: fmt.Sprintf(format, args...)}
}

// RetryAfter returns an *Error for a client that should wait so long, and not only as
// long as others.
func RetryAfter(wait time.Duration, reason Reason, message string) error {
	return &Error{Reason: reason, Message: message, wait: wait}
}

// Is reports whether err is a refusal for one of the reasons.
func Is(err error, reasons ...Reason) bool {
	e, ok := errors.AsType[*Error](err)
	return ok && slices.Contains(reasons, e.Reason)
}

// Responder writes errors. Its methods are safe for concurrent use.
type Responder struct {
	// Retry returns how long a client that may try again should wait; it is random,
	// so that clients come back evenly.
	Retry func() time.Duration
	// Refused, if set, is called with the label of each error's reason.
	Refused func(label string)
	// HTML, if set, renders an error for a client that accepts HTML.
	HTML func(r *http.Request, reason Reason) []byte
	// Log takes the details of internal errors. It must be set.
	Log *slog.Logger
}

// WithHTML returns a copy of the Responder that renders errors with html for
// clients that accept HTML.
func (re *Responder) WithHTML(html func(r *http.Request, reason Reason) []byte) *Responder {
	with := *re
	with.HTML = html
	return &with
}

// Error answers with err: {"error":{"code","reason","message"}}, or HTML. An
// error that is no *Error is internal: the client learns nothing more, and its
// text goes to the log.
func (re *Responder) Error(w http.ResponseWriter, r *http.Request, err error) {
	e, ok := errors.AsType[*Error](err)
	if !ok {
		re.Log.ErrorContext(r.Context(), "request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		e = &Error{Reason: Internal, Message: "internal error"}
	}
	if re.Refused != nil {
		re.Refused(e.Reason.Label())
	}
	a := answers[e.Reason]
	header := w.Header()
	if a.retry {
		header.Set("Retry-After", retryAfter(max(e.wait, re.Retry())))
	}
	if a.status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", e.Reason.challenge())
	}
	header.Set("Cache-Control", "no-store")
	if re.HTML != nil && strings.Contains(r.Header.Get("Accept"), "text/html") {
		write(w, a.status, "text/html; charset=utf-8", re.HTML(r, e.Reason))
		return
	}
	type body struct {
		Code    string `json:"code"`
		Reason  Reason `json:"reason"`
		Message string `json:"message"`
	}
	JSON(w, a.status, map[string]body{"error": {a.code, e.Reason, e.Message}})
}

// retryAfter returns the value of a Retry-After header: whole seconds, at least
// one, rounded up.
func retryAfter(d time.Duration) string {
	return strconv.Itoa(max(1, int((d+time.Second-1)/time.Second)))
}

// JSON answers with a value as JSON. It panics if the value has no JSON, which
// is a defect.
func JSON(w http.ResponseWriter, status int, value any) {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	write(w, status, "application/json; charset=utf-8", append(data, '\n'))
}

func write(w http.ResponseWriter, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // fails if the client is gone, which needs no action
}
