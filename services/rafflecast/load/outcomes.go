package load

import (
	"sync"
	"sync/atomic"
)

// The outcome of a request, in 32 bits: the ordinal of its acknowledged entry (0:
// none), and flags.
const (
	ordinalMask      = 1<<28 - 1
	flagRefused      = 1 << 28 // it failed for good
	flagStored       = 1 << 29 // its row was seen in the database
	flagContradicted = 1 << 30 // its answers contradict each other
	flagSent         = 1 << 31 // its entry may be placed
)

// outcomes hold the outcome of each request, by number. Safe for concurrent use;
// the zero value is empty.
type outcomes struct{ words sparseArray }

// sent records that request n is about to be sent.
func (o *outcomes) sent(n int64) { o.words.at(n).Or(flagSent) }

// acknowledge records that request n was answered with the entry of an ordinal.
// All answers to one request must name the same entry.
func (o *outcomes) acknowledge(n int64, ordinal int32) {
	word := o.words.at(n)
	for {
		old := word.Load()
		known := old & ordinalMask
		if known == 0 {
			known = uint32(ordinal) & ordinalMask
		}
		next := old&^ordinalMask | known
		if known != uint32(ordinal) || old&flagRefused != 0 {
			next |= flagContradicted
		}
		if word.CompareAndSwap(old, next) {
			return
		}
	}
}

// refuse records that request n failed for good.
func (o *outcomes) refuse(n int64) {
	if old := o.words.at(n).Or(flagRefused); old&ordinalMask != 0 {
		o.words.at(n).Or(flagContradicted)
	}
}

// each calls f with the outcome of every request that was sent, in order.
func (o *outcomes) each(f func(n int64, word uint32)) {
	o.words.each(func(n int64, word uint32) {
		if word&flagSent != 0 {
			f(n, word)
		}
	})
}

const (
	chunkBits = 20
	chunkSize = 1 << chunkBits
	maxChunks = 1 << 10 // times chunkSize: over 10^9 words
)

// sparseArray is an array of words that are 0 at first, and take memory by chunks,
// once they are used. Safe for concurrent use; the zero value is empty.
type sparseArray struct {
	chunks [maxChunks]atomic.Pointer[[chunkSize]atomic.Uint32]
	grow   sync.Mutex
}

func (a *sparseArray) at(n int64) *atomic.Uint32 {
	slot := &a.chunks[n>>chunkBits]
	chunk := slot.Load()
	if chunk == nil {
		a.grow.Lock()
		if chunk = slot.Load(); chunk == nil {
			chunk = new([chunkSize]atomic.Uint32)
			slot.Store(chunk)
		}
		a.grow.Unlock()
	}
	return &chunk[n&(chunkSize-1)]
}

// each calls f with the words of every chunk in use.
func (a *sparseArray) each(f func(n int64, word uint32)) {
	for c := range a.chunks {
		chunk := a.chunks[c].Load()
		if chunk == nil {
			continue
		}
		for i := range chunk {
			f(int64(c)<<chunkBits|int64(i), chunk[i].Load())
		}
	}
}
