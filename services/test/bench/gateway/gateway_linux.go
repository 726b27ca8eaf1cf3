package bench

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
)

// ServeGateway runs the service against the NATS server at url. Updates are not
// conflated, so that every one is delivered and counted.
func ServeGateway(url string) error {
	cfg := gateway.DefaultConfig()
	cfg.NATSURL, cfg.Address, cfg.OpsAddress, cfg.ConflationInterval = url, "127.0.0.1:0", "127.0.0.1:0", 0
	var at gateway.Addresses
	cfg.Started = func(a gateway.Addresses) { at = a }
	cfg.Ready = func() { measure.Ready(at.HTTP.(*net.TCPAddr).Port) }
	go serveClient(func(int64, int64) {})
	return gateway.Run(context.Background(), cfg)
}

// ServeNATS runs a NATS server that keeps the stream of odds in dir, with the first
// version of as many raffles.
func ServeNATS(dir string, raffles int64) error {
	s, err := server.NewServer(
		&server.Options{
			Host:         "127.0.0.1",
			Port:         server.RANDOM_PORT,
			JetStream:    true,
			StoreDir:     dir,
			NoSigs:       true,
			NoLog:        true,
			PingInterval: time.Hour,
		},
	)
	if err != nil {
		return err
	}
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		return fmt.Errorf("NATS did not start in %s", dir)
	}
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		return err
	}
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	ctx := context.Background()
	if _, err := js.CreateStream(ctx, oddsstream.Config(1)); err != nil {
		return err
	}
	for id := range raffles {
		if _, err := js.Publish(ctx, oddsstream.Subject(id+1), message(id+1, 1)); err != nil {
			return err
		}
	}
	measure.Ready(s.Addr().(*net.TCPAddr).Port)
	serveClient(func(int64, int64) {})
	return nil
}
