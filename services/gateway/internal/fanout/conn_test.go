package fanout

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
	"unsafe"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

func expectVersions(t *testing.T, got []int64, want ...int64) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("sent: %v, want %v", got, want)
	}
}

// A connection must fit the memory that is promised for it, and what each delivery
// touches must fit a cache line.
func TestConn_Size(t *testing.T) {
	t.Parallel()
	if size := unsafe.Sizeof(conn{}); size > 192 { // a size class of Go's allocator
		t.Errorf("%d bytes", size)
	}
	if end := unsafe.Offsetof(conn{}.lastWrite) + unsafe.Sizeof(conn{}.lastWrite); end > 64 {
		t.Errorf("lastWrite ends at %d", end)
	}
}

// testConn returns a connection without a shard, with topics of their own.
func testConn(t *testing.T, room int, raffleIDs ...int64) *conn {
	t.Helper()
	c := &conn{fd: -1, writer: &fakeSocket{t: t, room: room}, subs: make([]Subscription, len(raffleIDs))}
	for i, id := range raffleIDs {
		c.subs[i] = Subscription{RaffleID: id, topic: &topic{}}
	}
	return c
}

func TestConn_SendUpdate(t *testing.T) {
	t.Parallel()
	u := update(1, 5)
	for name, tt := range map[string]struct {
		room          int
		lastSent      int64
		err           error
		want          outcome
		sent, lagging bool
		rest          int
	}{
		"all":           {unlimited, 4, nil, writable, true, false, 0},
		"just so":       {len(u.Frame), 4, nil, writable, true, false, 0},
		"a part":        {len(u.Frame) - 1, 4, nil, blocked, true, false, 1},
		"nothing":       {0, 4, nil, blocked, false, true, 0},
		"it has it":     {unlimited, 5, nil, writable, false, false, 0},
		"it is ahead":   {unlimited, 6, nil, writable, false, false, 0},
		"the client is": {unlimited, 4, errors.New("gone"), gone, false, false, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := testConn(t, tt.room, 1)
			sub := &c.subs[0]
			sub.LastSent = tt.lastSent
			socketOf(c).err = tt.err
			if got := c.sendUpdate(sub, u, time.Second, new([]byte)); got != tt.want {
				t.Errorf("outcome %d, want %d", got, tt.want)
			}
			sent := sub.LastSent == 5 && tt.lastSent != 5
			if sent != tt.sent || (sub.topic.written == 1) != tt.sent || c.lagging != tt.lagging || len(c.rest) != tt.rest {
				t.Errorf("sent %t (counted %d), lagging %t, %d bytes are left", sent, sub.topic.written, c.lagging, len(c.rest))
			}
			if c.blocked != (tt.want == blocked) || (c.lastWrite == time.Second) != (tt.want == blocked || tt.sent) {
				t.Errorf("blocked %t, last write at %v", c.blocked, c.lastWrite)
			}
		})
	}
}

// The write timeout counts from when a blocked socket last took something, or from
// when it became full.
func TestConn_LastWriteOfBlockedConnection(t *testing.T) {
	t.Parallel()
	c := testConn(t, 0, 1)
	c.subs[0].topic.conflation.current = update(1, 1)
	for _, step := range []struct {
		room      int
		lastWrite time.Duration
	}{{0, 1}, {0, 1}, {1, 3}, {0, 3}, {5, 5}} {
		socketOf(c).room = step.room
		now := c.lastWrite + 1
		if c.lastWrite < step.lastWrite {
			now = step.lastWrite
		}
		if c.lagging || c.rest != nil {
			c.resume(now, new([]byte))
		} else {
			c.sendUpdate(&c.subs[0], c.subs[0].topic.conflation.current, now, new([]byte))
		}
		if c.lastWrite != step.lastWrite || !c.blocked {
			t.Errorf("%+v: last write at %v, blocked %t", step, c.lastWrite, c.blocked)
		}
	}
}

func TestConn_ResumeSendsNewestOfEachRaffle(t *testing.T) {
	t.Parallel()
	c := testConn(t, 10, 1, 2, 3)
	offer := func(i int, u *odds.Update) {
		c.subs[i].topic.conflation.current = u
		if c.blocked {
			c.lagging = true
		} else {
			c.sendUpdate(&c.subs[i], u, 0, new([]byte))
		}
	}
	offer(0, update(1, 1)) // blocks in its midst
	for v := range int64(9) {
		offer(0, update(1, v+2))
		offer(2, update(3, v+1))
	}
	buf := new([]byte)
	for range 10_000 {
		if delivered, outcome := c.resume(0, buf); outcome == writable {
			if delivered > 2 {
				t.Errorf("%d delivered", delivered)
			}
			break
		}
		socketOf(c).room += 7
	}
	first := withIDs(update(1, 1), "1:e:1")
	want := first + withIDs(update(3, 9), "1:e:1,3:e:9") + withIDs(update(1, 10), "1:e:10,3:e:9")
	other := first + withIDs(update(1, 10), "1:e:10") + withIDs(update(3, 9), "1:e:10,3:e:9")
	if got := string(socketOf(c).taken); got != want && got != other || c.blocked || c.lagging || c.rest != nil {
		t.Errorf("sent %q; blocked %t, lagging %t", got, c.blocked, c.lagging)
	}
}

// If a client is so slow that it takes one update at a time, each raffle must have its
// turn, though all have a newer update each time.
func TestConn_ResumeStarvesNoRaffle(t *testing.T) {
	t.Parallel()
	c := testConn(t, 0, 1, 2, 3)
	c.blocked, c.lagging = true, true
	for round := range int64(30) {
		for i := range c.subs {
			c.subs[i].topic.conflation.current = update(int64(i+1), round+1)
		}
		socketOf(c).room = len(c.appendUpdate(nil, &c.subs[c.turn], c.subs[c.turn].topic.conflation.current))
		c.resume(0, new([]byte))
	}
	for i := range c.subs {
		if c.subs[i].LastSent < 28 {
			t.Errorf("raffle %d: version %d of 30", i+1, c.subs[i].LastSent)
		}
	}
}

func TestConn_BacklogIsSentFirstAndInOrder(t *testing.T) {
	t.Parallel()
	missed := updates(1, 11, 200)
	var want []byte
	for _, u := range missed {
		want = append(want, u.Frame...)
	}
	newest := update(1, 205)
	for _, step := range []int{1, 7, 100, 1000, unlimited} {
		c := testConn(t, 0, 1)
		c.rest, c.backlog, c.lagging = []byte(opening), &backlog{missed}, true
		c.subs[0].LastSent, c.subs[0].topic.conflation.current = 10, newest
		buf := new([]byte)
		for outcome := blocked; outcome == blocked; {
			socketOf(c).room = step
			_, outcome = c.resume(0, buf)
		}
		if got := socketOf(c).taken; !bytes.Equal(got, slices.Concat([]byte(opening), want, newest.Frame)) {
			t.Errorf("%d bytes at a time: sent %.200q…", step, got)
		}
		if c.backlog != nil || c.rest != nil || c.blocked || c.subs[0].LastSent != 205 {
			t.Errorf("%d bytes at a time: %+v", step, c)
		}
		if step == unlimited && socketOf(c).writes > len(want)/handlerBatch+3 {
			t.Errorf("%d writes", socketOf(c).writes)
		}
	}
	if len(missed) != 190 || missed[0].Version != 11 {
		t.Error("the shared slice has changed")
	}
}

// slowHandler is a writer that takes one write, and keeps the bytes until it has room
// again, as a handlerConn does.
type slowHandler struct {
	kept []byte
	sent []byte
}

func (h *slowHandler) write(b []byte) (int, error) {
	if h.kept != nil {
		return 0, nil
	}
	h.kept = b
	return len(b), nil
}

func (*slowHandler) close() {}

func TestConn_BacklogMemoryIsNotUsedAgainWhileHandlerKeepsIt(t *testing.T) {
	t.Parallel()
	missed := updates(1, 1, 2000)
	var want []byte
	for _, u := range missed {
		want = append(want, u.Frame...)
	}
	h := &slowHandler{}
	c := testConn(t, 0, 1)
	c.writer, c.backlog = h, &backlog{missed}
	buf := new([]byte) // which other connections use in between
	for outcome := blocked; outcome == blocked; {
		_, outcome = c.resume(0, buf)
		clear((*buf)[:cap(*buf)])
		h.sent, h.kept = append(h.sent, h.kept...), nil
	}
	if !bytes.Equal(h.sent, want) {
		t.Errorf("sent %d bytes, not the %d expected", len(h.sent), len(want))
	}
}

func TestConn_BacklogOfSeveralRaffles(t *testing.T) {
	t.Parallel()
	final := update(2, 3)
	final.Final = true
	c := testConn(t, unlimited, 1, 2)
	c.backlog = &backlog{slices.Concat(updates(1, 5, 6), []*odds.Update{update(2, 2), final})}
	_, outcome := c.resume(0, new([]byte))
	if outcome != writable || c.subs[0].LastSent != 6 || c.subs[1].LastSent != 3 || c.subs[0].Final || !c.subs[1].Final {
		t.Errorf("outcome %d, %+v", outcome, c.subs)
	}
}

// withIDs returns an update's event as it is sent on a connection with several raffles.
func withIDs(u *odds.Update, ids string) string { return "id: " + ids + "\n" + string(u.Body) }

func TestConn_FinishesWithIDsOfAllRaffles(t *testing.T) {
	t.Parallel()
	for _, step := range []int{1, 10, unlimited} {
		c := testConn(t, 0, 1, 2)
		c.subs[0].LastSent, c.subs[0].Final = 7, true
		c.subs[0].topic.conflation.current = update(1, 7)
		last := update(2, 3)
		last.Final = true
		c.subs[1].topic.conflation.current = last
		c.lagging = true
		outcome := blocked
		for outcome == blocked {
			socketOf(c).room = step
			_, outcome = c.resume(0, new([]byte))
		}
		want := withIDs(last, "1:e:7,2:e:3")
		if got := string(socketOf(c).taken); got != want || outcome != finished {
			t.Errorf("%d bytes at a time: %q, outcome %d", step, got, outcome)
		}
	}
	one := testConn(t, unlimited, 1)
	one.subs[0].Final = true
	if _, outcome := one.resume(0, new([]byte)); outcome != finished || strings.Contains(string(socketOf(one).taken), "id:") {
		t.Errorf("with one raffle: %q, outcome %d", socketOf(one).taken, outcome)
	}
}

// Every id must name what the client has, and nothing else, wherever the connection is
// cut and however much the socket takes at once.
func TestConn_IDsNameAllRafflesThatTheClientHas(t *testing.T) {
	t.Parallel()
	for _, step := range []int{1, 50, 333, unlimited} {
		c := testConn(t, 0, 1, 2, 3)
		c.subs[2].LastSent = 4
		for i, version := range []int64{30, 30, 5} {
			c.subs[i].topic.conflation.current = update(int64(i+1), version)
		}
		c.backlog, c.lagging = &backlog{slices.Concat(updates(1, 1, 30), updates(2, 7, 30))}, true
		var want strings.Builder
		for v := int64(1); v <= 30; v++ {
			want.WriteString(withIDs(update(1, v), fmt.Sprintf("1:e:%d,3:e:4", v)))
		}
		for v := int64(7); v <= 30; v++ {
			want.WriteString(withIDs(update(2, v), fmt.Sprintf("1:e:30,2:e:%d,3:e:4", v)))
		}
		want.WriteString(withIDs(update(3, 5), "1:e:30,2:e:30,3:e:5"))
		buf := new([]byte)
		for outcome := blocked; outcome == blocked; {
			socketOf(c).room = step
			_, outcome = c.resume(0, buf)
			clear((*buf)[:cap(*buf)]) // another connection uses it
			if len(c.rest) > severalBatch+odds.MaxFrame {
				t.Fatalf("%d bytes are kept", len(c.rest))
			}
		}
		if got := string(socketOf(c).taken); got != want.String() {
			t.Errorf("%d bytes at a time: %d bytes, want %d; %.300q", step, len(got), want.Len(), got)
		}
	}
}

//nolint:paralleltest // it measures what the whole process allocates
func TestConn_DeliveryDoesNotAllocate(t *testing.T) {
	all := updates(1, 1, 2000)
	for _, raffles := range [][]int64{{1}, {1, 2}} {
		c := testConn(t, unlimited, raffles...)
		c.fd = 1 << 20 // encode as for a socket
		buf, i := new([]byte), 0
		deliver := func() {
			sub, u := &c.subs[0], all[i]
			frame, isShared := c.encoded(sub, u, buf)
			if isShared != (len(raffles) == 1) || len(frame) < len(u.Body) {
				t.Error("encoded wrongly")
			}
			sub.noteSent(u)
			i++
		}
		deliver()
		if n := testing.AllocsPerRun(1000, deliver); n > 0 {
			t.Errorf("%d raffles: %v allocations", len(raffles), n)
		}
	}
}
