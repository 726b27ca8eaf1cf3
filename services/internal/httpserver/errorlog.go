package httpserver

import (
	"bytes"
	"log"
	"log/slog"
)

// errorWriter is where net/http writes what it has to say.
type errorWriter struct{ log *slog.Logger }

// ErrorLog returns a log for http.Server.ErrorLog. What concerns us is logged as an error,
// the mistakes of clients at debug.
func ErrorLog(to *slog.Logger) *log.Logger { return log.New(errorWriter{to}, "", 0) }

// Write logs a line: what concerns us as an error, and the mistakes of clients at debug.
func (w errorWriter) Write(line []byte) (int, error) {
	text := string(bytes.TrimSpace(line))
	if bytes.HasPrefix(line, []byte("http: Accept error")) || bytes.Contains(line, []byte("panic serving")) {
		w.log.Error("the HTTP server has failed", "error", text)
	} else {
		w.log.Debug("a client's mistake", "error", text)
	}
	return len(line), nil
}
