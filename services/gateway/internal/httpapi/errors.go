package httpapi

import (
	"encoding/json"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// httpError is a refusal as clients see it.
type httpError struct {
	status     int
	code       string // of google.rpc.Code
	reason     string // as metrics name it
	message    string
	retryAfter time.Duration // 0: not said; less: drawn from the bounds of retries
}

// soon asks for a wait that is drawn per client, so that they come back evenly.
const soon = -1

// write sends {"error":{"code","message"}}.
func (e *httpError) write(w http.ResponseWriter) {
	if e.retryAfter > 0 {
		seconds := int((e.retryAfter + time.Second - 1) / time.Second)
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
	w.Header().Set("Cache-Control", "no-store")
	writeJSON(w, e.status, map[string]any{"error": map[string]string{"code": e.code, "message": e.message}})
}

func writeJSON(w http.ResponseWriter, status int, body any) {
	data, err := json.Marshal(body)
	if err != nil { // a defect: all that we write can be written
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(data, '\n')) // the client may be gone; nothing follows from that
}

func invalid(message string) *httpError {
	return &httpError{status: http.StatusBadRequest, code: "INVALID_ARGUMENT", reason: "invalid", message: message}
}

func notFound(message string) *httpError {
	return &httpError{status: http.StatusNotFound, code: "NOT_FOUND", reason: "not_found", message: message}
}

func unavailable(reason, message string) *httpError {
	return &httpError{status: http.StatusServiceUnavailable, code: "UNAVAILABLE", reason: reason, message: message, retryAfter: soon}
}

func notReady() *httpError {
	return unavailable("not_ready", "the odds are not here yet: try again shortly")
}

func leaving() *httpError {
	return unavailable("leaving", "this instance is stopping: come back, and another will answer")
}

// refusals lists the reasons, as metrics name them.
var refusals = []string{
	"invalid", "not_found", "method", "not_ready", "leaving", "connections", "client_connections", "participation_away",
	"body_late", "body_large",
}

// Refusals lists the reasons for which requests are refused.
func Refusals() []string { return refusals }

// retry draws how long a client should wait before it comes back.
func (a *API) retry() time.Duration {
	return a.cfg.RetryMin + rand.N(a.cfg.RetryMax-a.cfg.RetryMin+1)
}
