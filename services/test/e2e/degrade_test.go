package e2e_test

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/faults"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// linkDatabase returns a link to the tests' PostgreSQL, and the URL of a new schema
// that leads over it.
func linkDatabase(t *testing.T) (link *faults.Link, address string) {
	t.Helper()
	cfg, err := pgx.ParseConfig(pgtest.URL(t))
	if err != nil {
		t.Fatal(err)
	}
	target := net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))
	if strings.HasPrefix(cfg.Host, "/") {
		target = filepath.Join(cfg.Host, fmt.Sprintf(".s.PGSQL.%d", cfg.Port))
	}
	if link, err = faults.NewLink(t.Context(), target); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(link.Close)
	u := url.URL{Scheme: "postgres", Host: link.Addr(), Path: "/" + cfg.Database, User: url.UserPassword(cfg.User, cfg.Password)}
	u.RawQuery = url.Values{"sslmode": {"disable"}, "search_path": {cfg.RuntimeParams["search_path"]}}.Encode()
	return link, u.String()
}

// degrading is both services on stores that can become unavailable.
type degrading struct {
	testBundle
	database *faults.Link
	nats     *natstest.Server
	ops      []string // URLs of the ports of operations
}

// startDegrading starts the services, with more flags for participation. They need not
// become ready.
func startDegrading(t *testing.T, database *faults.Link, databaseURL string, nats *natstest.Server, natsURL string, flags ...string) *degrading {
	t.Helper()
	ports := testenv.FreeAddresses(t, 5)
	d := &degrading{database: database, nats: nats, ops: []string{"http://" + ports[2], "http://" + ports[4]}}
	d.participation = launch(t, "participation", append([]string{
		"serve", "--migrate", "--database-url=" + databaseURL, "--nats-url=" + natsURL,
		"--grpc-address=" + ports[0], "--http-address=" + ports[1], "--ops-address=" + ports[2],
	}, flags...)...)
	d.gateway = launch(t, "gateway", "serve", "--nats-url="+natsURL, "--address="+ports[3], "--ops-address="+ports[4], "--heartbeat=300ms")
	d.client, d.web = dial(t, ports[0]), "http://"+ports[3]
	return d
}

func (d *degrading) awaitReady(t *testing.T) {
	t.Helper()
	for _, ops := range d.ops {
		testenv.AwaitStatus(t, ops+"/readyz", http.StatusOK)
	}
}

// tryEnter enters once.
func (d *degrading) tryEnter(ctx context.Context, id int64, member string) error {
	_, err := d.client.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: id, MemberId: member})
	return err
}

// wantRetry checks that a call was refused with a time after which to repeat it.
func wantRetry(t *testing.T, err error, code codes.Code) {
	t.Helper()
	st := status.Convert(err)
	for _, d := range st.Details() {
		if retry, ok := d.(*errdetails.RetryInfo); ok && st.Code() == code && retry.GetRetryDelay().AsDuration() > 0 {
			return
		}
	}
	t.Errorf("got %v %v, want %v with RetryInfo", st, st.Details(), code)
}

// awaitHeartbeat returns when the stream is silent but alive.
func (s *subscription) awaitHeartbeat() {
	s.t.Helper()
	for {
		e, err := s.decoder.Decode()
		if err != nil {
			s.t.Fatalf("the stream ended: %v", err)
		}
		if e.Event() == "heartbeat" {
			return
		}
	}
}

// awaitEntries waits for the odds with so many entries.
func (s *subscription) awaitEntries(n int64) {
	s.t.Helper()
	for s.nextOdds().Entries != n {
	}
}

func (d *degrading) subscribe(t *testing.T, id int64) *subscription {
	t.Helper()
	return subscribe(t, fmt.Sprintf("%s/api/v1/raffles/%d/subscribe", d.web, id))
}

func TestServices_StreamWhilePostgreSQLIsUnavailable(t *testing.T) {
	t.Parallel()
	link, database := linkDatabase(t)
	nats := natstest.Start(t)
	d := startDegrading(t, link, database, nats, nats.URL())
	d.awaitReady(t)
	id := d.client.create(t, "A", 1)
	d.client.enter(t, id, "a")
	d.awaitRaffle(t, id)
	before := d.subscribe(t, id)
	before.awaitEntries(1)

	d.database.Refuse()
	for range 5 {
		began := time.Now()
		wantRetry(t, d.tryEnter(t.Context(), id, "b"), codes.Unavailable)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("refused after %v", took)
		}
	}
	during := d.subscribe(t, id)
	during.awaitEntries(1)
	during.awaitHeartbeat()
	before.awaitHeartbeat()

	d.database.Heal()
	testenv.Eventually(t, "entries are taken again", 10*time.Second, func() bool { return d.tryEnter(t.Context(), id, "b") == nil })
	before.awaitEntries(2)
	during.awaitEntries(2)
}

func TestServices_TakeEntriesWhileNATSIsUnavailable(t *testing.T) {
	t.Parallel()
	link, database := linkDatabase(t)
	nats := natstest.Start(t)
	d := startDegrading(t, link, database, nats, nats.URL())
	d.awaitReady(t)
	id := d.client.create(t, "A", 1)
	d.client.enter(t, id, "a")
	d.awaitRaffle(t, id)
	before := d.subscribe(t, id)
	before.awaitEntries(1)

	d.nats.Stop()
	for _, member := range []string{"b", "c", "d"} {
		began := time.Now()
		d.client.enter(t, id, member)
		if took := time.Since(began); took > 2*time.Second {
			t.Errorf("an entry took %v", took)
		}
	}
	during := d.subscribe(t, id)
	during.awaitEntries(1) // what is known
	during.awaitHeartbeat()
	before.awaitHeartbeat()
	d.awaitReady(t)

	d.nats.Start()
	before.awaitEntries(4)
	during.awaitEntries(4)
}

func TestServices_StartedBeforeTheirStoresJoinByThemselves(t *testing.T) {
	t.Parallel()
	link, database := linkDatabase(t)
	link.Refuse()
	nats := natstest.Start(t)
	natsURL := nats.URL()
	nats.Stop()
	d := startDegrading(t, link, database, nats, natsURL)
	for _, ops := range d.ops {
		testenv.AwaitStatus(t, ops+"/livez", http.StatusOK)
		testenv.AwaitStatus(t, ops+"/readyz", http.StatusServiceUnavailable)
	}
	wantRetry(t, d.tryEnter(t.Context(), 1, "a"), codes.Unavailable)
	resp, err := http.Get(d.web + "/api/v1/raffles/1/subscribe")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("subscribe: %s %v", resp.Status, resp.Header)
	}

	// PostgreSQL is all that entries need.
	d.database.Heal()
	testenv.AwaitStatus(t, d.ops[0]+"/readyz", http.StatusOK)
	id := d.client.create(t, "A", 1)
	d.client.enter(t, id, "a")
	testenv.AwaitStatus(t, d.ops[1]+"/readyz", http.StatusServiceUnavailable)

	d.nats.Start()
	d.awaitReady(t)
	d.awaitRaffle(t, id)
	s := d.subscribe(t, id)
	s.awaitEntries(1)
	d.client.enter(t, id, "b")
	s.awaitEntries(2)
}

// Far more calls come than can be served: one in about 200 ms, since each transaction
// takes two round trips of 100 ms and has one entry.
func TestParticipation_RefusesWhatWouldWaitTooLong(t *testing.T) {
	t.Parallel()
	link, database := linkDatabase(t)
	nats := natstest.Start(t)
	d := startDegrading(t, link, database, nats, nats.URL(), "--queue=8", "--batch=1", "--partitions=1")
	d.awaitReady(t)
	id := d.client.create(t, "A", 1)
	d.client.enter(t, id, "first")
	link.Delay(50 * time.Millisecond)
	const calls = 200
	var calling sync.WaitGroup
	var mu sync.Mutex
	taken, refused, slowest := 0, 0, time.Duration(0)
	for i := range calls {
		calling.Go(func() {
			began := time.Now()
			err := d.tryEnter(t.Context(), id, strconv.Itoa(i))
			took := time.Since(began)
			mu.Lock()
			defer mu.Unlock()
			slowest = max(slowest, took)
			if err == nil {
				taken++
				return
			}
			refused++
			wantRetry(t, err, codes.ResourceExhausted)
		})
	}
	calling.Wait()
	// Without a bound the last call would wait for 40 s.
	if taken < 8 || refused < calls/2 || slowest > 8*time.Second {
		t.Errorf("%d calls were served, %d refused, the slowest took %v", taken, refused, slowest)
	}
	link.Heal()
	testenv.Eventually(t, "it serves calls again", 10*time.Second, func() bool { return d.tryEnter(t.Context(), id, "last") == nil })
}
