package load

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/types/known/durationpb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/connect"
)

// httpClient places entries by HTTP/JSON, as a page does.
type httpClient struct {
	url         string
	http        *http.Client
	credentials *connect.Credentials
}

func newHTTPClient(cfg *Config) (*httpClient, error) {
	client, err := cfg.Credentials.HTTPClient()
	if err != nil {
		return nil, err
	}
	client.Transport.(*http.Transport).MaxIdleConnsPerHost = cfg.Concurrency
	return &httpClient{strings.TrimSuffix(cfg.Facade, "/"), client, &cfg.Credentials}, nil
}

// Enter returns what the gRPC call would return, errors included.
func (c *httpClient) Enter(
	ctx context.Context,
	req *rafflev1.EnterRequest,
	_ ...grpc.CallOption,
) (*rafflev1.EnterResponse, error) {
	query := url.Values{"memberId": {req.GetMemberId()}, "requestId": {req.GetRequestId()}}
	post, err := http.NewRequestWithContext(
		ctx,
		http.MethodPost,
		fmt.Sprintf("%s/api/v1/raffles/%d/entries?%s", c.url, req.GetRaffleId(), query.Encode()),
		nil,
	)
	if err != nil {
		return nil, err
	}
	if err := c.credentials.Authorize(post.Header); err != nil {
		return nil, err
	}
	resp, err := c.http.Do(post)
	if err != nil {
		return nil, transportError(ctx, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return nil, transportError(ctx, err)
	}
	if resp.StatusCode != http.StatusOK {
		return nil, responseError(resp, body)
	}
	entered := &rafflev1.EnterResponse{}
	return entered, protojson.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(body, entered)
}

// transportError is the error of a request without a complete response.
func transportError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return status.FromContextError(ctx.Err()).Err()
	}
	return status.Error(codes.Unavailable, err.Error())
}

// responseError is the error in a response. One that is not the service's, but for
// example a proxy's, is UNAVAILABLE: it is worth another attempt.
func responseError(resp *http.Response, body []byte) error {
	var answered struct {
		Error struct{ Code, Reason, Message string }
	}
	err := json.Unmarshal(body, &answered)
	number, known := code.Code_value[answered.Error.Code]
	if err != nil || !known {
		return status.Error(codes.Unavailable, resp.Status)
	}
	st := status.New(codes.Code(number), answered.Error.Message)
	if answered.Error.Reason != "" {
		st, _ = st.WithDetails(&errdetails.ErrorInfo{Reason: answered.Error.Reason})
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		st, _ = st.WithDetails(&errdetails.RetryInfo{RetryDelay: durationpb.New(time.Duration(seconds) * time.Second)})
	}
	return st.Err()
}
