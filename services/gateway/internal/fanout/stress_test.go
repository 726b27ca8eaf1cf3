package fanout

import (
	"bufio"
	"context"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// newest is what the feed would know.
type newest struct {
	mu      sync.Mutex
	updates map[int64]*odds.Update
}

func (n *newest) put(u *odds.Update) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.updates[u.RaffleID] = u
}

func (n *newest) get(raffleID int64) *odds.Update {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.updates[raffleID]
}

// TestStress has real clients come, read, stall and go while updates are
// published, on both ways out, and checks what each was sent.
func TestStress(t *testing.T) {
	t.Parallel()
	for name, ordinary := range map[string]bool{"handlers": true, "detached": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			stress(t, ordinary)
		})
	}
}

const (
	stressRaffles = 4
	stressClients = 60
	stressUpdates = 200
)

func stress(t *testing.T, ordinary bool) {
	t.Helper()
	known := &newest{updates: make(map[int64]*odds.Update)}
	cfg := testConfig()
	cfg.Newest, cfg.Ordinary, cfg.Shards, cfg.SendBuffer = known.get, ordinary, 3, 4096
	cfg.Spacing, cfg.Heartbeat = time.Millisecond, 20*time.Millisecond
	hub, err := NewHub(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- hub.Run(ctx) }()
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !hub.Serve(w, r, Subscription{Watches: []Watch{{RaffleID: 1}, {RaffleID: 1 + rand.N(int64(stressRaffles-1)) + 1}}, Opening: []byte(":\n\n")}) {
			t.Error("refused")
		}
	}))
	server.Config.ConnContext = ConnContext
	server.Start()

	final := make(chan struct{})
	var clients sync.WaitGroup
	for i := range stressClients {
		clients.Go(func() { stressClient(t, server.Listener.Addr().String(), i, final) })
	}
	publishing := make(chan struct{})
	go func() {
		defer close(publishing)
		for v := range int64(stressUpdates) {
			for id := range int64(stressRaffles) {
				u := update(id+1, v+1)
				known.put(u)
				hub.Publish(u)
			}
			time.Sleep(time.Millisecond) // the pace of a busy raffle
		}
	}()
	<-publishing
	close(final)
	clients.Wait()
	testenv.Eventually(t, "the connections of clients that have gone are forgotten", 20*time.Second, func() bool { return hub.Open() == 0 })
	cancel()
	<-ran
	server.Close()
	if n := hub.Stats().Connections; n != 0 {
		t.Errorf("%d connections are left", n)
	}
}

// stressClient comes and goes; one in three stays until it has the last of raffle
// 1, and some stop reading for a while.
func stressClient(t *testing.T, addr string, i int, final <-chan struct{}) {
	t.Helper()
	for {
		stays := i%3 == 0
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Error(err)
			return
		}
		conn.SetDeadline(time.Now().Add(30 * time.Second))
		conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
		if i%5 == 0 {
			conn.Write([]byte("GET /pipelined HTTP/1.1\r\nHost: x\r\n\r\n"))
		}
		lines, last := bufio.NewReader(conn), make(map[int64]int64)
		for n := 0; stays || n < 50; n++ {
			line, err := lines.ReadString('\n')
			if err != nil {
				t.Errorf("client %d, with %v: %v", i, last, err)
				break
			}
			id, ok := strings.CutPrefix(strings.TrimSpace(line), "id: ")
			if !ok {
				continue
			}
			raffleID, version, _ := odds.ParseID(id)
			if version <= last[raffleID] {
				t.Errorf("client %d: raffle %d: version %d after %d", i, raffleID, version, last[raffleID])
			}
			if last[raffleID] = version; last[1] == stressUpdates {
				break
			}
			if i%4 == 0 && n%20 == 0 {
				time.Sleep(20 * time.Millisecond) // it stalls
			}
		}
		conn.Close()
		if stays {
			return
		}
		select {
		case <-final:
			return
		default:
		}
	}
}

// A client that goes on talking is dropped; one that says a little is not.
func TestATalkingClient(t *testing.T) {
	t.Parallel()
	if !canDetach {
		t.Skip("nothing is detached here")
	}
	hub, err := NewHub(testConfig())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ran := make(chan error)
	go func() { ran <- hub.Run(ctx) }()
	defer func() { cancel(); <-ran }()
	ended := make(chan Reason, 1)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		hub.Serve(w, r, Subscription{Watches: []Watch{{RaffleID: 1}}, Opening: []byte(":\n\n"), Done: func(why Reason) { ended <- why }})
	}))
	server.Config.ConnContext = ConnContext
	server.Start()
	defer server.Close()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.Write([]byte("GET / HTTP/1.1\r\nHost: x\r\n\r\n"))
	r := bufio.NewReader(conn)
	for line := ""; line != ":\n"; {
		if line, err = r.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
	}
	conn.Write(make([]byte, mayTalk))
	r.ReadString('\n')
	hub.Publish(update(1, 1))
	if line, err := r.ReadString('\n'); line != "id: 1:1\n" {
		t.Fatalf("after a little talk: %q %v", line, err)
	}
	conn.Write([]byte("x"))
	if why := <-ended; why != Talking {
		t.Errorf("ended for %q", why)
	}
}
