package contract

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/getkin/kin-openapi/openapi2"
	"github.com/getkin/kin-openapi/openapi2conv"
	"github.com/getkin/kin-openapi/openapi3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

const (
	jsonType   = "application/json"
	ndjsonType = "application/x-ndjson"
	formType   = "application/x-www-form-urlencoded"
)

// OpenAPI completes what protoc-gen-openapiv2 makes of the contract and returns an
// OpenAPI 3 document: with the bounds of the contract's rules, the encodings of
// bodies and the shape of errors, none of which the generator knows.
func OpenAPI(swagger []byte) ([]byte, error) {
	var old openapi2.T
	if err := json.Unmarshal(swagger, &old); err != nil {
		return nil, fmt.Errorf("read the generated document: %w", err)
	}
	doc, err := openapi2conv.ToV3(&old)
	if err != nil {
		return nil, fmt.Errorf("convert the generated document: %w", err)
	}
	describe(doc)
	movePatch(doc)
	for name, schema := range doc.Components.Schemas {
		completeSchema(name, schema.Value)
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			if err := completeOperation(doc, path, method, op); err != nil {
				return nil, fmt.Errorf("%s %s: %w", method, path, err)
			}
		}
	}
	delete(doc.Components.Schemas, "NullValue") // of google.protobuf.Struct, which refers to no schema
	addErrors(doc)
	addSecurity(doc)
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(doc); err != nil {
		return nil, fmt.Errorf("write the document: %w", err)
	}
	return out.Bytes(), nil
}

// describe sets what the document says about itself.
func describe(doc *openapi3.T) {
	doc.Info = &openapi3.Info{
		Title: "Rafflecast", Version: "v1",
		License: &openapi3.License{Name: "Apache 2.0", URL: "https://www.apache.org/licenses/LICENSE-2.0.html"},
		Description: "Every call of raffle.v1 over HTTP/JSON, in proto3's JSON: 64-bit numbers are strings, " +
			"names are in lowerCamelCase (those of the .proto files work, too).\n\n" +
			"The parameters of a call that changes something may be in a JSON body, a form, or the query, each once. " +
			"A parameter that is unknown, malformed or doubled is an error. Bodies have at most 16 KiB.",
	}
	doc.Servers = openapi3.Servers{{URL: "http://127.0.0.1:9080", Description: "participation, as `make run` starts it"}}
	for _, tag := range doc.Tags {
		tag.Description, _, _ = strings.Cut(tag.Description, "\n")
	}
}

// movePatch gives UpdateRaffle the same path as GetRaffle, and the parameter that
// the generator leaves out.
func movePatch(doc *openapi3.T) {
	const from, to = "/api/v1/raffles/{raffle.id}", "/api/v1/raffles/{raffleId}"
	patch := doc.Paths.Value(from).Patch
	doc.Paths.Delete(from)
	doc.Paths.Value(to).Patch = patch
	for _, p := range patch.Parameters {
		if p.Value.In == openapi3.ParameterInPath {
			p.Value.Name = "raffleId"
		}
	}
	patch.AddParameter(openapi3.NewQueryParameter("updateMask").WithSchema(openapi3.NewStringSchema()).
		WithDescription("Which fields to change, separated by commas; * names all. An absent mask names the fields of the body, " +
			"in which null removes a time."))
	body := patch.RequestBody.Value.Content[jsonType].Schema.Value
	body.Required, body.Description = nil, "The new values of the fields that change."
	doc.Components.Schemas["RaffleUpdate"] = openapi3.NewSchemaRef("", body)
	patch.RequestBody.Value.Content[jsonType].Schema = openapi3.NewSchemaRef("#/components/schemas/RaffleUpdate", body)
}

func completeOperation(doc *openapi3.T, path, method string, op *openapi3.Operation) error {
	op.OperationID = strings.TrimSuffix(op.OperationID, "2") // the generator numbers further paths of a call
	request, err := requestOf(op.OperationID)
	if err != nil {
		return err
	}
	first, rest, more := strings.Cut(strings.ReplaceAll(op.Summary, "\n", " "), ". ")
	op.Summary = strings.TrimSuffix(first, ".") + "."
	if more {
		op.Description = strings.TrimSpace(rest + "\n\n" + op.Description)
	}
	for _, p := range op.Parameters {
		fields := request.Fields()
		if field := fields.ByJSONName(p.Value.Name); field != nil {
			setBounds(p.Value.Schema.Value, field)
		}
	}
	isAlias := strings.HasPrefix(path, "/api/v1/raffle/")
	switch {
	case isAlias:
		op.OperationID += "Alias"
		op.Description += "\n\nThis is the path of the first version, an alias."
		queryParameters(doc, op)
	case op.OperationID == "EnterStream":
		return completeStream(op)
	case rawTypes[op.OperationID] != "":
		completeRaw(doc, op)
	}
	if op.RequestBody != nil {
		op.RequestBody.Value.Extensions = nil
		completeBody(doc, op, method != http.MethodPatch, isAlias)
	}
	return nil
}

// requestOf returns the request message of a call.
func requestOf(call string) (protoreflect.MessageDescriptor, error) {
	d, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName("raffle.v1." + call + "Request"))
	if err != nil {
		return nil, fmt.Errorf("find the request of %s: %w", call, err)
	}
	return d.(protoreflect.MessageDescriptor), nil //nolint:forcetypeassert // a name that ends in Request is a message's
}

// queryParameters adds the fields of the body as parameters of the query.
func queryParameters(doc *openapi3.T, op *openapi3.Operation) {
	body := bodySchema(doc, op)
	for _, name := range []string{"memberId", "requestId"} {
		schema := *body.Properties[name].Value
		description := strings.TrimSpace(schema.Title + schema.Description)
		schema.Title, schema.Description = "", ""
		op.AddParameter(openapi3.NewQueryParameter(name).WithSchema(&schema).WithDescription(description))
	}
}

func bodySchema(doc *openapi3.T, op *openapi3.Operation) *openapi3.Schema {
	ref := op.RequestBody.Value.Content[jsonType].Schema
	return doc.Components.Schemas[strings.TrimPrefix(ref.Ref, "#/components/schemas/")].Value
}

// completeBody says which encodings a body may have, and whether it may be absent.
func completeBody(doc *openapi3.T, op *openapi3.Operation, form, queryInstead bool) {
	body := op.RequestBody.Value
	schema := bodySchema(doc, op)
	closed := false
	schema.AdditionalProperties.Has = &closed
	body.Required = len(schema.Required) > 0 && !queryInstead
	if form {
		body.Content[formType] = &openapi3.MediaType{Schema: body.Content[jsonType].Schema}
	}
}

// completeStream describes EnterStream, which has a message on each line.
func completeStream(op *openapi3.Operation) error {
	body := op.RequestBody.Value
	body.Extensions = nil
	body.Description = "One EnterStreamRequest on each line, of at most 16 KiB."
	body.Content[ndjsonType] = body.Content[jsonType]
	ok := op.Responses.Value("200").Value
	media := ok.Content[jsonType]
	if media == nil {
		return fmt.Errorf("no response of %s", op.OperationID)
	}
	description := "On each line one response. If the stream fails, the last line has the error instead."
	ok.Description = &description
	media.Schema.Value.Title = ""
	media.Schema.Value.Properties["error"] = openapi3.NewSchemaRef("#/components/schemas/ErrorDetail", nil)
	ok.Content = openapi3.Content{ndjsonType: media}
	return nil
}

// rawTypes are the media types of answers that are served as they are, by call.
var rawTypes = map[string]string{"GetLog": "application/octet-stream", "GetCheckpoint": "text/plain"}

// completeRaw describes a call whose answer is not JSON.
func completeRaw(doc *openapi3.T, op *openapi3.Operation) {
	schema := openapi3.NewStringSchema()
	if op.OperationID == "GetLog" {
		schema.Format = "binary"
	}
	op.Responses.Value("200").Value.Content = openapi3.Content{rawTypes[op.OperationID]: openapi3.NewMediaType().WithSchema(schema)}
	delete(doc.Components.Schemas, op.OperationID+"Response")
}

// completeSchema adds the bounds of the contract's rules to a message's schema.
func completeSchema(name string, schema *openapi3.Schema) {
	if name == "Any" {
		schema.Description = "One of google.rpc.ErrorInfo, BadRequest and RetryInfo, in proto3's JSON."
		schema.Properties["@type"].Value.Description = "The type, as type.googleapis.com/google.rpc.ErrorInfo."
	}
	if before, ok := strings.CutSuffix(name, "Body"); ok { // a request without what is in the path
		name = before + "Request"
	}
	if name == "RaffleUpdate" {
		name = "Raffle"
	}
	found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName("raffle.v1." + name))
	message, ok := found.(protoreflect.MessageDescriptor)
	if err != nil || !ok {
		return
	}
	for property, ref := range schema.Properties {
		if field := message.Fields().ByJSONName(property); field != nil && ref.Value != nil && ref.Ref == "" {
			setBounds(ref.Value, field)
		}
	}
}

// addErrors gives every call the response of errors.
func addErrors(doc *openapi3.T) {
	text := openapi3.NewStringSchema
	violation := openapi3.NewObjectSchema().WithProperty("field", text()).WithProperty("description", text()).
		WithProperty("reason", text()).WithRequired([]string{"field", "description"})
	detail := openapi3.NewObjectSchema().
		WithProperty("code", text().WithEnum(rpcCodes()...)).
		WithProperty("reason", text().WithPattern("^[A-Z][A-Z_]*$")).
		WithProperty("message", text()).
		WithProperty("metadata", openapi3.NewObjectSchema().WithAdditionalProperties(text())).
		WithProperty("fieldViolations", openapi3.NewArraySchema().WithItems(violation)).
		WithRequired([]string{"code", "reason", "message"})
	detail.Description = "What went wrong: a name of google.rpc.Code, the reason of google.rpc.ErrorInfo with its metadata, and the violations of google.rpc.BadRequest."
	doc.Components.Schemas["ErrorDetail"] = openapi3.NewSchemaRef("", detail)
	body := openapi3.NewObjectSchema().WithRequired([]string{"error"})
	body.Properties = openapi3.Schemas{"error": openapi3.NewSchemaRef("#/components/schemas/ErrorDetail", detail)}
	doc.Components.Schemas["Error"] = openapi3.NewSchemaRef("", body)
	retryAfter := &openapi3.Header{Parameter: openapi3.Parameter{
		Description: "Seconds to wait before the request is sent again, if that may help.", Schema: openapi3.NewSchemaRef("", openapi3.NewIntegerSchema()),
	}}
	response := openapi3.NewResponse().WithDescription("The call failed.").
		WithContent(openapi3.Content{jsonType: {Schema: openapi3.NewSchemaRef("#/components/schemas/Error", body)}})
	response.Headers = openapi3.Headers{"Retry-After": {Value: retryAfter}}
	doc.Components.Responses = openapi3.ResponseBodies{"Error": {Value: response}}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			for _, status := range []string{"4XX", "5XX"} {
				op.Responses.Set(status, &openapi3.ResponseRef{Ref: "#/components/responses/Error", Value: response})
			}
		}
	}
}

// The messages of both services are registered.
var _ = rafflev1.File_raffle_v1_raffle_service_proto
