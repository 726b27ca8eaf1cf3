// Package watch holds many Server-Sent-Events connections to a gateway, each of a
// client that comes back as a browser's EventSource does, and tells what none of
// them may see.
//
// # What is checked
//
// Of every client, over all of its connections:
//
//   - versions only grow, and none comes twice;
//   - an event is of its raffle, and its id says its version;
//   - nothing comes after the final odds, and the stream is not ended for good
//     (204) before them;
//   - once the raffle is closed, it has the final odds that participation tells,
//     within some seconds, and is told to stop.
//
// What a client may see in bad times is counted, and is no fault: lost and
// refused connections, resets, and the longest time without a connection.
//
// # Concurrency
//
// Each client is a goroutine with a connection of its own. One run is driven by
// one call of Run.
package watch
