package participation_test

import (
	"context"
	"fmt"
	"io"
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
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// link is a TCP address that leads to the tests' PostgreSQL while it is up.
type link struct {
	address string
	url     string // of a new schema, by the address
	network string // of PostgreSQL
	target  string

	passing sync.RWMutex // held for writing while nothing passes

	mu       sync.Mutex
	listener net.Listener
	conns    []net.Conn
}

func newLink(t *testing.T) *link {
	t.Helper()
	direct := pgtest.URL(t)
	cfg, err := pgx.ParseConfig(direct)
	if err != nil {
		t.Fatal(err)
	}
	l := &link{address: testenv.FreeAddress(t), network: "tcp", target: net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port)))}
	if strings.HasPrefix(cfg.Host, "/") {
		l.network, l.target = "unix", filepath.Join(cfg.Host, fmt.Sprintf(".s.PGSQL.%d", cfg.Port))
	}
	u := url.URL{Scheme: "postgres", Host: l.address, Path: "/" + cfg.Database, User: url.UserPassword(cfg.User, cfg.Password)}
	u.RawQuery = url.Values{"sslmode": {"disable"}, "search_path": {cfg.RuntimeParams["search_path"]}}.Encode()
	l.url = u.String()
	t.Cleanup(l.cut)
	return l
}

// open lets connections through.
func (l *link) open(t *testing.T) {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", l.address)
	if err != nil {
		t.Fatal(err)
	}
	l.mu.Lock()
	l.listener = listener
	l.mu.Unlock()
	go func() {
		for {
			in, err := listener.Accept()
			if err != nil {
				return
			}
			out, err := new(net.Dialer).DialContext(context.Background(), l.network, l.target)
			if err != nil {
				in.Close()
				continue
			}
			l.mu.Lock()
			l.conns = append(l.conns, in, out)
			l.mu.Unlock()
			go l.copy(in, out)
			go l.copy(out, in)
		}
	}()
}

// copy passes on what a connection brings until it ends.
func (l *link) copy(to, from net.Conn) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		l.passing.RLock()
		_, err = to.Write(buffer[:n])
		l.passing.RUnlock()
		if err != nil {
			return
		}
	}
}

// mute lets nothing pass until resume is called, as if the server's machine had vanished:
// connections stay open, and new ones are made.
func (l *link) mute(t *testing.T) (resume func()) {
	t.Helper()
	l.passing.Lock()
	resume = sync.OnceFunc(l.passing.Unlock)
	t.Cleanup(resume)
	return resume
}

// cut closes all connections and refuses new ones.
func (l *link) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.listener != nil {
		l.listener.Close()
	}
	for _, conn := range l.conns {
		conn.Close()
	}
	l.conns = nil
}

// get returns the status and the body of an operations page.
func (b *bundle) get(t *testing.T, path string) (int, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+b.at.Ops.String()+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(body)
}

func (b *bundle) health(t *testing.T, service string) healthv1.HealthCheckResponse_ServingStatus {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	resp, err := healthv1.NewHealthClient(b.conn).Check(ctx, &healthv1.HealthCheckRequest{Service: service})
	if err != nil {
		t.Fatalf("health of %q: %v", service, err)
	}
	return resp.GetStatus()
}

// services are the names by which health can be asked for.
var services = []string{"", "raffle.v1.RaffleService", "raffle.v1.ParticipationService"}

func TestRun_AnswersWhileTheDatabaseIsUnavailable(t *testing.T) {
	t.Parallel()
	database := newLink(t)
	cfg := unreachable()
	cfg.DatabaseURL, cfg.NATSURL, cfg.Migrate = database.url, natstest.Start(t).URL(), true
	cfg.GRPCAddress, cfg.HTTPAddress, cfg.OpsAddress = testenv.FreeAddress(t), testenv.FreeAddress(t), testenv.FreeAddress(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	started := make(chan participation.Addresses, 1)
	cfg.Started = func(a participation.Addresses) { started <- a }
	go func() { ended <- participation.Run(ctx, cfg) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	ops, err := net.ResolveTCPAddr("tcp", cfg.OpsAddress)
	if err != nil {
		t.Fatal(err)
	}
	b := &bundle{at: participation.Addresses{Ops: ops}}
	if b.conn, err = grpc.NewClient(cfg.GRPCAddress, grpc.WithTransportCredentials(insecure.NewCredentials())); err != nil {
		t.Fatal(err)
	}
	defer b.conn.Close()
	b.raffles, b.entries = rafflev1.NewRaffleServiceClient(b.conn), rafflev1.NewParticipationServiceClient(b.conn)

	testenv.AwaitStatus(t, "http://"+cfg.OpsAddress+"/livez", http.StatusOK)
	testenv.Eventually(t, "/readyz says why", 5*time.Second, func() bool {
		code, body := b.get(t, "/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(body, "database") && strings.Contains(body, database.address)
	})
	for _, service := range services {
		if got := b.health(t, service); got != healthv1.HealthCheckResponse_NOT_SERVING {
			t.Errorf("health of %q is %v", service, got)
		}
	}
	callCtx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	_, err = b.raffles.CreateRaffle(callCtx, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1}, grpc.WaitForReady(true))
	wantLocked(t, err)
	_, err = b.entries.Enter(callCtx, &rafflev1.EnterRequest{RaffleId: 1, MemberId: "m"})
	wantLocked(t, err)
	stream, err := b.entries.EnterStream(callCtx)
	if err != nil {
		t.Fatal(err)
	}
	_, err = stream.Recv()
	wantLocked(t, err)
	resp, err := http.Post("http://"+cfg.HTTPAddress+"/api/v1/raffle/1?memberId=m", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("HTTP: %d %v", resp.StatusCode, resp.Header)
	}

	database.open(t)
	select {
	case b.at = <-started:
	case <-time.After(20 * time.Second):
		t.Fatal("the service did not join by itself")
	}
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1})
	for _, service := range services {
		if got := b.health(t, service); got != healthv1.HealthCheckResponse_SERVING {
			t.Errorf("health of %q is %v", service, got)
		}
	}
	if code, body := b.get(t, "/readyz"); code != http.StatusOK {
		t.Errorf("ready: %d %s", code, body)
	}

	// The database fails, for longer than a failover takes.
	database.cut()
	began := time.Now()
	_, err = b.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: 1, MemberId: "m"})
	wantLocked(t, err)
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("refused after %v", took)
	}
	if code, body := b.get(t, "/readyz"); code != http.StatusOK {
		t.Errorf("at once: %d %s", code, body)
	}
	testenv.Eventually(t, "the service is not ready", 10*time.Second, func() bool {
		code, _ := b.get(t, "/readyz")
		return code == http.StatusServiceUnavailable && b.health(t, "") == healthv1.HealthCheckResponse_NOT_SERVING
	})
	if code, _ := b.get(t, "/livez"); code != http.StatusOK {
		t.Errorf("/livez: %d", code)
	}
	database.open(t)
	testenv.Eventually(t, "the service is ready again", 10*time.Second, func() bool {
		code, _ := b.get(t, "/readyz")
		return code == http.StatusOK && b.health(t, "raffle.v1.RaffleService") == healthv1.HealthCheckResponse_SERVING
	})
}

func TestRun_StopsWhileItWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer stop()
	began := time.Now()
	if err := participation.Run(ctx, unreachable()); err != nil || time.Since(began) > 2*time.Second {
		t.Errorf("after %v: %v", time.Since(began), err)
	}
}

func TestRun_StopEndsStreamsOfHealthAndReflection(t *testing.T) {
	t.Parallel()
	b := setup(t)
	watch, err := healthv1.NewHealthClient(b.conn).Watch(t.Context(), &healthv1.HealthCheckRequest{Service: services[1]})
	if err != nil {
		t.Fatal(err)
	}
	if first, err := watch.Recv(); err != nil || first.GetStatus() != healthv1.HealthCheckResponse_SERVING {
		t.Fatalf("%v, %v", first, err)
	}
	reflection, err := reflectionv1.NewServerReflectionClient(b.conn).ServerReflectionInfo(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	list := &reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}
	if err := reflection.Send(list); err != nil {
		t.Fatal(err)
	}
	if _, err := reflection.Recv(); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if err := b.stop(); err != nil || time.Since(began) > 2*time.Second {
		t.Errorf("stopped after %v: %v", time.Since(began), err)
	}
	if last, err := watch.Recv(); err != nil || last.GetStatus() != healthv1.HealthCheckResponse_NOT_SERVING {
		t.Errorf("at the stop: %v, %v", last, err)
	}
	if _, err := watch.Recv(); err == nil {
		t.Error("the stream did not end")
	}
	_, err = reflection.Recv()
	wantError(t, err, codes.Unavailable, "STORE_UNAVAILABLE")
}
