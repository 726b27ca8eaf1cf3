package load

import (
	"sync"
	"testing"
)

func TestTheLedgerNoticesAnswersThatContradict(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(*Ledger)
		want   uint32
	}{
		"one entry":           {func(l *Ledger) { l.Acknowledge(5, 2) }, 2},
		"the same twice":      {func(l *Ledger) { l.Acknowledge(5, 2); l.Acknowledge(5, 2) }, 2},
		"two entries":         {func(l *Ledger) { l.Acknowledge(5, 2); l.Acknowledge(5, 3) }, 2 | flagDoubled},
		"refused":             {func(l *Ledger) { l.Refuse(5); l.Refuse(5) }, flagRefused},
		"refused, then taken": {func(l *Ledger) { l.Refuse(5); l.Acknowledge(5, 1) }, 1 | flagRefused | flagDoubled},
		"taken, then refused": {func(l *Ledger) { l.Acknowledge(5, 1); l.Refuse(5) }, 1 | flagRefused | flagDoubled},
	} {
		l := new(Ledger)
		c.answer(l)
		if got := l.at(5).Load(); got != c.want {
			t.Errorf("%s: %x, want %x", name, got, c.want)
		}
	}
}

func TestTheLedgerGrowsUnderConcurrentSenders(t *testing.T) {
	t.Parallel()
	l := new(Ledger)
	numbers := []int64{0, 1, chunkSize - 1, chunkSize, 5 * chunkSize, 999_999_999}
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for _, n := range numbers {
				l.Sent(n)
				l.Acknowledge(n, 1)
			}
		})
	}
	senders.Wait()
	var found []int64
	l.each(func(n int64, word uint32) {
		if word != flagSent|1 {
			t.Errorf("request %d: %x", n, word)
		}
		found = append(found, n)
	})
	if len(found) != len(numbers) {
		t.Errorf("found %v, want %v", found, numbers)
	}
}
