package doctor

import (
	"net/http"
	"time"
)

// measurements are all that was seen. Zero values mean that it was not.
type measurements struct {
	raffle  int64
	reach   answer        // of /odds, after connections are made
	plain   time.Duration // that the quickest plain answer took
	watched []stream      // one after the other
	poll    poll
	packed  answer // the stream, asked for with every compression
	byField resumed
	byQuery resumed
	crowd   []stream // at once, each over a connection of its own
	unknown answer   // of a raffle that there is not
}

// answer is a response, or why there was none.
type answer struct {
	status  int // 0: none
	proto   string
	tls     string // version, empty without
	address string // of the peer
	header  http.Header
	body    []byte
	took    time.Duration // until its head was here
	err     error
}

// ending is how a stream came to its end.
type ending int

const (
	watching ending = iota // it had not: we stopped
	cut                    // ended or broke, without a word
	sentAway               // by a gateway that said so
	finished               // with its raffle
)

// stream is what came of a subscription. Times count from its request.
type stream struct {
	head    answer
	events  []event
	ending  ending
	err     error         // that broke it; nil where it ended in good order
	life    time.Duration // until its end, or until we stopped
	heard   time.Duration // when the last byte came
	longest time.Duration // silence, but for the one at the end
}

// open tells whether the stream could be watched.
func (s *stream) open() bool { return s.head.status == http.StatusOK && len(s.events) > 0 }

// silence returns how long nothing had come at the end.
func (s *stream) silence() time.Duration { return s.life - s.heard }

// event is one that came.
type event struct {
	name string
	id   string
	sent time.Time     // by its sender's clock; zero where it doesn't say
	came time.Time     // by ours
	at   time.Duration // since the request
}

// poll is an answer that was waited for, with nothing sent before it.
type poll struct {
	wait  time.Duration // asked for
	quiet time.Duration // the longest time waited before an answer of the gateway's
	cut   time.Duration // after which the way gave up; 0: it didn't
	fault answer        // how it did
	early bool          // answered at once, though nothing had changed
}

// resumed is what came of coming back with the id of the newest event.
type resumed int

const (
	unclear resumed = iota
	kept            // what was seen is not sent again
	dropped         // it is
)

// headers yields the header of every answer.
func (m *measurements) headers(yield func(http.Header)) {
	for _, a := range []*answer{&m.reach, &m.packed, &m.unknown, &m.poll.fault} {
		yield(a.header)
	}
	for i := range m.watched {
		yield(m.watched[i].head.header)
	}
	for i := range m.crowd {
		yield(m.crowd[i].head.header)
	}
}
