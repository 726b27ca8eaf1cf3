package load

import (
	"sync"
	"sync/atomic"
)

// What is known of a request, in 32 bits: the ordinal of the acknowledged entry
// (0: none), and flags.
const (
	ordinalMask  = 1<<28 - 1
	flagRefused  = 1 << 28 // answered for good, with an error
	flagStored   = 1 << 29 // its row was seen in the database
	flagDoubled  = 1 << 30 // answers or rows contradict each other
	flagSent     = 1 << 31 // it may have been placed
	chunkBits    = 20
	chunkSize    = 1 << chunkBits
	ledgerChunks = 1 << 10 // times chunkSize: over 10^9 requests
)

// Ledger keeps what came of each request, by number: 4 bytes for each. Safe for
// concurrent use; the zero value is empty.
type Ledger struct {
	chunks [ledgerChunks]atomic.Pointer[[chunkSize]atomic.Uint32]
	grow   sync.Mutex
}

func (l *Ledger) at(n int64) *atomic.Uint32 {
	slot := &l.chunks[n>>chunkBits]
	chunk := slot.Load()
	if chunk == nil {
		l.grow.Lock()
		if chunk = slot.Load(); chunk == nil {
			chunk = new([chunkSize]atomic.Uint32)
			slot.Store(chunk)
		}
		l.grow.Unlock()
	}
	return &chunk[n&(chunkSize-1)]
}

// Sent notes that request n is about to be sent.
func (l *Ledger) Sent(n int64) { l.at(n).Or(flagSent) }

// Acknowledge notes that request n was answered with the entry of this ordinal.
// Answers to one request, however many, must name the same entry.
func (l *Ledger) Acknowledge(n int64, ordinal int32) {
	word := l.at(n)
	for {
		old := word.Load()
		known := old & ordinalMask
		if known == 0 {
			known = uint32(ordinal) & ordinalMask
		}
		next := old&^ordinalMask | known
		if known != uint32(ordinal) || old&flagRefused != 0 {
			next |= flagDoubled
		}
		if word.CompareAndSwap(old, next) {
			return
		}
	}
}

// Refuse notes that request n was refused for good.
func (l *Ledger) Refuse(n int64) {
	if old := l.at(n).Or(flagRefused); old&ordinalMask != 0 {
		l.at(n).Or(flagDoubled)
	}
}

// each calls f with every request that was sent, in order.
func (l *Ledger) each(f func(n int64, word uint32)) {
	for c := range l.chunks {
		chunk := l.chunks[c].Load()
		if chunk == nil {
			continue
		}
		for i := range chunk {
			if word := chunk[i].Load(); word&flagSent != 0 {
				f(int64(c)<<chunkBits|int64(i), word)
			}
		}
	}
}
