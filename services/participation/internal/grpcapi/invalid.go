package grpcapi

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"buf.build/go/protovalidate"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// invalidError means that fields of a request have values that they can't have.
type invalidError struct {
	violations []*errdetails.BadRequest_FieldViolation
	// value and bound are those of the first violation, as text; each is empty if
	// there is none, or if it must not be repeated.
	value, bound string
}

// invalid returns an error for one field.
func invalid(field, description string) *invalidError {
	return &invalidError{violations: []*errdetails.BadRequest_FieldViolation{{Field: field, Description: description, Reason: "INVALID"}}}
}

// broken returns the error for a request that breaks rules of the contract.
func broken(err *protovalidate.ValidationError, req protoreflect.Message) *invalidError {
	// Rules about several fields come after those about one.
	slices.SortStableFunc(err.Violations, func(a, b *protovalidate.Violation) int {
		return cmp.Compare(ofFields(a), ofFields(b))
	})
	e := &invalidError{violations: make([]*errdetails.BadRequest_FieldViolation, len(err.Violations))}
	for i, violation := range err.Violations {
		e.violations[i] = describe(violation, req)
	}
	if len(err.Violations) == 0 {
		return e
	}
	first := err.Violations[0]
	if first.FieldValue.IsValid() && (first.FieldDescriptor == nil || first.FieldDescriptor.Name() != "member_id") {
		e.value = text(first.FieldValue.Interface())
	}
	if first.RuleValue.IsValid() {
		if _, flag := first.RuleValue.Interface().(bool); !flag { // a flag is no bound
			e.bound = text(first.RuleValue.Interface())
		}
	}
	return e
}

// ofFields returns 0 for a violation of a rule about one field, and 1 for others.
func ofFields(v *protovalidate.Violation) int {
	if len(v.Proto.GetField().GetElements()) > 0 {
		return 0
	}
	return 1
}

func (e *invalidError) Error() string {
	texts := make([]string, len(e.violations))
	for i, v := range e.violations {
		texts[i] = strings.TrimPrefix(v.GetField()+": "+v.GetDescription(), ": ")
	}
	return strings.Join(texts, "; ")
}

// metadata describes the first violation; BadRequest holds all of them.
func (e *invalidError) metadata() metadata {
	m := metadata{}
	if len(e.violations) > 0 {
		m.addIf(e.violations[0].GetField() != "", "field", e.violations[0].GetField())
	}
	return m.addIf(e.value != "", "value", e.value).addIf(e.bound != "", "bound", e.bound)
}

func describe(violation *protovalidate.Violation, req protoreflect.Message) *errdetails.BadRequest_FieldViolation {
	field := protovalidate.FieldPathString(violation.Proto.GetField())
	description := violation.Proto.GetMessage()
	if field == "" { // the text of a rule about several fields begins with the field to blame
		if name, rest, ok := strings.Cut(description, ": "); ok {
			field, description = name, rest
		}
		if d := req.Descriptor().Fields().ByName(protoreflect.Name(field)); d != nil && d.Message() == nil {
			description += " (got " + text(req.Get(d).Interface()) + ")"
		}
	} else if violation.FieldValue.IsValid() {
		description += " (got " + text(violation.FieldValue.Interface()) + ")"
	}
	reason := strings.ToUpper(strings.ReplaceAll(violation.Proto.GetRuleId(), ".", "_")) // INT64_GTE
	return &errdetails.BadRequest_FieldViolation{Field: field, Description: description, Reason: reason}
}

// maxText bounds the text of a value within an error, in bytes.
const maxText = 100

// text writes a value for an error: a string quoted, a message as JSON.
func text(value any) string {
	switch v := value.(type) {
	case string:
		if short := clip(v, maxText-20); short != v {
			return fmt.Sprintf("%q… of %d bytes", short, len(v))
		}
		return fmt.Sprintf("%q", v)
	case protoreflect.Message:
		data, _ := protojson.Marshal(v.Interface()) // parts that JSON cannot express are left out
		return clip(string(data), maxText)
	}
	return clip(fmt.Sprint(value), maxText)
}

// clip returns at most the first n bytes of s, and whole characters only.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n]
}
