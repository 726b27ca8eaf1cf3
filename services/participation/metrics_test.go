package participation_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// metrics returns what Prometheus would scrape.
func (b *bundle) metrics(t *testing.T) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+b.at.Ops.String()+"/metrics", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

func TestMetrics_CountCallsAndVersions(t *testing.T) {
	t.Parallel()
	b := setup(t)
	awaitPublished := func(n int) (got string) {
		t.Helper()
		testenv.Eventually(t, fmt.Sprint("the stream's acknowledgement of version ", n), 10*time.Second, func() bool {
			got = b.metrics(t)
			return strings.Contains(got, fmt.Sprintf("rafflecast_participation_commit_to_stream_seconds_count %d\n", n)) &&
				strings.Contains(got, "rafflecast_participation_odds_waiting 0\n") // which is read at another moment
		})
		return got
	}
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
	awaitPublished(1) // or the next version could take its place
	const member = "nobody-else-may-know"
	for range 2 {
		_, _ = b.entries.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: 1, MemberId: member}) // the second is one too many
	}
	got := awaitPublished(2)
	const call = `rpc_server_call_duration_seconds_count{rpc_method="raffle.v1.ParticipationService/Enter",rpc_response_status_code="%s",rpc_system_name="grpc"} 1`
	for _, want := range []string{
		fmt.Sprintf(call, "OK"), fmt.Sprintf(call, "FAILED_PRECONDITION"),
		`rafflecast_participation_entries_total{result="placed"} 1`,
		`rafflecast_participation_entries_total{result="rejected"} 1`,
		`rafflecast_participation_entries_total{result="replayed"} 0`, `rafflecast_participation_entries_total{result="busy"} 0`,
		`rafflecast_participation_busiest_raffle_entries{raffle="1"} 1`, "rafflecast_participation_raffles_closing_soon 0",
		"rafflecast_participation_batch_entries_count 2", "rafflecast_participation_batch_seconds_count 2",
		"rafflecast_participation_nats_connected 1", "rafflecast_participation_entries_waiting 0", "rafflecast_participation_entries_waiting_limit 32768",
		"rafflecast_participation_publish_failures_total", "rafflecast_participation_versions_bumped_total 0",
		`db_client_connection_count{db_client_connection_pool_name="writes",db_client_connection_state="idle"}`,
		`db_client_connection_max{db_client_connection_pool_name="calls"} 16`,
		`rafflecast_participation_database_wait_seconds_total{db_client_connection_pool_name="calls"}`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s is not in\n%s", want, got)
		}
	}
	if strings.Contains(got, member) {
		t.Error("a metric names a member")
	}
}

func TestRun_EndsOldStreamsAndConnections(t *testing.T) {
	t.Parallel()
	b := setup(t)
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	b.cfg.MaxConnectionAge = 3 * time.Second // within which a busy machine sends the entries
	b.start(t)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
	stream, err := b.entries.EnterStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sent := 0
	for ; sent < 100; sent++ {
		if err := stream.Send(&rafflev1.EnterStreamRequest{CorrelationId: int64(sent), Enter: &rafflev1.EnterRequest{RaffleId: 1, MemberId: fmt.Sprint(sent)}}); err != nil {
			t.Fatal(err)
		}
	}
	answers, ending, err := collect(t, stream)
	if !errors.Is(err, io.EOF) || ending != rafflev1.StreamEnding_MAX_AGE {
		t.Errorf("the stream ended with %v, announced as %v", err, ending)
	}
	if len(answers) != sent {
		t.Errorf("%d of %d were answered before the end", len(answers), sent)
	}
	// A unary caller notices nothing: its connection is replaced in time.
	if _, err := b.entries.Enter(context.WithoutCancel(t.Context()), &rafflev1.EnterRequest{RaffleId: 1, MemberId: "later"}); err != nil {
		t.Error(err)
	}
}
