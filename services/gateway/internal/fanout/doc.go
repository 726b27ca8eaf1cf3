// Package fanout brings each raffle's newest odds to everyone who watches it,
// for little more than the price of one send each.
//
// Odds are state: who could not take an update in time wants the newest, not
// those between. So there is no queue per connection. There is one shared,
// encoded frame per update; and per connection the version that it has.
//
// # Two ways out
//
// On Linux a plain HTTP/1.1 connection is detached after net/http has read its
// request: the file descriptor belongs to a shard from then on, which writes to
// it without blocking and hears of it by epoll. Any other connection (HTTP/2,
// TLS, another system) keeps its handler's goroutine and gets its frames through
// a port, a mailbox for one frame. A port is to a shard what a socket is: it
// takes a frame, or would block, and says when it is writable again. All that
// decides what a client gets, and when, is the same for both.
//
// # Concurrency
//
// All methods of Hub are safe for concurrent use. There is a shard per core. It
// owns its connections and topics, and one goroutine works on them. Others reach
// it through its inbox, which a mutex guards: connections to add, topics with a
// newer update (one slot each), and connections whose port is writable or gone
// (each listed once). A wake-up follows only where the shard sleeps.
//
// # Lifecycle
//
// A hub does nothing until Run; connections may be handed over before. Leave ends
// connections evenly over a window and refuses new ones. Run ends them all when
// its context ends, and returns when the last has been closed and its Done called.
//
// # Who owns a file descriptor
//
// net/http does, until Hijack; then the handler duplicates it, closes the
// original (which removes it from the runtime's poller), and hands the duplicate
// to a shard, which alone writes to it, reads from it and closes it. A number may
// be used again once it is closed: a shard closes within its own goroutine, and
// looks connections up by number, so an event for a closed one finds nothing.
//
// A client that shuts down its side of the connection, as some do after a
// request, counts as gone, as it does with net/http.
//
// # Invariants
//
//   - Publish never waits for a client. Memory per connection is constant.
//   - A client sees versions of a raffle rise, and each at most once.
//   - A frame that went out in part is finished before anything else is written.
//   - A connection that is behind gets the newest of each of its raffles once it
//     takes bytes again; when updates stop, every connection that takes bytes has
//     the newest.
//   - Updates of one raffle go out at least the spacing apart; the first at once,
//     and the last always.
//   - A client that takes nothing for the write timeout is dropped, and so is one
//     that keeps talking after its request.
//   - Each published update with a trip arrives once: offered to all, or superseded.
//   - No goroutine, timer, buffer or queue per detached connection.
package fanout
