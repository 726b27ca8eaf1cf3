package grpcapi

import (
	"errors"
	"fmt"
	"strings"

	"buf.build/go/protovalidate"
	"github.com/google/uuid"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// validator checks requests against the rules of the contract.
type validator struct {
	rules protovalidate.Validator
	// The shortcut for EnterRequest, read from the rules: the bytes that a member id
	// may have, and how many.
	memberBytes [256]bool
	memberSize  int
}

// newValidator returns a validator with the rules of every request compiled.
func newValidator() (*validator, error) {
	var requests []protoreflect.MessageDescriptor
	for _, file := range []protoreflect.FileDescriptor{
		rafflev1.File_raffle_v1_raffle_service_proto, rafflev1.File_raffle_v1_participation_service_proto,
		rafflev1.File_raffle_v1_audit_service_proto,
	} {
		for i := range file.Services().Len() {
			methods := file.Services().Get(i).Methods()
			for j := range methods.Len() {
				requests = append(requests, methods.Get(j).Input())
			}
		}
	}
	rules, err := protovalidate.New(protovalidate.WithMessageDescriptors(requests...))
	if err != nil {
		return nil, fmt.Errorf("compile the rules of the contract: %w", err)
	}
	v := &validator{rules: rules}
	v.learnMemberIDs()
	return v, nil
}

// learnMemberIDs asks the rules which bytes a member id may have, and how many.
func (v *validator) learnMemberIDs() {
	valid := func(member string) bool {
		return v.rules.Validate(&rafflev1.EnterRequest{RaffleId: 1, MemberId: member}) == nil
	}
	some := ""
	for b := range len(v.memberBytes) {
		if member := string([]byte{byte(b)}); valid(member) {
			v.memberBytes[b], some = true, member
		}
	}
	for some != "" && v.memberSize < maxRequest && valid(strings.Repeat(some, v.memberSize+1)) {
		v.memberSize++
	}
}

// check returns an *invalidError if a request breaks a rule of the contract.
func (v *validator) check(req any) error {
	if enter, ok := req.(*rafflev1.EnterRequest); ok && v.plainlyValid(enter) {
		return nil
	}
	msg, ok := req.(proto.Message)
	if !ok {
		return fmt.Errorf("request %T is not a message", req)
	}
	if isUnreadable(msg) {
		return invalid("", "the request is not a message of this method")
	}
	err := v.rules.Validate(msg)
	if violations, ok := errors.AsType[*protovalidate.ValidationError](err); ok {
		return broken(violations, msg.ProtoReflect())
	}
	return err
}

var nilUUID = uuid.Nil.String()

// plainlyValid reports, for a tenth of the cost of the rules, whether a request
// certainly breaks none of them. If it returns false, the rules decide.
func (v *validator) plainlyValid(req *rafflev1.EnterRequest) bool {
	member, id := req.GetMemberId(), req.GetRequestId()
	if req.GetRaffleId() < 1 || len(member) < 1 || len(member) > v.memberSize {
		return false
	}
	for i := range len(member) {
		if !v.memberBytes[member[i]] {
			return false
		}
	}
	if id == "" {
		return true
	}
	return len(id) == len(nilUUID) && id != nilUUID && uuid.Validate(id) == nil
}
