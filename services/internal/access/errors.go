package access

import "errors"

// The errors by which it is not known who calls.
var (
	ErrMissing = errors.New("the call needs a bearer token or a client certificate")
	ErrExpired = errors.New("the token or the certificate has expired")
	// ErrKeysUnavailable means that no token can be verified, because the keys have never
	// been read. It is worth another attempt.
	ErrKeysUnavailable = errors.New("tokens can't be verified yet, because their keys have not been read: try again")
)

// InvalidError says that a token can't be accepted. Its text holds nothing of the token.
type InvalidError struct{ Text string }

// Error implements error.
func (e *InvalidError) Error() string { return e.Text }

func invalid(text string) error { return &InvalidError{text} }

// ErrOtherMember means that a member has named another one.
var ErrOtherMember = errors.New("a member may act for itself only")

// RoleError says that a caller who is known may not do this.
type RoleError struct {
	Needed Role // any of these would do
}

// Error implements error.
func (e *RoleError) Error() string { return "the caller needs the role " + e.Needed.String() }
