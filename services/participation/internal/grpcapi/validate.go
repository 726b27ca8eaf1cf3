package grpcapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"buf.build/go/protovalidate"
	"github.com/google/uuid"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// newValidator returns a validator with the rules of every request compiled.
func newValidator() (protovalidate.Validator, error) {
	v, err := protovalidate.New(protovalidate.WithMessages(
		&rafflev1.CreateRaffleRequest{},
		&rafflev1.GetRaffleRequest{},
		&rafflev1.ListRafflesRequest{},
		&rafflev1.UpdateRaffleRequest{},
		&rafflev1.CancelRaffleRequest{},
		&rafflev1.CloseRaffleRequest{},
		&rafflev1.EnterRequest{},
		&rafflev1.WithdrawRequest{},
		&rafflev1.ListEntriesRequest{},
		&rafflev1.GetOddsRequest{},
	))
	if err != nil {
		return nil, fmt.Errorf("compile the rules of the contract: %w", err)
	}
	return v, nil
}

// validate checks a request against the rules of the contract and returns a
// status that names each field, its value and its bound.
func validate(v protovalidate.Validator, req any) error {
	if enter, ok := req.(*rafflev1.EnterRequest); ok && plainlyValid(enter) {
		return nil
	}
	msg, ok := req.(proto.Message)
	if !ok {
		return fmt.Errorf("request %T is not a message", req)
	}
	err := v.Validate(msg)
	violations, ok := errors.AsType[*protovalidate.ValidationError](err)
	if !ok {
		return err
	}
	fields := make([]*errdetails.BadRequest_FieldViolation, len(violations.Violations))
	texts := make([]string, len(violations.Violations))
	for i, violation := range violations.Violations {
		fields[i] = describe(violation)
		texts[i] = strings.TrimPrefix(fields[i].GetField()+": "+fields[i].GetDescription(), ": ")
	}
	return invalidFields(strings.Join(texts, "; "), fields...)
}

// plainlyValid tells, for a tenth of the cost of the rules, that a request to
// enter breaks none of them. Where it says no, the rules decide.
func plainlyValid(req *rafflev1.EnterRequest) bool {
	member, id := req.GetMemberId(), req.GetRequestId()
	if req.GetRaffleId() < 1 || len(member) < 1 || len(member) > 64 {
		return false
	}
	for i := range len(member) {
		if !memberByte[member[i]] {
			return false
		}
	}
	if id == "" {
		return true
	}
	return len(id) == 36 && id != uuid.Nil.String() && uuid.Validate(id) == nil
}

// memberByte holds the bytes that a member id may have.
var memberByte = func() (in [256]bool) {
	for _, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.:@-") {
		in[c] = true
	}
	return in
}()

func describe(violation *protovalidate.Violation) *errdetails.BadRequest_FieldViolation {
	field := protovalidate.FieldPathString(violation.Proto.GetField())
	description := violation.Proto.GetMessage()
	if violation.FieldValue.IsValid() {
		description += fmt.Sprintf(" (got %s)", clip(plain(violation.FieldValue.Interface())))
	}
	reason := strings.ToUpper(strings.ReplaceAll(violation.Proto.GetRuleId(), ".", "_")) // INT64_GTE
	return &errdetails.BadRequest_FieldViolation{Field: field, Description: description, Reason: reason}
}

// plain returns a value as it is printed: a message as JSON.
func plain(value any) any {
	if m, ok := value.(protoreflect.Message); ok {
		text, _ := protojson.Marshal(m.Interface()) // what JSON can't say is left out
		return json.RawMessage(text)
	}
	return value
}

// clip writes a value in at most about 100 bytes, escaped.
func clip(value any) string {
	text, ok := value.(string)
	if raw, isJSON := value.(json.RawMessage); isJSON {
		return string(raw[:min(len(raw), 100)])
	}
	if !ok {
		text = fmt.Sprint(value)
		return text[:min(len(text), 100)]
	}
	if len(text) > 80 {
		return fmt.Sprintf("%.80q… of %d bytes", text, len(text))
	}
	return fmt.Sprintf("%q", text)
}
