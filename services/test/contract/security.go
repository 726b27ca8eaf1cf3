package contract

import (
	"slices"

	"github.com/getkin/kin-openapi/openapi3"
)

// Names of the ways to say who calls.
const (
	bearerScheme = "bearer"
	cookieScheme = "cookie"
)

// Calls that are public, which no token changes, and calls that a gateway forwards for
// browsers, whose token may be in a cookie. By operation.
var (
	publicCalls    = []string{"GetDraw", "GetTicket", "GetCheckpoint", "GetLog"}
	forwardedCalls = []string{"Enter", "EnterAlias", "ListEntries", "Withdraw"}
)

// addSecurity says how callers are known, and what those are answered who are not. A
// service without authentication asks nobody, which the empty requirement stands for.
func addSecurity(doc *openapi3.T) {
	bearer := openapi3.NewJWTSecurityScheme()
	bearer.Description = "A token of the issuer that the service trusts (--auth-jwks): of a member, who acts for itself only, a backend or an operator."
	cookie := openapi3.NewSecurityScheme().WithType("apiKey").WithIn(openapi3.ParameterInCookie).WithName("__Host-rafflecast")
	cookie.Description = "The same token in a browser's cookie, at a gateway. POST /api/v1/session there puts it into the cookie."
	doc.Components.SecuritySchemes = openapi3.SecuritySchemes{bearerScheme: {Value: bearer}, cookieScheme: {Value: cookie}}
	doc.Security = openapi3.SecurityRequirements{{bearerScheme: {}}, {}}

	failed := doc.Components.Responses["Error"].Value
	answer := func(description string) *openapi3.Response {
		return openapi3.NewResponse().WithDescription(description).WithContent(failed.Content)
	}
	unknown := answer("It is not known who calls: the token is missing, has expired, or is not accepted.")
	unknown.Headers = openapi3.Headers{"WWW-Authenticate": {Value: &openapi3.Header{Parameter: openapi3.Parameter{
		Description: "Bearer, with error=\"invalid_token\" if there was a token.", Schema: openapi3.NewSchemaRef("", openapi3.NewStringSchema()),
	}}}}
	doc.Components.Responses["Unauthenticated"] = &openapi3.ResponseRef{Value: unknown}
	doc.Components.Responses["PermissionDenied"] = &openapi3.ResponseRef{
		Value: answer("The caller may not do this, or not for this member, or the page of another origin has sent the request."),
	}
	for _, item := range doc.Paths.Map() {
		for _, op := range item.Operations() {
			switch {
			case slices.Contains(publicCalls, op.OperationID):
				op.Security = &openapi3.SecurityRequirements{{}}
				continue
			case slices.Contains(forwardedCalls, op.OperationID):
				op.Security = &openapi3.SecurityRequirements{{bearerScheme: {}}, {cookieScheme: {}}, {}}
			}
			for status, name := range map[string]string{"401": "Unauthenticated", "403": "PermissionDenied"} {
				op.Responses.Set(status, &openapi3.ResponseRef{Ref: "#/components/responses/" + name, Value: doc.Components.Responses[name].Value})
			}
		}
	}
}
