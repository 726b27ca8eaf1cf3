package config

import (
	"fmt"
	"net"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/alecthomas/kong"
)

// Error says that a setting has a value that it cannot have.
type Error struct {
	Name  string // the flag, variable or argument that gave the value
	Value string // empty: there is none
	Bound string // what the value must be
}

// Error implements error.
func (e *Error) Error() string {
	if e.Value == "" {
		return fmt.Sprintf("%s has no value: it must be %s", e.Name, e.Bound)
	}
	return fmt.Sprintf("%s=%s: must be %s", e.Name, e.Value, e.Bound)
}

// kinds are the values of the tag "is".
var kinds = map[string]struct {
	form string
	ok   func(string) bool
}{
	"address":     {"host:port with a port of 0 to 65535", isAddress},
	"grpc-target": {"host:port or dns:///host:port", func(s string) bool { return isAddress(strings.TrimPrefix(s, "dns:///")) }},
	"nats":        {"nats://[user:password@]host:port, several separated by commas", func(s string) bool { return s != "" }},
	"url":         {"http://host:port or https://host:port", isURL},
}

var durationType = reflect.TypeFor[time.Duration]()

// bound returns in words what values a setting takes.
func bound(setting *kong.Value) string {
	tag := setting.Tag
	text, zero := tag.Get("form"), "0"
	switch {
	case tag.Has("is"):
		text = kinds[tag.Get("is")].form
	case setting.Enum != "":
		choices := setting.EnumSlice()
		last := len(choices) - 1
		text = strings.Join(choices[:last], ", ") + " or " + choices[last]
	case tag.Has("min") && tag.Has("max"):
		text = tag.Get("min") + " to " + tag.Get("max")
	case tag.Has("min"):
		text = "at least " + tag.Get("min")
	}
	if unit := tag.Get("unit"); unit != "" {
		text += " " + unit
	}
	if setting.Target.Type() == durationType {
		zero = "0s"
	}
	if tag.Has("zero") {
		text += fmt.Sprintf(", or %s: %s", zero, tag.Get("zero"))
	}
	return text
}

// syntax returns in words how the values of a setting are written.
func syntax(setting *kong.Value) string {
	switch {
	case setting.IsBool():
		return "true or false"
	case setting.Target.Type() == durationType:
		return "a duration like 1m30s, " + bound(setting)
	case setting.Target.CanInt() && setting.Tag.Has("min"):
		return "a whole number, " + bound(setting)
	default:
		return bound(setting)
	}
}

// inBounds reports whether the value of a setting is within the bounds of its tags.
func inBounds(setting *kong.Value) bool {
	target, tag := setting.Target, setting.Tag
	switch {
	case target.IsZero() && setting.Required:
		return false
	case tag.Has("is"):
		optional := !setting.Required && setting.Default == ""
		return optional && target.IsZero() || kinds[tag.Get("is")].ok(target.String())
	case setting.Enum != "":
		return slices.Contains(setting.EnumSlice(), target.String())
	case tag.Has("zero") && target.Int() == 0:
		return true
	case tag.Has("min") && target.Int() < limit(target, tag.Get("min")):
		return false
	case tag.Has("max") && target.Int() > limit(target, tag.Get("max")):
		return false
	}
	return true
}

// limit returns a bound as it is written in a tag. A tag that cannot be read is a
// defect of the declaration, and panics.
func limit(target reflect.Value, text string) int64 {
	if target.Type() == durationType {
		d, err := time.ParseDuration(text)
		if err != nil {
			panic(err)
		}
		return int64(d)
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return n
}

// isAddress reports whether text is host:port. An empty host means all interfaces,
// port 0 a free one.
func isAddress(text string) bool {
	_, port, err := net.SplitHostPort(text)
	_, errPort := strconv.ParseUint(port, 10, 16)
	return err == nil && errPort == nil
}

func isURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// value returns the value of a setting as a user writes it, or "" if there is none.
func value(setting *kong.Value) string {
	if setting.Required && !setting.Set {
		return ""
	}
	return fmt.Sprint(setting.Target)
}
