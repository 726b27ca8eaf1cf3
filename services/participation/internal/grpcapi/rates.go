package grpcapi

import (
	"context"
	"net/netip"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/peer"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/accept"
	"github.com/rafflecast/rafflecast/services/internal/access"
	"github.com/rafflecast/rafflecast/services/internal/ratelimit"
)

// rates bounds how often one member, and one client address, may enter. Backends enter
// for many, and are not bounded. Nil bounds nothing.
type rates struct {
	members   *ratelimit.Limiter[string]
	addresses *ratelimit.Limiter[netip.Addr]
}

// newRates returns the bounds as entries per minute; 0 means none.
func newRates(perMember, perAddress int) *rates {
	if perMember == 0 && perAddress == 0 {
		return nil
	}
	return &rates{ratelimit.PerMinute[string](perMember), ratelimit.PerMinute[netip.Addr](perAddress)}
}

// rateError means that somebody has entered too often.
type rateError struct {
	who  string
	wait time.Duration
}

// Error implements error.
func (e *rateError) Error() string {
	return "this " + e.who + " has entered too often: try again later"
}

// check counts an entry of a call's caller.
func (r *rates) check(ctx context.Context, req *rafflev1.EnterRequest) error {
	if r == nil || access.From(ctx).Has(access.Backend) {
		return nil
	}
	if wait, ok := r.addresses.Allow(clientAddress(ctx)); !ok {
		return &rateError{"address", wait}
	}
	if wait, ok := r.members.Allow(req.GetMemberId()); !ok {
		return &rateError{"member", wait}
	}
	return nil
}

func (r *rates) unary(ctx context.Context, req any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	if enter, ok := req.(*rafflev1.EnterRequest); ok {
		if err := r.check(ctx, enter); err != nil {
			return nil, err
		}
	}
	return next(ctx, req)
}

// clientAddress returns the address of a call's client: of IPv6, its network (/64). All
// whose address is not known share the zero address.
func clientAddress(ctx context.Context) netip.Addr {
	p, ok := peer.FromContext(ctx)
	if !ok {
		return netip.Addr{}
	}
	text := passedOn(ctx, p, AddressKey)
	if text == "" && p.Addr != nil {
		text = p.Addr.String()
	}
	return accept.NetworkOf(text)
}
