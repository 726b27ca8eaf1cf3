package contract_test

import (
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
)

func TestOpenAPI_SaysWhoMayCall(t *testing.T) {
	t.Parallel()
	doc := loadOpenAPI(t, readFile(t, openAPIFile))
	bearer, cookie := doc.Components.SecuritySchemes["bearer"].Value, doc.Components.SecuritySchemes["cookie"].Value
	if bearer.Type != "http" || bearer.Scheme != "bearer" || bearer.BearerFormat != "JWT" {
		t.Errorf("bearer: %+v", bearer)
	}
	if cookie.Type != "apiKey" || cookie.In != "cookie" || cookie.Name != "__Host-rafflecast" {
		t.Errorf("cookie: %+v", cookie)
	}
	with := map[string]string{
		"GetDraw": "", "GetTicket": "", "GetCheckpoint": "", "GetLog": "",
		"Enter": "bearer cookie ", "EnterAlias": "bearer cookie ", "ListEntries": "bearer cookie ", "Withdraw": "bearer cookie ",
	}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			want, ok := with[op.OperationID]
			if !ok {
				want = "bearer "
			}
			security := doc.Security
			if op.Security != nil {
				security = *op.Security
			}
			if got := schemes(security); got != want {
				t.Errorf("%s %s: %q, want %q", method, path, got, want)
			}
			for _, status := range []string{"401", "403"} {
				response := op.Responses.Value(status)
				if (response != nil) != (want != "") {
					t.Errorf("%s %s: has %s: %t", method, path, status, response != nil)
				}
				if status == "401" && response != nil && response.Value.Headers["WWW-Authenticate"] == nil {
					t.Errorf("%s %s: 401 without WWW-Authenticate", method, path)
				}
			}
		}
	}
}

// schemes returns the names of the schemes, of which one is enough, in their order.
func schemes(security openapi3.SecurityRequirements) (names string) {
	for _, requirement := range security {
		for name := range requirement {
			names += name + " "
		}
	}
	return names
}
