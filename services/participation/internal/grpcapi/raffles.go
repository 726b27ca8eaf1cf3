package grpcapi

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/participation/internal/rafflepb"
)

// Raffles reads and changes raffles. Its errors are those of package raffle.
type Raffles interface {
	Create(ctx context.Context, r raffle.Raffle, id raffle.RequestID) (raffle.Raffle, error)
	Get(ctx context.Context, id int64) (raffle.Raffle, error)
	List(ctx context.Context, after int64, limit int, state raffle.State) ([]raffle.Raffle, error)
	Update(ctx context.Context, id int64, c raffle.Change, request raffle.RequestID) (raffle.Raffle, error)
	Close(ctx context.Context, id int64, request raffle.RequestID) (raffle.Raffle, error)
	Cancel(ctx context.Context, id int64, request raffle.RequestID) (raffle.Raffle, error)
	// Strike returns the struck ticket, whoever has its place now or nil, and the raffle.
	Strike(ctx context.Context, id, ticket int64, reason raffle.Reason, request raffle.RequestID,
	) (struck raffle.Winner, successor *raffle.Winner, of raffle.Raffle, err error)
	Redraw(ctx context.Context, id int64, request raffle.RequestID) (raffle.Raffle, error)
	Purge(ctx context.Context, id int64, request raffle.RequestID) (raffle.Raffle, error)
}

type raffleService struct {
	rafflev1.UnimplementedRaffleServiceServer
	raffles Raffles
	drawer  Drawer
	tokens  *pageTokens
}

func (s *raffleService) CreateRaffle(ctx context.Context, req *rafflev1.CreateRaffleRequest) (*rafflev1.CreateRaffleResponse, error) {
	r := raffle.Raffle{
		Title:               req.GetTitle(),
		Winners:             req.GetWinners(),
		MaxEntriesPerMember: max(1, req.GetMaxEntriesPerMember()),
		OpensAt:             timeOf(req.GetOpensAt()),
		ClosesAt:            timeOf(req.GetClosesAt()),
		Visibility:          max(raffle.Public, raffle.Visibility(req.GetVisibility())),
		Rule:                max(raffle.EntryWins, raffle.Rule(req.GetRule())),
	}
	if err := r.SetDetails(raffle.Details{
		Description: req.GetDescription(), PictureURL: req.GetPictureUrl(), Prizes: prizesOf(req.GetPrizes()),
	}); err != nil {
		return nil, err
	}
	options, err := drawOptions(req.GetDraw())
	if err != nil {
		return nil, err
	}
	if options != nil {
		r.Log = raffle.NewLog(*options, req.GetAlternates())
	}
	r, err = s.raffles.Create(ctx, r, requestID(req.GetRequestId()))
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

// defaultPageSize is the size of a page if the request does not set one.
const defaultPageSize = 50

func pageSize(requested int32) int {
	if requested == 0 {
		return defaultPageSize
	}
	return int(requested)
}

func (s *raffleService) ListRaffles(ctx context.Context, req *rafflev1.ListRafflesRequest) (*rafflev1.ListRafflesResponse, error) {
	query := fmt.Sprintf("ListRaffles state=%d", req.GetState())
	var after int64
	if token := req.GetPageToken(); token != "" {
		position, err := s.tokens.open(query, token)
		if err != nil {
			return nil, err
		}
		after = int64(binary.BigEndian.Uint64(position))
	}
	size := pageSize(req.GetPageSize())
	// One more than a page, to know whether there is another page.
	list, err := s.raffles.List(ctx, after, size+1, raffle.State(req.GetState()))
	if err != nil {
		return nil, err
	}
	resp := &rafflev1.ListRafflesResponse{}
	if len(list) > size {
		list = list[:size]
		resp.NextPageToken = s.tokens.seal(query, binary.BigEndian.AppendUint64(nil, uint64(list[size-1].ID)))
	}
	for _, r := range list {
		resp.Raffles = append(resp.Raffles, rafflepb.Raffle(r))
	}
	return resp, nil
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

// changeOf reads the fields that the mask names (https://google.aip.dev/134). An
// empty mask names the fields that are set, "*" all of them. Fields that the service
// sets by itself are ignored.
func changeOf(req *rafflev1.UpdateRaffleRequest) (c raffle.Change, err error) {
	r, mask := req.GetRaffle(), req.GetUpdateMask().GetPaths()
	all := slices.Contains(mask, "*")
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
	if m := r.GetMaxEntriesPerMember(); m != 0 && named("max_entries_per_member", true) {
		c.MaxEntriesPerMember = &m
	}
	if v := raffle.Visibility(r.GetVisibility()); v != 0 && named("visibility", true) {
		c.Visibility = &v
	}
	if named("opens_at", r.GetOpensAt() != nil) {
		c.OpensAt = new(timeOf(r.GetOpensAt()))
	}
	if named("closes_at", r.GetClosesAt() != nil) {
		c.ClosesAt = new(timeOf(r.GetClosesAt()))
	}
	if named("description", r.GetDescription() != "") {
		c.Description = new(r.GetDescription())
	}
	if named("picture_url", r.GetPictureUrl() != "") {
		c.PictureURL = new(r.GetPictureUrl())
	}
	if named("prizes", len(r.GetPrizes()) > 0) {
		c.Prizes = new(prizesOf(r.GetPrizes()))
	}
	if rule := raffle.Rule(r.GetRule()); rule != 0 && named("rule", true) {
		c.Rule = &rule
	}
	if alternates := r.GetAlternates(); alternates != 0 && named("alternates", true) {
		c.Alternates = &alternates
	}
	if r.GetDraw() != nil && named("draw", true) {
		if c.Draw, err = drawOptions(r.GetDraw()); err != nil {
			return c, err
		}
	}
	switch {
	case c == raffle.Change{}:
		return c, invalid("update_mask", "must name a field that can be changed, or such a field must be set")
	case c.Title != nil && *c.Title == "":
		return c, invalid("raffle.title", "value is required")
	case all && len(r.GetPrizes()) > 0 && r.GetWinners() == 0:
		c.Winners = nil // the prizes say it
	case c.Winners != nil && *c.Winners == 0:
		return c, invalid("raffle.winners", "value is required")
	}
	return c, nil
}

// timeOf reads a timestamp with PostgreSQL's precision; absent becomes the zero time.
func timeOf(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime().Truncate(time.Microsecond)
}
