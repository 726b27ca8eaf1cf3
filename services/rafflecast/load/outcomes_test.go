package load

import (
	"sync"
	"testing"
)

func TestOutcomes_NoticeContradictingAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		answer func(*outcomes)
		want   uint32
	}{
		"one entry":           {func(o *outcomes) { o.acknowledge(5, 2) }, 2},
		"the same twice":      {func(o *outcomes) { o.acknowledge(5, 2); o.acknowledge(5, 2) }, 2},
		"two entries":         {func(o *outcomes) { o.acknowledge(5, 2); o.acknowledge(5, 3) }, 2 | flagContradicted},
		"refused":             {func(o *outcomes) { o.refuse(5); o.refuse(5) }, flagRefused},
		"refused, then taken": {func(o *outcomes) { o.refuse(5); o.acknowledge(5, 1) }, 1 | flagRefused | flagContradicted},
		"taken, then refused": {func(o *outcomes) { o.acknowledge(5, 1); o.refuse(5) }, 1 | flagRefused | flagContradicted},
	} {
		o := new(outcomes)
		c.answer(o)
		if got := o.words.at(5).Load(); got != c.want {
			t.Errorf("%s: %x, want %x", name, got, c.want)
		}
	}
}

func TestOutcomes_GrowUnderConcurrentSenders(t *testing.T) {
	t.Parallel()
	o := new(outcomes)
	numbers := []int64{0, 1, chunkSize - 1, chunkSize, 5 * chunkSize, 999_999_999}
	var senders sync.WaitGroup
	for range 8 {
		senders.Go(func() {
			for _, n := range numbers {
				o.sent(n)
				o.acknowledge(n, 1)
			}
		})
	}
	senders.Wait()
	var found []int64
	o.each(func(n int64, word uint32) {
		if word != flagSent|1 {
			t.Errorf("request %d: %x", n, word)
		}
		found = append(found, n)
	})
	if len(found) != len(numbers) {
		t.Errorf("found %v, want %v", found, numbers)
	}
}
