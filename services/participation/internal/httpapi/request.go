package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// The encodings of a body.
const (
	jsonType   = "application/json"
	ndjsonType = "application/x-ndjson"
	formType   = "application/x-www-form-urlencoded"
)

// read reads the parameters of a request strictly.
func read(r *http.Request, route *route, params map[string]string) (*input, error) {
	in := newInput(route.request.ProtoReflect().New().Interface(), r)
	if err := in.addPath(params); err != nil {
		return nil, err
	}
	if err := in.addQuery(route); err != nil {
		return nil, err
	}
	var err error
	switch route.body {
	case "":
		err = in.noBody()
	case "*":
		err = in.addBody(in.msg, jsonType, formType)
	default: // the fields of one message
		field := in.msg.Descriptor().Fields().ByName(protoreflect.Name(route.body))
		err = in.addBody(in.msg.Mutable(field).Message(), jsonType)
	}
	return in, err
}

// newInput returns an empty input of a request.
func newInput(msg proto.Message, r *http.Request) *input {
	return &input{request: r, msg: msg.ProtoReflect(), given: map[protoreflect.FullName]source{}, path: map[string]string{}}
}

// input collects the parameters of a request.
type input struct {
	request *http.Request
	msg     protoreflect.Message
	given   map[protoreflect.FullName]source
	path    map[string]string // the parameters of the path, in their usual form
	body    []string          // the fields that the body gave, in its order
}

// source is where a parameter was.
type source int

const (
	inPath source = iota + 1
	inQuery
	inBody
)

func (in *input) addPath(params map[string]string) error {
	for name, value := range params {
		container, field := in.msg, name
		if outer, inner, nested := strings.Cut(name, "."); nested {
			container, field = in.msg.Mutable(in.msg.Descriptor().Fields().ByName(protoreflect.Name(outer))).Message(), inner
		}
		if err := in.addText(container, field, value, inPath); err != nil {
			return err
		}
		in.path[name] = container.Get(fieldOf(container, field)).String()
	}
	return nil
}

// addQuery reads the query. A field that is itself the body is no parameter there.
func (in *input) addQuery(route *route) error {
	values, err := url.ParseQuery(in.request.URL.RawQuery)
	if err != nil {
		return unreadableQuery()
	}
	return in.addValues(values, inQuery, route.body)
}

func (in *input) addValues(values url.Values, from source, except string) error {
	for name, list := range values {
		if len(list) > 1 {
			return invalid(printable(name), "must be given once (got %d times)", len(list))
		}
		if field := fieldOf(in.msg, name); field != nil && string(field.Name()) == except {
			return unknown(name)
		}
		if err := in.addText(in.msg, name, list[0], from); err != nil {
			return err
		}
	}
	return nil
}

// addText adds a parameter that is given as text, outside JSON.
func (in *input) addText(container protoreflect.Message, name, text string, from source) error {
	if !utf8.ValidString(name) || !utf8.ValidString(text) {
		return invalid(printable(name), "must be UTF-8")
	}
	raw, err := json.Marshal(text)
	if err != nil {
		return err
	}
	if field := fieldOf(container, name); field != nil && field.Kind() == protoreflect.BoolKind && (text == "true" || text == "false") {
		raw = json.RawMessage(text)
	}
	return in.add(container, name, raw, from)
}

// addBody reads the body, in one of the encodings, as fields of container.
func (in *input) addBody(container protoreflect.Message, encodings ...string) error {
	data, err := readAll(in.request.Body)
	if err != nil || len(data) == 0 {
		return err
	}
	encoding, err := encodingOf(in.request.Header, encodings)
	if err != nil {
		return err
	}
	if encoding == formType {
		values, err := url.ParseQuery(string(data))
		if err != nil {
			return invalid("", "the form can't be read: its fields must be percent-encoded and separated by &")
		}
		return in.addValues(values, inBody, "")
	}
	return in.addJSON(container, "", data)
}

// addJSON adds the members of a JSON object as fields of container, which is the
// field with this name, or the whole request if the name is empty.
func (in *input) addJSON(container protoreflect.Message, name string, data []byte) error {
	members, err := membersOf(name, data)
	if err != nil {
		return err
	}
	for _, m := range members {
		if err := in.add(container, m.name, m.value, inBody); err != nil {
			return err
		}
	}
	return nil
}

// add adds a parameter. A parameter may be given once; one of the path may be
// repeated with the same value.
func (in *input) add(container protoreflect.Message, name string, value json.RawMessage, from source) error {
	field := fieldOf(container, name)
	if field == nil {
		return unknown(name)
	}
	given := in.given[field.FullName()]
	if given != 0 && given != inPath {
		return invalid(string(field.Name()), "must be given once")
	}
	if from == inBody {
		in.body = append(in.body, string(field.Name()))
	}
	if nested := field.Message(); nested != nil && !isWellKnown(nested) {
		in.given[field.FullName()] = from
		if field.IsList() {
			return in.addList(container, field, value)
		}
		return in.addJSON(container.Mutable(field).Message(), string(field.Name()), value)
	}
	one := container.New()
	if err := setField(one, field, value); err != nil {
		return malformed(field, value)
	}
	if given == inPath && !one.Get(field).Equal(container.Get(field)) {
		return invalid(string(field.Name()), "contradicts the path (got %s, and %s in the path)", clip(value), container.Get(field).String())
	}
	in.given[field.FullName()] = from
	proto.Merge(container.Interface(), one.Interface())
	return nil
}

// addList adds the elements of a list of messages, each read as strictly as the request
// itself. null is an empty list.
func (in *input) addList(container protoreflect.Message, field protoreflect.FieldDescriptor, value json.RawMessage) error {
	var elements []json.RawMessage
	if err := json.Unmarshal(value, &elements); err != nil {
		return malformed(field, value)
	}
	list := container.Mutable(field).List()
	for _, element := range elements {
		one := list.NewElement()
		each := &input{request: in.request, msg: one.Message(), given: map[protoreflect.FullName]source{}}
		if err := each.addJSON(one.Message(), string(field.Name()), element); err != nil {
			return err
		}
		list.Append(one)
	}
	return nil
}

// noParameters refuses a request that has a query.
func (in *input) noParameters() error {
	values, err := url.ParseQuery(in.request.URL.RawQuery)
	if err != nil {
		return unreadableQuery()
	}
	for name := range values {
		return unknown(name)
	}
	return nil
}

func unreadableQuery() error {
	return invalid("", "the query can't be read: its parameters must be percent-encoded and separated by &")
}

func (in *input) noBody() error {
	data, err := readAll(in.request.Body)
	if err == nil && len(data) > 0 {
		return invalid("", "a %s request must have no body", in.request.Method)
	}
	return err
}

func readAll(body io.Reader) ([]byte, error) {
	data, err := io.ReadAll(body)
	if err != nil {
		return nil, bodyError(err)
	}
	return data, nil
}

// bodyError returns the error for a body that could not be read.
func bodyError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return refuse(bodyTooLarge, "the body must have at most %d bytes", maxBody).with("limit", strconv.Itoa(maxBody))
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return refuse(bodyTimeout, "the body did not arrive in time")
	}
	return invalid("", "the body can't be read")
}

// encodingOf returns the encoding of a body, which must be one of those allowed.
func encodingOf(header http.Header, allowed []string) (string, error) {
	contentType := header.Get("Content-Type")
	encoding, params, err := mime.ParseMediaType(contentType)
	charset := params["charset"]
	for _, a := range allowed {
		if err == nil && encoding == a && (charset == "" || strings.EqualFold(charset, "utf-8")) && header.Get("Content-Encoding") == "" {
			return encoding, nil
		}
	}
	return "", refuse(unsupportedType, "the body must be %s in UTF-8, not compressed, and Content-Type must say so (got %.100q)", strings.Join(allowed, " or "), contentType).
		with("contentType", printable(contentType))
}

// member is one of a JSON object.
type member struct {
	name  string
	value json.RawMessage
}

// membersOf reads a JSON object, the value of a field, and nothing after it.
func membersOf(field string, data []byte) ([]member, error) {
	notObject := invalid(field, "must be one JSON object, in UTF-8")
	if !utf8.Valid(data) {
		return nil, notObject
	}
	decoder := json.NewDecoder(bytes.NewReader(data))
	if start, err := decoder.Token(); err != nil || start != json.Delim('{') {
		return nil, notObject
	}
	var members []member
	for decoder.More() {
		name, err := decoder.Token()
		if err != nil {
			return nil, notObject
		}
		m := member{}
		m.name, _ = name.(string)
		if decoder.Decode(&m.value) != nil {
			return nil, notObject
		}
		members = append(members, m)
	}
	if _, err := decoder.Token(); err != nil { // the closing brace
		return nil, notObject
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return nil, notObject
	}
	return members, nil
}
