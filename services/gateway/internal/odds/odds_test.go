package odds

import (
	"math"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

func encodeMessage(t *testing.T, m *rafflev1.Odds) []byte {
	t.Helper()
	data, err := proto.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestDecode_WritesEventOfContract(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 22, 10, 0, 0, 123_456_000, time.UTC)
	u, err := Decode(encodeMessage(t, &rafflev1.Odds{
		Id: 1, Epoch: "a1b2", Version: 57, State: rafflev1.Raffle_OPEN, Title: "Signed guitar",
		Entries: 42, Members: 40, Winners: 1, MaxEntriesPerMember: 1, WinnerProbability: new(100.0 / 42), NextEntryProbability: new(100.0 / 43),
		ClosesAt: timestamppb.New(time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)), At: timestamppb.New(at),
	}))
	if err != nil {
		t.Fatal(err)
	}
	want := "id: 1:a1b2:57\nevent: raffle-winning-probability\ndata: " +
		`{"id":1,"epoch":"a1b2","version":57,"state":"OPEN","title":"Signed guitar","entries":42,"members":40,"winners":1,"maxEntriesPerMember":1,` +
		`"winnerProbability":2.380952380952381,"nextEntryProbability":2.3255813953488373,"opensAt":null,` +
		`"closesAt":"2026-11-30T12:00:00.000Z","at":"2026-11-22T10:00:00.123Z"}` + "\n\n"
	if string(u.Frame) != want {
		t.Errorf("got\n%swant\n%s", u.Frame, want)
	}
	if data := string(u.JSON); want != "id: 1:a1b2:57\nevent: raffle-winning-probability\ndata: "+data+"\n\n" {
		t.Errorf("JSON: %s", data)
	}
	if body := string(u.Body); want != "id: 1:a1b2:57\n"+body {
		t.Errorf("body: %s", body)
	}
	if u.RaffleID != 1 || u.Epoch != "a1b2" || u.Removed || u.Version != 57 || u.State != "OPEN" || u.Final || !u.At.Equal(at) {
		t.Errorf("got %+v", u)
	}
}

func TestDecode_FinalStates(t *testing.T) {
	t.Parallel()
	for state, final := range map[rafflev1.Raffle_State]bool{
		rafflev1.Raffle_SCHEDULED: false,
		rafflev1.Raffle_OPEN:      false,
		rafflev1.Raffle_CLOSED:    true,
		rafflev1.Raffle_CANCELLED: true,
		rafflev1.Raffle_DRAWN:     true,
	} {
		u, err := Decode(encodeMessage(t, &rafflev1.Odds{Id: 1, Version: 1, State: state}))
		if err != nil || u.Final != final {
			t.Errorf("%v: %+v, %v", state, u, err)
		}
	}
	ahead := &rafflev1.Odds{Id: 1, Version: 1, State: rafflev1.Raffle_CLOSED, DrawsAt: timestamppb.New(time.Unix(1e9, 0))}
	if u, err := Decode(encodeMessage(t, ahead)); err != nil || u.Final || !strings.Contains(string(u.JSON), `"drawsAt":"2001-09-09T01:46:40.000Z"`) {
		t.Errorf("closed with a draw ahead: %+v, %v", u, err)
	}
}

func TestDecode_HasTheDraw(t *testing.T) {
	t.Parallel()
	u, err := Decode(encodeMessage(t, &rafflev1.Odds{
		Id: 1, Version: 1, State: rafflev1.Raffle_DRAWN, Rule: rafflev1.Raffle_MEMBER_WINS_ONCE,
		Prizes: []*rafflev1.Prize{{Name: "Guitar", Count: 1}}, Holders: []*rafflev1.Holders{{Entries: 2, Members: 3}},
		LogSize: 7, LogRoot: []byte{1, 2, 3}, Checkpoint: "c\n", Round: 9, Alternates: 1,
		WinningTickets: []*rafflev1.WinningTicket{{Ticket: 5, Prize: 1}},
	}))
	const want = `"rule":"MEMBER_WINS_ONCE","prizes":[{"name":"Guitar","count":1}],"holders":[{"entries":2,"members":3}],` +
		`"logSize":7,"logRoot":"AQID","checkpoint":"c\n","round":9,"alternates":1,"winningTickets":[{"ticket":5,"prize":1}]}`
	if err != nil || !strings.HasSuffix(string(u.JSON), want) || !u.Final {
		t.Errorf("%s, %v; want the end %s", u.JSON, err, want)
	}
}

// MaxFrame is what bounds of memory and bytes per client are computed with.
func TestDecode_LongestFrame(t *testing.T) {
	t.Parallel()
	at := timestamppb.New(time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC))
	var prizes []*rafflev1.Prize
	for range 20 {
		prizes = append(prizes, &rafflev1.Prize{Name: strings.Repeat("<", 100), Count: math.MaxInt32})
	}
	var counts []*rafflev1.Holders
	var tickets []*rafflev1.WinningTicket
	for range 100 {
		counts = append(counts, &rafflev1.Holders{Entries: 100, Members: math.MaxInt64})
		tickets = append(tickets, &rafflev1.WinningTicket{Ticket: math.MaxInt64, Prize: 20})
	}
	u, err := Decode(encodeMessage(t, &rafflev1.Odds{
		Id: math.MaxInt64, Epoch: strings.Repeat("z", maxEpoch), Version: oddsstream.MaxVersion, State: rafflev1.Raffle_CANCELLED, Title: strings.Repeat("<", 200), // six bytes each in JSON
		Rule: rafflev1.Raffle_MEMBER_WINS_ONCE, Prizes: prizes, Holders: counts, WinningTickets: tickets,
		LogSize: math.MaxInt64, LogRoot: make([]byte, 32), Checkpoint: strings.Repeat("\n", 300), DrawsAt: at, Round: math.MaxInt64, Alternates: math.MaxInt32,
		Entries: math.MaxInt64, Members: math.MaxInt64, Winners: math.MaxInt32, MaxEntriesPerMember: math.MaxInt32,
		WinnerProbability: new(1.2345678901234567e-300), NextEntryProbability: new(1.2345678901234567e-300), OpensAt: at, ClosesAt: at, At: at,
	}))
	if err != nil || len(u.Frame) > MaxFrame {
		t.Errorf("%d bytes, %v", len(u.Frame), err)
	}
}

func TestDelivery_EndsWithLastPart(t *testing.T) {
	t.Parallel()
	var d Delivery
	d.Start(3)
	if d.Done(2) || d.Done(0) {
		t.Error("ended early")
	}
	if !d.Done(5) || d.Connections() != 7 {
		t.Errorf("not ended, or not 7 connections but %d", d.Connections())
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
	for _, id := range []string{
		"1:57", "1:a1b2:57", "", ":", "1:", "1::57", "a:b", "-1:5", "1:0", "1:a:0", "9223372036854775807:zZ-0:9223372036854775807", "1:2:3:4", "1:a\nb:3",
	} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		raffleID, seen, ok := ParseID(id)
		if !ok {
			return
		}
		again := string(AppendID(nil, raffleID, seen.Epoch, seen.Version))
		r, s, ok := ParseID(again)
		if !ok || r != raffleID || s != seen || r <= 0 || s.Version <= 0 || strings.ContainsAny(again, ",\n") {
			t.Errorf("%q was parsed as %d, %+v", id, raffleID, seen)
		}
	})
}

func TestParseID_Table(t *testing.T) {
	t.Parallel()
	for id, want := range map[string]Seen{
		"7:a1b2:57": {"a1b2", 57}, "7:0:57": {"0", 57},
		"7:57":  {"0", 57}, // from a gateway without epochs
		"7::57": {}, "7:a,b:57": {}, "7:a1b2:": {}, "7:a1b2:-1": {}, "7:a:b:1": {}, "x:a:1": {},
	} {
		if _, got, ok := ParseID(id); got != want || ok != (want != Seen{}) {
			t.Errorf("%q: %+v, %t", id, got, ok)
		}
	}
}

func TestDecode_EpochsAndDamage(t *testing.T) {
	t.Parallel()
	if u, err := Decode(encodeMessage(t, &rafflev1.Odds{Id: 1, Version: 2})); err != nil || u.Epoch != "0" || ID(u) != "1:0:2" {
		t.Errorf("without an epoch: %+v, %v", u, err)
	}
	u, err := Decode(encodeMessage(t, &rafflev1.Odds{Id: 1, Version: 2, Epoch: "e", State: rafflev1.Raffle_CANCELLED, Removed: true}))
	if err != nil || !u.Removed || !u.Final {
		t.Errorf("removed: %+v, %v", u, err)
	}
	for _, m := range []*rafflev1.Odds{
		{Id: 1, Version: math.MaxInt64, Epoch: "e"},
		{Id: 1, Version: 1, Epoch: "a:b"},
		{Id: 1, Version: 1, Epoch: "a,b"},
		{Id: 1, Version: 1, Epoch: "a\nb"},
		{Id: 1, Version: 1, Epoch: strings.Repeat("a", maxEpoch+1)},
	} {
		if u, err := Decode(encodeMessage(t, m)); err == nil {
			t.Errorf("decoded %+v", u)
		}
	}
}

func TestRemoval_IsLastOfItsLife(t *testing.T) {
	t.Parallel()
	u, err := Decode(encodeMessage(t, &rafflev1.Odds{
		Id: 1, Epoch: "e", Version: 5, State: rafflev1.Raffle_OPEN, Title: "Lamp", Entries: 4, Winners: 1, NextEntryProbability: new(20.0),
	}))
	if err != nil {
		t.Fatal(err)
	}
	u.Life = 3
	got, err := Removal(u)
	if err != nil || ID(got) != "1:e:6" || got.State != "CANCELLED" || !got.Final || !got.Removed || got.Life != 3 || got.MembersOnly {
		t.Fatalf("%+v, %v", got, err)
	}
	u.MembersOnly = true // so is what was known of it
	if got, err := Removal(u); err != nil || !got.MembersOnly {
		t.Errorf("of a raffle for members: %+v, %v", got, err)
	}
	for _, want := range []string{`"state":"CANCELLED"`, `"title":"Lamp"`, `"entries":4`, `"nextEntryProbability":null`} {
		if !strings.Contains(string(got.JSON), want) {
			t.Errorf("%s lacks %s", got.JSON, want)
		}
	}
}
