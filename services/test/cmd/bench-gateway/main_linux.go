// Command bench-gateway measures the gateway beside a bare epoll server and an
// idiomatic net/http hub. It needs two cores, and 20,000 open files a process.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	bench "github.com/rafflecast/rafflecast/services/test/bench/gateway"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench-gateway:", err)
		os.Exit(1)
	}
}

func run() error {
	// The servers are this program again.
	if serves, err := bench.Serve(os.Args[1:]); serves {
		return err
	}
	cfg := bench.Config{Out: os.Stdout}
	flag.IntVar(&cfg.Connections, "connections", 10_000, "connections, 1000 to 15000")
	flag.IntVar(&cfg.Turns, "turns", 5, "turns of the three servers")
	flag.DurationVar(&cfg.Soak, "soak", 0, "instead: let connections come and go for so long, like 10m")
	flag.Parse()
	if err := bench.PinClient(); err != nil {
		return err
	}
	return bench.Run(context.Background(), cfg)
}
