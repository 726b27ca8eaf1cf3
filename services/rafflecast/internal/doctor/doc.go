// Package doctor diagnoses the proxies between browsers and a gateway. It behaves
// like a browser: it watches a raffle at the public address for a while, through
// whatever CDN, load balancer and ingress stand in front of the gateway, and
// changes nothing. Then it reports what they do to a stream, and which of their
// settings is likely to cause it.
//
// # Measuring and diagnosing
//
// Run takes the measurements; diagnose derives the findings from them, one per
// check. diagnose is a pure function, so its tests need no proxies.
//
// # What counts as a fault
//
// What a viewer would notice: odds that arrive late, streams that end early, events
// that are sent again. A limit that no stream of a gateway reaches is mentioned,
// but is no fault.
//
// # Concurrency
//
// The long measurements (the stream that is watched, the long poll) run beside the
// short ones, so that a diagnosis takes no longer than the time to watch. Each
// writes fields of measurements that no other writes; they are read when all have
// ended.
package doctor
