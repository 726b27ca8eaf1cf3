// Package client enters members into raffles and watches the odds, over the network's
// and the services' failures.
//
// A Client calls participation over gRPC. Every call that changes something has a
// request id, which is made if the caller has set none and is kept over retries: so it is
// carried out once, however often it is sent. A call that the service refuses for now, or
// whose answer is lost, is sent again, not before the time that the service asks for,
// until its context ends. Give each call a deadline: without one it may go on for ever.
//
// A Stream places many entries over one call of EnterStream at a time, and opens another
// one whenever that ends. Watch reads odds from a gateway as they change, over
// connections that are resumed.
//
// Every failure that the services report is an *Error, by its reason:
//
//	if e, ok := errors.AsType[*client.Error](err); ok && e.Reason == "ENTRY_LIMIT_REACHED" {
//		fmt.Println("all", e.Metadata["limit"], "entries are used")
//	}
//
// # Concurrency
//
// Clients and Streams are safe for concurrent use. A sequence of Watch belongs to the
// goroutine that ranges over it; a Watcher may have any number of them.
package client
