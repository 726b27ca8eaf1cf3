package feed

import (
	"io"
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

func TestItMayStartBeforeTheStream(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.run()
	w.makeStream()
	w.publish(1, 1)
	w.waitCause(Connected)
	w.waitFor(1, 1)
}

func TestItMayStartBeforeNATS(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.makeStream()
	w.publish(1, 1)
	w.server.Stop()
	w.run()
	w.server.Start()
	w.waitFor(1, 1)
}

func TestAReconnectFetchesWhatWasMissed(t *testing.T) {
	t.Parallel()
	w := started(t)
	w.publish(1, 1)
	w.waitFor(1, 1)
	for v := int64(2); v < 4; v++ {
		w.server.Stop()
		if !w.feed.Ready() || w.feed.Newest(1).Version != v-1 {
			t.Error("what was known is forgotten with NATS away")
		}
		w.server.Start()
		w.waitCause(Reconnected)
		w.publish(1, v)
		w.waitFor(1, v)
	}
}

func TestAPartitionHeals(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.makeStream()
	line := newLine(t, strings.TrimPrefix(w.server.URL(), "nats://"))
	w.feed = w.newFeed("nats://" + line.l.Addr().String())
	w.run()
	w.waitCause(Connected)
	w.publish(1, 1)
	w.waitFor(1, 1)
	line.cut()
	w.publish(1, 2)
	line.heal()
	w.waitFor(1, 2)
	w.waitCause(Reconnected)
}

func TestAGapLeadsToASnapshot(t *testing.T) {
	t.Parallel()
	w := started(t)
	w.publish(1, 1)
	w.publish(2, 1)
	w.waitFor(2, 1)
	w.configure(mute)
	w.publish(1, 2) // the feed does not hear of it
	w.configure(func(*jetstream.StreamConfig) {})
	w.publish(2, 2) // the next sequence but one
	w.waitCause(Gap)
	w.waitFor(1, 2)
}

func TestAnUnheardTailIsFetched(t *testing.T) {
	t.Parallel()
	w := started(t)
	w.configure(mute)
	w.publish(1, 1, 2)
	w.waitFor(1, 2)
	w.waitCause(UnheardTail)
}

func TestAStreamMadeAgain(t *testing.T) {
	t.Parallel()
	w := started(t)
	w.publish(1, 1, 2, 3)
	w.waitFor(1, 3)
	if err := w.js.DeleteStream(t.Context(), oddsstream.Name); err != nil {
		t.Fatal(err)
	}
	w.makeStream()
	w.publish(1, 4) // sequence 1 again: no gap shows it
	w.waitFor(1, 4)
	w.configure(mute)
	w.publish(1, 5)
	w.waitFor(1, 5)
	w.waitCause(AnotherStream)
}

func TestAStreamThatHasLostItsTail(t *testing.T) {
	t.Parallel()
	w := started(t)
	w.publish(1, 1)
	w.waitFor(1, 1)
	// Heard, but no longer in the stream: as after a power cut.
	w.repeat("raffle.live.1", "2", message(t, 1, 2))
	w.waitFor(1, 2)
	w.waitCause(ShorterStream)
	w.publish(1, 3) // sequence 2 once more
	w.waitFor(1, 3)
}

func TestASlowConsumerFetchesTheNewest(t *testing.T) {
	t.Parallel()
	w := setup(t)
	w.makeStream()
	w.feed.pendingMessages = 10
	var once sync.Once
	blocked, release := make(chan struct{}), make(chan struct{})
	w.feed.cfg.Out = func(u *odds.Update) {
		w.take(u)
		once.Do(func() { close(blocked); <-release })
	}
	w.run()
	w.waitCause(Connected)
	w.publish(1, 1)
	<-blocked
	for v := range int64(100) {
		w.publish(2, v+1)
	}
	close(release)
	w.waitFor(2, 100)
}

// line is a TCP connection to NATS that can be cut.
type line struct {
	l  net.Listener
	to string
	mu sync.Mutex
	up bool
	on []net.Conn
}

func newLine(t *testing.T, to string) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &line{l: l, to: to, up: true}
	t.Cleanup(func() { l.Close(); n.cut() })
	go n.serve()
	return n
}

func (n *line) serve() {
	for {
		c, err := n.l.Accept()
		if err != nil {
			return
		}
		s, err := net.Dial("tcp", n.to)
		n.mu.Lock()
		if err != nil || !n.up {
			c.Close()
			n.mu.Unlock()
			continue
		}
		n.on = append(n.on, c, s)
		n.mu.Unlock()
		go func() { io.Copy(s, c); s.Close() }()
		go func() { io.Copy(c, s); c.Close() }()
	}
}

func (n *line) cut() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.up = false
	for _, c := range n.on {
		c.Close()
	}
	n.on = nil
}

func (n *line) heal() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.up = true
}
