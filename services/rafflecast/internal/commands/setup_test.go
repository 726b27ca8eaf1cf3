package commands

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/console"
	"github.com/rafflecast/rafflecast/services/rafflecast/localdraw"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/servicetest"
)

// program is the program in a test: its environment, and what its user types.
type program struct {
	env         map[string]string
	interactive bool
	typed       string
}

// result is what a command has written, and its exit code.
type result struct {
	code     int
	out, err string
}

func (p *program) run(args ...string) result {
	var out, err bytes.Buffer
	c := &console.Console{In: strings.NewReader(p.typed), Out: &out, Err: &err, Interactive: p.interactive}
	lookup := func(name string) (string, bool) { value, ok := p.env[name]; return value, ok }
	code := command.Run("rafflecast", Description, &Commands{}, args, lookup, &out, &err, c)
	return result{code, out.String(), err.String()}
}

// must runs a command that must succeed, and returns what it has written.
func (p *program) must(t *testing.T, args ...string) string {
	t.Helper()
	r := p.run(args...)
	if r.code != 0 {
		t.Fatalf("rafflecast %s: exit code %d\n%s%s", strings.Join(args, " "), r.code, r.out, r.err)
	}
	return r.out
}

// objects runs a command with -o json that must succeed, and returns its lines.
func (p *program) objects(t *testing.T, args ...string) (objects []map[string]any) {
	t.Helper()
	out := p.must(t, append(args, "-o", "json")...)
	for line := range strings.Lines(out) {
		var object map[string]any
		if err := json.Unmarshal([]byte(line), &object); err != nil {
			t.Fatalf("rafflecast %s: %v in %s", strings.Join(args, " "), err, line)
		}
		objects = append(objects, object)
	}
	return objects
}

// create creates a raffle and returns its id.
func (p *program) create(t *testing.T, args ...string) string {
	t.Helper()
	return fmt.Sprint(p.objects(t, append([]string{"create"}, args...)...)[0]["id"])
}

// wantLines fails the test unless each text is in what was written.
func wantLines(t *testing.T, written string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(written, text) {
			t.Errorf("%q is not in\n%s", text, written)
		}
	}
}

// setup returns the program beside a running system that draws on a development chain.
func setup(t *testing.T) *program {
	t.Helper()
	p, _ := setupWithNATS(t)
	return p
}

func setupWithNATS(t *testing.T) (*program, string) {
	t.Helper()
	nats := natstest.Start(t).URL()
	draws, err := localdraw.Start(t.Context(), t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(draws.Stop)
	service := servicetest.StartParticipation(t, nats, func(c *participation.Config) {
		c.DrawSettings = participation.DrawSettings{
			DrawKey:    draws.KeyFile(),
			DrawChains: draws.ChainFile(),
			DrawRelays: draws.URL(),
		}
	})
	web := servicetest.StartGateway(t, nats, func(c *gateway.Config) {
		c.ParticipationURL = "http://" + service.HTTP // which has the log of a draw
	})
	return &program{
		env: map[string]string{"RAFFLECAST_TARGET": service.GRPC, "RAFFLECAST_GATEWAY": "http://" + web.HTTP},
	}, nats
}
