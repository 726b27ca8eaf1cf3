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

// receiver takes OTLP, by gRPC and by HTTP, as a collector does.
type receiver struct {
	collector.UnimplementedTraceServiceServer
	grpc, http string // endpoints

	mu    sync.Mutex
	spans []*otlp.Span
	raw   bytes.Buffer // everything that came
	more  chan struct{}
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
	r.grpc, r.http = "http://"+listener.Addr().String(), web.URL
	return r
}

func (r *receiver) Export(_ context.Context, req *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
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

// ServeHTTP is POST /v1/traces.
func (r *receiver) ServeHTTP(w http.ResponseWriter, httpReq *http.Request) {
	var req collector.ExportTraceServiceRequest
	body, err := io.ReadAll(httpReq.Body)
	if err != nil || httpReq.URL.Path != "/v1/traces" || proto.Unmarshal(body, &req) != nil {
		http.Error(w, "not OTLP", http.StatusBadRequest)
		return
	}
	_, _ = r.Export(httpReq.Context(), &req)
}

// child waits for a span of a trace with this name and parent.
func (r *receiver) child(t *testing.T, traceID, parent []byte, name string) *otlp.Span {
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

func TestOneTraceLeadsFromTheCallToTheLastConnection(t *testing.T) {
	t.Parallel()
	r := newReceiver(t)
	quick := "OTEL_BSP_SCHEDULE_DELAY=50"
	s := startIn(t,
		[]string{quick, "OTEL_EXPORTER_OTLP_ENDPOINT=" + r.grpc, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc"},
		[]string{quick, "OTEL_EXPORTER_OTLP_ENDPOINT=" + r.http})
	id := s.create(t, "A", 1)
	s.watched(t, id)
	watching := s.get(t, fmt.Sprintf("/api/v1/raffle/%d/subscribe", id))
	defer watching.Body.Close()

	trace, caller := bytes.Repeat([]byte{0xab}, 16), bytes.Repeat([]byte{0xcd}, 8)
	ctx := metadata.AppendToOutgoingContext(t.Context(), "traceparent", fmt.Sprintf("00-%x-%x-01", trace, caller))
	const member = "nobody-else-may-know"
	if _, err := s.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: id, MemberId: member}); err != nil {
		t.Fatal(err)
	}
	call := r.child(t, trace, caller, "raffle.v1.ParticipationService/Enter")
	batch := r.child(t, trace, call.GetSpanId(), "write entries")
	sent := r.child(t, trace, batch.GetSpanId(), "send raffle.odds.*")
	delivered := r.child(t, trace, sent.GetSpanId(), "process raffle.live.*")
	for _, want := range []string{`key:"rafflecast.connections" value:{int_value:1}`, `key:"rafflecast.raffle.version" value:{int_value:2}`} {
		if got := strings.ReplaceAll(fmt.Sprint(delivered.GetAttributes()), "  ", " "); !strings.Contains(got, want) {
			t.Errorf("%s is not in %s", want, got)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	statements := 0
	for _, span := range r.spans {
		if bytes.Equal(span.GetTraceId(), trace) && strings.Contains(fmt.Sprint(span.GetAttributes()), "INSERT INTO entries") {
			statements++
		}
	}
	if statements == 0 {
		t.Error("no span of the statement that inserts")
	}
	if bytes.Contains(r.raw.Bytes(), []byte(member)) {
		t.Error("a trace names a member")
	}
}
