package respond

import (
	"net/http"
	"slices"
	"strings"
)

// Reason says why a request is refused, in UPPER_SNAKE_CASE. Clients find it in
// the body of the error. Where participation refuses for the same reason, it uses
// the same word.
type Reason string

// The reasons for which the gateway refuses requests.
const (
	Invalid             Reason = "INVALID" // some part of the request can't be read or is out of bounds
	RaffleNotFound      Reason = "RAFFLE_NOT_FOUND"
	PathNotFound        Reason = "PATH_NOT_FOUND"
	MethodNotAllowed    Reason = "METHOD_NOT_ALLOWED"
	RangeNotSatisfiable Reason = "RANGE_NOT_SATISFIABLE"
	BodyTimeout         Reason = "BODY_TIMEOUT"   // the request's body did not arrive in time
	BodyTooLarge        Reason = "BODY_TOO_LARGE" // the request's body has more bytes than allowed

	TokenMissing    Reason = "TOKEN_MISSING"
	TokenInvalid    Reason = "TOKEN_INVALID"
	TokenExpired    Reason = "TOKEN_EXPIRED"
	KeysUnavailable Reason = "KEYS_UNAVAILABLE" // no token can be verified yet
	CrossOrigin     Reason = "CROSS_ORIGIN"     // the page of another origin would change something
	HostNotAllowed  Reason = "HOST_NOT_ALLOWED" // the Host header names another server
	RateLimited     Reason = "RATE_LIMITED"     // the client's address has entered too often

	NotReady              Reason = "NOT_READY" // the instance has no snapshot of the odds yet
	Draining              Reason = "DRAINING"  // the instance is ending its connections before it stops
	ConnectionLimit       Reason = "CONNECTION_LIMIT"
	ClientConnectionLimit Reason = "CLIENT_CONNECTION_LIMIT"

	Busy                     Reason = "BUSY" // too many forwarded requests are waiting; nothing was changed
	ParticipationUnavailable Reason = "PARTICIPATION_UNAVAILABLE"
	ParticipationTimeout     Reason = "PARTICIPATION_TIMEOUT" // a change may or may not have been made

	Internal Reason = "INTERNAL" // a defect of the gateway
)

// answer is how a reason is answered over HTTP.
type answer struct {
	status int
	code   string // a name of google.rpc.Code
	retry  bool   // the same request may succeed later: the answer has a Retry-After
}

var answers = map[Reason]answer{
	Invalid:             {http.StatusBadRequest, "INVALID_ARGUMENT", false},
	RaffleNotFound:      {http.StatusNotFound, "NOT_FOUND", false},
	PathNotFound:        {http.StatusNotFound, "NOT_FOUND", false},
	MethodNotAllowed:    {http.StatusMethodNotAllowed, "UNIMPLEMENTED", false},
	RangeNotSatisfiable: {http.StatusRequestedRangeNotSatisfiable, "OUT_OF_RANGE", false},
	BodyTimeout:         {http.StatusRequestTimeout, "DEADLINE_EXCEEDED", false},
	BodyTooLarge:        {http.StatusRequestEntityTooLarge, "INVALID_ARGUMENT", false},

	TokenMissing:    {http.StatusUnauthorized, "UNAUTHENTICATED", false},
	TokenInvalid:    {http.StatusUnauthorized, "UNAUTHENTICATED", false},
	TokenExpired:    {http.StatusUnauthorized, "UNAUTHENTICATED", false},
	KeysUnavailable: {http.StatusServiceUnavailable, "UNAVAILABLE", true},
	CrossOrigin:     {http.StatusForbidden, "PERMISSION_DENIED", false},
	HostNotAllowed:  {http.StatusMisdirectedRequest, "INVALID_ARGUMENT", false},
	RateLimited:     {http.StatusTooManyRequests, "RESOURCE_EXHAUSTED", true},

	NotReady:              {http.StatusServiceUnavailable, "UNAVAILABLE", true},
	Draining:              {http.StatusServiceUnavailable, "UNAVAILABLE", true},
	ConnectionLimit:       {http.StatusServiceUnavailable, "UNAVAILABLE", true},
	ClientConnectionLimit: {http.StatusTooManyRequests, "RESOURCE_EXHAUSTED", true},

	Busy:                     {http.StatusServiceUnavailable, "UNAVAILABLE", true},
	ParticipationUnavailable: {http.StatusServiceUnavailable, "UNAVAILABLE", true},
	ParticipationTimeout:     {http.StatusGatewayTimeout, "DEADLINE_EXCEEDED", true},

	Internal: {http.StatusInternalServerError, "INTERNAL", false},
}

// challenge returns what a client that is not known must bring, for WWW-Authenticate. A
// client that has brought nothing is not told of an error:
// https://www.rfc-editor.org/rfc/rfc6750#section-3
func (r Reason) challenge() string {
	if r == TokenMissing {
		return `Bearer realm="rafflecast"`
	}
	return `Bearer realm="rafflecast", error="invalid_token"`
}

// Label returns the reason as metrics name it: in lower case.
func (r Reason) Label() string { return strings.ToLower(string(r)) }

// Labels returns the labels of all reasons, sorted.
func Labels() []string {
	labels := make([]string, 0, len(answers))
	for reason := range answers {
		labels = append(labels, reason.Label())
	}
	slices.Sort(labels)
	return labels
}
