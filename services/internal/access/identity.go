package access

import (
	"context"
	"strings"
	"time"
)

// Role is a set of what callers may be.
type Role uint8

// The roles.
const (
	Member   Role = 1 << iota // acts for itself: enters, withdraws, reads its own entries
	Backend                   // does that for any member
	Operator                  // manages
)

// Any is every role.
const Any = Member | Backend | Operator

var roleNames = []struct {
	role Role
	name string
}{{Member, "member"}, {Backend, "backend"}, {Operator, "operator"}}

// String returns the names of the roles, joined by "or".
func (r Role) String() string {
	var names []string
	for _, known := range roleNames {
		if r&known.role != 0 {
			names = append(names, known.name)
		}
	}
	return strings.Join(names, " or ")
}

// Identity is who a caller is. It is immutable.
type Identity struct {
	// Subject is the subject of the token, or the name in the certificate. A member's
	// subject is its member id.
	Subject string
	Roles   Role
	Expires time.Time // when the token or the certificate does
}

// Has reports whether the caller has one of the roles.
func (i *Identity) Has(roles Role) bool { return i != nil && i.Roles&roles != 0 }

type contextKey struct{}

// With returns a context that holds an identity.
func With(ctx context.Context, who *Identity) context.Context {
	return context.WithValue(ctx, contextKey{}, who)
}

// From returns the identity in a context, or nil.
func From(ctx context.Context) *Identity {
	who, _ := ctx.Value(contextKey{}).(*Identity)
	return who
}
