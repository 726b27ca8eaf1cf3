package api

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"
)

// httpError is a refusal as clients see it.
type httpError struct {
	status     int
	code       string // of google.rpc.Code
	message    string
	retryAfter time.Duration // 0: not said
}

// write sends {"error":{"code","message"}}.
func (e *httpError) write(w http.ResponseWriter) {
	if e.retryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(max(1, e.retryAfter.Seconds()))))
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
	return &httpError{status: http.StatusBadRequest, code: "INVALID_ARGUMENT", message: message}
}

func notFound(message string) *httpError {
	return &httpError{status: http.StatusNotFound, code: "NOT_FOUND", message: message}
}

func unavailable(message string) *httpError {
	return &httpError{status: http.StatusServiceUnavailable, code: "UNAVAILABLE", message: message, retryAfter: 2 * time.Second}
}
