package load

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// facade places entries by HTTP, as a page does. It has only Enter.
type facade struct {
	rafflev1.ParticipationServiceClient
	url  string
	http *http.Client
}

func newFacade(url string, inFlight int) *facade {
	return &facade{url: url, http: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: inFlight}}}
}

// Enter fails as the gRPC call would.
func (f *facade) Enter(ctx context.Context, req *rafflev1.EnterRequest, _ ...grpc.CallOption) (*rafflev1.EnterResponse, error) {
	query := url.Values{"memberId": {req.GetMemberId()}, "requestId": {req.GetRequestId()}}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("%s/api/v1/raffle/%d?%s", f.url, req.GetRaffleId(), query.Encode()), nil)
	if err != nil {
		return nil, err
	}
	resp, err := f.http.Do(post)
	if err != nil {
		return nil, unanswered(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, unanswered(ctx, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, refusal(resp, body)
	}
	entered := &rafflev1.EnterResponse{}
	return entered, protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(body, entered)
}

// unanswered is the error of a request without a whole answer.
func unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	return status.Error(codes.Unavailable, err.Error())
}

// refusal reads an error's body. What is not the service's, but a proxy's on the
// way, is worth another attempt.
func refusal(resp *http.Response, body []byte) error {
	var said struct {
		Error struct{ Code, Reason, Message string }
	}
	err := json.Unmarshal(body, &said)
	number, known := code.Code_value[said.Error.Code]
	if err != nil || !known {
		return status.Error(codes.Unavailable, resp.Status)
	}
	st := status.New(codes.Code(number), said.Error.Message)
	if said.Error.Reason != "" {
		st, _ = st.WithDetails(&errdetails.ErrorInfo{Reason: said.Error.Reason})
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		st, _ = st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Duration(seconds) * time.Second)})
	}
	return st.Err()
}
