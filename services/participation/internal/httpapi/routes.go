package httpapi

import (
	"net/http"
	"strings"

	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// route is a rule of http.yaml.
type route struct {
	method  string
	pattern string // a path with parameters in braces, perhaps with a verb after a colon
	request proto.Message
	body    string // "*": all fields may be in the body; a field: the body is that field
	stream  bool
	raw     rawCall // the answer is not JSON
}

// routes are the rules of http.yaml, which a test compares with them.
var routes = []route{
	{method: http.MethodPost, pattern: "/api/v1/raffles", request: &rafflev1.CreateRaffleRequest{}, body: "*"},
	{method: http.MethodGet, pattern: "/api/v1/raffles/{raffle_id}", request: &rafflev1.GetRaffleRequest{}},
	{method: http.MethodGet, pattern: "/api/v1/raffles", request: &rafflev1.ListRafflesRequest{}},
	{method: http.MethodPatch, pattern: "/api/v1/raffles/{raffle.id}", request: &rafflev1.UpdateRaffleRequest{}, body: "raffle"},
	{method: http.MethodPost, pattern: "/api/v1/raffles/{raffle_id}:close", request: &rafflev1.CloseRaffleRequest{}, body: "*"},
	{method: http.MethodPost, pattern: "/api/v1/raffles/{raffle_id}:cancel", request: &rafflev1.CancelRaffleRequest{}, body: "*"},
	{method: http.MethodPost, pattern: "/api/v1/raffles/{raffle_id}:draw", request: &rafflev1.DrawRaffleRequest{}, body: "*"},
	{method: http.MethodGet, pattern: "/api/v1/raffles/{raffle_id}/draw", request: &rafflev1.GetDrawRequest{}},
	{method: http.MethodGet, pattern: "/api/v1/raffles/{raffle_id}/winners", request: &rafflev1.ListWinnersRequest{}},
	{method: http.MethodGet, pattern: "/api/v1/raffles/{raffle_id}/tickets/{ticket}", request: &rafflev1.GetTicketRequest{}},
	{method: http.MethodGet, pattern: "/api/v1/raffles/{raffle_id}/checkpoint", request: &rafflev1.GetCheckpointRequest{}, raw: getCheckpoint},
	{method: http.MethodGet, pattern: "/api/v1/raffles/{raffle_id}/log", request: &rafflev1.GetLogRequest{}, raw: getLog},
	{method: http.MethodPost, pattern: "/api/v1/raffles/{raffle_id}/winners/{ticket}:strike", request: &rafflev1.StrikeWinnerRequest{}, body: "*"},
	{method: http.MethodPost, pattern: "/api/v1/raffles/{raffle_id}:redraw", request: &rafflev1.RedrawRaffleRequest{}, body: "*"},
	{method: http.MethodPost, pattern: "/api/v1/raffles/{raffle_id}:purge", request: &rafflev1.PurgeRaffleRequest{}, body: "*"},
	{method: http.MethodPost, pattern: "/api/v1/raffles/{raffle_id}/entries", request: &rafflev1.EnterRequest{}, body: "*"},
	{method: http.MethodPost, pattern: "/api/v1/raffle/{raffle_id}", request: &rafflev1.EnterRequest{}, body: "*"},
	{method: http.MethodPost, pattern: "/api/v1/entries:stream", request: &rafflev1.EnterStreamRequest{}, body: "*", stream: true},
	{method: http.MethodPost, pattern: "/api/v1/raffles/{raffle_id}/entries:withdraw", request: &rafflev1.WithdrawRequest{}, body: "*"},
	{method: http.MethodGet, pattern: "/api/v1/raffles/{raffle_id}/entries", request: &rafflev1.ListEntriesRequest{}},
	{method: http.MethodGet, pattern: "/api/v1/auditEvents", request: &rafflev1.ListAuditEventsRequest{}},
	{method: http.MethodGet, pattern: "/api/v1/raffles/{raffle_id}/odds", request: &rafflev1.GetOddsRequest{}},
}

// match reports whether a path fits the pattern, and returns the values of its
// parameters. A value has at least one character, and neither a slash nor a colon.
func (r *route) match(path string) (params map[string]string, ok bool) {
	want, got := strings.Split(r.pattern, "/"), strings.Split(path, "/")
	if len(want) != len(got) {
		return nil, false
	}
	for i := range want {
		wantSegment, wantVerb, _ := strings.Cut(want[i], ":")
		gotSegment, gotVerb, hasVerb := strings.Cut(got[i], ":")
		if wantVerb != gotVerb || hasVerb != (wantVerb != "") {
			return nil, false
		}
		if name, isParam := parameter(wantSegment); isParam && gotSegment != "" {
			if params == nil {
				params = make(map[string]string, 1)
			}
			params[name] = gotSegment
		} else if wantSegment != gotSegment {
			return nil, false
		}
	}
	return params, true
}

// path returns the path of the pattern with these parameters.
func (r *route) path(params map[string]string) string {
	path := r.pattern
	for name, value := range params {
		path = strings.ReplaceAll(path, "{"+name+"}", value)
	}
	return path
}

func parameter(segment string) (name string, ok bool) {
	name, opened := strings.CutPrefix(segment, "{")
	name, closed := strings.CutSuffix(name, "}")
	return name, opened && closed
}
