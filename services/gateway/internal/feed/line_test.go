package feed

import (
	"net"
	"strings"
	"sync"
	"testing"

	"github.com/rafflecast/rafflecast/services/test/natstest"
)

// line is a way to a NATS server that can be cut, or fall silent: then it goes on
// accepting connections and keeps all open, but passes nothing, neither bytes nor
// the end of a connection, as where packets are dropped on the way.
type line struct {
	l        net.Listener
	to       string
	accepted chan struct{} // one for each connection

	mu      sync.Mutex
	changed *sync.Cond
	state   lineState
	on      []net.Conn
}

type lineState int

const (
	passing lineState = iota
	silent
	down
)

func newLine(t *testing.T, to *natstest.Server) *line {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	n := &line{l: l, to: strings.TrimPrefix(to.URL(), "nats://"), accepted: make(chan struct{}, 100)}
	n.changed = sync.NewCond(&n.mu)
	t.Cleanup(func() { l.Close(); n.cut() })
	go n.serve()
	return n
}

func (n *line) url() string { return "nats://" + n.l.Addr().String() }

func (n *line) serve() {
	for {
		c, err := n.l.Accept()
		if err != nil {
			return
		}
		s, err := net.Dial("tcp", n.to)
		n.mu.Lock()
		if err != nil || n.state == down {
			c.Close()
			n.mu.Unlock()
			continue
		}
		n.on = append(n.on, c, s)
		n.mu.Unlock()
		n.accepted <- struct{}{}
		go n.pass(s, c)
		go n.pass(c, s)
	}
}

// pass copies what comes, and closes to at its end, each once the line passes.
func (n *line) pass(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 32<<10)
	for {
		got, err := from.Read(buf)
		n.mu.Lock()
		for n.state == silent {
			n.changed.Wait()
		}
		n.mu.Unlock()
		if _, errWrite := to.Write(buf[:got]); err != nil || errWrite != nil {
			return
		}
	}
}

// cut closes all connections, and those to come.
func (n *line) cut() {
	n.become(down)
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.on {
		c.Close()
	}
	n.on = nil
}

// silence has the line pass nothing until it heals.
func (n *line) silence() { n.become(silent) }

// heal has the line pass everything, what was held back first.
func (n *line) heal() { n.become(passing) }

func (n *line) become(state lineState) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.state = state
	n.changed.Broadcast()
}
