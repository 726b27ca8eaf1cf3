package web_test

import (
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// BenchmarkPage is what a visitor costs for whom the page is rendered, and each other of a
// crowd.
func BenchmarkPage(b *testing.B) {
	for name, crowd := range map[string]bool{"first": false, "crowd": true} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			from := &source{}
			get := visitor(from)
			for b.Loop() {
				if !crowd {
					from.newest = &odds.Update{RaffleID: 1, State: "OPEN", At: time.Now(), JSON: []byte(event)}
				}
				b.SetBytes(int64(get("/raffle/1", "Accept-Encoding", "gzip").Body.Len()))
			}
		})
	}
}
