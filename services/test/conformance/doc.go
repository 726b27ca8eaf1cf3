// Package conformance has no code, only tests: they read the gateway's streams
// with clients that others wrote (Go, curl, Node.js), directly and through nginx
// and HAProxy. testdata holds the proxies' settings as we recommend them.
package conformance
