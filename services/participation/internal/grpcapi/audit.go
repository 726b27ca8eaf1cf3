package grpcapi

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/participation/internal/rafflepb"
)

// AuditEvents reads who has done what. Its errors are those of package raffle.
type AuditEvents interface {
	// ListAuditEvents reads at most limit events with ids below before, the newest first.
	ListAuditEvents(ctx context.Context, raffleID, before int64, limit int) ([]raffle.AuditEvent, error)
}

type auditService struct {
	rafflev1.UnimplementedAuditServiceServer
	events AuditEvents
	tokens *pageTokens
}

func (s *auditService) ListAuditEvents(ctx context.Context, req *rafflev1.ListAuditEventsRequest) (*rafflev1.ListAuditEventsResponse, error) {
	query := fmt.Sprintf("ListAuditEvents raffle=%d", req.GetRaffleId())
	before := int64(math.MaxInt64)
	if token := req.GetPageToken(); token != "" {
		position, err := s.tokens.open(query, token)
		if err != nil {
			return nil, err
		}
		before = int64(binary.BigEndian.Uint64(position))
	}
	size := pageSize(req.GetPageSize())
	// One more than a page, to know whether there is another page.
	list, err := s.events.ListAuditEvents(ctx, req.GetRaffleId(), before, size+1)
	if err != nil {
		return nil, err
	}
	resp := &rafflev1.ListAuditEventsResponse{}
	if len(list) > size {
		list = list[:size]
		resp.NextPageToken = s.tokens.seal(query, binary.BigEndian.AppendUint64(nil, uint64(list[size-1].ID)))
	}
	for _, e := range list {
		resp.Events = append(resp.Events, rafflepb.AuditEvent(e))
	}
	return resp, nil
}
