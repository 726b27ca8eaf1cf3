package contract_test

import (
	"regexp"
	"slices"
	"strings"
	"testing"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// methods returns every method of the contract.
func methods() (list []protoreflect.MethodDescriptor) {
	for _, file := range []protoreflect.FileDescriptor{
		rafflev1.File_raffle_v1_raffle_service_proto, rafflev1.File_raffle_v1_participation_service_proto,
		rafflev1.File_raffle_v1_audit_service_proto,
	} {
		for i := range file.Services().Len() {
			of := file.Services().Get(i).Methods()
			for j := range of.Len() {
				list = append(list, of.Get(j))
			}
		}
	}
	return list
}

// requestFields returns every field of a message and of the contract's messages in it.
func requestFields(m protoreflect.MessageDescriptor) (fields []protoreflect.FieldDescriptor) {
	for i := range m.Fields().Len() {
		field := m.Fields().Get(i)
		fields = append(fields, field)
		if nested := field.Message(); nested != nil && nested.ParentFile().Package() == "raffle.v1" {
			fields = append(fields, requestFields(nested)...)
		}
	}
	return fields
}

func behaviors(field protoreflect.FieldDescriptor) []annotations.FieldBehavior {
	list, _ := proto.GetExtension(field.Options(), annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return list
}

func fieldRules(field protoreflect.FieldDescriptor) *validate.FieldRules {
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	return rules
}

func readOnly(method protoreflect.MethodDescriptor) bool {
	options, _ := method.Options().(*descriptorpb.MethodOptions)
	return options.GetIdempotencyLevel() == descriptorpb.MethodOptions_NO_SIDE_EFFECTS
}

func TestRequests_EveryFieldHasBehavior(t *testing.T) {
	t.Parallel()
	for _, method := range methods() {
		for _, field := range requestFields(method.Input()) {
			if len(behaviors(field)) == 0 {
				t.Errorf("%s has no field_behavior", field.FullName())
			}
		}
	}
}

func TestRequests_EveryTextIsBounded(t *testing.T) {
	t.Parallel()
	sizes := regexp.MustCompile(`\{\d+,\d+\}\$|\{\d+\}\$|size\(this\) <= \d+`)
	for _, method := range methods() {
		for _, field := range requestFields(method.Input()) {
			if slices.Contains(behaviors(field), annotations.FieldBehavior_OUTPUT_ONLY) {
				continue // the service does not read it
			}
			rules := fieldRules(field)
			switch {
			case field.Kind() == protoreflect.StringKind:
				bounded := rules.GetString().HasMaxLen()
				rules.GetString().ProtoReflect().Range(func(rule protoreflect.FieldDescriptor, _ protoreflect.Value) bool {
					predefined, _ := proto.GetExtension(rule.Options(), validate.E_Predefined).(*validate.PredefinedRules)
					for _, cel := range predefined.GetCel() {
						bounded = bounded || (rule.IsExtension() && sizes.MatchString(cel.GetExpression()))
					}
					return true
				})
				if !bounded {
					t.Errorf("%s has no greatest length", field.FullName())
				}
			case field.IsList() && rules.GetRepeated().GetMaxItems() > 0:
			case field.Kind() == protoreflect.BytesKind, field.IsList(), field.IsMap():
				t.Errorf("%s: this test does not know how such a field is bounded", field.FullName())
			case field.Message() != nil && field.Message().FullName() == "google.protobuf.FieldMask":
				if len(rules.GetFieldMask().GetIn()) == 0 {
					t.Errorf("%s may name anything", field.FullName())
				}
			}
		}
	}
}

// Every number and every time of a request is bounded, too, but for ids that only
// the caller reads.
func TestRequests_EveryNumberIsBounded(t *testing.T) {
	t.Parallel()
	for _, method := range methods() {
		for _, field := range requestFields(method.Input()) {
			if slices.Contains(behaviors(field), annotations.FieldBehavior_OUTPUT_ONLY) || field.Name() == "correlation_id" {
				continue
			}
			rules := fieldRules(field)
			switch field.Kind() {
			case protoreflect.Int32Kind:
				if !rules.GetInt32().HasGte() {
					t.Errorf("%s has no least value", field.FullName())
				}
			case protoreflect.Int64Kind:
				if !rules.GetInt64().HasGte() {
					t.Errorf("%s has no least value", field.FullName())
				}
			case protoreflect.MessageKind:
				if field.Message().FullName() == "google.protobuf.Timestamp" && !calendar(rules) {
					t.Errorf("%s has no bounds", field.FullName())
				}
			}
		}
	}
}

func calendar(rules *validate.FieldRules) bool {
	set, _ := proto.GetExtension(rules.GetTimestamp(), rafflev1.E_Calendar).(bool)
	return set
}

func TestRequests_ChangesHaveARequestID(t *testing.T) {
	t.Parallel()
	changes := 0
	for _, method := range methods() {
		request := method.Input()
		if method.IsStreamingClient() {
			request = request.Fields().ByName("enter").Message()
		}
		field := request.Fields().ByName("request_id")
		if method.Name() == "DrawRaffle" {
			continue // a raffle is drawn once, whoever asks for it, and however often
		}
		if readOnly(method) != (field == nil) {
			t.Errorf("%s: reads only: %v; has request_id: %v", method.FullName(), readOnly(method), field != nil)
		}
		if field == nil {
			continue
		}
		changes++
		info, _ := proto.GetExtension(field.Options(), annotations.E_FieldInfo).(*annotations.FieldInfo)
		rule, _ := proto.GetExtension(fieldRules(field).GetString(), rafflev1.E_RequestId).(bool)
		if info.GetFormat() != annotations.FieldInfo_UUID4 || !rule {
			t.Errorf("%s: format %v, rule %v", field.FullName(), info.GetFormat(), rule)
		}
	}
	if changes != 10 {
		t.Errorf("%d calls change something", changes)
	}
}

// A rule that several fields have is written once, as a predefined rule.
func TestRules_AreWrittenOnce(t *testing.T) {
	t.Parallel()
	want := map[protoreflect.Name]protoreflect.ExtensionType{
		"member_id": rafflev1.E_MemberId, "request_id": rafflev1.E_RequestId, "title": rafflev1.E_Title,
	}
	for _, method := range methods() {
		for _, field := range requestFields(method.Input()) {
			rule, ok := want[field.Name()]
			if set, _ := proto.GetExtension(fieldRules(field).GetString(), extensionOf(rule, ok)).(bool); ok && !set {
				t.Errorf("%s does not have the rule %s", field.FullName(), field.Name())
			}
			for _, cel := range fieldRules(field).GetCel() {
				t.Errorf("%s has a rule of its own: %s", field.FullName(), cel.GetExpression())
			}
		}
	}
}

func extensionOf(rule protoreflect.ExtensionType, ok bool) protoreflect.ExtensionType {
	if !ok {
		return rafflev1.E_Title
	}
	return rule
}

// The page that enters members knows the rule, too: it is the same one.
func TestRules_AreThoseOfThePage(t *testing.T) {
	t.Parallel()
	predefined, _ := proto.GetExtension(rafflev1.E_MemberId.TypeDescriptor().Options(), validate.E_Predefined).(*validate.PredefinedRules)
	expression := predefined.GetCel()[0].GetExpression()
	_, rest, _ := strings.Cut(expression, "'")
	pattern, _, _ := strings.Cut(rest, "'")
	for _, path := range glob(t, "services/gateway/web/assets/*.js") {
		if strings.Contains(readFile(t, path), "/"+pattern+"/") {
			return
		}
	}
	t.Errorf("no script of the page has the rule %s", pattern)
}
