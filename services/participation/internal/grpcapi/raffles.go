package grpcapi

import (
	"context"
	"slices"
	"strconv"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/participation/internal/rafflepb"
)

// Raffles keeps raffles. Its errors are those of package raffle.
type Raffles interface {
	Create(ctx context.Context, r raffle.Raffle, id raffle.RequestID) (raffle.Raffle, error)
	Get(ctx context.Context, id int64) (raffle.Raffle, error)
	List(ctx context.Context, after int64, limit int, state raffle.State) ([]raffle.Raffle, error)
	Update(ctx context.Context, id int64, c raffle.Change, request raffle.RequestID) (raffle.Raffle, error)
	Close(ctx context.Context, id int64, request raffle.RequestID) (raffle.Raffle, error)
	Cancel(ctx context.Context, id int64, request raffle.RequestID) (raffle.Raffle, error)
}

type raffleService struct {
	rafflev1.UnimplementedRaffleServiceServer
	raffles Raffles
}

func (s *raffleService) CreateRaffle(ctx context.Context, req *rafflev1.CreateRaffleRequest) (*rafflev1.CreateRaffleResponse, error) {
	r, err := s.raffles.Create(ctx, raffle.Raffle{
		Title:               req.GetTitle(),
		Winners:             req.GetWinners(),
		MaxEntriesPerMember: max(1, req.GetMaxEntriesPerMember()),
		OpensAt:             timeOf(req.GetOpensAt()),
		ClosesAt:            timeOf(req.GetClosesAt()),
	}, requestID(req.GetRequestId()))
	if err != nil {
		return nil, err
	}
	return &rafflev1.CreateRaffleResponse{Raffle: rafflepb.Raffle(r)}, nil
}

func (s *raffleService) GetRaffle(ctx context.Context, req *rafflev1.GetRaffleRequest) (*rafflev1.GetRaffleResponse, error) {
	r, err := s.raffles.Get(ctx, req.GetRaffleId())
	if err != nil {
		return nil, err
	}
	return &rafflev1.GetRaffleResponse{Raffle: rafflepb.Raffle(r)}, nil
}

// defaultPage is how many raffles a page has where the request doesn't say.
const defaultPage = 50

func (s *raffleService) ListRaffles(ctx context.Context, req *rafflev1.ListRafflesRequest) (*rafflev1.ListRafflesResponse, error) {
	after, err := pageStart(req.GetPageToken())
	if err != nil {
		return nil, err
	}
	size := int(req.GetPageSize())
	if size == 0 {
		size = defaultPage
	}
	// One more than a page tells whether there is another.
	list, err := s.raffles.List(ctx, after, size+1, raffle.State(req.GetState()))
	if err != nil {
		return nil, err
	}
	resp := &rafflev1.ListRafflesResponse{}
	if len(list) > size {
		list = list[:size]
		resp.NextPageToken = strconv.FormatInt(list[size-1].ID, 10)
	}
	for _, r := range list {
		resp.Raffles = append(resp.Raffles, rafflepb.Raffle(r))
	}
	return resp, nil
}

// pageStart reads a page token: the last id of the page before.
func pageStart(token string) (int64, error) {
	if token == "" {
		return 0, nil
	}
	after, err := strconv.ParseInt(token, 10, 64)
	if err != nil || after < 0 {
		return 0, invalid("page_token", "must be a next_page_token of this method (got "+clip(token)+")")
	}
	return after, nil
}

func (s *raffleService) CloseRaffle(ctx context.Context, req *rafflev1.CloseRaffleRequest) (*rafflev1.CloseRaffleResponse, error) {
	r, err := s.raffles.Close(ctx, req.GetRaffleId(), requestID(req.GetRequestId()))
	if err != nil {
		return nil, err
	}
	return &rafflev1.CloseRaffleResponse{Raffle: rafflepb.Raffle(r)}, nil
}

func (s *raffleService) CancelRaffle(ctx context.Context, req *rafflev1.CancelRaffleRequest) (*rafflev1.CancelRaffleResponse, error) {
	r, err := s.raffles.Cancel(ctx, req.GetRaffleId(), requestID(req.GetRequestId()))
	if err != nil {
		return nil, err
	}
	return &rafflev1.CancelRaffleResponse{Raffle: rafflepb.Raffle(r)}, nil
}

func (s *raffleService) UpdateRaffle(ctx context.Context, req *rafflev1.UpdateRaffleRequest) (*rafflev1.UpdateRaffleResponse, error) {
	change, err := changeOf(req)
	if err != nil {
		return nil, err
	}
	r, err := s.raffles.Update(ctx, req.GetRaffleId(), change, requestID(req.GetRequestId()))
	if err != nil {
		return nil, err
	}
	return &rafflev1.UpdateRaffleResponse{Raffle: rafflepb.Raffle(r)}, nil
}

// changeOf reads what the mask names; an empty mask names what is set.
func changeOf(req *rafflev1.UpdateRaffleRequest) (c raffle.Change, err error) {
	mask := req.GetUpdateMask().GetPaths()
	named := func(field string, set bool) bool {
		return slices.Contains(mask, field) || (len(mask) == 0 && set)
	}
	if named("title", req.GetTitle() != "") {
		c.Title = new(req.GetTitle())
	}
	if named("winners", req.GetWinners() != 0) {
		c.Winners = new(req.GetWinners())
	}
	if named("opens_at", req.GetOpensAt() != nil) {
		c.OpensAt = new(timeOf(req.GetOpensAt()))
	}
	if named("closes_at", req.GetClosesAt() != nil) {
		c.ClosesAt = new(timeOf(req.GetClosesAt()))
	}
	switch {
	case c == raffle.Change{}:
		return c, invalid("update_mask", "must name a field, or one must be set")
	case c.Title != nil && *c.Title == "":
		return c, invalid("title", "must have at least 1 character (got \"\")")
	case c.Winners != nil && *c.Winners == 0:
		return c, invalid("winners", "must be at least 1 (got 0)")
	}
	return c, nil
}

// timeOf reads a timestamp, as finely as PostgreSQL keeps it; absent is the zero
// time.
func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime().Truncate(time.Microsecond)
}
