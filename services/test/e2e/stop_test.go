package e2e_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// stopSlack is how much longer than its window a stop may take on a busy machine.
const stopSlack = 4 * time.Second

// connect opens a TCP connection and writes a text.
func connect(t *testing.T, address, text string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn
}

func TestGateway_StopTakesItsDrainWindowWhoeverIsConnected(t *testing.T) {
	t.Parallel()
	const window = time.Second // as in setup
	b := setup(t)
	id := b.client.create(t, "A", 1)
	b.awaitRaffle(t, id)
	address := strings.TrimPrefix(b.web, "http://")

	reading := subscribe(t, fmt.Sprintf("%s/api/v1/raffles/%d/subscribe", b.web, id))
	reading.nextOdds()
	for _, request := range []string{
		fmt.Sprintf("GET /api/v1/raffles/%d/subscribe HTTP/1.1\r\nHost: localhost\r\n\r\n", id), // and never reads
		fmt.Sprintf("GET /api/v1/raffles/subscribe?id=%d HTTP/1.1\r\nHost: localhost\r\n\r\n", id),
		"", // silent
		fmt.Sprintf("GET /api/v1/raffles/%d/odds HTTP/1.1\r\nHo", id), // half a header
		fmt.Sprintf("POST /api/v1/raffles/%d/entries HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{", id),
	} {
		connect(t, address, request)
	}
	poll := connect(t, address, fmt.Sprintf("GET /api/v1/raffles/%d/odds HTTP/1.1\r\nHost: localhost\r\n\r\n", id))
	answer, err := http.ReadResponse(bufio.NewReader(poll), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close() // the connection stays open, and idle
	etag := answer.Header.Get("ETag")
	connect(t, address, fmt.Sprintf("GET /api/v1/raffles/%d/odds?wait=25s HTTP/1.1\r\nHost: localhost\r\nIf-None-Match: %s\r\n\r\n", id, etag))
	testenv.Eventually(t, "three streams and the long poll are open", 10*time.Second, func() bool {
		resp, err := http.Get(b.webOps + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return err == nil && strings.Contains(string(text), "\nrafflecast_gateway_connections 4\n")
	})

	took, err := b.gateway.stop(syscall.SIGTERM)
	if err != nil || took > window+stopSlack {
		t.Errorf("stopped after %v, its window is %v: %v", took, window, err)
	}
}

// neverReads enters over a stream of its own and never reads an answer. It returns when
// the service can't send any more of them.
func (c *client) neverReads(t *testing.T, address string) {
	t.Helper()
	made, err := c.raffles.CreateRaffle(t.Context(), &rafflev1.CreateRaffleRequest{Title: "B", Winners: 1, MaxEntriesPerMember: 1000})
	if err != nil {
		t.Fatal(err)
	}
	id := made.GetRaffle().GetId()
	const window = 64 << 10
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithStaticStreamWindowSize(window), grpc.WithStaticConnWindowSize(window))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	stream, err := rafflev1.NewParticipationServiceClient(conn).EnterStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		for n := int64(1); ; n++ { // until the service does not take more, and the test ends
			req := &rafflev1.EnterStreamRequest{CorrelationId: n, Enter: &rafflev1.EnterRequest{RaffleId: id, MemberId: strconv.FormatInt(n, 10)}}
			if stream.Send(req) != nil {
				return
			}
		}
	}()
	before, since := int64(0), time.Now()
	testenv.Eventually(t, "the service takes no more from a client that does not read", 30*time.Second, func() bool {
		odds, err := c.entries.GetOdds(t.Context(), &rafflev1.GetOddsRequest{RaffleId: id})
		if err != nil {
			t.Fatal(err)
		}
		if now := odds.GetOdds().GetEntries(); now != before {
			before, since = now, time.Now()
		}
		return before > 100 && time.Since(since) > 500*time.Millisecond
	})
}

func TestParticipation_StopTakesItsTimeoutWhoeverIsConnected(t *testing.T) {
	t.Parallel()
	const timeout = time.Second
	database, nats := pgtest.URL(t), natstest.Start(t).URL()
	p := launch(t, "participation", "serve", "--migrate", "--database-url="+database, "--nats-url="+nats,
		"--grpc-address="+anyPort, "--http-address="+anyPort, "--ops-address="+anyPort, "--stop-timeout="+timeout.String())
	at := p.awaitLog(`participation is serving.* grpc=(\S+) http=(\S+) ops=(\S+)`)
	c := dial(t, at[1])
	id := c.create(t, "A", 1)
	ctx := t.Context()

	stranger, err := pgx.Connect(ctx, database)
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close(context.Background())
	if _, err := stranger.Exec(ctx, `BEGIN; SELECT FROM raffles WHERE id = `+strconv.FormatInt(id, 10)+` FOR UPDATE`); err != nil {
		t.Fatal(err)
	}
	waiting := make(chan error, 1) // for the locked raffle
	go func() {
		_, err := c.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: id, MemberId: "a"})
		waiting <- err
	}()
	stream, err := c.entries.EnterStream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := stream.Send(&rafflev1.EnterStreamRequest{CorrelationId: 1, Enter: &rafflev1.EnterRequest{RaffleId: id, MemberId: "b"}}); err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(at[1], grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	watch, err := healthv1.NewHealthClient(conn).Watch(ctx, &healthv1.HealthCheckRequest{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := watch.Recv(); err != nil {
		t.Fatal(err)
	}
	c.neverReads(t, at[1])
	for _, address := range at[1:] {
		connect(t, address, "")
		connect(t, address, "GET /livez HTTP/1.1\r\nHo")
	}
	connect(t, at[2], "POST /api/v1/raffles/1/entries HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{")

	took, err := p.stop(syscall.SIGTERM)
	if err != nil || took > timeout+stopSlack {
		t.Errorf("stopped after %v, its timeout is %v: %v", took, timeout, err)
	}
	if err := testenv.Receive(t, "the answer to the call that waits", 10*time.Second, waiting); err == nil {
		t.Error("a call for a locked raffle succeeded")
	}
}
