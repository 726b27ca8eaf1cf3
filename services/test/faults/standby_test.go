package faults

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/servicetest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// startPair returns a primary and its standby, which commits wait for.
func startPair(t *testing.T) (primary, standby *database) {
	t.Helper()
	ctx, dir := t.Context(), t.TempDir()
	binaries, account, err := findPostgres(ctx, filepath.Join(dir, "cache"))
	if err != nil {
		testenv.SkipMissing(t, "PostgreSQL: "+err.Error())
	}
	if account != nil { // who must get through, and owns the data
		for at := dir; at != os.TempDir() && at != "/"; at = filepath.Dir(at) {
			if err := os.Chmod(at, 0o711); err != nil {
				t.Fatal(err)
			}
		}
	}
	data := filepath.Join(dir, "postgres")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	if account != nil {
		if err := os.Chown(data, int(account.Uid), int(account.Gid)); err != nil {
			t.Fatal(err)
		}
	}
	p, err := ports(ctx, 2)
	if err != nil {
		t.Fatal(err)
	}
	primary = newDatabase(dir, "primary", binaries, filepath.Join(data, "primary"), p[0], account, &clock{})
	standby = newDatabase(dir, "standby", binaries, filepath.Join(data, "standby"), p[1], account, &clock{})
	t.Cleanup(func() {
		_ = primary.end(syscall.SIGQUIT, 10*time.Second)
		_ = standby.end(syscall.SIGQUIT, 10*time.Second)
	})
	for _, step := range []func() error{
		func() error { return primary.initialize(ctx) },
		primary.start,
		func() error { return primary.awaitReady(ctx) },
		func() error { return standby.clone(ctx, primary) },
		standby.start,
		func() error { return standby.awaitReady(ctx) },
		func() error { return primary.exec(ctx, "postgres", "CREATE DATABASE rafflecast") },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	return primary, standby
}

// TestFailover_IsComparedAtOnce has a standby take over that lacks the last entries,
// while nobody enters any more: what viewers see is mended because the database tells
// that it is another one.
func TestFailover_IsComparedAtOnce(t *testing.T) {
	t.Parallel()
	primary, standby := startPair(t)
	ctx := t.Context()
	link, err := NewLink(ctx, primary.address())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.Close)
	nats := natstest.Start(t)
	service := servicetest.StartParticipation(t, nats.URL(), func(cfg *participation.Config) {
		cfg.DatabaseURL = fmt.Sprintf("postgres://rafflecast@%s/rafflecast", link.Addr())
	})
	conn, err := grpc.NewClient(service.GRPC, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := rafflev1.NewRaffleServiceClient(conn).CreateRaffle(ctx, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1}); err != nil {
		t.Fatal(err)
	}
	enter := func(n int, name string) {
		t.Helper()
		for i := range n {
			if _, err := rafflev1.NewParticipationServiceClient(conn).Enter(ctx, &rafflev1.EnterRequest{RaffleId: 1, MemberId: fmt.Sprint(name, i)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	js := nats.JetStream()
	published := func() *rafflev1.Odds {
		var odds rafflev1.Odds
		stream, err := js.Stream(ctx, oddsstream.Name)
		if err != nil {
			return &odds
		}
		if msg, err := stream.GetLastMsgForSubject(ctx, oddsstream.Subject(1)); err == nil {
			_ = proto.Unmarshal(msg.Data, &odds)
		}
		return &odds
	}
	awaitEntries := func(n int64, within time.Duration) {
		t.Helper()
		testenv.Eventually(t, fmt.Sprint("the stream says ", n, " entries"), within, func() bool { return published().GetEntries() == n })
	}
	enter(5, "kept")
	awaitEntries(5, 10*time.Second)
	if err := primary.exec(ctx, "postgres", "ALTER SYSTEM SET synchronous_standby_names = ''", "SELECT pg_reload_conf()"); err != nil {
		t.Fatal(err)
	}
	if err := standby.end(syscall.SIGINT, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	enter(3, "lost")
	awaitEntries(8, 10*time.Second)
	before := published()

	primary.signal(syscall.SIGKILL)
	for _, step := range []func() error{standby.start, func() error { return standby.awaitReady(ctx) }, func() error { return standby.promote(ctx) }} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	link.Retarget(standby.address())
	link.Cut()
	awaitEntries(5, 10*time.Second)
	if after := published(); after.GetVersion() <= before.GetVersion() || after.GetEpoch() != before.GetEpoch() || after.GetTitle() != "A" {
		t.Errorf("the stream went from %v to %v", before, after)
	}
}
