package outbox

import (
	"testing"

	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
	"github.com/rafflecast/rafflecast/services/participation/internal/rafflepb"
)

// Who may watch a raffle is said by each of its messages, and by the one that removes it.
func TestMessages_SayWhoMayWatch(t *testing.T) {
	t.Parallel()
	for _, visibility := range []raffle.Visibility{raffle.Public, raffle.Members} {
		isForMembers := visibility == raffle.Members
		odds := rafflepb.Odds(raffle.Raffle{ID: 1, Version: 3, Title: "A", Visibility: visibility})
		data, err := proto.Marshal(odds)
		if err != nil {
			t.Fatal(err)
		}
		for name, m := range map[string]*rafflev1.Odds{"odds": odds, "removal": tombstone(1, decode(1, 7, data))} {
			if got := m.GetVisibility() == rafflev1.Raffle_MEMBERS; got != isForMembers || m.GetTitle() != "A" {
				t.Errorf("%s of a raffle, for members: %t: %v", name, isForMembers, m)
			}
		}
	}
}

// FuzzDecode decodes what anybody may have put into the stream: a message is damage, or
// it has a version that a raffle can have, and is compared without a panic.
func FuzzDecode(f *testing.F) {
	for _, odds := range []*rafflev1.Odds{
		{Id: 1, Version: 3, Epoch: "k3f9w2", State: rafflev1.Raffle_OPEN, Title: "A"},
		{Id: 1, Version: oddsstream.MaxVersion},
		{Id: 2, Version: 1},
		{Id: 1, Version: -1},
		{Id: 1, Version: 1, Removed: true, WinnerProbability: new(100.0)},
	} {
		data, err := proto.Marshal(odds)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte("no protobuf"))
	f.Fuzz(func(t *testing.T, data []byte) {
		m := decode(1, 7, data)
		if m.Seq != 7 || m.Damaged != (m.odds == nil) || m.Damaged && (m.Version != 0 || m.Epoch != "" || m.Content != 0) {
			t.Errorf("%q is decoded as %+v", data, m)
		}
		if m.Damaged {
			return
		}
		if m.Version < 1 || m.Version >= oddsstream.MaxVersion {
			t.Errorf("%q has version %d", data, m.Version)
		}
		again, err := proto.Marshal(m.odds)
		if err != nil {
			t.Fatal(err)
		}
		if got := decode(1, 7, again); got.Content != m.Content || got.Epoch != m.Epoch || got.Version != m.Version || got.Removed != m.Removed {
			t.Errorf("%q: %+v, encoded again %+v", data, m, got)
		}
		row := raffle.Raffle{ID: 1, Epoch: m.Epoch, Version: m.Version + 1}
		if got := m.relate(&row); got != behind {
			t.Errorf("%q is not behind the next version: %v", data, got)
		}
		if row.Version -= 2; row.Version > 0 && m.relate(&row) != ahead {
			t.Errorf("%q is not ahead of the version before", data)
		}
	})
}
