package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/decimal"
)

// fieldOf returns the field with a name, in lowerCamelCase or as the contract spells
// it, or nil.
func fieldOf(msg protoreflect.Message, name string) protoreflect.FieldDescriptor {
	fields := msg.Descriptor().Fields()
	if field := fields.ByJSONName(name); field != nil {
		return field
	}
	return fields.ByTextName(name)
}

func isWellKnown(m protoreflect.MessageDescriptor) bool {
	return m.ParentFile().Package() == "google.protobuf"
}

func isMask(field protoreflect.FieldDescriptor) bool {
	return field.Message() != nil && field.Message().FullName() == "google.protobuf.FieldMask"
}

// setField sets a field of msg to a value in proto3's JSON.
func setField(msg protoreflect.Message, field protoreflect.FieldDescriptor, value json.RawMessage) error {
	switch {
	case isMask(field):
		return setMask(msg, field, value)
	case bitsOf(field) > 0 && !isPlain(value, bitsOf(field)):
		return errNotPlain
	}
	object := append(append([]byte(`{"`+field.JSONName()+`":`), value...), '}')
	return protojson.Unmarshal(object, msg.Interface())
}

// errNotPlain means that a number is not in plain digits. Nobody reads it: see malformed.
var errNotPlain = errors.New("not a number in plain digits")

// bitsOf returns how many bits the integers of a field have, or 0 for other fields.
func bitsOf(field protoreflect.FieldDescriptor) int {
	if field.IsList() {
		return 0
	}
	switch field.Kind() {
	case protoreflect.Int32Kind:
		return 32
	case protoreflect.Int64Kind:
		return 64
	}
	return 0
}

// isPlain reports whether a value in proto3's JSON, which may be a string, is an integer in
// plain digits, or null. proto3's JSON has more forms, such as 1e0 and "1.0".
func isPlain(value json.RawMessage, bits int) bool {
	text := string(value)
	if strings.HasPrefix(text, `"`) && json.Unmarshal(value, &text) != nil {
		return false
	}
	_, ok := decimal.Parse(text, bits)
	return ok || string(value) == "null"
}

// setMask sets a field mask. Its names may be in either spelling, and * names all
// fields, which proto3's JSON does not know. The rules of the contract check them.
func setMask(msg protoreflect.Message, field protoreflect.FieldDescriptor, value json.RawMessage) error {
	var text string
	if err := json.Unmarshal(value, &text); err != nil || text == "" {
		return err
	}
	mask := &fieldmaskpb.FieldMask{Paths: strings.Split(text, ",")}
	for i, path := range mask.GetPaths() {
		if named := fieldOf((&rafflev1.Raffle{}).ProtoReflect(), path); named != nil {
			mask.Paths[i] = string(named.Name())
		}
	}
	msg.Set(field, protoreflect.ValueOfMessage(mask.ProtoReflect()))
	return nil
}

func unknown(name string) error {
	return invalid(printable(name), "there is no such parameter")
}

// malformed returns the error for a value that a field can't have.
func malformed(field protoreflect.FieldDescriptor, value []byte) error {
	return invalid(string(field.Name()), "must be %s (got %s)", kindOf(field), clip(value))
}

// kindOf says what the values of a field are.
func kindOf(field protoreflect.FieldDescriptor) string {
	if field.IsList() {
		return "a list"
	}
	if bits := bitsOf(field); bits > 0 {
		return fmt.Sprintf("an integer of %d bits, in plain digits", bits)
	}
	switch field.Kind() {
	case protoreflect.StringKind:
		return "a string"
	case protoreflect.EnumKind:
		values := field.Enum().Values()
		names := make([]string, values.Len())
		for i := range names {
			names[i] = string(values.Get(i).Name())
		}
		return "one of " + strings.Join(names, ", ")
	case protoreflect.MessageKind:
		switch field.Message().FullName() {
		case "google.protobuf.Timestamp":
			return "a time like 2026-11-30T12:00:00Z"
		case "google.protobuf.Duration":
			return "a duration in seconds like 60s"
		case "google.protobuf.FieldMask":
			return "names of fields, separated by commas"
		}
	}
	return "a " + field.Kind().String()
}

// scalarText returns the value of a field as it is written in a query.
func scalarText(field protoreflect.FieldDescriptor, value protoreflect.Value) (string, error) {
	switch {
	case isMask(field):
		mask, _ := value.Message().Interface().(*fieldmaskpb.FieldMask)
		return strings.Join(mask.GetPaths(), ","), nil
	case field.Kind() == protoreflect.EnumKind:
		return fmt.Sprint(value.Enum()), nil
	case field.Message() != nil || field.IsList():
		return "", fmt.Errorf("%s can't be a parameter of a query", field.FullName())
	}
	return value.String(), nil
}

const maxText = 100

// clip returns the beginning of a value, whole characters only.
func clip(value []byte) string { return printable(string(value)) }

// printable returns at most about 100 bytes of text that came with a request, as
// valid UTF-8.
func printable(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxText {
		return s
	}
	n := maxText
	for !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}
