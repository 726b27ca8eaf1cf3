package load

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/servicetest"
)

// testBundle is a service on real stores.
type testBundle struct{ service *servicetest.Participation }

func setup(t *testing.T) *testBundle {
	t.Helper()
	return &testBundle{servicetest.StartParticipation(t, natstest.Start(t).URL())}
}

// settings returns the configuration of a load on the service.
func (b *testBundle) settings(t *testing.T, args ...string) Config {
	t.Helper()
	return settings(t, append([]string{
		"--target=" + b.service.GRPC, "--facade=http://" + b.service.HTTP, "--database-url=" + b.service.DatabaseURL,
	}, args...)...)
}

func (b *testBundle) close(t *testing.T, id int64) {
	t.Helper()
	conns, err := Dial(b.service.GRPC, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conns.Close()
	if _, err := rafflev1.NewRaffleServiceClient(conns[0]).CloseRaffle(t.Context(), &rafflev1.CloseRaffleRequest{RaffleId: id}); err != nil {
		t.Error(err)
	}
}

func TestRun_VerifiesEveryMode(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, args := range map[string][]string{
		"unary":       {"--mode=unary", "--count=2000", "--concurrency=50"},
		"stream":      {"--mode=stream", "--count=5000", "--concurrency=300", "--connections=3"},
		"at a rate":   {"--mode=stream", "--rate=2000", "--duration=500ms", "--concurrency=20"},
		"over limits": {"--mode=unary", "--count=1500", "--raffles=3", "--members=50", "--max-entries=4"},
		"http":        {"--mode=http", "--count=500", "--concurrency=50", "--members=200", "--max-entries=2"},
		"closing":     {"--mode=stream", "--duration=1m", "--until-closed", "--rate=2000", "--raffles=2", "--closes-after=2s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			cfg := b.settings(t, append(args, "--repeat-percent=20", "--cancel-percent=20", "--cancel-after=1ms")...)
			if err := Run(t.Context(), cfg, &out, t.Output()); err != nil {
				t.Error(err)
			}
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			last := strings.Join(lines[len(lines)-3:], "\n")
			if last != "RESULT lost 0\nRESULT doubled 0\nRESULT counter_wrong 0" ||
				strings.Contains(out.String(), "RESULT acknowledged 0\n") {
				t.Errorf("got\n%s", out.String())
			}
			if name == "http" && !strings.Contains(out.String(), "RESULT acknowledged 400\n") {
				t.Errorf("want 200 members with 2 entries each:\n%s", out.String())
			}
			if name == "over limits" && !strings.Contains(out.String(), "RESULT acknowledged 600\n") {
				t.Errorf("want 3 raffles of 50 members with 4 entries each:\n%s", out.String())
			}
		})
	}
}

func TestRun_EndsWhenTheRaffleIsClosed(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for _, mode := range []string{Unary, Stream, HTTP} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			read, write := io.Pipe()
			ended := make(chan error, 1)
			go func() {
				ended <- Run(ctx, b.settings(t, "--mode="+mode, "--duration=1h", "--rate=500", "--until-closed"), write, t.Output())
				write.Close()
			}()
			lines := bufio.NewReader(read)
			var id int64
			if _, err := fmt.Fscanf(lines, "first raffle %d\n", &id); err != nil {
				t.Fatal(err)
			}
			b.close(t, id)
			out, err := io.ReadAll(lines)
			if err != nil || !strings.Contains(string(out), "refused RAFFLE_NOT_OPEN") ||
				!strings.Contains(string(out), "RESULT lost 0\nRESULT doubled 0\nRESULT counter_wrong 0\n") {
				t.Errorf("%v\n%s", err, out)
			}
			if err := <-ended; err != nil || ctx.Err() != nil {
				t.Errorf("%v, %v", err, ctx.Err())
			}
		})
	}
}
