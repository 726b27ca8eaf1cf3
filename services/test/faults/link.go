package faults

import (
	"context"
	"errors"
	"net"
	"strings"
	"sync"
	"time"
)

// Link is a TCP proxy between two processes that can be disturbed. All methods
// are safe for concurrent use.
type Link struct {
	listener net.Listener

	mu      sync.Mutex
	target  string
	conns   map[net.Conn]struct{}
	refuses bool
	muted   [2]bool // by direction: nothing passes, and nothing is reset
	delay   time.Duration
	changed chan struct{} // closed when muted changes
	done    sync.WaitGroup
}

// The directions of a link.
const (
	toServer = iota
	toClient
)

// NewLink returns a link to a target, which listens on a free port of loopback. A
// target is a TCP address or the path of a Unix socket.
func NewLink(ctx context.Context, target string) (*Link, error) {
	l, err := new(net.ListenConfig).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	link := &Link{listener: l, target: target, conns: make(map[net.Conn]struct{}), changed: make(chan struct{})}
	link.done.Go(link.accept)
	return link, nil
}

// Addr returns the address that leads to the target.
func (l *Link) Addr() string { return l.listener.Addr().String() }

// Close cuts all connections and returns once nothing of the link is left.
func (l *Link) Close() {
	_ = l.listener.Close()
	l.Heal()
	l.Cut()
	l.done.Wait()
}

// Cut closes all connections. New ones are possible at once.
func (l *Link) Cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.conns {
		_ = c.Close()
	}
}

// Used reports whether a connection leads through the link to its target.
func (l *Link) Used() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.conns) > 1 // a connection counts at both ends
}

// Refuse cuts all connections, and ends new ones at once until Heal.
func (l *Link) Refuse() {
	l.mu.Lock()
	l.refuses = true
	l.mu.Unlock()
	l.Cut()
}

// Retarget makes new connections lead to another target; open ones stay.
func (l *Link) Retarget(target string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.target = target
}

// Mute black-holes directions: bytes are neither delivered nor refused.
func (l *Link) Mute(server, client bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.muted = [2]bool{server, client}
	close(l.changed)
	l.changed = make(chan struct{})
}

// Delay holds every read back for d.
func (l *Link) Delay(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = d
}

// Heal ends what Refuse, Mute and Delay began.
func (l *Link) Heal() {
	l.mu.Lock()
	l.refuses = false
	l.mu.Unlock()
	l.Delay(0)
	l.Mute(false, false)
}

func (l *Link) accept() {
	for {
		c, err := l.listener.Accept()
		if errors.Is(err, net.ErrClosed) {
			return
		} else if err != nil {
			continue
		}
		l.done.Go(func() { l.serve(c) })
	}
}

func (l *Link) serve(client net.Conn) {
	defer func() { _ = client.Close() }()
	l.mu.Lock()
	target, refuses, network := l.target, l.refuses, "tcp"
	l.conns[client] = struct{}{}
	l.mu.Unlock()
	defer l.forget(client)
	if refuses {
		return
	}
	if strings.HasPrefix(target, "/") {
		network = "unix"
	}
	server, err := (&net.Dialer{Timeout: 2 * time.Second}).DialContext(context.Background(), network, target)
	if err != nil {
		return
	}
	defer func() { _ = server.Close() }()
	l.mu.Lock()
	l.conns[server] = struct{}{}
	l.mu.Unlock()
	defer l.forget(server)
	var copying sync.WaitGroup
	copying.Go(func() { l.copy(server, client, toServer) })
	copying.Go(func() { l.copy(client, server, toClient) })
	copying.Wait()
}

func (l *Link) forget(c net.Conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.conns, c)
}

// copy moves bytes until either side ends, and then ends both.
func (l *Link) copy(to, from net.Conn, direction int) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			l.pass(direction)
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// pass returns when bytes may pass in a direction.
func (l *Link) pass(direction int) {
	for {
		l.mu.Lock()
		muted, delay, changed := l.muted[direction], l.delay, l.changed
		l.mu.Unlock()
		if !muted {
			if delay > 0 {
				<-time.After(delay)
			}
			return
		}
		<-changed
	}
}
