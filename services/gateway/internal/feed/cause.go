package feed

// Cause is why a snapshot is taken.
type Cause string

// The causes, as metrics name them.
const (
	Connected     Cause = "connected"
	Reconnected   Cause = "reconnected"
	SlowConsumer  Cause = "slow_consumer"  // messages were dropped here
	Gap           Cause = "gap"            // a sequence was skipped
	UnheardTail   Cause = "unheard_tail"   // the stream's end was not heard
	AnotherStream Cause = "another_stream" // it was made again
	ShorterStream Cause = "shorter_stream" // it has lost its tail
)

// Causes lists them all.
func Causes() []Cause {
	return []Cause{Connected, Reconnected, SlowConsumer, Gap, UnheardTail, AnotherStream, ShorterStream}
}
