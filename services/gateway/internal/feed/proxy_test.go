package feed

import (
	"bytes"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/test/natstest"
)

// proxy forwards connections to a NATS server. It can cut them, or fall silent: then
// it goes on accepting connections and keeps all of them open, but forwards nothing,
// neither bytes nor the end of a connection, as if packets were dropped on the way.
type proxy struct {
	listener net.Listener
	server   string
	accepted chan struct{} // one for each connection

	mu      sync.Mutex
	changed *sync.Cond // something below has changed
	state   proxyState
	conns   []net.Conn
	spoilt  []byte          // what clients send in vain
	held    []*bytes.Buffer // what each side has sent and is not forwarded yet
}

type proxyState int

const (
	forwarding proxyState = iota
	silent
	down
)

func newProxy(t *testing.T, server *natstest.Server) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{listener: l, server: strings.TrimPrefix(server.URL(), "nats://"), accepted: make(chan struct{}, 100)}
	p.changed = sync.NewCond(&p.mu)
	t.Cleanup(func() { l.Close(); p.cut() })
	go p.serve()
	return p
}

func (p *proxy) url() string { return "nats://" + p.listener.Addr().String() }

func (p *proxy) serve() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.server)
		p.mu.Lock()
		if err != nil || p.state == down {
			client.Close()
			p.mu.Unlock()
			continue
		}
		p.conns = append(p.conns, client, server)
		p.mu.Unlock()
		p.accepted <- struct{}{}
		p.forward(server, client, true)
		p.forward(client, server, false)
	}
}

// forward copies bytes, and closes to at their end, but only while the proxy is not
// silent.
func (p *proxy) forward(to, from net.Conn, fromClient bool) {
	var held bytes.Buffer
	var ended bool
	p.mu.Lock()
	p.held = append(p.held, &held)
	p.mu.Unlock()
	go func() {
		buf := make([]byte, 32<<10)
		for err := error(nil); err == nil; {
			var n int
			n, err = from.Read(buf)
			p.mu.Lock()
			held.Write(buf[:n])
			ended = err != nil
			p.changed.Broadcast()
			p.mu.Unlock()
		}
	}()
	go func() {
		defer to.Close()
		for {
			p.mu.Lock()
			for p.state == silent || held.Len() == 0 && !ended {
				p.changed.Wait()
			}
			b := bytes.Clone(held.Bytes())
			held.Reset()
			if fromClient && p.spoilt != nil {
				b = bytes.ReplaceAll(b, p.spoilt, bytes.ToLower(p.spoilt))
			}
			p.mu.Unlock()
			if _, err := to.Write(b); err != nil || len(b) == 0 {
				return
			}
		}
	}()
}

// awaitHeld waits until one side has sent text that the proxy holds.
func (p *proxy) awaitHeld(t *testing.T, text string) {
	t.Helper()
	late := false
	timer := time.AfterFunc(patienceOfTests, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		late = true
		p.changed.Broadcast()
	})
	defer timer.Stop()
	p.mu.Lock()
	defer p.mu.Unlock()
	for !slices.ContainsFunc(p.held, func(held *bytes.Buffer) bool { return bytes.Contains(held.Bytes(), []byte(text)) }) {
		if late {
			t.Fatalf("%q was not sent", text)
		}
		p.changed.Wait()
	}
}

// cut closes all connections, and those to come.
func (p *proxy) cut() {
	p.become(down)
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
	p.conns = nil
}

// silence has the proxy forward nothing until it heals.
func (p *proxy) silence() { p.become(silent) }

// spoil has the proxy change subjects with this part, so that requests are not answered.
func (p *proxy) spoil(part string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.spoilt = []byte(part)
}

// heal has the proxy forward everything, first what it held.
func (p *proxy) heal() { p.become(forwarding) }

func (p *proxy) become(state proxyState) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.state = state
	p.changed.Broadcast()
}
