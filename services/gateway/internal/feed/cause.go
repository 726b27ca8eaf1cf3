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
	Reconciled    Cause = "reconciled"     // participation has filled the stream
	Absent        Cause = "absent"         // raffles may have been removed without a message
	ShorterStream Cause = "shorter_stream" // the stream has lost its tail
)

// Causes returns all causes.
func Causes() []Cause {
	return []Cause{Connected, Reconnected, SlowConsumer, Gap, MissedTail, AnotherStream, ShorterStream, Reconciled, Absent}
}
