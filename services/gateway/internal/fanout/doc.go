// Package fanout sends each raffle's newest odds to everyone who has subscribed to
// it, for little more than the price of one send each.
//
// Odds are state: a client that could not take an update in time wants the newest,
// not those between. So there is no queue per connection. There is one shared,
// encoded frame per update, and per subscription the version that was sent last.
//
// # Two kinds of connections
//
// On Linux a plain HTTP/1.1 connection is detached once its request has been read, by
// net/http (Serve) or by package handshake (ServeSocket): from then on the file
// descriptor belongs to a shard, which writes to it without blocking and learns of it by
// epoll. Any other connection (HTTP/2, TLS,
// another system) keeps its handler's goroutine and gets its bytes through a
// handlerConn, which holds one write. To a shard a handlerConn is like a socket: it
// takes bytes or would block, and signals when it is writable again. All code that
// decides what a client gets, and when, is the same for both.
//
// # Concurrency
//
// All methods of Hub are safe for concurrent use. There is a shard per core. It owns
// its connections and topics, and one goroutine works on them. Others reach it
// through its inbox, which a mutex guards: connections to add, topics with a newer
// update (one slot each), and connections whose handler has signalled (each listed
// once). They wake the shard only if it sleeps.
//
// # Lifecycle
//
// A hub does nothing until Run; connections may be handed over before. Drain refuses
// new connections and ends the open ones evenly over a window. Run ends all of them
// when its context ends, and returns when the last has been closed and its Done
// called.
//
// # Who owns a file descriptor
//
// Whoever accepted the connection: package handshake hands the descriptor over as it is;
// net/http owns it until Hijack. Then the handler duplicates it, closes the original
// (which removes it from the runtime's poller), and hands the duplicate to a shard,
// which alone writes to it, reads from it and closes it. A number may be used again
// once it is closed: a shard closes within its own goroutine and looks connections
// up by number, so an event of a closed one finds nothing.
//
// A client that shuts down its side of the connection, as some do after a request,
// counts as gone, as it does with net/http.
//
// # Invariants
//
//   - Publish never waits for a client. Memory per connection is constant.
//   - A client is sent rising versions of a raffle, each at most once. What does not
//     follow from what it has seen, such as another life of the raffle, comes after a
//     reset event.
//   - With several raffles on a connection, every id names all versions that the client
//     has.
//   - A frame that was sent in part is completed before anything else is sent.
//   - A lagging connection gets the newest update of each of its raffles once it is
//     writable again. When updates stop, every connection that takes bytes has the
//     newest.
//   - Passes over the subscribers of one raffle begin at least the conflation interval
//     apart: the first update is sent at once, and the last always. A subscriber is sent
//     the update that is the newest when the pass comes to it.
//   - After a pass for which a shard was kept from its core by others, it rests as long.
//   - A client that takes nothing for the write timeout is dropped, and so is one that
//     keeps sending after its request.
//   - Delivery tracking: Config.Delivered is called for an update at most once, and
//     exactly once if no shard has skipped it in favour of a newer one.
//   - Config.PassEnded is called at the end of every pass, however busy the shard is and
//     whatever overtakes what: an alert may depend on it.
//   - No goroutine, timer, buffer or queue per detached connection.
package fanout
