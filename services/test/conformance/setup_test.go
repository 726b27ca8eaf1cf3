package conformance

import (
	"fmt"
	"testing"
	"time"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/servicetest"
)

const (
	oddsEvent = "raffle-winning-probability"
	epoch     = "k3f9w2"
	path      = "/api/v1/raffles/1/subscribe"
	heartbeat = 500 * time.Millisecond
)

// testBundle is a running gateway that knows version 1 of raffle 1.
type testBundle struct {
	t         *testing.T
	publisher *servicetest.OddsPublisher
	address   string // of the gateway
}

func setup(t *testing.T) *testBundle {
	t.Helper()
	nats := natstest.Start(t)
	b := &testBundle{t: t, publisher: servicetest.NewOddsPublisher(t, nats)}
	b.publish(1)
	b.address = servicetest.StartGateway(t, nats.URL(), func(cfg *gateway.Config) {
		cfg.Heartbeat, cfg.RetryMin, cfg.RetryMax = heartbeat, 100*time.Millisecond, 200*time.Millisecond
	}).HTTP
	return b
}

// publish publishes a version of raffle 1, which has as many entries.
func (b *testBundle) publish(version int64) {
	b.t.Helper()
	b.publishState(version, rafflev1.Raffle_OPEN)
}

func (b *testBundle) publishState(version int64, state rafflev1.Raffle_State) {
	b.t.Helper()
	b.publisher.Publish(&rafflev1.Odds{
		Id: 1, Epoch: epoch, Version: version, State: state, Title: "Gitarre, signiert: 기타 \n</script>\u2028", Entries: version, Winners: 1,
	})
}

// eventID returns the id of the event with a version of raffle 1.
func eventID(version int64) string { return fmt.Sprintf("1:%s:%d", epoch, version) }
