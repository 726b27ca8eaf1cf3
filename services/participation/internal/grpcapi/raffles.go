package grpcapi

import (
	"context"
	"fmt"
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
	r, err := s.raffles.Update(ctx, req.GetRaffle().GetId(), change, requestID(req.GetRequestId()))
	if err != nil {
		return nil, err
	}
	return &rafflev1.UpdateRaffleResponse{Raffle: rafflepb.Raffle(r)}, nil
}

// updatable are the fields of a raffle that an update may name; immutable and
// serverSet are the others.
var (
	updatable = []string{"title", "winners", "opens_at", "closes_at"}
	immutable = "max_entries_per_member"
	serverSet = []string{"id", "state", "entries", "members", "version", "created_at", "updated_at"}
)

// changeOf reads the fields that the mask names (https://google.aip.dev/134); an
// empty mask names those that are set, "*" all of them.
func changeOf(req *rafflev1.UpdateRaffleRequest) (c raffle.Change, err error) {
	r, mask := req.GetRaffle(), req.GetUpdateMask().GetPaths()
	if r.GetId() < 1 {
		return c, invalid("raffle.id", fmt.Sprintf("must be greater than or equal to 1 (got %d)", r.GetId()))
	}
	all := slices.Contains(mask, "*")
	for _, path := range mask {
		if path != "*" && path != immutable && !slices.Contains(updatable, path) && !slices.Contains(serverSet, path) {
			return c, invalid("update_mask", "must name fields of Raffle, or be * (got "+clip(path)+")")
		}
	}
	if all && len(mask) > 1 {
		return c, invalid("update_mask", "must name nothing beside *")
	}
	named := func(field string, set bool) bool {
		return all || slices.Contains(mask, field) || (len(mask) == 0 && set)
	}
	if named("title", r.GetTitle() != "") {
		c.Title = new(r.GetTitle())
	}
	if named("winners", r.GetWinners() != 0) {
		c.Winners = new(r.GetWinners())
	}
	if named(immutable, r.GetMaxEntriesPerMember() != 0) && r.GetMaxEntriesPerMember() != 0 {
		c.MaxEntriesPerMember = new(r.GetMaxEntriesPerMember())
	}
	if named("opens_at", r.GetOpensAt() != nil) {
		c.OpensAt = new(timeOf(r.GetOpensAt()))
	}
	if named("closes_at", r.GetClosesAt() != nil) {
		c.ClosesAt = new(timeOf(r.GetClosesAt()))
	}
	switch {
	case c == raffle.Change{}:
		return c, invalid("update_mask", "must name a field that can be changed, or one must be set")
	case c.Title != nil && *c.Title == "":
		return c, invalid("raffle.title", "must be 1 to 200 characters (got \"\")")
	case c.Winners != nil && *c.Winners == 0:
		return c, invalid("raffle.winners", "must be at least 1 (got 0)")
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
