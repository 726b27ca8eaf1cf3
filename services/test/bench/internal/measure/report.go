//go:build unix

package measure

import (
	"fmt"
	"io"
	"slices"
)

// Median returns the median, 0 of no values.
func Median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

// MedianRatio returns the median of the ratios of a's values to b's, turn by turn, so
// that what else the machine did in a turn affects both. a and b are equally long.
func MedianRatio(a, b []float64) float64 {
	ratios := make([]float64, len(a))
	for i := range a {
		ratios[i] = a[i] / b[i]
	}
	return Median(ratios)
}

// Result writes a line for programs, with a format for its value.
func Result(w io.Writer, name, format string, value float64) {
	fmt.Fprintf(w, "RESULT %s "+format+"\n", name, value)
}
