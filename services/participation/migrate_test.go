package participation_test

import (
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// TestMigrate_WaitsForTheDatabase starts a migration before its database, which
// deployments often do.
func TestMigrate_WaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	database := pgtest.URL(t)
	address := testenv.FreeAddress(t) // nothing listens there yet
	cfg := participation.DefaultConfig()
	cfg.NATSURL, cfg.DatabaseURL = "nats://127.0.0.1:1", at(t, database, address)
	waits := make(chan struct{}, 100)
	cfg.Log = slog.New(slog.NewTextHandler(onWrite(func(line string) {
		if strings.Contains(line, "waiting for the database") {
			waits <- struct{}{}
		}
	}), nil))
	done := make(chan error, 1)
	go func() { done <- participation.Migrate(t.Context(), cfg) }()
	select {
	case <-waits:
	case err := <-done:
		t.Fatalf("it ended: %v", err)
	}
	forward(t, address, database)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), "SELECT id, version FROM raffles"); err != nil {
		t.Errorf("the schema does not exist: %v", err)
	}
}

func TestMigrate_GivesUpAndSaysWhy(t *testing.T) {
	t.Parallel()
	cfg := participation.DefaultConfig()
	cfg.NATSURL, cfg.DatabaseURL, cfg.StartTimeout = "nats://127.0.0.1:1", "postgres://127.0.0.1:1/none", 10*time.Millisecond
	if err := participation.Migrate(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "database was not ready within 10ms") {
		t.Errorf("got %v", err)
	}
}

// at returns the URL of a database with another address in it.
func at(t *testing.T, database, address string) string {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Del("host") // of a socket
	q.Del("port")
	u.Host, u.RawQuery = address, q.Encode()
	return u.String()
}

// forward accepts connections at an address and forwards them to the database.
func forward(t *testing.T, address, database string) {
	t.Helper()
	config, err := pgx.ParseConfig(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	network, target := pgconn.NetworkAddress(config.Host, config.Port)
	var open sync.WaitGroup
	t.Cleanup(func() { l.Close(); open.Wait() })
	open.Go(func() {
		for {
			from, err := l.Accept()
			if err != nil {
				return // closed
			}
			to, err := net.Dial(network, target)
			if err != nil {
				from.Close()
				continue
			}
			open.Go(func() { _, _ = io.Copy(to, from); to.Close() })
			open.Go(func() { _, _ = io.Copy(from, to); from.Close() })
		}
	})
}

// onWrite is a writer that calls a function with what is written.
type onWrite func(string)

func (f onWrite) Write(p []byte) (int, error) { f(string(p)); return len(p), nil }
