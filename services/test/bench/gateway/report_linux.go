package bench

import (
	"fmt"
	"io"
	"runtime"
)

// kernelMemory returns what the kernel has in use for sockets and its other
// objects, in bytes: of the machine, so it says something only while little else
// happens.
func kernelMemory() int64 {
	return statusBytes("/proc/meminfo", "Slab:")
}

// report writes the figures as Markdown.
func report(w io.Writer, cfg Config, one, many figures) {
	fmt.Fprintf(w, "\n%s, %d connections, medians of %d turns\n\n", runtime.Version(), cfg.Connections, cfg.Turns)
	fmt.Fprintf(w, "| | gateway | bare epoll | net/http hub |\n|---|---:|---:|---:|\n")
	row := func(title string, f figures, name, format string) {
		fmt.Fprintf(w, "| %s |", title)
		for _, kind := range []string{"gateway", "bare", "hub"} {
			fmt.Fprintf(w, " "+format+" |", f.median(kind, name))
		}
		fmt.Fprintln(w)
	}
	row("CPU per delivery, isolated, µs", one, "cpu", "%.2f")
	row("CPU per delivery at 10 events/s, µs", one, "cpu at 10/s", "%.2f")
	row("CPU per delivery, ten connections a raffle, µs", many, "cpu", "%.2f")
	row("deliveries/s at saturation", one, "deliveries", "%.0f")
	row("deliveries/s, ten connections a raffle", many, "deliveries", "%.0f")
	row("publish to last client, ms", one, "last", "%.1f")
	row("publish to client at 10 events/s, p50, ms", one, "p50", "%.1f")
	row("publish to client at 10 events/s, p99, ms", one, "p99", "%.1f")
	row("user memory per idle connection, bytes", one, "idle bytes", "%.0f")
	row("kernel memory per idle connection (slab), bytes", one, "kernel bytes", "%.0f")
	row("CPU per connect, µs", one, "connect cpu", "%.1f")
	row("connects/s", one, "connects", "%.0f")
	row("connects/s in a storm: all closed, all back", one, "storm", "%.0f")
	fmt.Fprintln(w)
}
