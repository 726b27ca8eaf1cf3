package words

import (
	"math"
	"testing"
	"time"
)

func TestSpan_AtMostTwoUnits(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]string{
		-time.Minute: "0s", 0: "0s", 499 * time.Millisecond: "0s", 501 * time.Millisecond: "1s", time.Minute: "1m",
		61 * time.Second: "1m 1s", time.Hour: "1h", time.Hour + time.Second: "1h", 50*time.Hour + time.Minute: "2d 2h",
		Day - time.Millisecond: "1d",
	} {
		if got := Span(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}

func TestOneIn_ReadsAsPeopleSayIt(t *testing.T) {
	t.Parallel()
	for p, want := range map[float64]string{
		0: "no chance", 1: "certain to win", 1.2: "certain to win", 0.5: "1 in 2 (50 %)", 2.0 / 31: "1 in 15.5 (6.45 %)",
		1.0 / 42: "1 in 42 (2.38 %)", 1e-6: "1 in 1000000 (0.0001 %)", 2.0 / 3: "1 in 1.5 (66.7 %)",
	} {
		if got := OneIn(p); got != want {
			t.Errorf("%v: got %s, want %s", p, got, want)
		}
	}
	if got := OneIn(math.NaN()); got != "no entries yet" {
		t.Errorf("got %s", got)
	}
}
