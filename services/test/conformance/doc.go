// Package conformance has no code: its tests read the gateway's streams with
// clients that others wrote, directly and through the proxies that people put in
// front of it, with the settings that testdata shows.
package conformance
