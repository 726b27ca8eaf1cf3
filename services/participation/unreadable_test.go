package participation_test

import (
	"bytes"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc/codes"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

// logBuffer keeps what is logged. Safe for concurrent use.
type logBuffer struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logBuffer) count(text string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), text)
}

// A raffle whose row can't be read fails alone: the others are listed, entered, and
// published, even into a stream that is filled again; and its viewers are not told that
// it is gone.
func TestService_AnUnreadableRaffleFailsAlone(t *testing.T) {
	t.Parallel()
	b := setupPublished(t)
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	b.sql(t, `ALTER TABLE raffles ALTER title DROP NOT NULL`, `UPDATE raffles SET title = NULL, updated_at = now() - interval '1 minute', version = 9 WHERE id = 2`)
	log := &logBuffer{}
	b.cfg.Log = slog.New(slog.NewTextHandler(io.MultiWriter(log, t.Output()), nil))
	b.start(t)
	b.enter(t, 1, "second")
	b.awaitVersions(t, 3, 2, 3)
	if err := b.nats.JetStream().DeleteStream(t.Context(), oddsstream.Name); err != nil {
		t.Fatal(err)
	}
	b.awaitVersions(t, 3, 0, 3)
	list, err := b.raffles.ListRaffles(t.Context(), &rafflev1.ListRafflesRequest{})
	if err != nil || len(list.GetRaffles()) != 2 {
		t.Errorf("listed %v, %v", list, err)
	}
	_, err = b.entries.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: 2, MemberId: "m"})
	st := wantError(t, err, codes.Internal, "RAFFLE_UNREADABLE")
	if m := errorInfo(st).GetMetadata(); m["raffleId"] != "2" || m["column"] != "title" || !strings.Contains(st.Message(), "raffle 2 can't be read") {
		t.Errorf("%v, %v", st, m)
	}
	if n := log.count("a raffle can't be read"); n != 1 {
		t.Errorf("logged %d times", n)
	}
	resp, err := http.Get("http://" + b.at.Ops.String() + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil || !strings.Contains(string(text), "\nrafflecast_participation_unreadable_raffles_total ") ||
		strings.Contains(string(text), "\nrafflecast_participation_unreadable_raffles_total 0\n") {
		t.Errorf("it is not counted (%v)", err)
	}
}
