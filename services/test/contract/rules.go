package contract

import (
	"regexp"
	"slices"
	"strconv"

	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go/buf/validate"
	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/genproto/googleapis/api/annotations"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// setBounds sets the bounds of a field's rules in its schema.
func setBounds(schema *openapi3.Schema, field protoreflect.FieldDescriptor) {
	if info, _ := proto.GetExtension(field.Options(), annotations.E_FieldInfo).(*annotations.FieldInfo); info.GetFormat() == annotations.FieldInfo_UUID4 {
		schema.Format = "uuid"
	}
	if behaviors(field.Options(), annotations.FieldBehavior_OUTPUT_ONLY) {
		schema.ReadOnly = true
	}
	rules, _ := proto.GetExtension(field.Options(), validate.E_Field).(*validate.FieldRules)
	if bounds := rules.GetInt32(); bounds != nil {
		setRange(schema, bounds.ProtoReflect())
	}
	text := rules.GetString()
	if text == nil {
		return
	}
	for _, rule := range predefined(text.ProtoReflect()) {
		setPattern(schema, rule.GetExpression())
	}
	if text.HasMaxLen() { // less than its rule allows
		schema.MaxLength = new(text.GetMaxLen())
	}
}

// setRange sets the bounds gte and lte of a number.
func setRange(schema *openapi3.Schema, bounds protoreflect.Message) {
	for name, bound := range map[protoreflect.Name]**float64{"gte": &schema.Min, "lte": &schema.Max} {
		if field := bounds.Descriptor().Fields().ByName(name); bounds.Has(field) {
			*bound = new(float64(bounds.Get(field).Int()))
		}
	}
}

// predefined returns the rules of the contract's own that a field has.
func predefined(rules protoreflect.Message) (list []*validate.Rule) {
	rules.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field.IsExtension() && field.Kind() == protoreflect.BoolKind && value.Bool() {
			p, _ := proto.GetExtension(field.Options(), validate.E_Predefined).(*validate.PredefinedRules)
			list = append(list, p.GetCel()...)
		}
		return true
	})
	return list
}

var (
	matchesExpression = regexp.MustCompile(`this\.matches\('([^']*)'\)`)
	sizeExpression    = regexp.MustCompile(`size\(this\) (>=|<=) (\d+)`)
)

// setPattern sets the pattern and the sizes that an expression in CEL asks for.
func setPattern(schema *openapi3.Schema, expression string) {
	if found := matchesExpression.FindStringSubmatch(expression); found != nil {
		pattern, err := strconv.Unquote(`"` + found[1] + `"`) // CEL escapes as Go does
		if err == nil {
			schema.Pattern = pattern
		}
	}
	for _, found := range sizeExpression.FindAllStringSubmatch(expression, -1) {
		n, _ := strconv.ParseUint(found[2], 10, 64)
		if found[1] == ">=" {
			schema.MinLength = n
		} else {
			schema.MaxLength = new(n)
		}
	}
}

func behaviors(options protoreflect.ProtoMessage, behavior annotations.FieldBehavior) bool {
	list, _ := proto.GetExtension(options, annotations.E_FieldBehavior).([]annotations.FieldBehavior)
	return slices.Contains(list, behavior)
}

// rpcCodes returns the names of google.rpc.Code, but for OK.
func rpcCodes() (names []any) {
	values := code.Code_OK.Descriptor().Values()
	for i := range values.Len() {
		if values.Get(i).Number() != 0 {
			names = append(names, string(values.Get(i).Name()))
		}
	}
	return names
}
