package handshake

import (
	"net/http"
	"sync/atomic"

	"github.com/rafflecast/rafflecast/services/gateway/internal/fanout"
)

// Config configures a Listener.
type Config struct {
	// Hub serves the connections of plain requests.
	Hub *fanout.Hub
	// Open returns what a request for a stream is answered with, and sets the header of
	// the answer. It reports false if net/http must serve the request. It must not block,
	// and what it returns is served or given to the stream's Done. nil: no request is plain,
	// since connections have TLS.
	Open func(header http.Header, r *http.Request) (fanout.Stream, bool)
	// Full reports whether no more connections may be open. They are left to the server.
	Full func() bool
	// Allow reports whether a client's address may have another stream. If not, its
	// connection is closed.
	Allow func(remote string) bool
	// IsFrequent reports whether a client's address connects so often that its connection
	// must wait for its turn among others like it. The rest do not wait for these.
	IsFrequent func(remote string) bool
	// IsPaced, if set, reports whether the connections of an address that does not connect
	// often must wait for their turn, too, which comes before that of all who do.
	IsPaced func(remote string) bool
	// Waiting is how many connections wait for their turn.
	Waiting *atomic.Int64
}
