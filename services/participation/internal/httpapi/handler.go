package httpapi

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"

	"github.com/grpc-ecosystem/grpc-gateway/v2/runtime"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/encoding/protojson"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/httpserver"
	rafflegw "github.com/rafflecast/rafflecast/services/participation/internal/httpapi/gen/raffle/v1"
)

// maxBody bounds the body of a request, and each message of a stream, in bytes.
const maxBody = 16 << 10

// openAPI describes all paths. `make generate` writes it.
//
//go:embed openapi.json
var openAPI []byte

const openAPIPath = "/openapi.json"

// handler serves HTTP/JSON. It is safe for concurrent use.
type handler struct {
	calls   http.Handler // grpc-gateway
	conn    *grpc.ClientConn
	stream  *entryStreams
	errors  *errorWriter
	hosts   httpserver.Hosts
	origins *http.CrossOriginProtection
}

// New returns a handler that calls the gRPC server behind conn, for requests for these
// hosts. A request passes, from the outside in: the checks of its host and origin; then
// its caller is noted, it is read, and it becomes a call, whose interceptors decide
// whether the caller may make it.
func New(ctx context.Context, conn *grpc.ClientConn, hosts httpserver.Hosts, log *slog.Logger) (http.Handler, error) {
	errs := &errorWriter{log: log}
	mux := runtime.NewServeMux(
		runtime.WithErrorHandler(func(ctx context.Context, _ *runtime.ServeMux, _ runtime.Marshaler, w http.ResponseWriter, _ *http.Request, err error) {
			errs.write(ctx, w, err)
		}),
		runtime.WithMarshalerOption(runtime.MIMEWildcard, &runtime.JSONPb{MarshalOptions: jsonOptions}),
		// No header of an HTTP request is a caller's metadata, and the reverse, but for what
		// says who the caller is.
		runtime.WithMetadata(func(ctx context.Context, _ *http.Request) metadata.MD { return callerOf(ctx) }),
		runtime.WithIncomingHeaderMatcher(noHeader), runtime.WithOutgoingHeaderMatcher(noHeader),
		// A POST is never a GET in disguise, or the reverse.
		runtime.WithDisablePathLengthFallback(), runtime.WithDisableHTTPMethodOverride(),
	)
	if err := errors.Join(rafflegw.RegisterRaffleServiceHandler(ctx, mux, conn), rafflegw.RegisterParticipationServiceHandler(ctx, mux, conn),
		rafflegw.RegisterAuditServiceHandler(ctx, mux, conn)); err != nil {
		return nil, fmt.Errorf("register the HTTP/JSON calls: %w", err)
	}
	return &handler{
		calls: mux, conn: conn, errors: errs, hosts: hosts, origins: http.NewCrossOriginProtection(),
		stream: &entryStreams{client: rafflev1.NewParticipationServiceClient(conn), errors: errs},
	}, nil
}

// jsonOptions write fields that have their default values, too.
var jsonOptions = protojson.MarshalOptions{EmitDefaultValues: true}

func noHeader(string) (string, bool) { return "", false }

func (h *handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if err := h.serve(w, withCaller(r)); err != nil {
		h.errors.write(r.Context(), w, err)
	}
}

// serve answers a request, or returns the error to answer with; then it has written
// nothing.
func (h *handler) serve(w http.ResponseWriter, r *http.Request) error {
	switch {
	case !h.hosts.Have(r.Host):
		return refuse(hostNotAllowed, "the host %s is not served here: --hosts names those that are", printable(r.Host)).with("host", printable(r.Host))
	case h.origins.Check(r) != nil:
		return refuse(crossOrigin, "the page of another origin may not change anything here")
	}
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // net/http drops the body of the response
	}
	var allowed []string
	for i := range routes {
		params, ok := routes[i].match(r.URL.Path)
		if !ok {
			continue
		}
		if routes[i].method == method {
			return h.call(w, r, &routes[i], params)
		}
		allowed = append(allowed, routes[i].method)
	}
	switch {
	case r.URL.Path == openAPIPath && method == http.MethodGet:
		return writeOpenAPI(w, r)
	case r.URL.Path == openAPIPath:
		allowed = []string{http.MethodGet}
	case len(allowed) == 0:
		return refuse(pathNotFound, "there is nothing at this path: %s describes all paths", openAPIPath)
	}
	return methodNotAllowed(w, r, allowed)
}

// methodNotAllowed answers OPTIONS, and returns an error for other methods.
func methodNotAllowed(w http.ResponseWriter, r *http.Request, allowed []string) error {
	if slices.Contains(allowed, http.MethodGet) {
		allowed = append(allowed, http.MethodHead)
	}
	allowed = append(allowed, http.MethodOptions)
	slices.Sort(allowed)
	allow := strings.Join(allowed, ", ")
	w.Header().Set("Allow", allow)
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return refuse(methodNotAllowedReason, "the method %.20q is not allowed here: use %s", r.Method, allow).with("allow", allow)
}

func writeOpenAPI(w http.ResponseWriter, r *http.Request) error {
	in := newInput(&rafflev1.GetOddsRequest{}, r)
	if err := in.noParameters(); err != nil {
		return err
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(openAPI) // fails if the client is gone, which needs no action
	return nil
}

func (h *handler) call(w http.ResponseWriter, r *http.Request, route *route, params map[string]string) error {
	if route.stream {
		return h.stream.serve(w, r)
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	in, err := read(r, route, params)
	if err != nil {
		return err
	}
	if route.raw != nil {
		return h.callRaw(w, r, route, in)
	}
	req, err := in.rewrite(route)
	if err != nil {
		return err
	}
	h.calls.ServeHTTP(w, req)
	return nil
}
