package client_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// allowed are the packages' modules that a program which uses the client contains. A new
// one is a decision: users of the client get it, too.
var allowed = []string{
	"buf.build/gen/go/bufbuild/protovalidate/protocolbuffers/go", // by the contract's rules
	"github.com/google/uuid",
	"github.com/launchdarkly/eventsource",
	"github.com/rafflecast/rafflecast/clients/go",
	"github.com/rafflecast/rafflecast/proto",
	"golang.org/x/net",
	"golang.org/x/oauth2",
	"golang.org/x/sys",
	"golang.org/x/text",
	"google.golang.org/genproto/googleapis/api",
	"google.golang.org/genproto/googleapis/rpc",
	"google.golang.org/grpc",
	"google.golang.org/protobuf",
}

func TestPackage_DependsOnAllowedModules(t *testing.T) {
	t.Parallel()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}{{end}}", ".")
	cmd.Stderr = t.Output()
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	modules := strings.Fields(string(out))
	slices.Sort(modules)
	for _, module := range slices.Compact(modules) {
		if !slices.Contains(allowed, module) {
			t.Errorf("the client depends on %s", module)
		}
	}
}
