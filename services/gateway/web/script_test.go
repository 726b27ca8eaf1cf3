package web

import (
	"bytes"
	"encoding/json"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// said is what the page says of a raffle.
type said struct {
	Label, Figure          string
	IsText                 bool
	Detail                 string
	Sentence, Note, Prizes string
}

// comparison is a raffle of which HTML and script must say the same.
type comparison struct {
	Lang string          `json:"lang"`
	Now  time.Time       `json:"now"`
	Odds json.RawMessage `json:"odds"`
}

// raffles are events of raffles in all states and sizes, without times, which the two write
// in other zones.
func raffles(t *testing.T, now time.Time) []json.RawMessage {
	t.Helper()
	var all []json.RawMessage
	add := func(state string, more map[string]any) {
		o := map[string]any{
			"id": 1, "state": state, "title": "x", "entries": 0, "members": 0, "winners": 3, "maxEntriesPerMember": 1,
		}
		maps.Copy(o, more)
		data, err := json.Marshal(o)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, data)
	}
	for _, entries := range []int{0, 1, 2, 3, 4, 7, 13, 14, 15, 28, 42, 299, 1_000, 12_345, 99_999_999} {
		for _, state := range []string{"OPEN", "CLOSED", "CANCELLED", "DRAWN"} {
			add(state, map[string]any{"entries": entries, "members": (entries + 1) / 2})
		}
	}
	add("OPEN", map[string]any{
		"entries": 5, "members": 2, "maxEntriesPerMember": 4, "rule": "MEMBER_WINS_ONCE", "winners": 1,
		"holders": []map[string]int{{"entries": 1, "members": 1}, {"entries": 4, "members": 1}},
	})
	add("DRAWN", map[string]any{"entries": 5, "members": 5, "winningTickets": []map[string]int{{"ticket": 3, "prize": 1}}})
	add("OPEN", map[string]any{"prizes": []map[string]any{{"name": "x", "count": 3}}})
	add("OPEN", map[string]any{"prizes": []map[string]any{{"name": "Guitar", "count": 1}, {"name": "Plectrum", "count": 1200}}})
	add("SCHEDULED", nil)
	for _, rest := range []time.Duration{-time.Second, 5 * time.Second, 70 * time.Second, time.Hour, 25 * time.Hour, 1131 * 24 * time.Hour} {
		add("SCHEDULED", map[string]any{"opensAt": now.Add(rest).UTC().Format(odds.TimeFormat)})
	}
	return all
}

func TestScript_SaysWhatTheHTMLSays(t *testing.T) {
	t.Parallel()
	node := testenv.NeedProgram(t, "node")
	now := time.Now().UTC().Truncate(time.Millisecond)
	var comparisons []comparison
	var want []said
	for _, texts := range languages {
		for _, event := range raffles(t, now) {
			o, err := raffleOf(&odds.Update{JSON: event})
			if err != nil {
				t.Fatal(err)
			}
			h, err := texts.heroOf(o, now)
			if err != nil {
				t.Fatal(err)
			}
			comparisons = append(comparisons, comparison{texts.lang, now, event})
			want = append(want, said{h.Label, h.Figure, h.IsText, h.Detail, texts.sentence(o), texts.stubNote(o), texts.prizes(o)})
		}
	}
	assets, err := filepath.Abs("assets")
	if err != nil {
		t.Fatal(err)
	}
	input, err := json.Marshal(comparisons)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, "--no-warnings", "--experimental-default-type=module", "testdata/odds.mjs", assets)
	cmd.Stdin, cmd.Stderr = bytes.NewReader(input), t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var got []said
	if err := json.Unmarshal(out, &got); err != nil || len(got) != len(want) {
		t.Fatalf("%d answers, want %d: %v", len(got), len(want), err)
	}
	for i := range want {
		if strings.Contains(string(comparisons[i].Odds), "opensAt") {
			got[i].Detail = want[i].Detail // a date
		}
		if got[i] != want[i] {
			t.Errorf("%s: %s:\n the script %+v\n the HTML   %+v", comparisons[i].Lang, comparisons[i].Odds, got[i], want[i])
		}
	}
}

func TestTexts_AreTheSameInAllLanguages(t *testing.T) {
	t.Parallel()
	for _, texts := range languages[1:] {
		for key := range languages[0].byName {
			if _, ok := texts.byName[key]; !ok {
				t.Errorf("%s: no text %s", texts.lang, key)
			}
		}
		if len(texts.byName) != len(languages[0].byName) {
			t.Errorf("%s: %d texts, want %d", texts.lang, len(texts.byName), len(languages[0].byName))
		}
	}
}

// What is written in neither the templates nor the scripts nor the code is left over.
func TestTexts_AreAllUsed(t *testing.T) {
	t.Parallel()
	var all strings.Builder
	for _, pattern := range []string{"*.go", "assets/*.js", "html/*.html", "text/refusals.json"} {
		names, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			body, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(body)
		}
	}
	for key := range languages[0].byName {
		group, _, isGroup := strings.Cut(key, ".")
		if isGroup {
			key = group + "."
		}
		if !strings.Contains(all.String(), key) {
			t.Errorf("nothing uses the text %s", key)
		}
	}
}
