package oddsstream

import (
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// maxSilence is for how long a leader may not have heard from a replica that counts. A
// replica answers every second.
const maxSilence = 5 * time.Second

// ErrNoLeader means that the server which describes the stream does not know of a leader
// that hears from most replicas: it is cut off, or the stream is unavailable.
var ErrNoLeader = errors.New("the stream has no leader that hears from most of its replicas, as far as the NATS server knows")

// CheckLeader returns ErrNoLeader unless a leader that hears from most replicas
// describes the stream. A server that is cut off from the others goes on describing the
// stream as it was: as a leader for up to 20 s, and without a leader for ever.
func CheckLeader(info *jetstream.StreamInfo) error {
	cluster := info.Cluster
	if cluster == nil { // the server is alone
		return nil
	}
	heard := 1 // the leader itself
	for _, replica := range cluster.Replicas {
		if !replica.Offline && replica.Active <= maxSilence {
			heard++
		}
	}
	if cluster.Leader == "" || 2*heard <= len(cluster.Replicas)+1 {
		return ErrNoLeader
	}
	return nil
}
