package participation

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// busy returns what the collector reports, by raffle.
func busy(t *testing.T, b *busiest) string {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(b)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, family := range families {
		for _, m := range family.GetMetric() {
			all = append(all, fmt.Sprintf("%s=%v", m.GetLabel()[0].GetValue(), m.GetGauge().GetValue()))
		}
	}
	return strings.Join(all, " ")
}

func TestBusiest_ReportsTenRafflesOfTheLastMinute(t *testing.T) {
	t.Parallel()
	now := time.Unix(1_000_000, 0)
	b := newBusiest(func() time.Time { return now })
	for id := range int64(30) {
		b.add(100+id, int(id)-1)
		b.add(100+id, 1)
	}
	if got := busy(t, b); got != "120=20 121=21 122=22 123=23 124=24 125=25 126=26 127=27 128=28 129=29" {
		t.Error(got)
	}
	now = now.Add(50 * time.Second)
	b.add(7, 1)
	if got := busy(t, b); strings.Contains(got, "7=1 ") || !strings.Contains(got, "129=29") {
		t.Error(got)
	}
	now = now.Add(10 * time.Second)
	if got := busy(t, b); got != "7=1" {
		t.Error(got)
	}
	now = now.Add(time.Hour)
	if got := busy(t, b); got != "" || len(b.raffles) != 0 {
		t.Errorf("%q, and %d raffles are kept", got, len(b.raffles))
	}
}
