package e2e_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// receiver receives OTLP by gRPC and by HTTP, as a collector does.
type receiver struct {
	collector.UnimplementedTraceServiceServer
	grpcURL, httpURL string

	mu    sync.Mutex
	spans []*otlp.Span
	raw   bytes.Buffer  // everything that was received
	more  chan struct{} // capacity 1: spans were received
}

func newReceiver(t *testing.T) *receiver {
	t.Helper()
	r := &receiver{more: make(chan struct{}, 1)}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, r)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	web := httptest.NewServer(r)
	t.Cleanup(web.Close)
	r.grpcURL, r.httpURL = "http://"+listener.Addr().String(), web.URL
	return r
}

func (r *receiver) Export(
	_ context.Context,
	req *collector.ExportTraceServiceRequest,
) (*collector.ExportTraceServiceResponse, error) {
	raw, err := proto.Marshal(req)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.raw.Write(raw)
	for _, resource := range req.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			r.spans = append(r.spans, scope.GetSpans()...)
		}
	}
	select {
	case r.more <- struct{}{}:
	default:
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// ServeHTTP serves POST /v1/traces.
func (r *receiver) ServeHTTP(w http.ResponseWriter, httpReq *http.Request) {
	var req collector.ExportTraceServiceRequest
	body, err := io.ReadAll(httpReq.Body)
	if err != nil || httpReq.URL.Path != "/v1/traces" || proto.Unmarshal(body, &req) != nil {
		http.Error(w, "not OTLP", http.StatusBadRequest)
		return
	}
	_, _ = r.Export(httpReq.Context(), &req)
}

// awaitChild waits until a span with a parent and a name is received.
func (r *receiver) awaitChild(t *testing.T, traceID, parent []byte, name string) *otlp.Span {
	t.Helper()
	for deadline := time.After(30 * time.Second); ; {
		r.mu.Lock()
		var got []string
		for _, s := range r.spans {
			if bytes.Equal(s.GetTraceId(), traceID) && bytes.Equal(s.GetParentSpanId(), parent) && s.GetName() == name {
				r.mu.Unlock()
				return s
			}
			got = append(got, fmt.Sprintf("%q %x under %x", s.GetName(), s.GetSpanId(), s.GetParentSpanId()))
		}
		r.mu.Unlock()
		select {
		case <-r.more:
		case <-deadline:
			t.Fatalf("no span %q of trace %x under %x; there are %s", name, traceID, parent, strings.Join(got, ", "))
		}
	}
}

func TestTrace_LeadsFromTheCallToTheLastConnection(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	soon := "OTEL_BSP_SCHEDULE_DELAY=50"
	b := setupWith(t,
		[]string{soon, "OTEL_EXPORTER_OTLP_ENDPOINT=" + r.grpcURL, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"},
		[]string{soon, "OTEL_EXPORTER_OTLP_ENDPOINT=" + r.httpURL})
	id := b.client.create(t, "A", 1)
	b.awaitRaffle(t, id)
	subscribe(t, fmt.Sprintf("%s/api/v1/raffles/%d/subscribe", b.web, id)).nextOdds()

	trace, caller := bytes.Repeat([]byte{0xab}, 16), bytes.Repeat([]byte{0xcd}, 8)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", fmt.Sprintf("00-%x-%x-01", trace, caller))
	const member = "a-secret-member"
	if _, err := b.client.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: id, MemberId: member}); err != nil {
		t.Fatal(err)
	}
	call := r.awaitChild(t, trace, caller, "raffle.v1.ParticipationService/Enter")
	batch := r.awaitChild(t, trace, call.GetSpanId(), "write entries")
	sent := r.awaitChild(t, trace, batch.GetSpanId(), "send raffle.odds.*")
	delivered := r.awaitChild(t, trace, sent.GetSpanId(), "process raffle.live.*")
	for _, want := range []string{`key:"rafflecast.connections" value:{int_value:1}`, `key:"rafflecast.raffle.version" value:{int_value:2}`} {
		if got := strings.ReplaceAll(fmt.Sprint(delivered.GetAttributes()), "  ", " "); !strings.Contains(got, want) {
			t.Errorf("%s is not among %s", want, got)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	statements := 0
	for _, span := range r.spans {
		if bytes.Equal(span.GetTraceId(), trace) &&
			strings.Contains(fmt.Sprint(span.GetAttributes()), "INSERT INTO entries") {
			statements++
		}
	}
	if statements == 0 {
		t.Error("no span of the statement that inserts")
	}
	if bytes.Contains(r.raw.Bytes(), []byte(member)) {
		t.Error("a trace contains a member id")
	}
}
