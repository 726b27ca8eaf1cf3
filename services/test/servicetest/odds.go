package servicetest

import (
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/natstest"
)

// OddsPublisher publishes odds in place of participation, for tests of gateways.
type OddsPublisher struct {
	t  testing.TB
	js jetstream.JetStream
}

// NewOddsPublisher creates the stream of odds at server.
func NewOddsPublisher(t testing.TB, server *natstest.Server) *OddsPublisher {
	t.Helper()
	p := &OddsPublisher{t, server.JetStream()}
	if _, err := p.js.CreateStream(t.Context(), oddsstream.Config(1)); err != nil {
		t.Fatal(err)
	}
	return p
}

// Publish publishes the odds and waits until the server has stored them.
func (p *OddsPublisher) Publish(odds *rafflev1.Odds) {
	p.t.Helper()
	data, err := proto.Marshal(odds)
	if err != nil {
		p.t.Fatal(err)
	}
	if _, err := p.js.Publish(p.t.Context(), oddsstream.Subject(odds.GetId()), data); err != nil {
		p.t.Fatal(err)
	}
}
