// Package handshake serves plain requests for a stream without net/http, whose
// goroutine, buffers and timers for a connection cost more than the rest of its
// handshake.
//
// A Listener stands between the kernel and an http.Server. It accepts a connection,
// looks at what has arrived without taking it out of the socket (MSG_PEEK), and if that
// is one whole GET request for a stream and nothing else, has it served as a detached
// socket. Every other connection it returns from Accept, untouched: the server does
// with it what it would have done without the Listener. In doubt a request is not plain;
// request.go says what is.
//
// Connections of addresses that connect often wait in a line, which is served at a bounded
// rate, after all others. Others may have to wait in a line, too, which comes first: where
// connections have TLS, whose handshake costs more than all else. Those that wait are bounded.
//
// # Concurrency and lifecycle
//
// The server's goroutine that accepts does all of the work, so nothing here may block.
// With TCP_DEFER_ACCEPT the kernel reports a connection when its first bytes are there,
// or after about a second. Closing the Listener ends Accept.
package handshake
