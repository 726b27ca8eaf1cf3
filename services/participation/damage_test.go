package participation_test

import (
	"math"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// TestIdentity_NoticesAPurge is cases B4 and E, of the stream and of one raffle.
func TestIdentity_NoticesAPurge(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]jetstream.StreamPurgeOpt{
		"stream": nil, "raffle": {jetstream.WithPurgeSubject(oddsstream.Subject(2))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupPublished(t)
			stream, err := b.nats.JetStream().Stream(t.Context(), oddsstream.Name)
			if err != nil {
				t.Fatal(err)
			}
			// The comparison at the start is over, and the stream's state was looked at since.
			testenv.Eventually(t, "the stream is marked as reconciled", noticed, func() bool {
				info, err := stream.Info(t.Context())
				return err == nil && oddsstream.Reconciled(info.Config.Metadata)
			})
			last := func() uint64 {
				t.Helper()
				msg, err := stream.GetLastMsgForSubject(t.Context(), oddsstream.Subject(2))
				if err != nil {
					t.Fatal(err)
				}
				return msg.Sequence
			}
			for range 2 { // purged right after it was filled, too
				before := last()
				if err := stream.Purge(t.Context(), options...); err != nil {
					t.Fatal(err)
				}
				for id := int64(1); id <= 3; id++ {
					b.awaitTruth(t, id)
				}
				if last() == before {
					t.Fatal("nothing was purged")
				}
			}
		})
	}
}

// TestIdentity_DamageDoesNotReachTheDatabase is cases B18 and A9.
func TestIdentity_DamageDoesNotReachTheDatabase(t *testing.T) {
	t.Parallel()
	encode := func(odds *rafflev1.Odds) []byte {
		data, err := proto.Marshal(odds)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for name, data := range map[string][]byte{
		"highest version":  encode(&rafflev1.Odds{Id: 1, Version: math.MaxInt64, Title: "forged"}),
		"negative version": encode(&rafflev1.Odds{Id: 1, Version: math.MinInt64, Title: "forged"}),
		"another raffle's": encode(&rafflev1.Odds{Id: 2, Version: 50, Title: "forged"}),
		"not odds":         []byte("\xff"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setup(t)
			b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1, MaxEntriesPerMember: 3})
			b.awaitTruth(t, 1)
			damage := func() {
				t.Helper()
				if _, err := b.nats.JetStream().Publish(t.Context(), oddsstream.Subject(1), data); err != nil {
					t.Fatal(err)
				}
			}
			damage() // met by the relay
			b.enter(t, 1, "m")
			if odds := b.awaitTruth(t, 1); odds.GetVersion() != 2 || odds.GetTitle() != "A" {
				t.Errorf("published %v", odds)
			}
			if got := b.metrics(t); strings.Contains(got, "rafflecast_participation_damaged_messages_total 0") {
				t.Error("the damage is not counted")
			}
			if err := b.stop(); err != nil {
				t.Fatal(err)
			}
			damage() // met by the comparison at the start
			b.start(t)
			if odds := b.awaitTruth(t, 1); odds.GetVersion() != 2 || odds.GetEntries() != 1 {
				t.Errorf("published %v", odds)
			}
		})
	}
}

// TestIdentity_LostCommitsAreNoticedWhileItRuns is case D: a restore, or a failover to
// a standby that lacks some commits.
func TestIdentity_LostCommitsAreNoticedWhileItRuns(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]string{"restore": restore, "failover": loseCommits} {
		for quiet, entries := range map[string]int{"quiet": 0, "with entries": 3} {
			t.Run(name+", "+quiet, func(t *testing.T) {
				t.Parallel()
				b := setup(t)
				b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1, MaxEntriesPerMember: 100})
				b.enter(t, 1, "m")
				b.sql(t, backUp)
				for range 10 {
					b.enter(t, 1, "m")
				}
				if odds := b.awaitTruth(t, 1); odds.GetVersion() != 12 {
					t.Fatalf("published %v", odds)
				}
				b.awaitTick(t)
				b.sql(t, lose)
				for range entries {
					b.enter(t, 1, "m")
				}
				odds := b.awaitTruth(t, 1)
				if odds.GetVersion() <= 12 || odds.GetEntries() != int64(1+entries) {
					t.Errorf("published %v", odds)
				}
			})
		}
	}
}

// TestIdentity_EqualVersionsWithOtherContentDiffer is the third variant of case D: the
// database has lost commits and reached the same version again.
func TestIdentity_EqualVersionsWithOtherContentDiffer(t *testing.T) {
	t.Parallel()
	b := setup(t)
	b.create(t, &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1, MaxEntriesPerMember: 100})
	for range 6 {
		b.enter(t, 1, "m")
	}
	b.awaitTruth(t, 1)
	if err := b.stop(); err != nil {
		t.Fatal(err)
	}
	b.sql(t, `INSERT INTO entries SELECT 1, 'n', i, NULL, now() FROM generate_series(1, 2) i`, `UPDATE raffles SET entries = 8, members = 2`)
	b.start(t)
	if odds := b.awaitTruth(t, 1); odds.GetVersion() != 8 || odds.GetEntries() != 8 {
		t.Errorf("published %v", odds)
	}
}
