package httpapi

import (
	"bytes"
	"io"
	"net/http"
	"net/url"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
)

// rewrite returns the request in the one form that grpc-gateway reads: with the path in its usual
// form, the message or one field of it as a JSON body, the rest in the query, and
// no header but those of the body.
func (in *input) rewrite(route *route) (*http.Request, error) {
	out := in.request.Clone(in.request.Context())
	out.Method = route.method
	out.URL = &url.URL{Path: route.path(in.path)}
	out.Header = http.Header{}
	out.Body, out.ContentLength = http.NoBody, 0
	if route.body == "*" {
		return withBody(out, in.msg.Interface())
	}
	var body protoreflect.FieldDescriptor
	if route.body != "" {
		body = in.msg.Descriptor().Fields().ByName(protoreflect.Name(route.body))
		in.nameBodyFields()
	}
	query, err := in.query(body)
	if err != nil {
		return nil, err
	}
	out.URL.RawQuery = query.Encode()
	if body == nil {
		return out, nil
	}
	return withBody(out, in.msg.Get(body).Message().Interface())
}

// nameBodyFields sets an absent update_mask to the fields that the body gave, so
// that null in the body removes a time.
func (in *input) nameBodyFields() {
	field := in.msg.Descriptor().Fields().ByName("update_mask")
	if field == nil || in.msg.Has(field) || len(in.body) == 0 {
		return
	}
	paths := in.msg.Mutable(field).Message()
	list := paths.Mutable(paths.Descriptor().Fields().ByName("paths")).List()
	for _, name := range in.body {
		list.Append(protoreflect.ValueOfString(name))
	}
}

// query returns the fields of the message, but for the body's and the path's.
func (in *input) query(body protoreflect.FieldDescriptor) (url.Values, error) {
	query := url.Values{}
	var err error
	in.msg.Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		if field == body || in.given[field.FullName()] == inPath {
			return true
		}
		var text string
		text, err = scalarText(field, value)
		query.Set(string(field.Name()), text)
		return err == nil
	})
	return query, err
}

func withBody(out *http.Request, msg proto.Message) (*http.Request, error) {
	data, err := protojson.Marshal(msg)
	if err != nil {
		return nil, err
	}
	out.Header.Set("Content-Type", jsonType)
	out.Body, out.ContentLength = io.NopCloser(bytes.NewReader(data)), int64(len(data))
	return out, nil
}
