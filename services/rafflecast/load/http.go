package load

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
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
)

// httpClient places entries by HTTP/JSON, as a page does.
type httpClient struct {
	url   string
	token string // empty: none
	http  *http.Client
}

func newHTTPClient(cfg *Config) *httpClient {
	transport := &http.Transport{MaxIdleConnsPerHost: cfg.Concurrency, DialTLSContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		secured, err := cfg.tls()
		if err != nil {
			return nil, err
		}
		return (&tls.Dialer{Config: secured}).DialContext(ctx, network, address)
	}}
	return &httpClient{url: strings.TrimSuffix(cfg.Facade, "/"), token: cfg.Token, http: &http.Client{Transport: transport}}
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
	if c.token != "" {
		post.Header.Set("Authorization", "Bearer "+c.token)
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
