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
		if got := out.String(); strings.Count(got, "a batch of entries failed") != 2 || strings.Count(got, "dropped=95\n") != 1 {
			t.Errorf("after a while: %s", got)
		}
	})
}
