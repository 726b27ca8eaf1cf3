package grpcapi

import (
	"context"
	"encoding/binary"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/participation/internal/rafflepb"
)

// EntryWriter places entries. Its errors are those of package raffle, or the
// context's.
type EntryWriter interface {
	Enter(ctx context.Context, req raffle.EnterRequest) (*raffle.EnterResult, error)
	// Submitter returns a function for the requests of one stream, which queues a request
	// and returns at once. complete is called exactly once with the id of each request, and
	// must not block or change the result. Each stream has a share of the queue.
	Submitter(complete func(id int64, res *raffle.EnterResult)) (submit func(ctx context.Context, id int64, req raffle.EnterRequest))
}

// Ledger reads and withdraws entries. Its errors are those of package raffle.
type Ledger interface {
	Withdraw(ctx context.Context, req raffle.WithdrawRequest) (raffle.WithdrawResult, error)
	ListEntries(ctx context.Context, raffleID int64, memberID string, after raffle.EntryKey, limit int) ([]raffle.Entry, error)
}

type participationService struct {
	rafflev1.UnimplementedParticipationServiceServer
	writer    EntryWriter
	raffles   Raffles
	ledger    Ledger
	tokens    *pageTokens
	validator *validator // of the messages of a stream
	rates     *rates     // likewise

	stopping     <-chan struct{} // closed when streams of entries must end
	maxStreamAge time.Duration   // of a stream of entries, give or take 10 %; 0 means without end
	log          *slog.Logger

	// lastOdds are the odds of the last response: the responses of a batch share them.
	lastOdds atomic.Pointer[sharedOdds]
}

func (s *participationService) Enter(ctx context.Context, req *rafflev1.EnterRequest) (*rafflev1.EnterResponse, error) {
	res, err := s.writer.Enter(ctx, enterRequest(req))
	if err != nil {
		return nil, err
	}
	return newEntered(0, res, s.oddsOf(res.Raffle)).whole(), nil
}

func enterRequest(req *rafflev1.EnterRequest) raffle.EnterRequest {
	return raffle.EnterRequest{
		RaffleID:  req.GetRaffleId(),
		MemberID:  req.GetMemberId(),
		RequestID: requestID(req.GetRequestId()),
	}
}

// oddsOf returns the odds of a raffle as a batch has left it. Its results share the raffle
// itself: another one may have the same id and version, if the database was restored.
func (s *participationService) oddsOf(r *raffle.Raffle) *sharedOdds {
	odds := s.lastOdds.Load()
	if odds == nil || odds.of != r {
		odds = newSharedOdds(r)
		s.lastOdds.Store(odds)
	}
	return odds
}

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
	query := fmt.Sprintf("ListEntries raffle=%d member=%s", req.GetRaffleId(), req.GetMemberId())
	var after raffle.EntryKey
	if token := req.GetPageToken(); token != "" {
		position, err := s.tokens.open(query, token)
		if err != nil {
			return nil, err
		}
		after = entryKey(position)
	}
	size := pageSize(req.GetPageSize())
	// One more than a page, to know whether there is another page.
	list, err := s.ledger.ListEntries(ctx, req.GetRaffleId(), req.GetMemberId(), after, size+1)
	if err != nil {
		return nil, err
	}
	resp := &rafflev1.ListEntriesResponse{}
	if len(list) > size {
		list = list[:size]
		resp.NextPageToken = s.tokens.seal(query, entryPosition(list[size-1]))
	}
	for _, e := range list {
		resp.Entries = append(resp.Entries, rafflepb.Entry(e))
	}
	return resp, nil
}

// entryPosition encodes the place of an entry in the list: ordinal and member.
func entryPosition(e raffle.Entry) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(e.Ordinal)), e.MemberID...)
}

// entryKey decodes what entryPosition returned.
func entryKey(position []byte) raffle.EntryKey {
	return raffle.EntryKey{Ordinal: int32(binary.BigEndian.Uint32(position)), MemberID: string(position[4:])}
}

func (s *participationService) GetOdds(ctx context.Context, req *rafflev1.GetOddsRequest) (*rafflev1.GetOddsResponse, error) {
	r, err := s.raffles.Get(ctx, req.GetRaffleId())
	if err != nil {
		return nil, err
	}
	return &rafflev1.GetOddsResponse{Odds: rafflepb.Odds(r)}, nil
}

// requestID reads a UUID that was validated; an empty text means no id.
func requestID(text string) raffle.RequestID {
	id, err := uuid.Parse(text)
	if err != nil {
		return raffle.RequestID{}
	}
	return raffle.RequestID(id)
}
