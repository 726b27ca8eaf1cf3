package raffle

import (
	"context"
	"time"
)

// AuditEvent says who has made a call that changed something, and when.
type AuditEvent struct {
	ID       int64 // grows with time
	At       time.Time
	Call     string // as CreateRaffle
	RaffleID int64
	Actor    string // empty: callers were not authenticated
	MemberID string // empty unless the call was about one member
}

type actorKey struct{}

// WithActor returns a context of changes that an actor makes. An actor is the name of
// someone who acts for others than itself.
func WithActor(ctx context.Context, actor string) context.Context {
	return context.WithValue(ctx, actorKey{}, actor)
}

// ActorOf returns the actor of a context, or "".
func ActorOf(ctx context.Context) string {
	actor, _ := ctx.Value(actorKey{}).(string)
	return actor
}
