package load

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/servicetest"
)

func TestRun_SeesThatUpdatesFlow(t *testing.T) {
	t.Parallel()
	nats := natstest.Start(t).URL()
	b := &testBundle{servicetest.StartParticipation(t, nats)}
	silent := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, "retry: 1\n\nevent: heartbeat\ndata: {}\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
	t.Cleanup(silent.Close)
	absent := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(absent.Close)
	for name, c := range map[string]struct{ gateway, maxAge, want string }{
		"a gateway":                      {"http://" + servicetest.StartGateway(t, nats).HTTP, "30s", ""},
		"one that sends heartbeats only": {silent.URL, "2s", "lacks version"},
		"one that has no raffle":         {absent.URL, "2s", "never connected"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			err := Run(t.Context(), b.settings(t, "--rate=50", "--duration=4s", "--max-age="+c.maxAge, "--gateway="+c.gateway), &out, t.Output())
			if c.want == "" && (err != nil || !strings.Contains(out.String(), "RESULT flow_faults 0\n") || strings.Contains(out.String(), "RESULT updates_seen 0\n")) {
				t.Errorf("%v\n%s", err, out.String())
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want %q\n%s", err, c.want, out.String())
			}
		})
	}
}
