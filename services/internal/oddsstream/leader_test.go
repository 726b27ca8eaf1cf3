package oddsstream_test

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

func TestCheckLeader_BelievesALeaderThatHearsFromMostReplicas(t *testing.T) {
	t.Parallel()
	fresh, silent := &jetstream.PeerInfo{Active: time.Second}, &jetstream.PeerInfo{Active: 6 * time.Second}
	offline := &jetstream.PeerInfo{Offline: true}
	for name, test := range map[string]struct {
		cluster  *jetstream.ClusterInfo
		believed bool
	}{
		"a server alone":            {nil, true},
		"one replica":               {&jetstream.ClusterInfo{Leader: "a"}, true},
		"all answer":                {&jetstream.ClusterInfo{Leader: "a", Replicas: []*jetstream.PeerInfo{fresh, fresh}}, true},
		"one is silent":             {&jetstream.ClusterInfo{Leader: "a", Replicas: []*jetstream.PeerInfo{silent, fresh}}, true},
		"both are silent":           {&jetstream.ClusterInfo{Leader: "a", Replicas: []*jetstream.PeerInfo{silent, silent}}, false},
		"one is silent, one is off": {&jetstream.ClusterInfo{Leader: "a", Replicas: []*jetstream.PeerInfo{silent, offline}}, false},
		"two of four are silent":    {&jetstream.ClusterInfo{Leader: "a", Replicas: []*jetstream.PeerInfo{silent, silent, fresh}}, false},
		"no leader":                 {&jetstream.ClusterInfo{Replicas: []*jetstream.PeerInfo{fresh, fresh, fresh}}, false},
	} {
		err := oddsstream.CheckLeader(&jetstream.StreamInfo{Cluster: test.cluster})
		if (err == nil) != test.believed || err != nil && !errors.Is(err, oddsstream.ErrNoLeader) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
