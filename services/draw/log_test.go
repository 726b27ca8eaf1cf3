package draw

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

const testOrigin = "test/raffle/1"

// testRules are the rules of a raffle in tests, with so many prizes.
func testRules(rule Rule, prizes, perMember, alternates int64) Rules {
	return Rules{
		Format: Format, Raffle: 1, Title: "Test", Prizes: []Prize{{"Prize", prizes}}, Rule: rule,
		MaxEntriesPerMember: perMember, Alternates: alternates, Chain: Quicknet().Hash, DelaySeconds: 60,
	}
}

func encode(t testing.TB, r Record) []byte {
	t.Helper()
	b, err := Encode(r)
	if err != nil {
		t.Fatalf("%+v: %v", r, err)
	}
	return b
}

// closeOf returns the record that closes a log now.
func closeOf(t testing.TB, l *Log) []byte {
	t.Helper()
	entries, members := l.Counts()
	at := Quicknet().TimeOf(940) // so that round 960 is the first 60 s later
	return encode(t, Close{at, 1, 960, entries, members, l.rulesBody})
}

// closedLog returns the closed log of a raffle in which each member has so many entries.
func closedLog(t testing.TB, rules Rules, entries ...int) *Log {
	t.Helper()
	l := NewLog(testOrigin, Quicknet())
	add := func(record []byte) {
		if err := l.Append(record); err != nil {
			t.Fatal(err)
		}
	}
	add(encode(t, rules))
	for member, n := range entries {
		for i := range n {
			add(AppendEntry(nil, uint32(i+1), Tag{byte(member), byte(member >> 8)}))
		}
	}
	add(closeOf(t, l))
	return l
}

func TestLog_TakesEachRecordWhereItMayStandOnly(t *testing.T) {
	t.Parallel()
	v, records := readVector(t)
	rules, entry, withdrawal, closing, drawing := records[0], records[11], records[10], records[12], records[13]
	strike, redraw, cancel := records[14], records[16], encode(t, Cancel{0})
	restored := encode(t, Restored{5, Hash{}})
	all := map[string][]byte{
		"rules": rules, "entry": entry, "withdrawal": withdrawal, "close": closing, "draw": drawing,
		"strike": strike, "redraw": redraw, "cancel": cancel, "restored": restored,
	}
	for _, c := range []struct {
		what    string
		before  [][]byte
		allowed string
	}{
		{"nothing", nil, "rules restored"},
		{"restored", [][]byte{restored}, "rules"},
		{"rules", records[:1], "rules entry cancel"},
		{"entries", records[:10], "rules entry withdrawal close cancel"},
		{"all entries", records[:12], "rules entry close cancel"},
		{"close", records[:13], "draw"},
		{"drawing", records[:14], "strike"},
		{"strike", records[:15], ""},
		{"vacant", records[:16], "redraw"},
		{"redraw", records[:17], ""},
		{"cancel", [][]byte{rules, cancel}, ""},
	} {
		for name, record := range all {
			l := replayed(t, v.Origin, c.before)
			err := l.Append(record)
			if allowed := strings.Contains(" "+c.allowed+" ", " "+name+" "); (err == nil) != allowed {
				t.Errorf("%s after %s: %v", name, c.what, err)
			}
		}
	}
}

func TestLog_RefusesWrongRecords(t *testing.T) {
	t.Parallel()
	v, records := readVector(t)
	for _, e := range readEdits(t).Logs {
		l := replayed(t, v.Origin, records[:e.At])
		if err := l.Append(e.record(t, records)); err == nil {
			t.Errorf("%s is taken", e.What)
		} else if !strings.HasPrefix(err.Error(), fmt.Sprintf("record %d: ", e.At)) {
			t.Errorf("%s: the error does not name the record: %v", e.What, err)
		}
	}
}

func TestLog_TakesRulesWithAnotherTitlePrizesAndTimes(t *testing.T) {
	t.Parallel()
	l := NewLog(testOrigin, Quicknet())
	rules := testRules(EntryWins, 1, 1, 0)
	for range 2 {
		if err := l.Append(encode(t, rules)); err != nil {
			t.Fatal(err)
		}
		later := Time(1e15)
		rules.Title, rules.Prizes, rules.ClosesAt = "New", []Prize{{"A", 2}, {"B", 3}}, &later
	}
	if err := l.Append(closeOf(t, l)); err != nil {
		t.Fatal(err)
	}
	want(t, "winners", l.Winners(), [][]int64{{0, 0}, {0, 0, 0}})
	want(t, "cautions", len(l.cautions), 1) // that it closed early
}

func TestLog_RefusesAnUnknownChainAtTheClose(t *testing.T) {
	t.Parallel()
	v, records := readVector(t)
	l := NewLog(v.Origin)
	for i, r := range records[:13] {
		if err := l.Append(r); (err != nil) != (i == 12) || err != nil && !errors.Is(err, ErrUnknownChain) {
			t.Errorf("record %d: %v", i, err)
		}
	}
}

func TestLog_DrawsAllWhereThereAreFewerThanPrizes(t *testing.T) {
	t.Parallel()
	for _, rule := range []Rule{EntryWins, MemberWinsOnce} {
		for _, entries := range [][]int{nil, {1}, {1, 2}, {3, 3, 3}} {
			l := closedLog(t, testRules(rule, 10, 3, 5), entries...)
			holders, tickets := len(entries), 0
			for _, n := range entries {
				tickets += n
			}
			drawn := l.choose(15, words("seed"))
			if rule == EntryWins {
				holders = tickets
			}
			want(t, fmt.Sprintf("%s %v", rule, entries), len(drawn), min(15, holders))
		}
	}
}

func TestLog_GivesAPlaceToTheFirstAlternate(t *testing.T) {
	t.Parallel()
	l := closedLog(t, testRules(EntryWins, 2, 1, 3), 1, 1, 1, 1, 1, 1)
	l.place([]int64{4, 2, 5, 1, 6})
	for _, c := range []struct {
		strike             int64
		places, alternates []int64
	}{
		{4, []int64{5, 2}, []int64{1, 6}},
		{1, []int64{5, 2}, []int64{6}}, // an alternate
		{2, []int64{5, 6}, []int64{}},
		{5, []int64{0, 6}, []int64{}},
	} {
		l.announced = nil
		if err := (Strike{c.strike, "OTHER"}).apply(l, nil); err != nil {
			t.Fatal(err)
		}
		want(t, "places", l.places, c.places)
		want(t, "alternates", append([]int64{}, l.alternates...), c.alternates)
	}
	l.place([]int64{3})
	want(t, "places", l.places, []int64{3, 6})
}

func TestMembers_NumbersEachTagOnce(t *testing.T) {
	t.Parallel()
	var m members
	const n = 3*membersPart + 17
	for range 2 {
		for i := range uint32(n) {
			tag := Tag{byte(i), byte(i >> 8), 7}
			if got := m.number(tag); got != i || m.get(i).tag != tag {
				t.Fatalf("tag %d has number %d", i, got)
			}
		}
	}
	want(t, "count", m.count, uint32(n))
}

func TestDecode_RefusesOtherForms(t *testing.T) {
	t.Parallel()
	_, records := readVector(t)
	for _, e := range readEdits(t).Refused {
		if r, err := Decode(e.record(t, records)); err == nil {
			t.Errorf("%s is taken: %+v", e.What, r)
		}
	}
	if _, err := Decode([]byte("\x01" + strings.Repeat(" ", MaxRecord-len(records[0])) + string(records[0][1:]))); err != nil {
		t.Errorf("a record as long as may be: %v", err)
	}
	if _, err := Decode([]byte("\x01 " + strings.Repeat(" ", MaxRecord-len(records[0])) + string(records[0][1:]))); err == nil {
		t.Error("a record that is too long is taken")
	}
}

func TestDecode_TakesWhatMeansTheSame(t *testing.T) {
	t.Parallel()
	_, records := readVector(t)
	for _, e := range readEdits(t).Taken {
		if _, err := Decode(e.record(t, records)); err != nil {
			t.Errorf("%s is refused: %v", e.What, err)
		}
	}
}

func TestTime_HasOneForm(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"0000-01-01T00:00:00.000000Z", "2026-11-30T12:00:00.000001Z", "9999-12-31T23:59:59.999999Z"} {
		var at Time
		if err := json.Unmarshal([]byte(`"`+text+`"`), &at); err != nil {
			t.Fatal(err)
		}
		want(t, "time", at.String(), text)
	}
}
