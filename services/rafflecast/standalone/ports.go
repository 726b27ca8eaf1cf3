package standalone

import (
	"context"
	"errors"

	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/participation"
)

// ports are the open ports of both services.
type ports struct {
	participation *participation.Listeners
	gateway       *gateway.Listeners
}

// listen opens the ports of both services.
func listen(ctx context.Context, cfg *Config) (*ports, error) {
	p, errParticipation := participation.Listen(ctx, &cfg.Participation, "participation-")
	g, errGateway := gateway.Listen(ctx, &cfg.Gateway, "gateway-")
	opened := &ports{p, g}
	if err := errors.Join(errParticipation, errGateway); err != nil {
		opened.close()
		return nil, err
	}
	return opened, nil
}

func (p *ports) close() {
	if p.participation != nil {
		p.participation.Close()
	}
	if p.gateway != nil {
		p.gateway.Close()
	}
}
