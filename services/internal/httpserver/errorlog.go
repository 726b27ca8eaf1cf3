package httpserver

import (
	"bytes"
	"log"
	"log/slog"
)

// ErrorLog returns what a server writes its errors to: what concerns us is logged as an
// error, and the mistakes of clients at debug.
func ErrorLog(to *slog.Logger) *log.Logger { return log.New(errorWriter{to}, "", 0) }

// errorWriter is where net/http writes what it has to say.
type errorWriter struct{ log *slog.Logger }

// Write logs a line.
func (w errorWriter) Write(line []byte) (int, error) {
	text := string(bytes.TrimSpace(line))
	if bytes.HasPrefix(line, []byte("http: Accept error")) || bytes.Contains(line, []byte("panic serving")) {
		w.log.Error("the HTTP server has failed", "error", text)
	} else {
		w.log.Debug("a client's mistake", "error", text)
	}
	return len(line), nil
}
