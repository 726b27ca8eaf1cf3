package gateway

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed are the modules that the gateway's binary may contain: what it needs to read
// odds from NATS, to answer HTTP and to be observed. A new one is a decision. A database
// driver is none of them, since the gateway owns no data.
var allowed = []string{
	"github.com/alecthomas/kong",                                 // settings and commands
	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go", // by the contract's rules
	"github.com/MicahParks/jwkset",                               // keys of tokens
	"github.com/beorn7/perks",
	"github.com/cenkalti/backoff/v5", // by OpenTelemetry
	"github.com/cespare/xxhash/v2",
	"github.com/go-logr/logr",                   // by OpenTelemetry
	"github.com/go-logr/stdr",                   // by OpenTelemetry
	"github.com/golang-jwt/jwt/v5",              // tokens
	"github.com/google/uuid",                    // by OpenTelemetry
	"github.com/grpc-ecosystem/grpc-gateway/v2", // by the contract's facade
	"github.com/jub0bs/cors",
	"github.com/klauspost/compress",
	"github.com/munnerz/goautoneg",
	"github.com/nats-io/nats.go",
	"github.com/nats-io/nkeys",
	"github.com/nats-io/nuid",
	"github.com/prometheus/client_golang",
	"github.com/prometheus/client_model",
	"github.com/prometheus/common",
	"github.com/prometheus/procfs",
	"github.com/rafflecast/rafflecast/proto",
	"github.com/rafflecast/rafflecast/services/draw", // chances
	"github.com/rafflecast/rafflecast/services/gateway",
	"github.com/rafflecast/rafflecast/services/internal",
	"go.opentelemetry.io/auto/sdk",
	"go.opentelemetry.io/otel",
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace",
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc",
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp",
	"go.opentelemetry.io/otel/log",
	"go.opentelemetry.io/otel/metric",
	"go.opentelemetry.io/otel/sdk",
	"go.opentelemetry.io/otel/trace",
	"go.opentelemetry.io/proto/otlp",
	"golang.org/x/crypto",
	"golang.org/x/crypto/x509roots/fallback", // images have no certificates of authorities
	"golang.org/x/net",
	"golang.org/x/sync",
	"golang.org/x/sys",
	"golang.org/x/text",
	"golang.org/x/time",
	"google.golang.org/genproto/googleapis/api",
	"google.golang.org/genproto/googleapis/rpc",
	"google.golang.org/grpc",
	"google.golang.org/protobuf",
	"rsc.io/qr", // the page's QR code
}

func TestBinary_DependsOnAllowedModules(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", "./cmd/gateway")
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := strings.Fields(string(out))
	slices.Sort(modules)
	for _, module := range slices.Compact(modules) {
		if !slices.Contains(allowed, module) {
			t.Errorf("the binary depends on %s", module)
		}
	}
}
