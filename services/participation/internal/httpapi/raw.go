package httpapi

import (
	"bytes"
	"context"
	"net/http"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/draw/logfile"
	"github.com/rafflecast/rafflecast/services/participation/internal/grpcapi"
)

// content is a response whose body is not JSON.
type content struct {
	contentType string
	body        []byte
	immutable   bool // it is the same for ever, so that caches may keep it
}

// rawCall makes a call whose answer is served as it is, for tools that check a draw.
type rawCall func(ctx context.Context, conn grpc.ClientConnInterface, req proto.Message) (content, error)

func getLog(ctx context.Context, conn grpc.ClientConnInterface, req proto.Message) (content, error) {
	var resp rafflev1.GetLogResponse
	if err := conn.Invoke(ctx, rafflev1.RaffleService_GetLog_FullMethodName, req, &resp); err != nil {
		return content{}, err
	}
	records := resp.GetRecords()
	return content{"application/octet-stream", records, isCompletePage(records)}, nil
}

// isCompletePage reports whether framed records are as many as a page has, so that it
// never changes.
func isCompletePage(framed []byte) bool {
	n := 0
	for _, err := range logfile.Records(bytes.NewReader(framed)) {
		if err != nil {
			return false
		}
		n++
	}
	return n == logfile.PageSize
}

func getCheckpoint(ctx context.Context, conn grpc.ClientConnInterface, req proto.Message) (content, error) {
	var resp rafflev1.GetCheckpointResponse
	err := conn.Invoke(ctx, rafflev1.RaffleService_GetCheckpoint_FullMethodName, req, &resp)
	return content{contentType: "text/plain; charset=utf-8", body: []byte(resp.GetCheckpoint())}, err
}

func (h *handler) callRaw(w http.ResponseWriter, r *http.Request, route *route, in *input) error {
	caller := callerOf(r.Context())
	c, err := route.raw(metadata.NewOutgoingContext(r.Context(), caller), h.conn, in.msg.Interface())
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", c.contentType)
	// What a known caller gets may be for members only, so no shared cache may keep it.
	isKnown := len(caller[grpcapi.AuthorizationKey])+len(caller[grpcapi.CertificateKey]) > 0
	cacheControl := "no-cache"
	switch {
	case c.immutable && isKnown:
		cacheControl = "private, max-age=31536000, immutable"
	case c.immutable:
		cacheControl = "public, max-age=31536000, immutable"
	case isKnown:
		cacheControl = "private, no-cache"
	}
	w.Header().Set("Cache-Control", cacheControl)
	_, _ = w.Write(c.body) // fails if the client is gone, which needs no action
	return nil
}
