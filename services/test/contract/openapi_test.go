package contract_test

import (
	"encoding/json"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

const openAPIFile = "services/participation/internal/httpapi/openapi.json"

func TestOpenAPI_PassesLint(t *testing.T) {
	t.Parallel()
	node := testenv.NeedProgram(t, "node")
	packages := nodePackages(t, "@redocly/cli@2.77.0")
	document, err := filepath.Abs(filepath.Join(repository, openAPIFile))
	if err != nil {
		t.Fatal(err)
	}
	out := run(t, packages, node, "node_modules/@redocly/cli/bin/cli.js", "lint", "--extends=recommended-strict", "--format=json", document)
	var report struct {
		Totals struct{ Errors, Warnings int }
	}
	if err := json.Unmarshal([]byte(out), &report); err != nil || report.Totals.Errors+report.Totals.Warnings > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}

func loadOpenAPI(t *testing.T, data string) *openapi3.T {
	t.Helper()
	doc, err := openapi3.NewLoader().LoadFromData([]byte(data))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil {
		t.Fatal(err)
	}
	return doc
}

func TestOpenAPI_HasTheRules(t *testing.T) {
	t.Parallel()
	doc := loadOpenAPI(t, readFile(t, openAPIFile))
	enter := doc.Components.Schemas["EnterBody"].Value
	if got := enter.Properties["memberId"].Value.Pattern; got != "^[A-Za-z0-9_.:@-]{1,64}$" {
		t.Errorf("memberId: %q", got)
	}
	if got := enter.Properties["requestId"].Value; got.Format != "uuid" || !strings.HasPrefix(got.Pattern, "^[0-9a-fA-F]{8}-") {
		t.Errorf("requestId: %+v", got)
	}
	create := doc.Components.Schemas["CreateRaffleRequest"].Value
	if got := create.Properties["winners"].Value; *got.Min != 0 || *got.Max != 1_000_000 {
		t.Errorf("winners: %+v", got)
	}
	if got := create.Properties["title"].Value; got.MinLength != 1 || *got.MaxLength != 200 || got.Pattern != `^[^\x00-\x1F\x7F-\x9F`+"\u061c\u115f\u1160\u2800\u3164\uffa0\ufffc\U0001d159\U00013441\U00013442\u200e\u200f\u202a-\u202e\u2066-\u2069"+`]*$` {
		t.Errorf("title: %+v", got)
	}
	if got := doc.Components.Schemas["Prize"].Value.Properties["name"].Value; got.MinLength != 1 || *got.MaxLength != 100 {
		t.Errorf("name of a prize: %d to %d characters", got.MinLength, *got.MaxLength)
	}
	for name, schema := range doc.Components.Schemas {
		if strings.HasSuffix(name, "Body") && (schema.Value.AdditionalProperties.Has == nil || *schema.Value.AdditionalProperties.Has) {
			t.Errorf("%s allows other properties", name)
		}
	}
	list := doc.Paths.Value("/api/v1/raffles").Get.Parameters.GetByInAndName("query", "pageSize").Schema.Value
	if *list.Max != 1000 {
		t.Errorf("pageSize: %+v", list)
	}
}

// Requests of real life, and what the document says of their responses.
func TestOpenAPI_DescribesRealResponses(t *testing.T) {
	t.Parallel()
	s := startParticipation(t)
	base := "http://" + s.at.HTTP.String()
	_, served := request(t, http.MethodGet, base+"/openapi.json", "")
	if served != readFile(t, openAPIFile) {
		t.Error("the document that is served is another one")
	}
	doc := loadOpenAPI(t, served)
	for _, c := range []struct {
		method, template, path, body string
		status                       int
	}{
		{http.MethodPost, "/api/v1/raffles", "/api/v1/raffles", `{"title":"A","winners":2,"maxEntriesPerMember":2,"closesAt":"2999-01-01T00:00:00Z"}`, 200},
		{http.MethodGet, "/api/v1/raffles", "/api/v1/raffles?pageSize=1", "", 200},
		{http.MethodGet, "/api/v1/raffles/{raffleId}", "/api/v1/raffles/2", "", 200},
		{http.MethodPost, "/api/v1/raffles/{raffleId}/entries", "/api/v1/raffles/2/entries", `{"memberId":"m"}`, 200},
		{http.MethodPost, "/api/v1/raffle/{raffleId}", "/api/v1/raffle/2?memberId=m", "", 200},
		{http.MethodPost, "/api/v1/raffle/{raffleId}", "/api/v1/raffle/2?memberId=m", "", 400},
		{http.MethodGet, "/api/v1/raffles/{raffleId}/entries", "/api/v1/raffles/2/entries?memberId=m", "", 200},
		{http.MethodPost, "/api/v1/raffles/{raffleId}/entries:withdraw", "/api/v1/raffles/2/entries:withdraw", `{"memberId":"m"}`, 200},
		{http.MethodGet, "/api/v1/raffles/{raffleId}/odds", "/api/v1/raffles/2/odds", "", 200},
		{http.MethodPatch, "/api/v1/raffles/{raffleId}", "/api/v1/raffles/2", `{"title":"B","closesAt":null}`, 200},
		{http.MethodPatch, "/api/v1/raffles/{raffleId}", "/api/v1/raffles/2?updateMask=nonsense", `{"title":"B"}`, 400},
		{http.MethodPost, "/api/v1/raffles/{raffleId}:close", "/api/v1/raffles/2:close", "", 200},
		{http.MethodPost, "/api/v1/raffles/{raffleId}:cancel", "/api/v1/raffles/2:cancel", "", 400},
		{http.MethodGet, "/api/v1/raffles/{raffleId}", "/api/v1/raffles/99", "", 404},
		{http.MethodGet, "/api/v1/raffles/{raffleId}", "/api/v1/raffles/x", "", 400},
		{http.MethodPost, "/api/v1/entries:stream", "/api/v1/entries:stream", `{"enter":{"raffleId":"1","memberId":"m"}}`, 200},
		{http.MethodPost, "/api/v1/entries:stream", "/api/v1/entries:stream", `{"enter":{"raffleId":"1","memberId":"m"}}`, 200}, // its status is refused
		{http.MethodPost, "/api/v1/entries:stream", "/api/v1/entries:stream", `{"x":1}`, 200},
	} {
		status, body := request(t, c.method, base+c.path, c.body)
		if status != c.status {
			t.Errorf("%s %s: %d %s", c.method, c.path, status, body)
		}
		response := doc.Paths.Value(c.template).GetOperation(c.method).Responses.Status(status)
		if response == nil {
			response = doc.Paths.Value(c.template).GetOperation(c.method).Responses.Value("4XX")
		}
		var value any
		if err := json.Unmarshal([]byte(body), &value); err != nil {
			t.Fatalf("%s: %v", body, err)
		}
		for _, media := range response.Value.Content {
			// Properties that the schema does not know would make the document lie.
			if err := closed(media.Schema).VisitJSON(value, openapi3.MultiErrors()); err != nil {
				t.Errorf("%s %s: %s\n%v", c.method, c.path, body, err)
			}
		}
	}
}

// closed returns the schema with unknown properties forbidden, in objects within it,
// too, where the schema lists properties.
func closed(ref *openapi3.SchemaRef) *openapi3.Schema {
	schema := *ref.Value
	if len(schema.Properties) > 0 && schema.AdditionalProperties.Has == nil {
		schema.AdditionalProperties.Has = new(false)
	}
	properties := openapi3.Schemas{}
	for name, property := range schema.Properties {
		properties[name] = openapi3.NewSchemaRef("", closed(property))
	}
	schema.Properties = properties
	if schema.Items != nil {
		schema.Items = openapi3.NewSchemaRef("", closed(schema.Items))
	}
	return &schema
}

func request(t *testing.T, method, url, body string) (status int, text string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}
