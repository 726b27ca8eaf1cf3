package console

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"github.com/creack/pty"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

func TestConsole_ColourAndQuestionsOnATerminalOnly(t *testing.T) {
	t.Parallel()
	master, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	defer terminal.Close()
	if err := pty.Setsize(terminal, &pty.Winsize{Rows: 24, Cols: 57}); err != nil {
		t.Fatal(err)
	}
	file, err := os.CreateTemp(t.TempDir(), "out")
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	for name, c := range map[string]struct {
		console                            *Console
		colour, redraws, asks, errTerminal bool
		width                              int
	}{
		"a terminal":           {New(terminal, terminal, terminal, ""), true, true, true, true, 57},
		"NO_COLOR":             {New(terminal, terminal, terminal, "1"), false, true, true, true, 57},
		"piped":                {New(terminal, file, terminal, ""), false, false, true, true, 80},
		"without a questioner": {New(file, terminal, terminal, ""), true, true, false, true, 57},
		"a job":                {New(file, file, file, ""), false, false, false, false, 80},
	} {
		got := c.console
		if got.Colour != c.colour || got.OutTerminal != c.redraws || got.Interactive != c.asks ||
			got.ErrTerminal != c.errTerminal ||
			got.Width() != c.width {
			t.Errorf("%s: %+v, width %d", name, got, got.Width())
		}
	}
	if got := New(terminal, terminal, terminal, "").Style(Red, "x"); got != "\x1b[31mx\x1b[0m" {
		t.Errorf("%q", got)
	}
	if got := New(terminal, terminal, terminal, "1").Style(Red, "x"); got != "x" {
		t.Errorf("%q", got)
	}
}

func TestConsole_MessagesAreLines(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := &Console{Out: &out}
	for range 20 { // protojson varies its blanks
		if err := c.Message(&rafflev1.Raffle{Id: 7, Title: "A <b>\n"}); err != nil {
			t.Fatal(err)
		}
	}
	if first := `{"id":"7","title":"A <b>\n","winners":0,`; strings.Count(out.String(), first) != 20 ||
		strings.Count(out.String(), "\n") != 20 {
		t.Errorf("%s", out.String())
	}
}

func TestPrintable_LeavesTheTerminalAlone(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"래플, 1 × Gitarre 👩‍🎤": "래플, 1 × Gitarre 👩‍🎤", "a\x1b[31mb": "a\ufffd[31mb", "\u202elive": "\ufffdlive", "a\tb\n": "a\ufffdb\ufffd",
	} {
		if got := Printable(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}
