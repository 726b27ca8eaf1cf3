package participation_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// bouncer runs PgBouncer in transaction mode, with two connections to the
// database behind it, and returns a URL through it.
func bouncer(t *testing.T, database string) string {
	t.Helper()
	program := testenv.NeedProgram(t, "pgbouncer")
	direct, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	address := testenv.FreeAddress(t)
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "rafflecast-pgbouncer-") //nolint:usetesting // another user must be able to read it
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	file := filepath.Join(dir, "pgbouncer.ini")
	password := ""
	if direct.Password != "" {
		password = "password='" + direct.Password + "'"
	}
	config := fmt.Sprintf(`[databases]
rafflecast = host=%s port=%d dbname=%s user=%s %s connect_query='SET search_path = %s'
[pgbouncer]
listen_addr = %s
listen_port = %s
unix_socket_dir =
auth_type = any
pool_mode = transaction
default_pool_size = 2
`, direct.Host, direct.Port, direct.Database, direct.User, password, direct.RuntimeParams["search_path"], host, port)
	if err := os.WriteFile(file, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(program, "-q", file)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	if os.Getuid() == 0 { // PgBouncer refuses to run as root: run it as the owner of the database's socket
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner(t, direct.Host)}
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	through := url.URL{Scheme: "postgres", User: url.User(direct.User), Host: address, Path: "/rafflecast"}
	through.RawQuery = "sslmode=disable&default_query_exec_mode=cache_describe"
	testenv.Eventually(t, "PgBouncer takes connections", 10*time.Second, func() bool {
		conn, err := pgx.Connect(t.Context(), through.String())
		if err != nil {
			return false
		}
		return conn.Close(t.Context()) == nil
	})
	return through.String()
}

// owner returns the owner of a path, or nobody if it is not a path or belongs to root.
func owner(t *testing.T, path string) *syscall.Credential {
	t.Helper()
	if info, err := os.Stat(path); err == nil {
		if stat := info.Sys().(*syscall.Stat_t); stat.Uid != 0 {
			return &syscall.Credential{Uid: stat.Uid, Gid: stat.Gid}
		}
	}
	return &syscall.Credential{Uid: 65534, Gid: 65534}
}

func TestService_WorksThroughPgBouncer(t *testing.T) {
	t.Parallel()
	b := &bundle{nats: natstest.Start(t), cfg: participation.DefaultConfig()}
	b.cfg.GRPCAddress, b.cfg.HTTPAddress, b.cfg.OpsAddress = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
	b.cfg.DatabaseURL, b.cfg.NATSURL = pgtest.URL(t), b.nats.URL()
	b.cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	// Migrations hold a lock of their session, so they go straight to the database.
	if err := participation.Migrate(t.Context(), b.cfg); err != nil {
		t.Fatal(err)
	}
	b.cfg.DatabaseURL = bouncer(t, b.cfg.DatabaseURL)
	b.start(t)
	const raffles, members = 4, 50
	for range raffles {
		b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1, MaxEntriesPerMember: 2})
	}
	var calling sync.WaitGroup
	for m := range members {
		calling.Go(func() {
			for id := int64(1); id <= raffles; id++ {
				req := &rafflev1.EnterRequest{RaffleId: id, MemberId: fmt.Sprint("m", m), RequestId: uuid.NewString()}
				for range 2 { // the second is replayed
					if _, err := b.entries.Enter(context.WithoutCancel(t.Context()), req); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	calling.Wait()
	if _, err := b.entries.Withdraw(t.Context(), &rafflev1.WithdrawRequest{RaffleId: 1, MemberId: "m1"}); err != nil {
		t.Error(err)
	}
	for id := int64(1); id <= raffles; id++ {
		list, err := b.entries.ListEntries(t.Context(), &rafflev1.ListEntriesRequest{RaffleId: id, PageSize: 1000})
		if want := members - int(1/id); err != nil || len(list.GetEntries()) != want {
			t.Errorf("raffle %d: %d entries, %v", id, len(list.GetEntries()), err)
		}
	}
	testenv.Eventually(t, "the last odds are published", 5*time.Second, func() bool { return b.published(t, 1).GetEntries() == members-1 })
}
