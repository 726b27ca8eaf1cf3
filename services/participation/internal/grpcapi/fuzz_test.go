package grpcapi

import (
	"errors"
	"log/slog"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// FuzzRequest decodes and checks the bytes of a request of every method: it becomes a
// message that breaks no rule, or is refused as invalid.
func FuzzRequest(f *testing.F) {
	requests := []proto.Message{
		&rafflev1.EnterRequest{RaffleId: 1, MemberId: "m", RequestId: "6f2c2bd0-5f0e-4c11-9d86-1c3c1a0d5a0e"}, &rafflev1.EnterStreamRequest{CorrelationId: 1},
		&rafflev1.WithdrawRequest{RaffleId: 1, MemberId: "m", Ordinal: new(int32(1))}, &rafflev1.ListEntriesRequest{RaffleId: 1, PageToken: "x"},
		&rafflev1.GetOddsRequest{RaffleId: 1}, &rafflev1.CreateRaffleRequest{Title: "A\n", Winners: 1}, &rafflev1.GetRaffleRequest{},
		&rafflev1.ListRafflesRequest{State: 99}, &rafflev1.UpdateRaffleRequest{Raffle: &rafflev1.Raffle{Id: 1, Title: "B"}},
		&rafflev1.CloseRaffleRequest{}, &rafflev1.CancelRaffleRequest{},
	}
	for _, req := range requests {
		data, err := proto.Marshal(req)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte{0})
	f.Add([]byte("\x12\x02\xff\xff"))
	v, c, log := mustValidator(f), newCodec(), slog.New(slog.DiscardHandler)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, kind := range requests {
			req := kind.ProtoReflect().New().Interface()
			if err := c.Unmarshal(mem.BufferSlice{mem.SliceBuffer(data)}, req); err != nil {
				t.Errorf("%T %q: the codec fails: %v", kind, data, err)
			}
			readable := proto.Unmarshal(data, kind.ProtoReflect().New().Interface()) == nil
			if isUnreadable(req) == readable {
				t.Errorf("%T %q: unreadable is %t", kind, data, !readable)
			}
			err := v.check(req)
			if err == nil && !readable {
				t.Errorf("%T %q can't be read, and is accepted", kind, data)
			}
			if err == nil {
				continue
			}
			st := status.Convert(toStatus(t.Context(), log, err))
			if st.Code() != codes.InvalidArgument || !utf8.ValidString(st.Message()) {
				t.Errorf("%T %q: %v", kind, data, st)
			}
		}
	})
}

// FuzzPageTokens makes sure that nobody makes a token but the service.
func FuzzPageTokens(f *testing.F) {
	tokens := newPageTokens(func() []byte { return []byte("secret") })
	f.Add("entries 1", "")
	f.Add("entries 1", newPageTokens(func() []byte { return []byte("another") }).seal("entries 1", []byte("position")))
	f.Fuzz(func(t *testing.T, query, token string) {
		if _, err := tokens.open(query, token); !errors.As(err, new(*invalidError)) {
			t.Errorf("%q %q: %v", query, token, err)
		}
		if got, err := tokens.open(query, tokens.seal(query, []byte(token))); err != nil || string(got) != token {
			t.Errorf("%q: the position %q is opened as %q, %v", query, token, got, err)
		}
	})
}
