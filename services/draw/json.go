package draw

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// Time is a time in microseconds since 1970, which is what PostgreSQL keeps. In JSON it
// has the form 2026-11-30T12:00:00.000000Z and no other.
type Time int64

const timeForm = "2006-01-02T15:04:05.000000Z"

// TimeOf returns t without what is less than a microsecond.
func TimeOf(t time.Time) Time { return Time(t.UnixMicro()) }

// Time returns t as Go's time, in UTC.
func (t Time) Time() time.Time { return time.UnixMicro(int64(t)).UTC() }

// String returns t as it stands in records.
func (t Time) String() string { return t.Time().Format(timeForm) }

// MarshalText implements encoding.TextMarshaler.
func (t Time) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Time) UnmarshalText(text []byte) error {
	parsed, err := time.Parse(timeForm, string(text)) // unmarshal refuses what else this takes
	*t = TimeOf(parsed)
	return err
}

// marshal returns v as JSON, with < and & as they are.
func marshal(v any) []byte {
	var b bytes.Buffer
	out := json.NewEncoder(&b)
	out.SetEscapeHTML(false)
	if err := out.Encode(v); err != nil {
		panic(err) // v is one of the types of records, all of which can be encoded
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

// unmarshal decodes text into v. It refuses what json.Unmarshal takes: fields that are
// unknown, missing, doubled, or written in another case or order. For that it compares
// the tokens of text with those of v, so white space and escapes are free.
func unmarshal(text []byte, v any) error {
	if !utf8.Valid(text) {
		return errors.New("the JSON is not in UTF-8")
	}
	if err := json.Unmarshal(text, v); err != nil {
		return err
	}
	got, want := json.NewDecoder(bytes.NewReader(text)), json.NewDecoder(bytes.NewReader(marshal(v)))
	got.UseNumber()
	want.UseNumber()
	for {
		g, err := got.Token()
		w, _ := want.Token()
		switch {
		case g != w:
			return fmt.Errorf("the JSON has %v in place of %v", g, w)
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
	}
}

// HexBytes are written in lowercase hexadecimal.
type HexBytes []byte

// MarshalText implements encoding.TextMarshaler.
func (b HexBytes) MarshalText() ([]byte, error) { return hex.AppendEncode(nil, b), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *HexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.AppendDecode(nil, text)
	return err
}
