package postgres_test

import (
	"net"
	"net/url"
	"runtime"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/socket"
	"github.com/rafflecast/rafflecast/services/participation/internal/postgres"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
)

func TestOpen_BoundsTheWaitForAServerThatVanishes(t *testing.T) {
	t.Parallel()
	server, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	pool, err := postgres.Open(t.Context(), "postgres://user@"+server.Addr().String()+"/database", 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	conn, err := pool.Config().ConnConfig.DialFunc(t.Context(), "tcp", server.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	raw, err := conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	if d, err := socket.UserTimeout(raw); err != nil || d != 10*time.Second && runtime.GOOS == "linux" {
		t.Errorf("data may stay unacknowledged for %v, want 10s: %v", d, err)
	}
}

func TestOpen_BoundsConnecting(t *testing.T) {
	t.Parallel()
	// A server that takes connections and never says anything.
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	address := "postgres://user@" + silent.Addr().String() + "/database?sslmode=disable"
	for name, c := range map[string]struct {
		url  string
		want time.Duration
	}{
		"by default": {address, 5 * time.Second},
		"by the URL": {address + "&connect_timeout=1", time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool, err := postgres.Open(t.Context(), c.url, 1, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer pool.Close()
			if got := pool.Config().ConnConfig.ConnectTimeout; got != c.want {
				t.Errorf("connecting may take %v, want %v", got, c.want)
			}
			if err := pool.Ping(t.Context()); err == nil { // it returns
				t.Error("a silent server answers")
			}
		})
	}
}

// pgx hands on to the server what it does not know. PostgreSQL applies these to its end
// of a TCP connection, and takes them on a Unix socket, as here.
func TestOpen_URLBoundsTheServersWait(t *testing.T) {
	t.Parallel()
	address, err := url.Parse(pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	query := address.Query()
	query.Set("tcp_user_timeout", "10s")
	query.Set("tcp_keepalives_idle", "10")
	address.RawQuery = query.Encode()
	pool, err := postgres.Open(t.Context(), address.String(), 1, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	if err := pool.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"tcp_user_timeout", "tcp_keepalives_idle"} {
		if got := pool.Config().ConnConfig.RuntimeParams[name]; got == "" {
			t.Errorf("the server is not told %s", name)
		}
	}
}

// After a rollback, pods of the version before start on the newer schema.
func TestMigrate_LeavesANewerSchemaAlone(t *testing.T) {
	t.Parallel()
	pool := open(t)
	const newer = `INSERT INTO goose_db_version (version_id, is_applied) VALUES (999999, true)`
	if _, err := pool.Exec(t.Context(), newer); err != nil {
		t.Fatal(err)
	}
	if err := postgres.Migrate(t.Context(), pool); err != nil {
		t.Error(err)
	}
}
