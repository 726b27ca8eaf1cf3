package httpserver

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
)

func TestErrorLog_LevelsByFault(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log := ErrorLog(slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug})))
	for line, level := range map[string]string{
		"http: Accept error: accept tcp: too many open files; retrying in 5ms": "level=ERROR",
		"http: panic serving 127.0.0.1:5: boom":                                "level=ERROR",
		"http2: panic serving 127.0.0.1:5: boom":                               "level=ERROR",
		"http: TLS handshake error from 127.0.0.1:5: EOF":                      "level=DEBUG",
	} {
		out.Reset()
		if log.Print(line); !strings.Contains(out.String(), level) {
			t.Errorf("%s: %s", line, out.String())
		}
	}
}
