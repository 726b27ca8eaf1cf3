package grpcapi

import (
	"encoding/base64"
	"strings"
	"testing"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

func TestPageTokens_ListAllEntriesOnce(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	for _, member := range []string{"alice", "bob", "carol"} {
		for ordinal := range int32(3) {
			b.store.list = append(b.store.list, raffle.Entry{RaffleID: 1, MemberID: member, Ordinal: ordinal + 1})
		}
	}
	seen := 0
	for token := ""; ; {
		page, err := b.entries.ListEntries(t.Context(), &rafflev1.ListEntriesRequest{RaffleId: 1, PageSize: 2, PageToken: token})
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.GetEntries() {
			if want := b.store.list[seen]; e.GetMemberId() != want.MemberID || e.GetOrdinal() != want.Ordinal {
				t.Errorf("entry %d: %v", seen, e)
			}
			seen++
		}
		if token = page.GetNextPageToken(); token == "" {
			break
		}
	}
	if seen != len(b.store.list) {
		t.Errorf("%d entries", seen)
	}
}

func TestPageTokens_AreOpaque(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.store.list = []raffle.Entry{{MemberID: "alice@example.com", Ordinal: 1}, {MemberID: "bob", Ordinal: 1}}
	req := &rafflev1.ListEntriesRequest{RaffleId: 1, PageSize: 1}
	first, err := b.entries.ListEntries(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	second, err := b.entries.ListEntries(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := base64.RawURLEncoding.DecodeString(first.GetNextPageToken())
	if err != nil || strings.Contains(string(raw)+first.GetNextPageToken(), "alice") {
		t.Errorf("token %q, %q, %v", first.GetNextPageToken(), raw, err)
	}
	if first.GetNextPageToken() == second.GetNextPageToken() {
		t.Error("two tokens of one place are equal")
	}
}

func TestPageTokens_AreBoundToTheirQuery(t *testing.T) {
	t.Parallel()
	b, other, foreign := setup(t, nil), setup(t, nil), setup(t, func(cfg *Config) { cfg.PageTokenKey = func() []byte { return []byte("of another database") } })
	b.store.list = []raffle.Entry{{MemberID: "a", Ordinal: 1}, {MemberID: "a", Ordinal: 2}}
	page, err := b.entries.ListEntries(t.Context(), &rafflev1.ListEntriesRequest{RaffleId: 1, PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	raffles, err := b.raffles.ListRaffles(t.Context(), &rafflev1.ListRafflesRequest{PageSize: 1})
	if err != nil {
		t.Fatal(err)
	}
	token := page.GetNextPageToken()
	tampered := []byte(token)
	tampered[20] ^= 1
	entries := func(b *testBundle, req *rafflev1.ListEntriesRequest) error {
		_, err := b.entries.ListEntries(t.Context(), req)
		return err
	}
	list := func(req *rafflev1.ListRafflesRequest) error {
		_, err := b.raffles.ListRaffles(t.Context(), req)
		return err
	}
	// Another instance of the same database accepts it, with any page size.
	if err := entries(other, &rafflev1.ListEntriesRequest{RaffleId: 1, PageToken: token, PageSize: 7}); err != nil {
		t.Error(err)
	}
	if err := list(&rafflev1.ListRafflesRequest{PageToken: raffles.GetNextPageToken()}); err != nil {
		t.Error(err)
	}
	for name, err := range map[string]error{
		"another raffle":       entries(b, &rafflev1.ListEntriesRequest{RaffleId: 2, PageToken: token}),
		"another member":       entries(b, &rafflev1.ListEntriesRequest{RaffleId: 1, MemberId: "a", PageToken: token}),
		"another database":     entries(foreign, &rafflev1.ListEntriesRequest{RaffleId: 1, PageToken: token}),
		"tampered":             entries(b, &rafflev1.ListEntriesRequest{RaffleId: 1, PageToken: string(tampered)}),
		"truncated":            entries(b, &rafflev1.ListEntriesRequest{RaffleId: 1, PageToken: token[:len(token)-4]}),
		"short":                entries(b, &rafflev1.ListEntriesRequest{RaffleId: 1, PageToken: "YQ"}),
		"not base64":           entries(b, &rafflev1.ListEntriesRequest{RaffleId: 1, PageToken: "!"}),
		"of the first version": entries(b, &rafflev1.ListEntriesRequest{RaffleId: 1, PageToken: base64.RawURLEncoding.EncodeToString([]byte("1:a"))}),
		"another method":       list(&rafflev1.ListRafflesRequest{PageToken: token}),
		"another state":        list(&rafflev1.ListRafflesRequest{PageToken: raffles.GetNextPageToken(), State: rafflev1.Raffle_OPEN}),
		"a plain id":           list(&rafflev1.ListRafflesRequest{PageToken: "1"}),
	} {
		st := wantError(t, err, codes.InvalidArgument, "INVALID")
		if got := detail[errdetails.ErrorInfo](st).GetMetadata()["field"]; got != "page_token" {
			t.Errorf("%s: field %q", name, got)
		}
	}
}

func TestNewServer_NeedsAPageTokenKey(t *testing.T) {
	t.Parallel()
	if _, err := NewServer(nil, nil, Config{}); err == nil {
		t.Error("a server without a key")
	}
}
