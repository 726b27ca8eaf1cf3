package telemetry

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestLimitRepeats_DropsWhatIsLoggedTooOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(LimitRepeats(slog.NewTextHandler(&out, nil)))
		for i := range 100 {
			log.With("batch", i).Error("a batch of entries failed")
			log.Info("a call")
		}
		log.Error("another message")
		if got := strings.Count(out.String(), "a batch of entries failed"); got != maxRepeats {
			t.Errorf("%d of 100 errors were logged", got)
		}
		if got := strings.Count(out.String(), "a call"); got != 100 || !strings.Contains(out.String(), "another message") {
			t.Errorf("%d of 100 lines without trouble were logged\n%s", got, out.String())
		}
		out.Reset()
		time.Sleep(repeatPeriod)
		log.Error("a batch of entries failed")
		log.Error("a batch of entries failed")
		if failed, dropped := strings.Count(out.String(), "a batch of entries failed"),
			strings.Count(out.String(), "dropped=95\n"); failed != 2 || dropped != 1 {
			t.Errorf("after a while: %s", out.String())
		}
	})
}
