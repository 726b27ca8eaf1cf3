package watch

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/rivo/uniseg"

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/console"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/words"
)

// figure draws odds on a terminal, each time in the place of the time before.
type figure struct {
	out    *console.Console
	lines  int     // that the last drawing has
	recent []int64 // entries that came in each of the last seconds
}

func newFigure(out *console.Console) *figure { return &figure{out: out} }

// maxRecent is how many seconds the sparkline shows at most.
const maxRecent = 60

// begin hides the cursor.
func (f *figure) begin() { f.out.Printf("\x1b[?25l") }

// end shows the cursor again.
func (f *figure) end() { f.out.Printf("\x1b[?25h") }

// add adds the entries that came within a second.
func (f *figure) add(entries int64) {
	f.recent = append(f.recent, max(0, entries))
	f.recent = slices.Delete(f.recent, 0, max(0, len(f.recent)-maxRecent))
}

// draw draws the odds as of now, the server's time, and what has become of the stream.
func (f *figure) draw(o *odds, now time.Time, status string) {
	width := f.out.Width() - 1 // a full line would be followed by an empty one
	var b strings.Builder
	if f.lines > 0 {
		fmt.Fprintf(&b, "\x1b[%dA", f.lines)
	}
	lines := f.layout(o, now, status)
	for _, l := range lines {
		b.WriteString("\r\x1b[K" + f.out.Style(l.style, truncate(l.text, width)) + "\n")
	}
	b.WriteString("\x1b[J")
	f.lines = len(lines)
	f.out.Printf("%s", b.String())
}

type line struct{ style, text string }

func (f *figure) layout(o *odds, now time.Time, status string) []line {
	state := o.State
	if next := o.next(now); next != "" {
		state += ", " + next
	}
	statusStyle := console.Green
	if status != "live" {
		statusStyle = console.Yellow
	}
	lines := []line{{console.Bold, o.title()}, {console.Dim, state}, {}, {console.Bold, "  " + o.chance()}}
	if o.NextEntryProbability != nil {
		lines = append(lines, line{"", "  enter now: " + words.OneIn(*o.NextEntryProbability/100)})
	}
	return append(
		lines, line{}, line{"", o.counts()},
		line{console.Dim, "new entries, second by second  " + sparkline(f.recent)},
		line{statusStyle, status + ", " + now.Local().Format("15:04:05")},
	)
}

// sparkline draws numbers as bars, the greatest as a full one.
func sparkline(numbers []int64) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	if len(numbers) == 0 {
		return ""
	}
	greatest := max(1, slices.Max(numbers))
	var b strings.Builder
	for _, n := range numbers {
		b.WriteRune(bars[n*int64(len(bars)-1)/greatest])
	}
	return b.String()
}

// truncate cuts a text to a number of columns; Korean letters take two.
func truncate(text string, width int) string {
	if uniseg.StringWidth(text) <= width {
		return text
	}
	cut := 0
	graphemes := uniseg.NewGraphemes(text)
	for at := 1; graphemes.Next(); { // one column for the ellipsis
		if at += graphemes.Width(); at > width {
			break
		}
		_, cut = graphemes.Positions()
	}
	return text[:cut] + "…"
}
