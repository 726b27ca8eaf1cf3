// Package httpapi is the HTTP/JSON facade of the gRPC server.
package httpapi

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/genproto/googleapis/rpc/code"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"

	rafflegw "github.com/rafflecast/rafflecast/services/participation/internal/httpapi/gen/raffle/v1"
)

// maxRequest bounds a request in bytes.
const maxRequest = 16 << 10

// NewFacade returns the JSON facade of the gRPC server behind conn: the paths of
// http.yaml, in proto3's JSON. Errors are {"error":{"code","reason","message"}}.
func NewFacade(ctx context.Context, conn *grpc.ClientConn) (http.Handler, error) {
	mux := runtime.NewServeMux(
		runtime.WithErrorHandler(writeError),
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.JSONPb{
			MarshalOptions: protojson.MarshalOptions{EmitDefaultValues: true},
		}),
		// Nothing of a browser's headers is a caller's metadata.
		runtime.WithIncomingHeaderMatcher(func(string) (string, bool) { return "", false }),
		runtime.WithOutgoingHeaderMatcher(func(string) (string, bool) { return "", false }),
	)
	if err := errors.Join(rafflegw.RegisterRaffleServiceHandler(ctx, mux, conn), rafflegw.RegisterParticipationServiceHandler(ctx, mux, conn)); err != nil {
		return nil, fmt.Errorf("register the JSON facade: %w", err)
	}
	return http.MaxBytesHandler(textOnly(mux), maxRequest), nil
}

// textOnly refuses parameters that are not UTF-8, which protobuf can't carry.
func textOnly(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for name, values := range r.URL.Query() {
			if !utf8.ValidString(name + strings.Join(values, "")) {
				writeError(r.Context(), nil, nil, w, r, status.Error(codes.InvalidArgument, strconv.QuoteToASCII(name)+": must be UTF-8"))
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

func writeError(_ context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
	st := status.Convert(err)
	body := map[string]string{"code": code.Code(st.Code()).String(), "message": st.Message()}
	if st.Code() == codes.InvalidArgument {
		body["reason"] = "INVALID" // what the facade itself can't read has no details
	}
	for _, detail := range st.Details() {
		switch d := detail.(type) {
		case *errdetails.ErrorInfo:
			body["reason"] = d.GetReason()
		case *errdetails.RetryInfo:
			seconds := max(1, int(d.GetRetryDelay().AsDuration().Round(time.Second)/time.Second))
			w.Header().Set("Retry-After", strconv.Itoa(seconds))
		}
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(runtime.HTTPStatusFromCode(st.Code()))
	// The client may be gone; nothing follows from that.
	_ = json.NewEncoder(w).Encode(map[string]any{"error": body})
}
