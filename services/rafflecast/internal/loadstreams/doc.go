// Package loadstreams holds many Server-Sent Events connections to a gateway, each of a
// client that reconnects as a browser's EventSource does, until the raffle is
// closed, and reports what no client may see.
//
// # What is checked
//
// For every client, over all of its connections:
//
//   - versions only grow, none is received twice, and all have one epoch;
//   - an event belongs to the raffle, and its id names its epoch and version;
//   - nothing follows the final odds, and the gateway answers 204, which stops a
//     client for good, only after them;
//   - while the raffle changes, a connected client has each committed version, or a newer
//     one, within some seconds, and receives updates all the time (package flow);
//   - once the raffle is closed, the client has the final odds that participation
//     reports within some seconds, and is stopped.
//
// Over all clients together, no second may end more streams, or see more clients come
// back, than the settings allow.
//
// What clients may see when services fail is counted, and is no fault: lost and
// refused connections, resets, and the longest time without a connection.
//
// # Concurrency
//
// Each client is a goroutine with a connection of its own, which Run waits for.
package loadstreams
