package commands

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/words"
)

// momentForm says what moment reads, in words that follow "must be".
const momentForm = "a duration from now like 90s, 2h30m or 3d, or a time like 2026-12-01T20:00+09:00"

// moment is a time on the command line. The zero value is none.
type moment struct {
	at    time.Time
	given bool
}

// timeLayouts are how times are written, with a zone and without.
var (
	zonedLayouts = []string{
		time.RFC3339Nano,
		"2006-01-02T15:04Z07:00",
		"2006-01-02 15:04Z07:00",
		"2006-01-02 15:04:05Z07:00",
	}
	localLayouts = []string{"2006-01-02T15:04", "2006-01-02T15:04:05", "2006-01-02 15:04", "2006-01-02 15:04:05"}
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *moment) UnmarshalText(text []byte) error {
	at, err := parseMoment(string(text), time.Now())
	*m = moment{at, err == nil}
	return err
}

// String returns the time as RFC 3339 writes it.
func (m moment) String() string {
	if !m.given {
		return ""
	}
	return m.at.Format(time.RFC3339)
}

// timestamp returns the time for a request, nil if there is none.
func (m moment) timestamp() *timestamppb.Timestamp {
	if !m.given || m.at.IsZero() {
		return nil
	}
	return timestamppb.New(m.at)
}

// parseMoment reads a time. Without a zone it is one of the zone of now.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if d, err := parseDuration(text); err == nil {
		if d <= 0 {
			return time.Time{}, errors.New("must be above 0")
		}
		return now.Add(d), nil
	}
	for _, layout := range zonedLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	for _, layout := range localLayouts {
		if t, err := time.ParseInLocation(layout, text, now.Location()); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("must be %s", momentForm)
}

// parseDuration is time.ParseDuration with days before the rest: 3d, 1d12h.
func parseDuration(text string) (time.Duration, error) {
	days, rest, ok := strings.Cut(text, "d")
	if !ok {
		return time.ParseDuration(text)
	}
	n, err := strconv.ParseUint(days, 10, 16)
	if err != nil || rest == "" {
		return time.Duration(n) * words.Day, err
	}
	d, err := time.ParseDuration(rest)
	return time.Duration(n)*words.Day + d, err
}

// editedMoment is a moment that may also be taken away.
type editedMoment struct{ moment }

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *editedMoment) UnmarshalText(text []byte) error {
	if string(text) == "never" {
		m.moment = moment{given: true}
		return nil
	}
	return m.moment.UnmarshalText(text)
}

// formatTime writes a time of the service for people here.
func formatTime(t *timestamppb.Timestamp) string {
	if t == nil {
		return ""
	}
	return t.AsTime().Local().Format("2006-01-02 15:04:05 MST")
}
