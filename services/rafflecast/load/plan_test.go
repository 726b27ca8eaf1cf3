package load

import (
	"testing"
	"testing/quick"

	"github.com/google/uuid"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

func TestPlan_FindsTheNumberOfARequestID(t *testing.T) {
	t.Parallel()
	roundTrip := func(seed uint64, number uint64) bool {
		p := &Plan{Raffles: []int64{1}, Seed: seed}
		n := int64(number >> 16)
		got, ours := p.Number(p.RequestID(n))
		return ours && got == n
	}
	if err := quick.Check(roundTrip, nil); err != nil {
		t.Error(err)
	}
}

func TestPlan_RejectsRequestIDsOfOtherRuns(t *testing.T) {
	t.Parallel()
	one, other := &Plan{Seed: 1}, &Plan{Seed: 2}
	for n := range int64(1000) {
		if _, ours := one.Number(other.RequestID(n)); ours {
			t.Fatalf("request %d of another run is accepted", n)
		}
	}
}

func TestPlan_SpreadsRequestsOverMembers(t *testing.T) {
	t.Parallel()
	p := &Plan{Raffles: []int64{7, 8, 9}, Members: 5, Seed: 42}
	seen := map[string]int{}
	var req rafflev1.EnterRequest
	for n := range int64(3 * 5 * 4) {
		p.Request(n, &req)
		id, err := uuid.Parse(req.GetRequestId())
		if err != nil || id.Version() != 8 || id.Variant() != uuid.RFC4122 {
			t.Fatalf("request id %q: %v", req.GetRequestId(), err)
		}
		if want := p.RequestID(n); [16]byte(id) != want {
			t.Fatalf("request id %q reads as %x, want %x", req.GetRequestId(), id, want)
		}
		seen[req.GetMemberId()]++
	}
	if len(seen) != 5 {
		t.Errorf("%d members, want 5", len(seen))
	}
	for member, times := range seen {
		if times != 3*4 || len(member) != 16 {
			t.Errorf("member %q has %d requests, want 12", member, times)
		}
	}
}

func TestPlan_KeepsMembersBelowTheLimit(t *testing.T) {
	t.Parallel()
	p := &Plan{Raffles: []int64{1, 2}, MaxEntries: 3}
	type place struct {
		raffle int
		member int64
	}
	seen := map[place]int{}
	for n := range int64(600) {
		raffle, member := p.target(n)
		seen[place{raffle, member}]++
	}
	if len(seen) != 200 {
		t.Errorf("%d members, want 200", len(seen))
	}
	for who, times := range seen {
		if times > 3 {
			t.Errorf("%+v has %d requests", who, times)
		}
	}
}
