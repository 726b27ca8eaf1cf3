package bench

import (
	"fmt"
	"io"
	"runtime"
)

// report writes a table of the figures as Markdown.
func report(w io.Writer, cfg Config, oneRaffle, manyRaffles figures) {
	fmt.Fprintf(w, "\n%s, %d connections, medians of %d turns\n\n", runtime.Version(), cfg.Connections, cfg.Turns)
	fmt.Fprintf(w, "| | gateway | bare epoll | net/http hub |\n|---|---:|---:|---:|\n")
	row := func(title string, f figures, name, format string) {
		fmt.Fprintf(w, "| %s |", title)
		for _, kind := range []string{kindGateway, kindBare, kindHub} {
			fmt.Fprintf(w, " "+format+" |", f.median(kind, name))
		}
		fmt.Fprintln(w)
	}
	row("CPU per delivery, isolated, µs", oneRaffle, "cpu", "%.2f")
	row("CPU per delivery at 10 events/s, µs", oneRaffle, "cpu at 10/s", "%.2f")
	row("CPU per delivery, ten connections a raffle, µs", manyRaffles, "cpu", "%.2f")
	row("deliveries/s at saturation", oneRaffle, "deliveries", "%.0f")
	row("deliveries/s, ten connections a raffle", manyRaffles, "deliveries", "%.0f")
	row("publish to last client, ms", oneRaffle, "last", "%.1f")
	row("publish to client at 10 events/s, p50, ms", oneRaffle, "p50", "%.1f")
	row("publish to client at 10 events/s, p99, ms", oneRaffle, "p99", "%.1f")
	row("user memory per idle connection, bytes", oneRaffle, "idle bytes", "%.0f")
	row("kernel memory per idle connection (slab), bytes", oneRaffle, "kernel bytes", "%.0f")
	row("CPU per connect, µs", oneRaffle, "connect cpu", "%.1f")
	row("connects/s", oneRaffle, "connects", "%.0f")
	row("connects/s if all reconnect at once", oneRaffle, "reconnects", "%.0f")
	fmt.Fprintln(w)
}
