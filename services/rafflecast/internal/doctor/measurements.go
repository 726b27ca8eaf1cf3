package doctor

import (
	"net/http"
	"time"
)

// measurements is everything that was measured. A zero value means that a
// measurement was not taken.
type measurements struct {
	raffleID   int64
	plain      response   // to the quickest of some requests for the odds
	streams    []stream   // watched one after the other
	longPoll   longPoll   // requests that the gateway answers when the odds change
	compressed response   // the head of a stream, requested with every compression
	byHeader   resumption // with the header Last-Event-ID
	byQuery    resumption // with ?lastEventId=
	concurrent []stream   // opened at once, each over a connection of its own
	notFound   response   // to a request for a raffle that does not exist
}

// response is an HTTP response, or why there was none.
type response struct {
	status  int    // 0: there was none
	proto   string // such as HTTP/2.0
	tls     string // the version of TLS, "" without
	address string // of the peer
	header  http.Header
	body    []byte
	took    time.Duration // until its head arrived, or until the failure
	err     error
}

// ending says how a stream ended.
type ending int

const (
	stillOpen   ending = iota // it had not ended when we closed it
	truncated                 // it ended or broke without notice
	drained                   // the gateway announced the end, with a reconnection time
	raffleEnded               // with the raffle's final odds
)

// stream is what was received over one subscription. Durations count from its
// request.
type stream struct {
	head           response
	events         []event
	ending         ending
	err            error         // that ended it; nil if it ended in good order
	life           time.Duration // until it ended, or until we closed it
	lastRead       time.Duration // when the last byte arrived
	longestSilence time.Duration // between two reads; the silence at the end does not count
}

// open reports whether the stream began and had an event.
func (s *stream) open() bool { return s.head.status == http.StatusOK && len(s.events) > 0 }

// finalSilence returns for how long nothing had arrived when the stream ended.
func (s *stream) finalSilence() time.Duration { return s.life - s.lastRead }

// event is an event of a stream.
type event struct {
	name       string
	id         string
	sentAt     time.Time     // by the sender's clock; zero if it does not say
	receivedAt time.Time     // by our clock
	after      time.Duration // since the stream's request
}

// longPoll is what became of requests that are answered only when the odds change,
// so that nothing is sent before the answer.
type longPoll struct {
	answeredAfter time.Duration // the longest wait that the gateway's answer survived
	cutAfter      time.Duration // the wait after which a proxy answered or broke it; 0: none did
	failure       response      // the last answer, if it was none of a long poll
	early         bool          // answered early, though nothing had changed
}

// resumption says whether a stream resumed after the event that its request named.
type resumption int

const (
	resumeUnknown resumption = iota
	resumed                  // the event was not sent again
	notResumed               // the event was sent again
)

// headers calls f with the header of every response.
func (m *measurements) headers(f func(http.Header)) {
	for _, r := range []*response{&m.plain, &m.compressed, &m.notFound, &m.longPoll.failure} {
		f(r.header)
	}
	for _, streams := range [][]stream{m.streams, m.concurrent} {
		for i := range streams {
			f(streams[i].head.header)
		}
	}
}
