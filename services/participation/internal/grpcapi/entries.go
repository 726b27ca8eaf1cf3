package grpcapi

import (
	"context"
	"encoding/base64"
	"strconv"
	"strings"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/participation/internal/rafflepb"
)

func (s *participationService) Withdraw(ctx context.Context, req *rafflev1.WithdrawRequest) (*rafflev1.WithdrawResponse, error) {
	res, err := s.ledger.Withdraw(ctx, raffle.WithdrawRequest{
		RaffleID:  req.GetRaffleId(),
		MemberID:  req.GetMemberId(),
		Ordinal:   req.GetOrdinal(),
		RequestID: requestID(req.GetRequestId()),
	})
	if err != nil {
		return nil, err
	}
	return &rafflev1.WithdrawResponse{
		Entry:         rafflepb.Entry(res.Entry),
		MemberEntries: res.MemberEntries,
		Odds:          rafflepb.Odds(res.Raffle),
		Replayed:      res.Replayed,
	}, nil
}

func (s *participationService) ListEntries(ctx context.Context, req *rafflev1.ListEntriesRequest) (*rafflev1.ListEntriesResponse, error) {
	after, err := entryKey(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := int(req.GetPageSize())
	if size == 0 {
		size = defaultPage
	}
	// One more than a page tells whether there is another.
	list, err := s.ledger.ListEntries(ctx, req.GetRaffleId(), req.GetMemberId(), after, size+1)
	if err != nil {
		return nil, err
	}
	resp := &rafflev1.ListEntriesResponse{}
	if len(list) > size {
		list = list[:size]
		resp.NextPageToken = pageToken(list[size-1])
	}
	for _, e := range list {
		resp.Entries = append(resp.Entries, rafflepb.Entry(e))
	}
	return resp, nil
}

// pageToken names the last entry of a page: ordinal:member, as base64, since
// callers should not look into it.
func pageToken(e raffle.Entry) string {
	return base64.RawURLEncoding.EncodeToString([]byte(strconv.Itoa(int(e.Ordinal)) + ":" + e.MemberID))
}

func entryKey(token string) (raffle.EntryKey, error) {
	if token == "" {
		return raffle.EntryKey{}, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(token)
	ordinal, member, ok := strings.Cut(string(text), ":")
	n, errOrdinal := strconv.ParseInt(ordinal, 10, 32)
	if err != nil || errOrdinal != nil || !ok || !validMember(member) {
		return raffle.EntryKey{}, invalid("page_token", "must be a next_page_token of this method (got "+clip(token)+")")
	}
	return raffle.EntryKey{MemberID: member, Ordinal: int32(n)}, nil
}

// validMember keeps what is no text of PostgreSQL's from it: the contract's rules
// have not seen what is inside a token.
func validMember(member string) bool {
	return len(member) <= 64 && !strings.ContainsFunc(member, func(r rune) bool { return r < ' ' || r > '~' })
}
