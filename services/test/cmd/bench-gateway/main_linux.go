// Command bench-gateway measures the gateway beside a bare epoll server and an
// idiomatic net/http hub. It needs two cores, and 20,000 open files a process.
package main

import (
	"context"
	"os"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/command"
	bench "github.com/rafflecast/rafflecast/services/test/bench/gateway"
)

// commands are the commands of the program. The hidden ones are the servers, which run
// measures in processes of their own.
type commands struct {
	Run     run         `cmd:"" default:"withargs" help:"Measure, and print the results. This is what the program does if no command is named."`
	Bare    bareServer  `cmd:"" hidden:"" help:"Serve by bare epoll."`
	Hub     hubServer   `cmd:"" hidden:"" help:"Serve by a net/http hub."`
	Gateway realGateway `cmd:"" hidden:"" help:"Serve by the gateway."`
	NATS    natsServer  `cmd:"" name:"nats" hidden:"" help:"Run NATS."`
}

type run struct {
	Connections int           `name:"connections" env:"BENCH_CONNECTIONS" default:"10000" min:"1000" max:"15000" unit:"connections" help:"Connections to each server."`
	Turns       int           `name:"turns" env:"BENCH_TURNS" default:"5" min:"1" max:"1000" unit:"turns" help:"Turns of the three servers."`
	Soak        time.Duration `name:"soak" env:"BENCH_SOAK" default:"0s" min:"1s" max:"24h" zero:"measure" help:"Instead of measuring, let connections come and go for this long."`
}

// Run runs the command.
func (r *run) Run(ctx context.Context) error {
	if err := bench.PinClient(); err != nil {
		return err
	}
	return bench.Run(ctx, bench.Config{Connections: r.Connections, Turns: r.Turns, Soak: r.Soak, Out: os.Stdout})
}

type bareServer struct{}

// Run runs the command.
func (bareServer) Run() error { return bench.ServeBare() }

type hubServer struct{}

// Run runs the command.
func (hubServer) Run() error { return bench.ServeHub() }

type realGateway struct {
	URL string `arg:"" form:"the URL of a NATS server" help:"NATS server."`
}

// Run runs the command.
func (g *realGateway) Run() error { return bench.ServeGateway(g.URL) }

type natsServer struct {
	Dir     string `arg:"" form:"a directory" help:"Directory for the stream."`
	Raffles int64  `arg:"" min:"1" help:"Raffles in the stream."`
}

// Run runs the command.
func (n *natsServer) Run() error { return bench.ServeNATS(n.Dir, n.Raffles) }

func main() {
	os.Exit(command.Main("bench-gateway", "Measures the gateway beside a bare epoll server and a net/http hub.", &commands{}))
}
