package grpcapi

import (
	"context"

	"google.golang.org/grpc"

	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

// watched lets calls about a raffle that only members may watch pass with a valid token
// or certificate only, as gateways let its odds. It comes after admission, since it reads
// the raffle.
type watched struct {
	authentication *authentication
	raffles        interface {
		Get(ctx context.Context, id int64) (raffle.Raffle, error)
	}
}

func (w *watched) unary(ctx context.Context, req any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	of, ok := req.(interface{ GetRaffleId() int64 })
	if p, _ := permissionOf(info.FullMethod, req); !p.watched || !ok {
		return next(ctx, req)
	}
	r, err := w.raffles.Get(ctx, of.GetRaffleId())
	if err != nil {
		return nil, err
	}
	if r.Visibility != raffle.Members {
		return next(ctx, req)
	}
	who, err := w.authentication.identify(ctx)
	if err != nil {
		return nil, err
	}
	return next(access.With(ctx, who), req)
}
