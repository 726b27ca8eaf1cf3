// Package bench measures the gateway beside two yardsticks: a bare epoll server
// that only writes a prepared frame to every socket, and an idiomatic net/http hub
// with a goroutine and a channel per client.
//
// Each server is a process of its own, pinned to one core. The load client, which
// has no goroutine per connection either, has the other core, which it shares with
// NATS, which only the gateway needs. A server is started anew for each
// measurement, and the three take turns, so that whatever else the machine does
// affects all of them alike: trust the ratios.
package bench
