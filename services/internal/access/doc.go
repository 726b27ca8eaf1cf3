// Package access tells who a caller is: by a bearer token (a JWT that is signed with a
// key of a JWK set), or by a client certificate.
//
// # Tokens
//
// github.com/golang-jwt/jwt/v5 verifies signatures and claims; issuer, audience and
// algorithms are pinned by settings. github.com/MicahParks/jwkset reads the keys. Of its
// sibling keyfunc only the refreshing was left to use, and that does not fit: its
// goroutine can't be waited for, and a caller with an unknown key either queues for a
// rate limiter or fails while the keys are being read for somebody else.
// coreos/go-oidc reads keys from a URL only, and has no bound on how often.
//
// The keys come from a file or a URL. A file is read again when it changes, a URL at an
// interval and when a token names an unknown key, but at most once in some seconds. As
// long as the source can't be read, the keys that were read last are used.
//
// A token that was verified is remembered by its hash until it expires, or until the
// keys change, so that verification costs a hash and a map look-up.
//
// # Concurrency
//
// All methods are safe for concurrent use. Tokens.Run has the only goroutine; its caller
// starts it and waits for it.
package access
