package httpapi

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

const uuid = "6f2c2bd0-5f0e-4c11-9d86-1c3c1a0d5a0e"

func TestRequest_Encodings(t *testing.T) {
	t.Parallel()
	b := setup(t)
	enter := &rafflev1.EnterRequest{RaffleId: 1, MemberId: "7", RequestId: uuid}
	opens := timestamppb.New(time.Date(2030, 1, 2, 3, 4, 5, 600000000, time.UTC))
	for _, c := range []struct {
		request, contentType, body string
		want                       proto.Message
	}{
		// Enter, on both paths, in every encoding and spelling.
		{"POST /api/v1/raffles/1/entries", jsonType, `{"memberId":"7","requestId":"` + uuid + `"}`, enter},
		{"POST /api/v1/raffles/1/entries", "application/json; charset=UTF-8", `{"member_id":"7","requestId":"` + uuid + `","raffleId":"1"}`, enter},
		{"POST /api/v1/raffles/1/entries", jsonType, ` {"memberId":"7","raffle_id":1, "requestId":"` + uuid + `"} `, enter},
		{"POST /api/v1/raffles/1/entries", formType, "memberId=7&request_id=" + uuid, enter},
		{"POST /api/v1/raffles/1/entries?memberId=7&requestId=" + uuid, "", "", enter},
		{"POST /api/v1/raffles/1/entries?memberId=7", jsonType, `{"requestId":"` + uuid + `"}`, enter},
		{"POST /api/v1/raffle/1?memberId=7&requestId=" + uuid, "", "", enter},
		{"POST /api/v1/raffle/1?member_id=7", formType, "requestId=" + uuid, enter},
		{"POST /api/v1/raffle/1", jsonType, `{"memberId":"7","requestId":"` + uuid + `"}`, enter},
		{"POST /api/v1/raffle/1?memberId=7&requestId=", jsonType, "", &rafflev1.EnterRequest{RaffleId: 1, MemberId: "7"}},
		{"POST /api/v1/raffle/1?memberId=a%2Bb+c", "", "", &rafflev1.EnterRequest{RaffleId: 1, MemberId: "a+b c"}},
		{"POST /api/v1/raffle/1", jsonType, `{"memberId":"7","requestId":null}`, &rafflev1.EnterRequest{RaffleId: 1, MemberId: "7"}},
		{"POST /api/v1/raffles/1/entries", "", "", &rafflev1.EnterRequest{RaffleId: 1}}, // the rules refuse it
		// The other calls.
		{
			"POST /api/v1/raffles", jsonType, `{"title":"A\u00e9 가","winners":2,"maxEntriesPerMember":3,"opensAt":"2030-01-02T03:04:05.6Z"}`,
			&rafflev1.CreateRaffleRequest{Title: "Aé 가", Winners: 2, MaxEntriesPerMember: 3, OpensAt: opens},
		},
		{
			"POST /api/v1/raffles", formType, "title=A&winners=2&opens_at=2030-01-02T04:04:05.6%2B01:00",
			&rafflev1.CreateRaffleRequest{Title: "A", Winners: 2, OpensAt: opens},
		},
		{
			"POST /api/v1/raffles", jsonType, `{"title":"A","prizes":[{"name":"Guitar","count":1},{"name":"Strings","count":2}],"rule":"MEMBER_WINS_ONCE","draw":{"delay":"10s"}}`,
			&rafflev1.CreateRaffleRequest{
				Title: "A", Prizes: []*rafflev1.Prize{{Name: "Guitar", Count: 1}, {Name: "Strings", Count: 2}},
				Rule: rafflev1.Raffle_MEMBER_WINS_ONCE, Draw: &rafflev1.Draw{Delay: durationpb.New(10 * time.Second)},
			},
		},
		{
			"PATCH /api/v1/raffles/9", jsonType, `{"prizes":null}`,
			&rafflev1.UpdateRaffleRequest{Raffle: &rafflev1.Raffle{Id: 9}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"prizes"}}},
		},
		{"POST /api/v1/raffles/9/winners/3:strike", jsonType, `{"reason":"UNCLAIMED"}`, &rafflev1.StrikeWinnerRequest{RaffleId: 9, Ticket: 3, Reason: rafflev1.Winner_UNCLAIMED}},
		{"GET /api/v1/raffles/9/winners?withMembers=true", "", "", &rafflev1.ListWinnersRequest{RaffleId: 9, WithMembers: true}},
		{"GET /api/v1/raffles/9/tickets/3", "", "", &rafflev1.GetTicketRequest{RaffleId: 9, Ticket: 3}},
		{"GET /api/v1/raffles/9", "", "", &rafflev1.GetRaffleRequest{RaffleId: 9}},
		{"HEAD /api/v1/raffles/9", "", "", &rafflev1.GetRaffleRequest{RaffleId: 9}},
		{"GET /api/v1/raffles", "", "", &rafflev1.ListRafflesRequest{}},
		{"GET /api/v1/raffles?pageSize=2&page_token=x%3D&state=OPEN", "", "", &rafflev1.ListRafflesRequest{PageSize: 2, PageToken: "x=", State: rafflev1.Raffle_OPEN}},
		{"POST /api/v1/raffles/9:close", "", "", &rafflev1.CloseRaffleRequest{RaffleId: 9}},
		{"POST /api/v1/raffles/9:close", jsonType, `{"requestId":"x"}`, &rafflev1.CloseRaffleRequest{RaffleId: 9, RequestId: "x"}},
		{"POST /api/v1/raffles/9:cancel?requestId=x", "", "", &rafflev1.CancelRaffleRequest{RaffleId: 9, RequestId: "x"}},
		{"POST /api/v1/raffles/9/entries:withdraw", jsonType, `{"memberId":"7","ordinal":2}`, &rafflev1.WithdrawRequest{RaffleId: 9, MemberId: "7", Ordinal: new(int32(2))}},
		{"POST /api/v1/raffles/9/entries:withdraw", formType, `memberId=7&ordinal=0`, &rafflev1.WithdrawRequest{RaffleId: 9, MemberId: "7", Ordinal: new(int32(0))}},
		{"GET /api/v1/raffles/9/entries?memberId=7", "", "", &rafflev1.ListEntriesRequest{RaffleId: 9, MemberId: "7"}},
		{"GET /api/v1/raffles/9/odds", "", "", &rafflev1.GetOddsRequest{RaffleId: 9}},
		// An update names the fields of its body, unless there is a mask.
		{
			"PATCH /api/v1/raffles/9?requestId=x", jsonType, `{"title":"B","closesAt":null}`,
			&rafflev1.UpdateRaffleRequest{Raffle: &rafflev1.Raffle{Id: 9, Title: "B"}, RequestId: "x", UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"title", "closes_at"}}},
		},
		{
			"PATCH /api/v1/raffles/9?updateMask=opensAt,closes_at", jsonType, `{"opensAt":"2030-01-02T03:04:05.6Z"}`,
			&rafflev1.UpdateRaffleRequest{Raffle: &rafflev1.Raffle{Id: 9, OpensAt: opens}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"opens_at", "closes_at"}}},
		},
		{
			"PATCH /api/v1/raffles/9?update_mask=*", jsonType, `{"id":"9","title":"B","winners":1}`,
			&rafflev1.UpdateRaffleRequest{Raffle: &rafflev1.Raffle{Id: 9, Title: "B", Winners: 1}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"*"}}},
		},
	} {
		got := b.do(c.request, c.contentType, c.body)
		if got.status != http.StatusOK || !proto.Equal(got.call, c.want) {
			t.Errorf("%s %q: %d %s\n got %v\nwant %v", c.request, c.body, got.status, got.body, got.call, c.want)
		}
	}
}

func TestRequest_RefusesWhatItCannotRead(t *testing.T) {
	t.Parallel()
	b := setup(t)
	const enter, alias = "POST /api/v1/raffles/1/entries", "POST /api/v1/raffle/1"
	for _, c := range []struct {
		request, contentType, body string
		status                     int
		reason, field              string
	}{
		// Unknown and misspelt.
		{enter, jsonType, `{"memberId":"7","memberID":"7"}`, 400, "INVALID", "memberID"},
		{enter, jsonType, `{"memberId":"7","x":1}`, 400, "INVALID", "x"},
		{enter, formType, `memberId=7&requestid=1`, 400, "INVALID", "requestid"},
		{alias + "?memberId=7&requestld=1", "", "", 400, "INVALID", "requestld"},
		{alias + "?memberId=7&", formType, `{"memberId":"7"}`, 400, "INVALID", `{"memberId":"7"}`},
		{"GET /api/v1/raffles/1?x=1", "", "", 400, "INVALID", "x"},
		{"GET /api/v1/raffles/1/entries?member=7", "", "", 400, "INVALID", "member"},
		{"PATCH /api/v1/raffles/1?title=x", jsonType, `{"winners":1}`, 400, "INVALID", "title"},
		{"PATCH /api/v1/raffles/1?raffle=x", jsonType, `{"winners":1}`, 400, "INVALID", "raffle"},
		{"PATCH /api/v1/raffles/1", jsonType, `{"updateMask":"title","title":"x"}`, 400, "INVALID", "updateMask"},
		{"POST /api/v1/raffles", jsonType, `{"prizes":[{"name":"A","x":1}]}`, 400, "INVALID", "x"},
		{"POST /api/v1/raffles", jsonType, `{"prizes":[{"name":"A","name":"B"}]}`, 400, "INVALID", "name"},
		{"POST /api/v1/raffles", jsonType, `{"prizes":{"name":"A"}}`, 400, "INVALID", "prizes"},
		{"POST /api/v1/raffles", jsonType, `{"prizes":[1]}`, 400, "INVALID", "prizes"},
		{"POST /api/v1/raffles", formType, `prizes=[]`, 400, "INVALID", "prizes"},
		{"POST /api/v1/raffles", jsonType, `{"draw":{"delay":10}}`, 400, "INVALID", "delay"},
		{"GET /api/v1/raffles/1/winners?withMembers=1", "", "", 400, "INVALID", "with_members"},
		// Doubled.
		{enter, jsonType, `{"memberId":"7","memberId":"7"}`, 400, "INVALID", "member_id"},
		{enter, jsonType, `{"memberId":"7","member_id":"7"}`, 400, "INVALID", "member_id"},
		{enter, jsonType, `{"memberId":null,"memberId":"7"}`, 400, "INVALID", "member_id"},
		{enter, formType, `memberId=7&memberId=8`, 400, "INVALID", "memberId"},
		{enter, formType, `memberId=7&member_id=7`, 400, "INVALID", "member_id"},
		{alias + "?memberId=7&memberId=7", "", "", 400, "INVALID", "memberId"},
		{enter + "?memberId=7", jsonType, `{"memberId":"7"}`, 400, "INVALID", "member_id"},
		{enter + "?memberId=7", formType, `memberId=7`, 400, "INVALID", "member_id"},
		{"GET /api/v1/raffles?pageSize=1&page_size=1", "", "", 400, "INVALID", "page_size"},
		// Against the path.
		{enter, jsonType, `{"memberId":"7","raffleId":2}`, 400, "INVALID", "raffle_id"},
		{enter + "?raffleId=2", jsonType, `{"memberId":"7"}`, 400, "INVALID", "raffle_id"},
		{enter + "?raffleId=1", jsonType, `{"memberId":"7","raffleId":1}`, 400, "INVALID", "raffle_id"},
		{"PATCH /api/v1/raffles/1", jsonType, `{"id":2,"title":"x"}`, 400, "INVALID", "id"},
		// Malformed.
		{"POST /api/v1/raffle/x?memberId=7", "", "", 400, "INVALID", "raffle_id"},
		{"POST /api/v1/raffle/99999999999999999999?memberId=7", "", "", 400, "INVALID", "raffle_id"},
		{"GET /api/v1/raffles/1.5", "", "", 400, "INVALID", "raffle_id"},
		// Numbers that other parsers take.
		{"GET /api/v1/raffles/1e0", "", "", 400, "INVALID", "raffle_id"},
		{"GET /api/v1/raffles/1.0", "", "", 400, "INVALID", "raffle_id"},
		{"GET /api/v1/raffles/+1", "", "", 400, "INVALID", "raffle_id"},
		{"GET /api/v1/raffles/01", "", "", 400, "INVALID", "raffle_id"},
		{"GET /api/v1/raffles/%201", "", "", 400, "INVALID", "raffle_id"},
		{"GET /api/v1/raffles/0x1", "", "", 400, "INVALID", "raffle_id"},
		{"GET /api/v1/raffles/1/tickets/1e0", "", "", 400, "INVALID", "ticket"},
		{"PATCH /api/v1/raffles/1e0", jsonType, `{"title":"x"}`, 400, "INVALID", "id"},
		{"GET /api/v1/raffles?pageSize=1e1", "", "", 400, "INVALID", "page_size"},
		{"GET /api/v1/raffles?pageSize=%2B1", "", "", 400, "INVALID", "page_size"},
		{enter, jsonType, `{"memberId":"7","raffleId":1e0}`, 400, "INVALID", "raffle_id"},
		{enter, jsonType, `{"memberId":"7","raffleId":1.0}`, 400, "INVALID", "raffle_id"},
		{enter, jsonType, `{"memberId":"7","raffleId":"1e0"}`, 400, "INVALID", "raffle_id"},
		{enter, jsonType, `{"memberId":"7","raffleId":"1.0"}`, 400, "INVALID", "raffle_id"},
		{enter, jsonType, `{"memberId":"7","raffleId":"+1"}`, 400, "INVALID", "raffle_id"},
		{enter, jsonType, `{"memberId":"7","raffleId":"01"}`, 400, "INVALID", "raffle_id"},
		{enter, jsonType, `{"memberId":"7","raffleId":" 1"}`, 400, "INVALID", "raffle_id"},
		{enter, jsonType, `{"memberId":"7","raffleId":true}`, 400, "INVALID", "raffle_id"},
		{enter, formType, `memberId=7&raffleId=1e0`, 400, "INVALID", "raffle_id"},
		{"POST /api/v1/raffles", jsonType, `{"title":"A","winners":1e0}`, 400, "INVALID", "winners"},
		{"POST /api/v1/raffles", jsonType, `{"prizes":[{"name":"A","count":1e0}]}`, 400, "INVALID", "count"},
		{alias + "?memberId=%ff", "", "", 400, "INVALID", "memberId"},
		{alias + "?%ff=1", "", "", 400, "INVALID", "\uFFFD"},
		{alias + "?memberId=7;requestId=1", "", "", 400, "INVALID", ""},
		{alias + "?memberId=%zz", "", "", 400, "INVALID", ""},
		{enter, jsonType, `{"memberId":7}`, 400, "INVALID", "member_id"},
		{enter, jsonType, "{\"memberId\":\"\xff\"}", 400, "INVALID", ""},
		{enter, jsonType, `{"memberId":"\ud800"}`, 400, "INVALID", "member_id"},
		{enter, jsonType, `{"memberId":["7"]}`, 400, "INVALID", "member_id"},
		{enter, jsonType, `{"memberId":"7"} {}`, 400, "INVALID", ""},
		{enter, jsonType, `{"memberId":"7"}x`, 400, "INVALID", ""},
		{enter, jsonType, `{"memberId":"7"`, 400, "INVALID", ""},
		{enter, jsonType, `{"memberId":"7",}`, 400, "INVALID", ""},
		{enter, jsonType, `["7"]`, 400, "INVALID", ""},
		{enter, jsonType, `null`, 400, "INVALID", ""},
		{enter, formType, `memberId=%zz`, 400, "INVALID", ""},
		{"POST /api/v1/raffles", jsonType, `{"title":"A","winners":1.5}`, 400, "INVALID", "winners"},
		{"POST /api/v1/raffles", jsonType, `{"title":"A","winners":3000000000}`, 400, "INVALID", "winners"},
		{"POST /api/v1/raffles", jsonType, `{"title":"A","opensAt":"tomorrow"}`, 400, "INVALID", "opens_at"},
		{"POST /api/v1/raffles", jsonType, `{"title":"A","opensAt":{"seconds":1}}`, 400, "INVALID", "opens_at"},
		{"GET /api/v1/raffles?state=open", "", "", 400, "INVALID", "state"},
		{"GET /api/v1/raffles?pageSize=", "", "", 400, "INVALID", "page_size"},
		// Bodies.
		{"GET /api/v1/raffles/1", jsonType, `{}`, 400, "INVALID", ""},
		{enter, "", `{"memberId":"7"}`, 415, "UNSUPPORTED_MEDIA_TYPE", ""},
		{enter, "text/plain", `{"memberId":"7"}`, 415, "UNSUPPORTED_MEDIA_TYPE", ""},
		{enter, "application/json; charset=latin1", `{"memberId":"7"}`, 415, "UNSUPPORTED_MEDIA_TYPE", ""},
		{enter, "multipart/form-data; boundary=x", "--x--", 415, "UNSUPPORTED_MEDIA_TYPE", ""},
		{"PATCH /api/v1/raffles/1", formType, `title=x`, 415, "UNSUPPORTED_MEDIA_TYPE", ""},
		{enter, jsonType, `{"memberId":"` + strings.Repeat("7", maxBody) + `"}`, 413, "BODY_TOO_LARGE", ""},
		// Paths and methods.
		{"GET /", "", "", 404, "PATH_NOT_FOUND", ""},
		{"GET /api/v1/raffles/", "", "", 404, "PATH_NOT_FOUND", ""},
		{"POST /api/v1/raffles/1:frobnicate", "", "", 404, "PATH_NOT_FOUND", ""},
		{"GET /api/v1/raffles/1:close", "", "", 405, "METHOD_NOT_ALLOWED", ""},
		{"DELETE /api/v1/raffles/1/entries", "", "", 405, "METHOD_NOT_ALLOWED", ""},
		{"GET /api/v1/raffle/1", "", "", 405, "METHOD_NOT_ALLOWED", ""},
	} {
		got := b.do(c.request, c.contentType, c.body)
		if got.status != c.status || got.err.Reason != c.reason || got.err.Metadata["field"] != c.field {
			t.Errorf("%s %.60q: %d %s, want %d %s %s", c.request, c.body, got.status, got.body, c.status, c.reason, c.field)
		}
		if got.call != nil {
			t.Errorf("%s %.60q: the call was made: %v", c.request, c.body, got.call)
		}
		for _, library := range []string{"proto:", "json:", "strconv", "grpc", "invalid URL", "mime", "http:", "parsing", "syntax"} {
			if strings.Contains(got.body, library) {
				t.Errorf("%s %.60q: a library's text: %s", c.request, c.body, got.body)
			}
		}
	}
}

func TestRequest_RefusesCompressedBodies(t *testing.T) {
	t.Parallel()
	b := setup(t)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/api/v1/raffles/1/entries", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", jsonType)
	req.Header.Set("Content-Encoding", "gzip")
	if got := b.send(req); got.status != http.StatusUnsupportedMediaType {
		t.Errorf("%d %s", got.status, got.body)
	}
}

func TestHandler_AllowsMethods(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for request, want := range map[string]string{
		"DELETE /api/v1/raffles/1":          "GET, HEAD, OPTIONS, PATCH",
		"PUT /api/v1/raffles/1/entries":     "GET, HEAD, OPTIONS, POST",
		"GET /api/v1/raffles/1:close":       "OPTIONS, POST",
		"OPTIONS /api/v1/raffles/1/entries": "GET, HEAD, OPTIONS, POST",
	} {
		got := b.do(request, "", "")
		if got.header.Get("Allow") != want {
			t.Errorf("%s: Allow %q, want %q", request, got.header.Get("Allow"), want)
		}
		if strings.HasPrefix(request, "OPTIONS") != (got.status == http.StatusNoContent) {
			t.Errorf("%s: %d", request, got.status)
		}
	}
}

func TestHandler_AnswersInTheContractsJSON(t *testing.T) {
	t.Parallel()
	b := setup(t)
	got := b.do("POST /api/v1/raffle/1?memberId=7", "", "")
	for _, want := range []string{`"memberEntries":1`, `"replayed":false`, `"id":"1"`, `"state":"OPEN"`} {
		if !strings.Contains(strings.ReplaceAll(got.body, " ", ""), want) {
			t.Errorf("%s is not in %s", want, got.body)
		}
	}
	if got.header.Get("Cache-Control") != "no-store" || got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Content-Type") != jsonType {
		t.Errorf("header %v", got.header)
	}
}

// FuzzRequest makes sure that no request breaks the reading, and that what is read
// is read again the same.
func FuzzRequest(f *testing.F) {
	f.Add("memberId=7", jsonType, `{"requestId":"x"}`)
	f.Add("", formType, "memberId=7&requestId=x")
	f.Add("%", "x/y", "\xff")
	f.Fuzz(func(t *testing.T, query, contentType, body string) {
		for i := range routes {
			r, err := http.NewRequest(routes[i].method, "http://h/", strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			r.URL.RawQuery = query
			r.Header.Set("Content-Type", contentType)
			out, err := rewritten(r, &routes[i])
			if err != nil {
				continue
			}
			again, err := rewritten(out, &routes[i])
			if err != nil || again.URL.RawQuery != out.URL.RawQuery || again.ContentLength != out.ContentLength {
				t.Errorf("%s %q %q: %v", routes[i].pattern, query, body, err)
			}
		}
	})
}

// rewritten returns a request as grpc-gateway reads it.
func rewritten(r *http.Request, route *route) (*http.Request, error) {
	in, err := read(r, route, map[string]string{})
	if err != nil {
		return nil, err
	}
	return in.rewrite(route)
}
