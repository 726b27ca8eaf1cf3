package natsconn_test

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

func TestConnect_DoesNotWaitForServer(t *testing.T) {
	t.Parallel()
	nc, err := natsconn.Connect(natsconn.Servers{URL: "nats://127.0.0.1:1"}, "test", slog.New(slog.DiscardHandler), natsconn.Callbacks{})
	if err != nil {
		t.Fatal(err)
	}
	nc.Close()
}

func TestConnect_InvalidURLIsReportedWithoutPassword(t *testing.T) {
	t.Parallel()
	_, err := natsconn.Connect(natsconn.Servers{URL: "nats://me:secret@[::1"}, "test", slog.New(slog.DiscardHandler), natsconn.Callbacks{})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}

// TestConnect_LeavesASilentServer has a server that answers the first ping of each
// connection and then nothing any more, as one that hangs. It is left within 5 s, which
// is counted in pings: how late a timer rings depends on the machine.
func TestConnect_LeavesASilentServer(t *testing.T) {
	t.Parallel()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	unanswered := make(chan int, 100) // pings on each connection that has ended
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				_, _ = io.WriteString(conn, `INFO {"server_id":"S","version":"2.11.0","max_payload":1024,"headers":true}`+"\r\n")
				lines := bufio.NewScanner(conn)
				pings := 0
				for lines.Scan() {
					if lines.Text() != "PING" {
						continue
					}
					if pings++; pings == 1 {
						_, _ = io.WriteString(conn, "PONG\r\n")
					}
				}
				unanswered <- pings - 1
			}()
		}
	}()
	connected, left := make(chan struct{}, 1), make(chan struct{}, 1)
	signal := func(c chan struct{}) {
		select {
		case c <- struct{}{}:
		default:
		}
	}
	nc, err := natsconn.ConnectWith(natsconn.Servers{URL: "nats://" + l.Addr().String()}, "test", slog.New(slog.DiscardHandler), natsconn.Callbacks{},
		nats.ConnectHandler(func(*nats.Conn) { signal(connected) }),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { signal(left) }))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	testenv.Receive(t, "the connection", 20*time.Second, connected)
	testenv.Receive(t, "the end of the connection", 20*time.Second, left)
	pings := testenv.Receive(t, "the server sees the end", 20*time.Second, unanswered)
	if patience := time.Duration(pings+1) * nc.Opts.PingInterval; pings < 1 || patience > 5*time.Second {
		t.Errorf("the silent server was left after %d pings, %v apart", pings, nc.Opts.PingInterval)
	}
}
