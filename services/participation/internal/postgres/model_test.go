package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// model is the simplest description of what a raffle does.
type model struct {
	state raffle.State
	limit int
	// placed holds each member's entries in the order in which they were placed.
	placed map[string][]modelEntry
}

type modelEntry struct {
	request, withdrawal byte // 0: without an id
	withdrawn           bool
}

func (m *model) count(member string) int {
	n := 0
	for _, e := range m.placed[member] {
		if !e.withdrawn {
			n++
		}
	}
	return n
}

// enter returns the ordinal of the entry, or 0 if it is refused, and whether the request
// is replayed.
func (m *model) enter(member string, request byte) (ordinal int, replayed bool) {
	for i, e := range m.placed[member] {
		if request != 0 && e.request == request {
			return i + 1, true
		}
	}
	if m.state != raffle.Open || m.count(member) >= m.limit {
		return 0, false
	}
	m.placed[member] = append(m.placed[member], modelEntry{request: request})
	return len(m.placed[member]), false
}

// withdraw returns the ordinal of the withdrawn entry, or 0 if the request is refused,
// and whether the request is replayed.
func (m *model) withdraw(member string, request byte) (ordinal int, replayed bool) {
	entries := m.placed[member]
	for i, e := range entries {
		if request != 0 && e.withdrawal == request {
			return i + 1, true
		}
	}
	for i, e := range slices.Backward(entries) {
		if m.state == raffle.Open && !e.withdrawn {
			entries[i].withdrawn, entries[i].withdrawal = true, request
			return i + 1, false
		}
	}
	return 0, false
}

// end closes or cancels the raffle, and reports whether that is allowed.
func (m *model) end(state raffle.State) bool {
	if m.state.Ended() {
		return false
	}
	m.state = state
	return true
}

func (m *model) totals() (entries, members int64) {
	for member := range m.placed {
		if n := m.count(member); n > 0 {
			entries, members = entries+int64(n), members+1
		}
	}
	return entries, members
}

// request draws a request id. There are few, so that requests are replayed.
func request(t *rapid.T) byte { return rapid.ByteMax(6).Draw(t, "request") }

func requestID(b byte) raffle.RequestID {
	if b == 0 {
		return raffle.RequestID{}
	}
	return raffle.RequestID{b, 1}
}

// domainError reports whether err is nil or an error of the domain, and not a defect.
func domainError(err error) bool {
	return err == nil || errors.As(err, new(*raffle.NotOpenError)) || errors.As(err, new(*raffle.EntryLimitError)) || errors.As(err, new(*raffle.EntryNotFoundError))
}

func TestStore_DoesWhatTheModelDoes(t *testing.T) {
	t.Parallel()
	b := setup(t)
	ctx := t.Context()
	rapid.Check(t, func(t *rapid.T) {
		m := &model{state: raffle.Open, limit: rapid.IntRange(1, 3).Draw(t, "limit"), placed: map[string][]modelEntry{}}
		r, err := b.Create(ctx, raffle.Raffle{Title: "A", Winners: 1, MaxEntriesPerMember: int32(m.limit)}, raffle.RequestID{})
		if err != nil {
			t.Fatal(err)
		}
		member := rapid.SampledFrom([]string{"a", "b"})
		ended := func(end func(context.Context, int64, raffle.RequestID) (raffle.Raffle, error), state raffle.State) {
			_, err := end(ctx, r.ID, raffle.RequestID{})
			if (err == nil) != m.end(state) || !domainError(err) {
				t.Fatalf("%v: %v", state, err)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"enter": func(t *rapid.T) {
				who, id := member.Draw(t, "member"), request(t)
				switch rapid.IntRange(0, 2).Draw(t, "trust") {
				case 1:
					b.ExpectNewcomers(r.ID)
				case 2:
					b.ExpectUnchanged(r.ID)
				}
				res, err := b.EnterBatch(ctx, []raffle.EnterRequest{{RaffleID: r.ID, MemberID: who, RequestID: requestID(id)}})
				ordinal, replayed := m.enter(who, id)
				if err != nil || int(res[0].Entry.Ordinal) != ordinal || res[0].Replayed != replayed || (res[0].Err == nil) != (ordinal > 0) || !domainError(res[0].Err) {
					t.Fatalf("enter %s %d: %+v, %v; want %d, %t", who, id, res, err, ordinal, replayed)
				}
			},
			"withdraw": func(t *rapid.T) {
				who, id := member.Draw(t, "member"), request(t)
				res, err := b.Withdraw(ctx, raffle.WithdrawRequest{RaffleID: r.ID, MemberID: who, RequestID: requestID(id)})
				ordinal, replayed := m.withdraw(who, id)
				if (err == nil) != (ordinal > 0) || !domainError(err) || err == nil && (int(res.Entry.Ordinal) != ordinal || res.Replayed != replayed || int(res.MemberEntries) != m.count(who)) {
					t.Fatalf("withdraw %s %d: %+v, %v; want %d, %t", who, id, res, err, ordinal, replayed)
				}
			},
			"close":  func(*rapid.T) { ended(b.Close, raffle.Closed) },
			"cancel": func(*rapid.T) { ended(b.Cancel, raffle.Cancelled) },
			"": func(t *rapid.T) {
				got, err := b.Get(ctx, r.ID)
				entries, members := m.totals()
				if err != nil || got.EntryCount != entries || got.MemberCount != members || got.State != m.state {
					t.Fatalf("%+v, %v; want %d entries of %d members, %v", got, err, entries, members, m.state)
				}
			},
		})
	})
}

func TestStore_KeepsTheInvariantsInAnyInterleaving(t *testing.T) {
	t.Parallel()
	b := setupDraws(t)
	ctx := t.Context()
	rapid.Check(t, func(rt *rapid.T) {
		limit := rapid.Int32Range(1, 3).Draw(rt, "limit")
		asked := raffle.Raffle{Title: "A", Winners: 1, MaxEntriesPerMember: limit}
		if rapid.Bool().Draw(rt, "drawn") {
			asked.Log = raffle.NewLog(raffle.DrawOptions{Delay: time.Minute}, 1)
			asked.Rule = rapid.SampledFrom([]raffle.Rule{raffle.EntryWins, raffle.MemberWinsOnce}).Draw(rt, "rule")
		}
		r, err := b.Create(ctx, asked, raffle.RequestID{})
		if err != nil {
			rt.Fatal(err)
		}
		step := rapid.Custom(func(t *rapid.T) func() error { return b.step(ctx, t, r.ID) })
		workers := rapid.SliceOfN(rapid.SliceOfN(step, 1, 10), 2, 4).Draw(rt, "workers")
		var running sync.WaitGroup
		for _, steps := range workers {
			running.Go(func() {
				for _, step := range steps {
					if err := step(); !domainError(err) {
						t.Error(err)
					}
				}
			})
		}
		running.Wait()
		b.check(t, r.ID, limit)
		if r.Log != nil {
			b.verifyLog(t, r.ID)
			b.verifyHolders(t, r.ID)
		}
	})
}

// step draws one call on a raffle.
func (b *testBundle) step(ctx context.Context, t *rapid.T, id int64) func() error {
	member := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "member")
	req := requestID(request(t))
	switch rapid.IntRange(0, 11).Draw(t, "call") {
	case 0:
		return func() error { _, err := b.Close(ctx, id, raffle.RequestID{}); return err }
	case 1, 2, 3:
		return func() error {
			_, err := b.Withdraw(ctx, raffle.WithdrawRequest{RaffleID: id, MemberID: member, RequestID: req})
			return err
		}
	case 4:
		return func() error {
			_, err := b.Update(ctx, id, raffle.Change{Title: new("B"), ClosesAt: new(time.Now().Add(time.Hour))}, raffle.RequestID{})
			return err
		}
	}
	n, trusts := rapid.IntRange(1, 4).Draw(t, "batch"), rapid.Bool().Draw(t, "trusts")
	return func() error {
		if trusts {
			b.ExpectUnchanged(id)
		}
		results, err := b.EnterBatch(ctx, slices.Repeat([]raffle.EnterRequest{{RaffleID: id, MemberID: member, RequestID: req}}, n))
		for _, res := range results {
			err = errors.Join(err, res.Err)
		}
		return err
	}
}

// check checks the counters and limits, that no request placed two entries, and that
// each version was enqueued once, without a gap.
func (b *testBundle) check(t *testing.T, id int64, limit int32) {
	t.Helper()
	r := b.verify(t, id)
	var most, twice int32
	err := b.pool.QueryRow(t.Context(), `SELECT
		coalesce((SELECT max(n) FROM (SELECT count(*) AS n FROM entries WHERE raffle_id = $1 AND withdrawn_at IS NULL GROUP BY member_id) m), 0),
		(SELECT count(*) FROM (SELECT 1 FROM entries WHERE raffle_id = $1 AND request_id IS NOT NULL GROUP BY member_id, request_id HAVING count(*) > 1) d)`,
		id).Scan(&most, &twice)
	if err != nil || most > limit || twice > 0 {
		t.Errorf("raffle %d: a member has %d entries of %d allowed, %d requests placed two (%v)", id, most, limit, twice, err)
	}
	var versions []int64
	for _, committed := range b.enqueued() {
		if committed.ID == id {
			versions = append(versions, committed.Version)
		}
	}
	slices.Sort(versions)
	for i, v := range versions {
		if v != int64(i+1) {
			t.Errorf("raffle %d: versions enqueued %v", id, versions)
			break
		}
	}
	if last := fmt.Sprint(len(versions)); last != fmt.Sprint(r.Version) {
		t.Errorf("raffle %d: %s versions enqueued, the raffle is at %d", id, last, r.Version)
	}
}

// verifyHolders compares the holders that a raffle counts with its rows.
func (b *drawBundle) verifyHolders(t *testing.T, id int64) {
	t.Helper()
	r := b.verify(t, id)
	if r.Rule != raffle.MemberWinsOnce {
		return
	}
	var want, got [4]int64
	rows, err := b.pool.Query(t.Context(), `SELECT n, count(*) FROM (SELECT count(*) AS n FROM entries
		WHERE raffle_id = $1 AND withdrawn_at IS NULL GROUP BY member_id) m GROUP BY n`, id)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var n, members int64
		if err := rows.Scan(&n, &members); err != nil {
			t.Fatal(err)
		}
		want[n-1] = members
	}
	copy(got[:], r.Holders.Counts())
	if got != want {
		t.Errorf("raffle %d counts the holders %v, there are %v", id, got, want)
	}
}
