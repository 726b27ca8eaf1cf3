// Package console writes what commands have to say: tables for people, JSON for programs,
// colour and questions on a terminal only.
package console

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"unicode"

	"golang.org/x/term"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// Console is where a command reads and writes. Its methods are for one goroutine.
type Console struct {
	In       io.Reader
	Out, Err io.Writer

	OutTerminal bool // Out is a terminal, which can be redrawn
	ErrTerminal bool
	Interactive bool // somebody can answer a question
	Colour      bool // Out takes colours
	size        func() (width, height int, err error)
}

// New returns the console of a process. Files that are no terminals get neither colour
// nor questions; noColor is the value of the variable NO_COLOR.
func New(in, out, err *os.File, noColor string) *Console {
	isTerminal := func(f *os.File) bool { return term.IsTerminal(int(f.Fd())) }
	c := &Console{In: in, Out: out, Err: err, OutTerminal: isTerminal(out), ErrTerminal: isTerminal(err)}
	c.Interactive = isTerminal(in) && c.ErrTerminal
	c.Colour = c.OutTerminal && noColor == ""
	c.size = func() (int, int, error) { return term.GetSize(int(out.Fd())) }
	return c
}

// defaultWidth is the width of a line where there is no terminal.
const defaultWidth = 80

// Width returns the number of columns of Out.
func (c *Console) Width() int {
	if c.size != nil {
		if width, _, err := c.size(); err == nil && width > 0 {
			return width
		}
	}
	return defaultWidth
}

// Format is how results are written.
type Format struct {
	Output string `name:"output" short:"o" env:"RAFFLECAST_OUTPUT" default:"table" enum:"table,json" group:"Output:" help:"How results are written: for people, or one JSON object per line."`
}

// JSON reports whether results are written as JSON.
func (f *Format) JSON() bool { return f.Output == "json" }

// Message writes a message as a line of JSON, as proto3 defines it.
func (c *Console) Message(m proto.Message) error {
	data, err := protojson.MarshalOptions{EmitDefaultValues: true}.Marshal(m)
	if err != nil {
		return err
	}
	var line bytes.Buffer
	if err := json.Compact(&line, data); err != nil { // protojson varies its blanks
		return err
	}
	line.WriteByte('\n')
	_, err = c.Out.Write(line.Bytes())
	return err
}

// Table writes rows in columns, the first as the heading. What may be long or wide, as a
// title, belongs into the last column.
func (c *Console) Table(rows [][]string) error {
	w := tabwriter.NewWriter(c.Out, 0, 0, 2, ' ', 0)
	for _, row := range rows {
		for i := range row {
			row[i] = Printable(row[i])
		}
		fmt.Fprintln(w, strings.Join(row, "\t"))
	}
	return w.Flush()
}

// Printf writes to Out. Texts from a service go through Printable first.
func (c *Console) Printf(format string, args ...any) { fmt.Fprintf(c.Out, format, args...) }

// Notef writes to Err what is no result, as a hint.
func (c *Console) Notef(format string, args ...any) { fmt.Fprintf(c.Err, format+"\n", args...) }

// The styles of texts, by ANSI's codes.
const (
	Bold   = "1"
	Dim    = "2"
	Red    = "31"
	Green  = "32"
	Yellow = "33"
)

// Style returns a text in a style, if there is colour.
func (c *Console) Style(style, text string) string {
	if !c.Colour || style == "" {
		return text
	}
	return "\x1b[" + style + "m" + text + "\x1b[0m"
}

// Confirm asks a question, and reports whether the answer is yes.
func (c *Console) Confirm(question string) bool {
	fmt.Fprintf(c.Err, "%s [y/N] ", question)
	answer, _ := bufio.NewReader(c.In).ReadString('\n') // no answer is no
	answer = strings.ToLower(strings.TrimSpace(answer))
	return answer == "y" || answer == "yes"
}

// Printable returns a text without what could move the cursor or turn the line around:
// control characters, and those that only direct how others are shown.
func Printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) && r != '\u200d' { // which joins the parts of an emoji
			return '\ufffd'
		}
		return r
	}, text)
}
