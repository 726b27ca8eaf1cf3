package outbox

const (
	// manyAppended is how many of our messages are remembered before the stream's are
	// counted, after which they can be forgotten.
	manyAppended = 1 << 16
	// maxAppended bounds the memory for them, 4 MB, in case that they can't be counted.
	maxAppended = 4 * manyAppended
)

// appended is a message that the stream has acknowledged to us.
type appended struct {
	raffleID int64
	seq      uint64
}

// addAppended records that the stream has acknowledged a message.
func (q *Queue) addAppended(raffleID int64, seq uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.appended) == maxAppended {
		q.appended = nil // a count expects less then
	}
	q.appended = append(q.appended, appended{raffleID, seq})
}

// hasManyAppended reports whether so many messages are recorded that takeAppended should
// be called.
func (q *Queue) hasManyAppended() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.appended) >= manyAppended
}

// takeAppended returns how many messages of each raffle were recorded with sequences
// above after and up to last, and forgets all up to last.
func (q *Queue) takeAppended(after, last uint64) map[int64]uint64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	counts := make(map[int64]uint64)
	var rest []appended
	for _, a := range q.appended {
		switch {
		case a.seq > last:
			rest = append(rest, a)
		case a.seq > after:
			counts[a.raffleID]++
		}
	}
	q.appended = rest
	return counts
}
