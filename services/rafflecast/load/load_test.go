package load

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
)

// world is a service on real stores.
type world struct{ target, facade, database string }

func setup(t *testing.T) world {
	t.Helper()
	cfg := participation.DefaultConfig()
	cfg.DatabaseURL, cfg.NATSURL, cfg.Migrate = pgtest.URL(t), natstest.Start(t).URL(), true
	cfg.GRPCAddress, cfg.HTTPAddress, cfg.OpsAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	started := make(chan participation.Addresses, 1)
	cfg.Started = func(a participation.Addresses) { started <- a }
	ctx, stop := context.WithCancel(context.Background()) // the test's own ends before its cleanups
	ended := make(chan error, 1)
	go func() { ended <- participation.Run(ctx, cfg) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	select {
	case a := <-started:
		return world{a.GRPC.String(), "http://" + a.HTTP.String(), cfg.DatabaseURL}
	case err := <-ended:
		ended <- err
		t.Fatalf("the service did not start: %v", err)
		return world{}
	}
}

func (w world) settings(t *testing.T, args ...string) Config {
	t.Helper()
	return settings(t, append([]string{"--target=" + w.target, "--facade=" + w.facade, "--database-url=" + w.database}, args...)...)
}

func TestEveryWayOfLoadingVerifies(t *testing.T) {
	t.Parallel()
	w := setup(t)
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
			cfg := w.settings(t, append(args, "--repeat-percent=20", "--give-up-percent=20", "--give-up-after=1ms")...)
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

func TestALoadEndsWithItsRaffle(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for _, mode := range []string{Unary, Stream, HTTP} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			read, write := io.Pipe()
			ended := make(chan error, 1)
			go func() {
				ended <- Run(t.Context(), w.settings(t, "--mode="+mode, "--duration=1h", "--rate=500", "--until-closed"), write, t.Output())
				write.Close()
			}()
			lines := bufio.NewReader(read)
			var id int
			if _, err := fmt.Fscanf(lines, "first raffle %d\n", &id); err != nil {
				t.Fatal(err)
			}
			if err := Close(t.Context(), CloseConfig{Target: "dns:///" + w.target, Raffle: id}, t.Output()); err != nil {
				t.Error(err)
			}
			out, err := io.ReadAll(lines)
			if err != nil || !strings.Contains(string(out), "refused RAFFLE_NOT_OPEN") || !strings.Contains(string(out), "RESULT lost 0\nRESULT doubled 0\nRESULT counter_wrong 0\n") {
				t.Errorf("%v\n%s", err, out)
			}
			if err := <-ended; err != nil {
				t.Error(err)
			}
		})
	}
}

// TestTheVerificationNotices tampers with the database between the load and the
// verification.
func TestTheVerificationNotices(t *testing.T) {
	t.Parallel()
	w := setup(t)
	for name, c := range map[string]struct {
		tamper string // $1 is the raffle
		want   findings
	}{
		"nothing":             {"", findings{}},
		"a lost entry":        {"DELETE FROM entries WHERE raffle_id = $1 AND member_id = (SELECT min(member_id) FROM entries WHERE raffle_id = $1)", findings{missing: 2, miscounted: 1}},
		"a wrong counter":     {"UPDATE raffles SET members = members + 1 WHERE id = $1", findings{miscounted: 1}},
		"a second row":        {"INSERT INTO entries (raffle_id, member_id, ordinal, request_id, created_at) SELECT raffle_id, member_id, 99, request_id, created_at FROM entries WHERE raffle_id = $1 AND ordinal = 1 LIMIT 1", findings{duplicates: 1, miscounted: 1, above: 1}},
		"a stranger":          {"INSERT INTO entries (raffle_id, member_id, ordinal, request_id, created_at) VALUES ($1, 'stranger', 1, gen_random_uuid(), now())", findings{strangers: 1, miscounted: 1}},
		"an entry too early":  {"UPDATE raffles SET opens_at = now() + interval '1 hour' WHERE id = $1", findings{untimely: 60}},
		"another ordinal":     {"UPDATE entries SET ordinal = 77 WHERE raffle_id = $1 AND ordinal = 2", findings{altered: 30}},
		"a limit set too low": {"UPDATE raffles SET max_entries_per_member = 1 WHERE id = $1", findings{above: 30}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := w.settings(t, "--mode=stream", "--count=60", "--members=30", "--max-entries=2")
			got := tampered(t, cfg, c.tamper)
			c.want.rows = got.rows
			if *got != c.want {
				t.Errorf("found %+v, want %+v", *got, c.want)
			}
			if clean := c.want == (findings{rows: got.rows}); clean != (got.err() == nil) {
				t.Errorf("verdict %v", got.err())
			}
		})
	}
}

func tampered(t *testing.T, cfg Config, tamper string) *findings {
	t.Helper()
	conns, err := Dial(cfg.Target, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conns.Close()
	plan, err := makePlan(t.Context(), &cfg, conns[0])
	if err != nil {
		t.Fatal(err)
	}
	r := newRun(cfg, plan, conns)
	if err := r.send(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	database, err := pgx.Connect(t.Context(), cfg.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close(context.Background())
	if tamper != "" {
		if _, err := database.Exec(t.Context(), tamper, plan.Raffles[0]); err != nil {
			t.Fatal(err)
		}
	}
	found, err := r.verify(t.Context(), &readOnly{database})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
