package feed

// Cause is why a snapshot is taken.
type Cause string

// The causes, as metrics name them.
const (
	Connected     Cause = "connected"
	Reconnected   Cause = "reconnected"
	SlowConsumer  Cause = "slow_consumer"  // messages were dropped in this process
	Gap           Cause = "gap"            // a sequence was skipped
	MissedTail    Cause = "missed_tail"    // the stream's last message was not received
	AnotherStream Cause = "another_stream" // the stream was created again
	ShorterStream Cause = "shorter_stream" // the stream has lost its tail
)

// Causes returns all causes.
func Causes() []Cause {
	return []Cause{Connected, Reconnected, SlowConsumer, Gap, MissedTail, AnotherStream, ShorterStream}
}
