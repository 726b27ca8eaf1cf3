package bench

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

// Gateway runs the service as it is, against the NATS server of url, until
// standard input ends. Updates are not spaced, so that it can be measured how
// many go out.
func Gateway(url string) error {
	cfg := gateway.DefaultConfig()
	cfg.NATSURL, cfg.Address, cfg.OpsAddress, cfg.ConflationInterval = url, "127.0.0.1:0", "127.0.0.1:0", 0
	cfg.Started = func(at gateway.Addresses) {
		go func() {
			for !ready(at.Ops.String()) {
				time.Sleep(10 * time.Millisecond) // it reads its first snapshot
			}
			fmt.Println("ready", at.HTTP.(*net.TCPAddr).Port)
		}()
	}
	go control(func(int64, int64) {})
	return gateway.Run(context.Background(), cfg)
}

func ready(ops string) bool {
	r, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+ops+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return false
	}
	_ = resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// NATS runs a NATS server with the stream of odds, which it has in dir, and the
// first version of so many raffles, until standard input ends.
func NATS(dir string, raffles int64) error {
	s, err := server.NewServer(&server.Options{Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true, StoreDir: dir, NoSigs: true, NoLog: true, PingInterval: time.Hour})
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
	fmt.Println("ready", s.Addr().(*net.TCPAddr).Port)
	control(func(int64, int64) {})
	return nil
}
