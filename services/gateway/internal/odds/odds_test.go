package odds

import (
	"math"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

func encode(t *testing.T, m *rafflev1.Odds) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDecodeWritesTheContractsEvent(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 10, 0, 0, 123_456_000, time.UTC)
	u, err := Decode(encode(t, &rafflev1.Odds{
		Id: 1, Version: 57, State: rafflev1.Raffle_OPEN, Title: "Signed guitar",
		Entries: 42, Members: 40, Winners: 1, MaxEntriesPerMember: 1, WinnerProbability: new(100.0 / 42), NextEntryProbability: new(100.0 / 43),
		ClosesAt: timestamppb.New(time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)), At: timestamppb.New(at),
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := "id: 1:57\nevent: raffle-winning-probability\ndata: " +
		`{"id":1,"version":57,"state":"OPEN","title":"Signed guitar","entries":42,"members":40,"winners":1,"maxEntriesPerMember":1,` +
		`"winnerProbability":2.380952380952381,"nextEntryProbability":2.3255813953488373,"opensAt":null,` +
		`"closesAt":"2026-11-30T12:00:00.000Z","at":"2026-11-22T10:00:00.123Z"}` + "\n\n"
	if string(u.Frame) != want {
		t.Errorf("got\n%swant\n%s", u.Frame, want)
	}
	if u.RaffleID != 1 || u.Version != 57 || u.State != "OPEN" || u.Final || !u.At.Equal(at) {
		t.Errorf("got %+v", u)
	}
}

func TestFinalStates(t *testing.T) {
	t.Parallel()
	for state, final := range map[rafflev1.Raffle_State]bool{
		rafflev1.Raffle_SCHEDULED: false,
		rafflev1.Raffle_OPEN:      false,
		rafflev1.Raffle_CLOSED:    true,
		rafflev1.Raffle_CANCELLED: true,
		rafflev1.Raffle_DRAWN:     true,
	} {
		u, err := Decode(encode(t, &rafflev1.Odds{Id: 1, Version: 1, State: state}))
		if err != nil || u.Final != final {
			t.Errorf("%v: %+v, %v", state, u, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte("not protobuf"))
	f.Add([]byte{})
	nan, _ := proto.Marshal(&rafflev1.Odds{Id: 1, Version: 1, WinnerProbability: new(math.NaN())})
	f.Add(nan)
	broken, _ := proto.Marshal(&rafflev1.Odds{Id: 1, Version: 1, Title: "a\nb</script>", At: &timestamppb.Timestamp{Seconds: 1 << 60, Nanos: -5}})
	f.Add(broken)
	f.Fuzz(func(t *testing.T, payload []byte) {
		u, err := Decode(payload)
		if err != nil {
			return
		}
		if u.RaffleID <= 0 || u.Version <= 0 {
			t.Errorf("%+v", u)
		}
		lines := 0
		for _, c := range u.Frame {
			if c == '\n' {
				lines++
			}
		}
		if lines != 4 {
			t.Errorf("the frame is not one event: %q", u.Frame)
		}
	})
}

func FuzzParseID(f *testing.F) {
	for _, id := range []string{"1:57", "", ":", "1:", "a:b", "-1:5", "1:0", "9223372036854775807:9223372036854775807", "1:2:3"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		raffleID, version, ok := ParseID(id)
		if !ok {
			return
		}
		r, v, ok := ParseID(ID(raffleID, version))
		if !ok || r != raffleID || v != version || r <= 0 || v <= 0 {
			t.Errorf("%q reads as %d, %d", id, raffleID, version)
		}
	})
}
