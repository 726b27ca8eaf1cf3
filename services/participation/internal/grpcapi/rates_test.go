package grpcapi

import (
	"net/netip"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	grpcmetadata "google.golang.org/grpc/metadata"
	"google.golang.org/grpc/peer"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/test/bufconn"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

func TestRates_BoundTheEntriesOfAMember(t *testing.T) {
	t.Parallel()
	b := setup(t, func(cfg *Config) { cfg.EntriesPerMember = 2 })
	enterAs := func(member string) error {
		_, err := b.entries.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: 1, MemberId: member})
		return err
	}
	for range 2 {
		if err := enterAs("7"); err != nil {
			t.Fatal(err)
		}
	}
	st := wantError(t, enterAs("7"), codes.ResourceExhausted, "RATE_LIMITED")
	if wait := detail[errdetails.RetryInfo](st).GetRetryDelay().AsDuration(); wait <= 0 || wait > 30*time.Second {
		t.Errorf("retry after %v", wait)
	}
	stream, err := b.entries.EnterStream(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for member, want := range map[string]codes.Code{"7": codes.ResourceExhausted, "8": codes.OK} {
		if err := stream.Send(&rafflev1.EnterStreamRequest{Enter: &rafflev1.EnterRequest{RaffleId: 1, MemberId: member}}); err != nil {
			t.Fatal(err)
		}
		resp, err := stream.Recv()
		if err != nil || status.FromProto(resp.GetStatus()).Code() != want {
			t.Errorf("member %s by stream: %v, %v", member, resp, err)
		}
	}
	if _, err := b.raffles.GetRaffle(t.Context(), &rafflev1.GetRaffleRequest{RaffleId: 1}); err != nil {
		t.Errorf("another call: %v", err)
	}
}

func TestRates_BoundTheEntriesOfAnAddress(t *testing.T) {
	t.Parallel()
	r := newRates(0, 1)
	at := func(address string) error {
		ctx := peer.NewContext(t.Context(), &peer.Peer{Addr: bufconn.Listen(1).Addr()})
		ctx = grpcmetadata.NewIncomingContext(ctx, grpcmetadata.Pairs(AddressKey, address))
		return r.check(ctx, &rafflev1.EnterRequest{MemberId: "7"})
	}
	for _, c := range []struct {
		address string
		ok      bool
	}{
		{"192.0.2.1:1", true},
		{"192.0.2.1:2", false},
		{"192.0.2.2:1", true},
		{"[2001:db8::1]:1", true},
		{"[2001:db8::2]:1", false},
		{"[2001:db8:0:1::1]:1", true},
	} {
		if err := at(c.address); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.address, err)
		}
	}
	if got := clientAddress(t.Context()); got != (netip.Addr{}) {
		t.Errorf("without a peer: %v", got)
	}
}

func TestRates_DoNotBoundBackends(t *testing.T) {
	t.Parallel()
	a := setupAuthenticated(t, func(cfg *Config) { cfg.EntriesPerMember = 1 })
	for range 3 {
		if _, err := a.entries.Enter(a.as(t, "shop", "backend"), &rafflev1.EnterRequest{RaffleId: 1, MemberId: "7"}); err != nil {
			t.Fatal(err)
		}
	}
	member := a.as(t, "7", "member")
	if _, err := a.entries.Enter(member, &rafflev1.EnterRequest{RaffleId: 1}); err != nil {
		t.Fatal(err)
	}
	_, err := a.entries.Enter(member, &rafflev1.EnterRequest{RaffleId: 1})
	wantError(t, err, codes.ResourceExhausted, "RATE_LIMITED")
}
