// Package bench measures the gateway beside two yardsticks: a bare epoll server
// that only writes a ready frame to every socket, and an idiomatic net/http hub
// with a channel per client.
//
// Each server is a process of its own, pinned to one core; the load client, which
// has no goroutine per connection either, has another. NATS, which only the
// gateway needs, shares the client's. A server is started anew for each
// measurement, and the three take turns, so that whatever else the machine does
// falls on all of them alike: trust the ratios.
package bench
