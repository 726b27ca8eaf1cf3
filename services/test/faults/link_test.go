package faults

import (
	"bufio"
	"context"
	"io"
	"net"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// echo is a server that answers each line with its own name and the line.
func echo(t *testing.T, name string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for lines := bufio.NewScanner(conn); lines.Scan(); {
					_, _ = io.WriteString(conn, name+" "+lines.Text()+"\n")
				}
			}()
		}
	}()
	return l.Addr().String()
}

// peer is a client behind a link. Its lines channel is closed when the connection ends.
type peer struct {
	net.Conn
	lines chan string
}

func dialLink(t *testing.T, l *Link) *peer {
	t.Helper()
	conn, err := net.Dial("tcp", l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	p := &peer{conn, make(chan string, 10)}
	go func() {
		defer close(p.lines)
		for lines := bufio.NewScanner(conn); lines.Scan(); {
			p.lines <- lines.Text()
		}
	}()
	return p
}

// ask sends a line.
func (p *peer) ask(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(p, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

func (p *peer) want(t *testing.T, line string) {
	t.Helper()
	if got := testenv.Receive(t, line, 10*time.Second, p.lines); got != line {
		t.Errorf("got %q, want %q", got, line)
	}
}

func (p *peer) wantNothing(t *testing.T) {
	t.Helper()
	select {
	case got, open := <-p.lines:
		t.Errorf("got %q (open: %v), want nothing", got, open)
	case <-time.After(100 * time.Millisecond):
	}
}

func startLink(t *testing.T, target string) *Link {
	t.Helper()
	l, err := NewLink(context.Background(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	return l
}

func TestLink_HoldsBackWhatItIsMutedFor(t *testing.T) {
	t.Parallel()
	for name, directions := range map[string][2]bool{"requests": {true, false}, "answers": {false, true}, "both": {true, true}} {
		l := startLink(t, echo(t, "a"))
		p := dialLink(t, l)
		p.ask(t, "1")
		p.want(t, "a 1")
		l.Mute(directions[0], directions[1])
		p.ask(t, "2")
		p.wantNothing(t)
		late := dialLink(t, l) // nothing is refused
		late.ask(t, "3")
		late.wantNothing(t)
		l.Heal()
		p.want(t, "a 2")
		late.want(t, "a 3")
		if t.Failed() {
			t.Fatal(name)
		}
	}
}

func TestLink_CutsConnections(t *testing.T) {
	t.Parallel()
	l := startLink(t, echo(t, "a"))
	p := dialLink(t, l)
	p.ask(t, "1")
	p.want(t, "a 1")
	l.Cut()
	if _, open := <-p.lines; open {
		t.Error("something came after the cut")
	}
	p = dialLink(t, l)
	p.ask(t, "2")
	p.want(t, "a 2")
}

func TestLink_RefusesUntilItHeals(t *testing.T) {
	t.Parallel()
	l := startLink(t, echo(t, "a"))
	p := dialLink(t, l)
	p.ask(t, "1")
	p.want(t, "a 1")
	l.Refuse()
	if _, open := <-p.lines; open {
		t.Error("something came after the cut")
	}
	p = dialLink(t, l)
	if _, open := <-p.lines; open {
		t.Error("something came although connections are refused")
	}
	l.Heal()
	p = dialLink(t, l)
	p.ask(t, "2")
	p.want(t, "a 2")
}

func TestLink_DelaysBothDirections(t *testing.T) {
	t.Parallel()
	l := startLink(t, echo(t, "a"))
	p := dialLink(t, l)
	p.ask(t, "1")
	p.want(t, "a 1")
	l.Delay(100 * time.Millisecond)
	began := time.Now()
	p.ask(t, "2")
	p.want(t, "a 2")
	if took := time.Since(began); took < 200*time.Millisecond {
		t.Errorf("answered after %v", took)
	}
}

func TestLink_LeadsNewConnectionsToItsNewTarget(t *testing.T) {
	t.Parallel()
	l := startLink(t, echo(t, "a"))
	old := dialLink(t, l)
	old.ask(t, "1")
	old.want(t, "a 1")
	l.Retarget(echo(t, "b"))
	next := dialLink(t, l)
	next.ask(t, "2")
	next.want(t, "b 2")
	old.ask(t, "3")
	old.want(t, "a 3")
}
