package bench

import (
	"fmt"
	"io"
	"runtime"

	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
)

// figures are what a scene came to in a turn, by name.
type figures map[string]float64

// The names of figures.
const (
	ageP50     = "age p50, ms"
	ageP90     = "age p90, ms"
	ageP99     = "age p99, ms"
	ageMost    = "age at most, ms"
	updates    = "updates/s per viewer"
	deliveries = "deliveries/s"
	entries    = "entries/s"
	answerP99  = "answer to an entry p99, ms"
	costOf     = "CPU µs per delivery: " // and a process
	cpuOf      = "CPUs used: "           // likewise
	waitOf     = "threads waiting for a CPU: "
	nameOthers = "others"
)

// perDelivery are the processes that do something for each delivery.
var perDelivery = []string{"gateway", "viewers"}

// rows returns the names of all figures in the order of the report.
func rows() []string {
	all := []string{ageP50, ageP90, ageP99, ageMost, updates, deliveries, entries, answerP99}
	for _, name := range perDelivery {
		all = append(all, costOf+name)
	}
	for _, name := range append(processes[:len(processes):len(processes)], nameOthers) {
		all = append(all, cpuOf+name)
	}
	for _, name := range processes {
		all = append(all, waitOf+name)
	}
	return all
}

// report writes a table of the medians of the turns, and last the lines for programs.
func report(out io.Writer, cfg *Config, turns map[string][]figures) {
	fmt.Fprintf(out, "machine   %d CPUs, %s/%s, %s\nturns     %d of %v; figures are medians\nentries   %d per second by unary calls\n\n%-40s",
		runtime.NumCPU(), runtime.GOOS, runtime.GOARCH, runtime.Version(), cfg.Turns, cfg.Duration, cfg.Rate, "")
	for _, sc := range cfg.chosen() {
		fmt.Fprintf(out, " %10s", sc.name)
	}
	fmt.Fprintf(out, "\n%-40s", "viewers")
	for _, sc := range cfg.chosen() {
		fmt.Fprintf(out, " %10d", sc.raffles*sc.viewers)
	}
	fmt.Fprintln(out)
	for _, row := range rows() {
		fmt.Fprintf(out, "%-40s", row)
		for _, sc := range cfg.chosen() {
			fmt.Fprintf(out, " %10.4g", median(turns[sc.name], row))
		}
		fmt.Fprintln(out)
	}
	for _, sc := range cfg.chosen() {
		for _, result := range []struct{ name, figure string }{
			{"age_p50_ms", ageP50}, {"age_p99_ms", ageP99}, {"deliveries_per_s", deliveries},
		} {
			measure.Result(out, result.name+sc.suffix, "%.4g", median(turns[sc.name], result.figure))
		}
	}
}

func median(turns []figures, name string) float64 {
	values := make([]float64, len(turns))
	for i, f := range turns {
		values[i] = f[name]
	}
	return measure.Median(values)
}
