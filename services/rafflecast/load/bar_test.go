package load

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// lockedBuffer is a buffer that two goroutines may use.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

// Write implements io.Writer.
func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) contains(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), text)
}

func TestProgress_IsABarOnATerminal(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"of requests": {"--count=100"}, "of time": {"--duration=1h"}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := settings(t, args...)
			cfg.Bar = true
			g := newGenerator(cfg, &Plan{}, nil)
			g.counters.acknowledged.Store(50)
			var out lockedBuffer
			stop := g.reportProgress(&out)
			testenv.Eventually(t, "the bar", time.Minute, func() bool { return out.contains("50 entries, ") })
			stop()
			if want := name == "of requests"; out.contains("50%") != want {
				t.Errorf("half of the requests is drawn: %v, want %v\n%s", !want, want, out.b.String())
			}
			if out.contains("\n") {
				t.Errorf("it does not stay in its line: %q", out.b.String())
			}
		})
	}
}
