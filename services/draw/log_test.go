package draw

import (
	"bytes"
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
	edit := func(i int, old, changed string) []byte {
		edited := bytes.ReplaceAll(records[i], []byte(old), []byte(changed))
		if bytes.Equal(edited, records[i]) {
			t.Fatalf("record %d has no %s", i, old)
		}
		return edited
	}
	for _, c := range []struct {
		what   string
		at     int
		record []byte
	}{
		{"a close with other rules", 12, edit(12, "guitar", "violin")},
		{"a close with another count", 12, edit(12, `"entries":9`, `"entries":10`)},
		{"a close with other members", 12, edit(12, `"members":6`, `"members":7`)},
		{"a close with an earlier round", 12, edit(12, `"round":1000`, `"round":999`)},
		{"a close with a later round", 12, edit(12, `"round":1000`, `"round":1001`)},
		{"a close of another drawing", 12, edit(12, `"drawing":1`, `"drawing":2`)},
		{"a draw of another drawing", 13, edit(13, `"drawing":1`, `"drawing":2`)},
		{"a draw from another round", 13, edit(13, `"round":1000`, `"round":1001`)},
		{"a draw with another round's signature", 13, edit(17, `"drawing":2,"round":1001`, `"drawing":1,"round":1000`)},
		{"a strike of a ticket without a place", 14, edit(14, `6`, `5`)},
		{"a strike of nobody", 14, edit(14, `6`, `0`)},
		{"a strike of an unknown ticket", 14, edit(14, `6`, `99`)},
		{"a strike that is doubled", 15, records[14]},
		{"a strike while a drawing lies ahead", 17, edit(14, `6`, `2`)},
		{"a redraw of another drawing", 16, edit(16, `"drawing":2`, `"drawing":3`)},
		{"a redraw with another round", 16, edit(16, `"round":1001`, `"round":1002`)},
		{"a redraw from the same round", 16, edit(16, `"at":"2023-08-23T15:59:25.500000Z","drawing":2,"round":1001`,
			`"at":"2023-08-23T15:59:22.500000Z","drawing":2,"round":1000`)},
		{"a withdrawal of the rules", 10, encode(t, Withdrawal{0})},
		{"a withdrawal of a ticket to come", 10, encode(t, Withdrawal{10})},
		{"a withdrawal that is doubled", 11, records[10]},
		{"a fourth entry of alice", 11, records[7]},
		{"rules with another rule", 1, edit(0, "MEMBER_WINS_ONCE", "ENTRY_WINS")},
		{"rules with another delay", 1, edit(0, `"delaySeconds":1`, `"delaySeconds":2`)},
		{"rules with more alternates", 1, edit(0, `"alternates":1`, `"alternates":2`)},
		{"rules with another chain", 1, edit(0, `52db`, `52dc`)},
		{"rules with more entries", 1, edit(0, `"maxEntriesPerMember":3`, `"maxEntriesPerMember":4`)},
		{"rules of another raffle", 0, edit(0, `"raffle":1`, `"raffle":2`)},
	} {
		l := replayed(t, v.Origin, records[:c.at])
		if err := l.Append(c.record); err == nil {
			t.Errorf("%s is taken", c.what)
		} else if !strings.HasPrefix(err.Error(), fmt.Sprintf("record %d: ", c.at)) {
			t.Errorf("%s: the error does not name the record: %v", c.what, err)
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
	rules := string(records[0])
	for what, record := range map[string]string{
		"nothing":                          "",
		"an unknown kind":                  "\x0a{}",
		"kind 0":                           "\x00{}",
		"a short entry":                    string(records[1][:36]),
		"a long entry":                     string(records[1]) + "x",
		"ordinal 0":                        "\x02\x00\x00\x00\x00" + string(records[1][5:]),
		"a short withdrawal":               string(records[10][:8]),
		"a huge withdrawal":                "\x03\xff\xff\xff\xff\xff\xff\xff\xff",
		"an unknown format":                strings.Replace(rules, "rafflecast/1", "rafflecast/2", 1),
		"an unknown rule":                  strings.Replace(rules, "MEMBER_WINS_ONCE", "MEMBER_WINS_TWICE", 1),
		"an unknown field":                 strings.Replace(rules, `"raffle":1`, `"raffle":1,"x":1`, 1),
		"a missing field":                  strings.Replace(rules, `"raffle":1,`, ``, 1),
		"a doubled field":                  strings.Replace(rules, `"raffle":1`, `"raffle":1,"raffle":1`, 1),
		"a field in capitals":              strings.Replace(rules, `"raffle"`, `"Raffle"`, 1),
		"another order":                    strings.Replace(rules, `"name":"Guitar","count":1`, `"count":1,"name":"Guitar"`, 1),
		"another number":                   strings.Replace(rules, `"raffle":1`, `"raffle":1.0`, 1),
		"another time form":                strings.Replace(rules, `22.000000Z`, `22Z`, 1),
		"another time zone":                strings.Replace(rules, `22.000000Z`, `22.000000+00:00`, 1),
		"a time with a comma":              strings.Replace(rules, `22.000000Z`, `22,000000Z`, 1),
		"no such day":                      strings.Replace(rules, `2023-08-23`, `2023-02-29`, 1),
		"no prizes":                        strings.Replace(rules, `{"name":"Guitar","count":1},{"name":"Strings","count":2}`, ``, 1),
		"null for prizes":                  strings.Replace(rules, `[{"name":"Guitar","count":1},{"name":"Strings","count":2}]`, `null`, 1),
		"null for a title":                 strings.Replace(rules, `"Signed guitar, no. 11"`, `null`, 1),
		"a count of 0":                     strings.Replace(rules, `"count":1`, `"count":0`, 1),
		"a count below 0":                  strings.Replace(rules, `"count":1`, `"count":-1`, 1),
		"too many prizes":                  strings.Replace(rules, `"count":1`, `"count":1000000`, 1),
		"negative alternates":              strings.Replace(rules, `"alternates":1`, `"alternates":-1`, 1),
		"no delay":                         strings.Replace(rules, `"delaySeconds":1`, `"delaySeconds":0`, 1),
		"a delay beyond":                   strings.Replace(rules, `"delaySeconds":1`, `"delaySeconds":604801`, 1),
		"too many entries":                 strings.Replace(rules, `"maxEntriesPerMember":3`, `"maxEntriesPerMember":1001`, 1),
		"something behind":                 rules + "{}",
		"white space behind":               rules + " x",
		"no UTF-8":                         strings.Replace(rules, "guitar", "guit\xffar", 1),
		"no object":                        "\x01[]",
		"a short signature":                strings.Replace(string(records[13]), "b44679", "", 1),
		"a signature in capitals":          strings.Replace(string(records[13]), "b44679", "B44679", 1),
		"an unknown reason":                strings.Replace(string(records[14]), "UNCLAIMED", "LATE", 1),
		"rules in the close that are none": strings.Replace(string(records[12]), `"rules":{`, `"rules":7,"x":{`, 1),
		"too long":                         "\x01" + strings.Repeat(" ", MaxRecord),
	} {
		if r, err := Decode([]byte(record)); err == nil {
			t.Errorf("%s is taken: %+v", what, r)
		}
	}
	for what, record := range map[string]string{
		"white space":  strings.ReplaceAll(rules, `,`, `, `),
		"an escape":    strings.Replace(rules, `guitar`, `gu\u0069tar`, 1),
		"an escaped <": strings.Replace(rules, `guitar`, `\u003cguitar>`, 1),
	} {
		if _, err := Decode([]byte(record)); err != nil {
			t.Errorf("%s is refused: %v", what, err)
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
