package httpapi

import (
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

// rule is one of http.yaml.
type rule struct {
	Selector           string
	Get, Post, Patch   string
	Body               string
	AdditionalBindings []rule `yaml:"additional_bindings"`
}

func (r *rule) line(selector string) string {
	method, pattern := "GET", r.Get
	switch {
	case r.Post != "":
		method, pattern = "POST", r.Post
	case r.Patch != "":
		method, pattern = "PATCH", r.Patch
	}
	return strings.Join([]string{selector, method, pattern, r.Body}, " ")
}

func TestRoutes_AreThoseOfTheContract(t *testing.T) {
	t.Parallel()
	data, err := os.ReadFile("../../../../proto/raffle/v1/http.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ HTTP struct{ Rules []rule } }
	if err := yaml.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	var want, got []string
	for _, r := range file.HTTP.Rules {
		found, err := protoregistry.GlobalFiles.FindDescriptorByName(protoreflect.FullName(r.Selector))
		if err != nil {
			t.Fatal(err)
		}
		request := string(found.(protoreflect.MethodDescriptor).Input().FullName())
		want = append(want, r.line(request))
		for _, more := range r.AdditionalBindings {
			want = append(want, more.line(request))
		}
	}
	for _, r := range routes {
		got = append(got, strings.Join([]string{string(r.request.ProtoReflect().Descriptor().FullName()), r.method, r.pattern, r.body}, " "))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("routes are\n%s\nhttp.yaml has\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestRoute_Match(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, path string
		ok            bool
		param         string
	}{
		{"/api/v1/raffles/{raffle_id}", "/api/v1/raffles/7", true, "7"},
		{"/api/v1/raffles/{raffle_id}", "/api/v1/raffles/", false, ""},
		{"/api/v1/raffles/{raffle_id}", "/api/v1/raffles/7/", false, ""},
		{"/api/v1/raffles/{raffle_id}", "/api/v1/raffles/7:close", false, ""},
		{"/api/v1/raffles/{raffle_id}:close", "/api/v1/raffles/7:close", true, "7"},
		{"/api/v1/raffles/{raffle_id}:close", "/api/v1/raffles/7:", false, ""},
		{"/api/v1/raffles/{raffle_id}:close", "/api/v1/raffles/:close", false, ""},
		{"/api/v1/raffles/{raffle_id}:close", "/api/v1/raffles/7:close:close", false, ""},
		{"/api/v1/entries:stream", "/api/v1/entries", false, ""},
		{"/api/v1/raffles", "/api/v1/raffles:", false, ""},
	} {
		params, ok := (&route{pattern: c.pattern}).match(c.path)
		if ok != c.ok || (ok && params["raffle_id"] != c.param) {
			t.Errorf("%s, %s: %v, %v", c.pattern, c.path, params, ok)
		}
	}
}

// The document names the path, the method and the parameters of every route.
func TestOpenAPI_DescribesEveryRoute(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got := b.do("GET /openapi.json", "", "")
	var doc struct {
		Paths map[string]map[string]struct{ OperationID string }
	}
	if err := json.Unmarshal([]byte(got.body), &doc); err != nil || got.header.Get("Content-Type") != jsonType {
		t.Fatalf("%v, %v", err, got.header)
	}
	described := 0
	for _, operations := range doc.Paths {
		described += len(operations)
	}
	if described != len(routes) {
		t.Errorf("%d operations are described, there are %d routes", described, len(routes))
	}
	for _, r := range routes {
		path := strings.NewReplacer("{raffle_id}", "{raffleId}", "{raffle.id}", "{raffleId}").Replace(r.pattern)
		op := doc.Paths[path][strings.ToLower(r.method)]
		call := strings.TrimSuffix(string(r.request.ProtoReflect().Descriptor().Name()), "Request")
		if !strings.HasPrefix(op.OperationID, call) {
			t.Errorf("%s %s is described as %q", r.method, path, op.OperationID)
		}
	}
	if bad := b.do("GET /openapi.json?x=1", "", ""); bad.status != 400 {
		t.Errorf("an unknown parameter: %d", bad.status)
	}
	if bad := b.do("POST /openapi.json", "", ""); bad.status != 405 || bad.header.Get("Allow") != "GET, HEAD, OPTIONS" {
		t.Errorf("POST: %d %v", bad.status, bad.header)
	}
}
