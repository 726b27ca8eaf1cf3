package grpcapi

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/health"
	"google.golang.org/grpc/status"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// serveGuarded serves a store on a port, whose connections are guarded, unlike those in
// memory. It returns a client that has made no calls yet.
func serveGuarded(t *testing.T, store *fakeStore) rafflev1.ParticipationServiceClient {
	t.Helper()
	server, err := NewServer(store, store, Config{
		Guard: NewGuard(0, 0), Health: health.NewServer(), Stopping: make(chan struct{}), PageTokenKey: func() []byte { return []byte("secret") },
		Registry: prometheus.NewRegistry(), Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	conn, err := grpc.NewClient(l.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		conn.Close()
		server.Stop()
		if err := <-served; err != nil {
			t.Errorf("Serve: %v", err)
		}
	})
	return rafflev1.NewParticipationServiceClient(conn)
}

// A stream whose caller waits for each answer is no flood: a client written in Go follows
// each answer with a ping and a window update.
func TestGuard_KeepsAStreamThatWaitsForEachAnswer(t *testing.T) {
	t.Parallel()
	entries := serveGuarded(t, &fakeStore{call: succeed})
	stream, err := entries.EnterStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(2000) {
		if err := stream.Send(enter(i)); err != nil {
			t.Fatalf("entry %d: %v", i, err)
		}
		if _, err := stream.Recv(); err != nil {
			t.Fatalf("the answer to entry %d: %v", i, err)
		}
	}
}

// While nothing is answered, callers give up their calls and try again.
func TestGuard_KeepsCallersWhoGiveUpWhatIsNotAnswered(t *testing.T) {
	t.Parallel()
	const callers = 300
	arrived, answers := make(chan struct{}, 2*callers), make(chan struct{})
	entries := serveGuarded(t, &fakeStore{call: func(ctx context.Context) error {
		arrived <- struct{}{}
		select {
		case <-answers:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}})
	for range 3 {
		ctx, giveUp := context.WithCancel(t.Context())
		var calling sync.WaitGroup
		for range callers {
			calling.Go(func() {
				if _, err := entries.Enter(ctx, enter(1).GetEnter()); status.Code(err) != codes.Canceled {
					t.Errorf("while nothing is answered: %v", err)
					arrived <- struct{}{}
				}
			})
		}
		for range callers {
			<-arrived
		}
		<-time.After(2 * lasting) // so long they have been under way at least
		giveUp()
		calling.Wait()
	}
	close(answers)
	if _, err := entries.Enter(t.Context(), enter(1).GetEnter()); err != nil {
		t.Errorf("once calls are answered again: %v", err)
	}
}

func TestGuard_ChargesLessForCallsThatWereUnderWayForAWhile(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		held time.Duration
		want error
	}{{0, errFlood}, {lasting / 2, errFlood}, {2 * lasting, nil}} {
		synctest.Test(t, func(t *testing.T) {
			conn, err := NewGuard(0, 0).admit(&textConn{ip: net.IPv4(192, 0, 2, 1)})
			if err != nil {
				t.Fatal(err)
			}
			conn.read.skip = 0
			var got error
			for round := range 5 {
				var calls, resets bytes.Buffer
				open, reset := http2.NewFramer(&calls, nil), http2.NewFramer(&resets, nil)
				for i := range 100 {
					id := 2*(100*round+i) + 1
					header(open, id, false)
					_ = open.WriteData(uint32(id), true, []byte("request"))
					_ = reset.WriteRSTStream(uint32(id), http2.ErrCodeCancel)
				}
				got = errors.Join(got, conn.watch(calls.Bytes()))
				time.Sleep(c.held)
				got = errors.Join(got, conn.watch(resets.Bytes()))
			}
			if !errors.Is(got, c.want) {
				t.Errorf("calls that were given up after %v: %v", c.held, got)
			}
		})
	}
}

// While calls begin all the time, it is known of each whether it has lasted.
func TestAges_TellWhichCallsHaveLasted(t *testing.T) {
	t.Parallel()
	const pace = lasting / 10
	for step := range 10 { // between two calls
		var a ages
		var began []time.Time
		now := time.Unix(1_000_000, 0)
		for i := range 100 {
			now = now.Add(pace/2 + time.Duration(step)*pace)
			began = append(began, now)
			a.opened(uint32(2*i+1), now)
			for call, at := range began {
				switch took, lasted := now.Sub(at), a.lasted(uint32(2*call+1), now); {
				case lasted && took < lasting:
					t.Fatalf("a call of %v has lasted", took)
				case !lasted && took >= 2*lasting+pace*time.Duration(step+1):
					t.Fatalf("a call of %v has not lasted", took)
				}
			}
		}
		if a.lasted(1001, now.Add(time.Hour)) {
			t.Error("a call that was never opened has lasted")
		}
	}
}

// A message that is written earns what the caller says about it, and earns it once, however
// small the pieces are that the caller lets through.
func TestGuard_LetsCallersAcknowledgeEachAnswer(t *testing.T) {
	t.Parallel()
	message := append([]byte{0, 0, 0, 0, 40}, bytes.Repeat([]byte{'x'}, 40)...)
	for _, c := range []struct {
		name        string
		piece, size int // bytes: of a frame's data, and of what is written at once
		want        error
	}{
		{"whole", 45, 1 << 20, nil},
		{"whole, in many writes", 45, 32 << 10, nil},
		{"in pieces", 5, 1 << 20, errFlood},
		{"half", 22, 1 << 20, errFlood},
	} {
		conn, err := NewGuard(0, 0).admit(&textConn{ip: net.IPv4(192, 0, 2, 1)})
		if err != nil {
			t.Fatal(err)
		}
		var text bytes.Buffer
		f := http2.NewFramer(&text, nil)
		const messages, answers = 1000, 20
		for range messages {
			for at := 0; at < len(message); at += c.piece {
				_ = f.WriteData(1, false, message[at:min(at+c.piece, len(message))])
			}
		}
		var got error
		for range answers {
			for all := text.Bytes(); len(all) > 0; {
				n := min(c.size, len(all))
				if _, err := conn.Write(all[:n]); err != nil {
					t.Fatal(err)
				}
				all = all[n:]
			}
			for range messages {
				if err := errors.Join(conn.spend(pingCosts), conn.spend(1)); err != nil {
					got = err
				}
			}
		}
		if !errors.Is(got, c.want) {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
