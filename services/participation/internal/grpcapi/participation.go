package grpcapi

import (
	"context"
	"sync/atomic"

	"github.com/google/uuid"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/participation/internal/rafflepb"
)

// Entries places entries. Its errors are those of package raffle, or the context's.
type Entries interface {
	Enter(ctx context.Context, req raffle.EnterRequest) (*raffle.EnterResult, error)
	// SubmitFunc queues a request and returns at once. complete is called once, and must
	// not block or change its argument.
	SubmitFunc(ctx context.Context, req raffle.EnterRequest, complete func(*raffle.EnterResult))
}

// Ledger reads and takes back entries. Its errors are those of package raffle.
type Ledger interface {
	Withdraw(ctx context.Context, req raffle.WithdrawRequest) (raffle.WithdrawResult, error)
	ListEntries(ctx context.Context, raffleID int64, memberID string, after raffle.EntryKey, limit int) ([]raffle.Entry, error)
}

type participationService struct {
	rafflev1.UnimplementedParticipationServiceServer
	entries Entries
	raffles Raffles
	ledger  Ledger
	edge    *edge
	// written are the odds that were encoded last: a batch shares them.
	written atomic.Pointer[rafflev1.Odds]
}

func (s *participationService) Enter(ctx context.Context, req *rafflev1.EnterRequest) (*rafflev1.EnterResponse, error) {
	res, err := s.entries.Enter(ctx, enterRequest(req))
	if err != nil {
		return nil, err
	}
	return s.enterResponse(res), nil
}

func enterRequest(req *rafflev1.EnterRequest) raffle.EnterRequest {
	return raffle.EnterRequest{
		RaffleID:  req.GetRaffleId(),
		MemberID:  req.GetMemberId(),
		RequestID: requestID(req.GetRequestId()),
	}
}

func (s *participationService) enterResponse(res *raffle.EnterResult) *rafflev1.EnterResponse {
	odds := s.written.Load()
	if odds.GetId() != res.Raffle.ID || odds.GetVersion() != res.Raffle.Version {
		odds = rafflepb.Odds(res.Raffle)
		s.written.Store(odds)
	}
	return &rafflev1.EnterResponse{
		Entry:         rafflepb.Entry(res.Entry),
		MemberEntries: res.MemberEntries,
		Odds:          odds,
		Replayed:      res.Replayed,
	}
}

func (s *participationService) GetOdds(ctx context.Context, req *rafflev1.GetOddsRequest) (*rafflev1.GetOddsResponse, error) {
	r, err := s.raffles.Get(ctx, req.GetRaffleId())
	if err != nil {
		return nil, err
	}
	return &rafflev1.GetOddsResponse{Odds: rafflepb.Odds(r)}, nil
}

// requestID reads a UUID that was validated; an empty one is none.
func requestID(text string) raffle.RequestID {
	id, err := uuid.Parse(text)
	if err != nil {
		return raffle.RequestID{}
	}
	return raffle.RequestID(id)
}
