package grpcapi

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"time"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/draw/logfile"
	"github.com/rafflecast/rafflecast/services/participation/internal/drawer"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/participation/internal/rafflepb"
)

// Drawer draws raffles and tells about draws. Its errors are those of package raffle, or
// the context's.
type Drawer interface {
	// Draw draws a raffle whose draw is due. An empty signature means that the drawer
	// fetches it.
	Draw(ctx context.Context, raffleID int64, signature []byte) (raffle.Raffle, error)
	Report(ctx context.Context, raffleID int64) (drawer.Report, error)
	Winners(ctx context.Context, raffleID int64, after raffle.WinnerKey, limit int) (list []raffle.Winner, of raffle.Raffle, vacant int64, err error)
	Ticket(ctx context.Context, raffleID, ticket int64) (drawer.Ticket, error)
	Checkpoint(ctx context.Context, raffleID int64) (string, error)
	LogPage(ctx context.Context, raffleID, from int64) ([]byte, error)
}

// prizesOf reads the prizes of a request.
func prizesOf(messages []*rafflev1.Prize) (prizes []raffle.Prize) {
	for _, p := range messages {
		prizes = append(prizes, raffle.Prize{Name: p.GetName(), Count: p.GetCount()})
	}
	return prizes
}

// drawOptions reads how a raffle is to be drawn; nil means that it is not.
func drawOptions(m *rafflev1.Draw) (*raffle.DrawOptions, error) {
	if m == nil {
		return nil, nil //nolint:nilnil // nil means that there is no draw
	}
	o := &raffle.DrawOptions{Chain: m.GetChain(), Delay: raffle.DefaultDelay}
	if m.GetDelay() != nil {
		o.Delay = m.GetDelay().AsDuration()
	}
	if o.Delay%time.Second != 0 {
		return nil, invalid("draw.delay", fmt.Sprintf("must be in whole seconds (got %v)", o.Delay))
	}
	return o, nil
}

func (s *raffleService) DrawRaffle(ctx context.Context, req *rafflev1.DrawRaffleRequest) (*rafflev1.DrawRaffleResponse, error) {
	signature, err := hex.DecodeString(req.GetSignature())
	if err != nil {
		return nil, invalid("signature", "must be in hex")
	}
	r, err := s.drawer.Draw(ctx, req.GetRaffleId(), signature)
	if err != nil {
		return nil, err
	}
	return &rafflev1.DrawRaffleResponse{Raffle: rafflepb.Raffle(r)}, nil
}

func (s *raffleService) GetDraw(ctx context.Context, req *rafflev1.GetDrawRequest) (*rafflev1.GetDrawResponse, error) {
	report, err := s.drawer.Report(ctx, req.GetRaffleId())
	if err != nil {
		return nil, err
	}
	resp := &rafflev1.GetDrawResponse{
		LogSize: report.LogSize, Checkpoint: report.Checkpoint, VerifierKey: report.VerifierKey,
	}
	if report.ChainInfo != "" {
		resp.ChainInfo = &structpb.Struct{}
		if err := protojson.Unmarshal([]byte(report.ChainInfo), resp.GetChainInfo()); err != nil {
			return nil, err
		}
	}
	for _, d := range report.Drawings {
		m := &rafflev1.Drawing{
			Drawing: d.Number, Chain: report.Chain, Round: d.Round, DrawsAt: timestamppb.New(d.DrawsAt),
			Checkpoint: d.Checkpoint, Signature: d.Signature, Seed: d.Seed,
			TicketCount: d.TicketCount, Tickets: d.Tickets,
		}
		if signature, err := hex.DecodeString(d.Signature); err == nil && len(signature) > 0 {
			m.Randomness = draw.Randomness(signature)
		}
		resp.Drawings = append(resp.Drawings, m)
	}
	return resp, nil
}

func (s *raffleService) ListWinners(ctx context.Context, req *rafflev1.ListWinnersRequest) (*rafflev1.ListWinnersResponse, error) {
	query := fmt.Sprintf("ListWinners raffle=%d members=%t", req.GetRaffleId(), req.GetWithMembers())
	var after raffle.WinnerKey
	if token := req.GetPageToken(); token != "" {
		position, err := s.tokens.open(query, token)
		if err != nil {
			return nil, err
		}
		_ = binary.Read(bytes.NewReader(position), binary.BigEndian, &after) // we have sealed it
	}
	size := pageSize(req.GetPageSize())
	// One more than a page, to know whether there is another page.
	list, r, vacant, err := s.drawer.Winners(ctx, req.GetRaffleId(), after, size+1)
	if err != nil {
		return nil, err
	}
	resp := &rafflev1.ListWinnersResponse{Vacant: int32(vacant)}
	if len(list) > size {
		list = list[:size]
		last := list[size-1]
		position, _ := binary.Append(nil, binary.BigEndian, raffle.WinnerKey{State: last.State, Place: last.Place, Ticket: last.Ticket})
		resp.NextPageToken = s.tokens.seal(query, position)
	}
	for _, w := range list {
		m := rafflepb.Winner(w, r)
		if req.GetWithMembers() {
			m.MemberId = w.MemberID
		}
		resp.Winners = append(resp.Winners, m)
	}
	return resp, nil
}

func (s *raffleService) GetTicket(ctx context.Context, req *rafflev1.GetTicketRequest) (*rafflev1.GetTicketResponse, error) {
	t, err := s.drawer.Ticket(ctx, req.GetRaffleId(), req.GetTicket())
	if err != nil {
		return nil, err
	}
	return &rafflev1.GetTicketResponse{
		Ticket: req.GetTicket(), State: rafflev1.GetTicketResponse_State(t.State), Record: t.Record, Proof: t.Proof,
	}, nil
}

func (s *raffleService) GetCheckpoint(ctx context.Context, req *rafflev1.GetCheckpointRequest) (*rafflev1.GetCheckpointResponse, error) {
	checkpoint, err := s.drawer.Checkpoint(ctx, req.GetRaffleId())
	if err != nil {
		return nil, err
	}
	return &rafflev1.GetCheckpointResponse{Checkpoint: checkpoint}, nil
}

func (s *raffleService) GetLog(ctx context.Context, req *rafflev1.GetLogRequest) (*rafflev1.GetLogResponse, error) {
	if req.GetFrom()%logfile.PageSize != 0 {
		return nil, invalid("from", fmt.Sprintf("must be a multiple of %d (got %d)", logfile.PageSize, req.GetFrom()))
	}
	records, err := s.drawer.LogPage(ctx, req.GetRaffleId(), req.GetFrom())
	if err != nil {
		return nil, err
	}
	return &rafflev1.GetLogResponse{Records: records}, nil
}

func (s *raffleService) StrikeWinner(ctx context.Context, req *rafflev1.StrikeWinnerRequest) (*rafflev1.StrikeWinnerResponse, error) {
	struck, successor, r, err := s.raffles.Strike(ctx, req.GetRaffleId(), req.GetTicket(), raffle.Reason(req.GetReason()), requestID(req.GetRequestId()))
	if err != nil {
		return nil, err
	}
	resp := &rafflev1.StrikeWinnerResponse{Struck: rafflepb.Winner(struck, r)}
	if successor != nil {
		resp.Successor = rafflepb.Winner(*successor, r)
	}
	return resp, nil
}

func (s *raffleService) RedrawRaffle(ctx context.Context, req *rafflev1.RedrawRaffleRequest) (*rafflev1.RedrawRaffleResponse, error) {
	r, err := s.raffles.Redraw(ctx, req.GetRaffleId(), requestID(req.GetRequestId()))
	if err != nil {
		return nil, err
	}
	return &rafflev1.RedrawRaffleResponse{Raffle: rafflepb.Raffle(r)}, nil
}

func (s *raffleService) PurgeRaffle(ctx context.Context, req *rafflev1.PurgeRaffleRequest) (*rafflev1.PurgeRaffleResponse, error) {
	r, err := s.raffles.Purge(ctx, req.GetRaffleId(), requestID(req.GetRequestId()))
	if err != nil {
		return nil, err
	}
	return &rafflev1.PurgeRaffleResponse{Raffle: rafflepb.Raffle(r)}, nil
}
