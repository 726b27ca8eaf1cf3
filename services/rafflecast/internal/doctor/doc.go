// Package doctor finds out what stands in the way between a viewer and the
// gateway. It is a client like any other: it watches a raffle through whatever
// CDN, load balancer and ingress stand before the gateway, changes nothing, and
// says what the way does to a stream and which setting is likely to do it.
//
// # Measuring and judging
//
// Run measures (reach, watch, poll, resume, crowd) into a measurements, and
// diagnose makes findings of it. Diagnose is pure: it can be told any way there
// might be.
//
// # Concurrency
//
// The long measurements (the stream that is watched, the answer that is waited
// for) run beside the short ones, so that all take no longer than the time to
// watch. Each writes a field of measurements of its own; they are read when all
// have ended.
//
// # What is a fault
//
// What a viewer would notice: odds that come late, streams that end early, what
// was seen sent again. A limit that no stream of ours meets is only told.
package doctor
