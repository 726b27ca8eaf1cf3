// Command bench-gateway measures the gateway beside a bare epoll server and an
// idiomatic net/http hub. It needs two cores, and 12,000 open files a process.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"

	"github.com/rafflecast/rafflecast/services/gateway/internal/bench"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bench-gateway:", err)
		os.Exit(1)
	}
}

// run measures; with arguments of its own making it is one of the servers.
func run(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "bare":
		return bench.Bare()
	case len(args) == 1 && args[0] == "hub":
		return bench.Hub()
	case len(args) == 2 && args[0] == "gateway":
		return bench.Gateway(args[1])
	case len(args) == 3 && args[0] == "nats":
		raffles, err := strconv.ParseInt(args[2], 10, 64)
		if err != nil {
			return err
		}
		return bench.NATS(args[1], raffles)
	}
	cfg := bench.Config{Out: os.Stdout}
	flag.IntVar(&cfg.Connections, "connections", 10_000, "connections, from 1000")
	flag.IntVar(&cfg.Turns, "turns", 5, "turns of the three servers")
	flag.DurationVar(&cfg.Soak, "soak", 0, "instead: let connections come and go for so long")
	flag.Parse()
	if err := bench.PinClient(); err != nil {
		return err
	}
	return bench.Run(context.Background(), cfg)
}
