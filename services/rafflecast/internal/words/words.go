// Package words writes durations, numbers and chances for people.
package words

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Day is the length of a day in durations: those of the wall clock may differ.
const Day = 24 * time.Hour

// Span writes a duration in at most two units: 2d 3h, 4m 5s. One below 0 is 0s.
func Span(d time.Duration) string {
	d = max(0, d.Round(time.Second))
	units := []struct {
		name string
		size time.Duration
	}{{"d", Day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}}
	for i, unit := range units {
		if d < unit.size {
			continue
		}
		text := fmt.Sprintf("%d%s", d/unit.size, unit.name)
		if i+1 < len(units) {
			if rest := d % unit.size / units[i+1].size; rest > 0 {
				text += fmt.Sprintf(" %d%s", rest, units[i+1].name)
			}
		}
		return text
	}
	return "0s"
}

// Count writes a number of things: 1 entry, 2 entries.
func Count(n int64, one, several string) string {
	if n == 1 {
		return "1 " + one
	}
	return strconv.FormatInt(n, 10) + " " + several
}

// OneIn writes a chance from 0 to 1: 1 in 42 (2.38 %). NaN means that there is none yet.
func OneIn(p float64) string {
	switch {
	case math.IsNaN(p):
		return "no entries yet"
	case p <= 0:
		return "no chance"
	case p >= 1:
		return "certain to win"
	}
	digits := 1
	if 1/p >= 20 || math.Abs(1/p-math.Round(1/p)) < 0.05 {
		digits = 0
	}
	return fmt.Sprintf(
		"1 in %s (%s %%)",
		strconv.FormatFloat(1/p, 'f', digits, 64),
		strconv.FormatFloat(100*p, 'g', 3, 64),
	)
}
