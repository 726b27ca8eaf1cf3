package contract_test

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/durationpb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/rafflecast/localdraw"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// asyncAPI is what testdata/asyncapi.mjs prints.
type asyncAPI struct {
	Diagnostics []string
	Channels    []string
	Payloads    map[string]struct {
		Required   []string
		Properties map[string]struct{ Enum []string }
	}
}

func parseAsyncAPI(t *testing.T) (doc asyncAPI) {
	t.Helper()
	node := testenv.NeedProgram(t, "node")
	packages := nodePackages(t, "@asyncapi/parser@3.6.6")
	path, err := filepath.Abs(filepath.Join(repository, "proto", "asyncapi.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	out := run(t, packages, node, script(t, packages, "asyncapi.mjs"), path)
	if err := json.Unmarshal([]byte(out), &doc); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return doc
}

func TestAsyncAPI_IsValid(t *testing.T) {
	t.Parallel()
	doc := parseAsyncAPI(t)
	if len(doc.Diagnostics) > 0 {
		t.Errorf("%s", strings.Join(doc.Diagnostics, "\n"))
	}
	slices.Sort(doc.Channels)
	want := []string{"/api/v1/raffles/subscribe", "/api/v1/raffles/{raffleId}/subscribe", "raffle.live.{raffleId}", "raffle.odds.{raffleId}"}
	if !slices.Equal(doc.Channels, want) {
		t.Errorf("channels %v", doc.Channels)
	}
	for name, values := range map[string]protoreflect.EnumValueDescriptors{
		"state": rafflev1.Raffle_STATE_UNSPECIFIED.Descriptor().Values(),
		"rule":  rafflev1.Raffle_RULE_UNSPECIFIED.Descriptor().Values(),
	} {
		var names []string
		for i := 1; i < values.Len(); i++ {
			names = append(names, string(values.Get(i).Name()))
		}
		if got := doc.Payloads["raffle-winning-probability"].Properties[name].Enum; !slices.Equal(got, names) {
			t.Errorf("%s %v, the contract has %v", name, got, names)
		}
	}
}

// The events of a real gateway have the fields of the document: all of them, over the life
// of a raffle that is drawn, and those that are required, in each event.
func TestAsyncAPI_DescribesRealEvents(t *testing.T) {
	t.Parallel()
	doc := parseAsyncAPI(t)
	s := startParticipation(t, withDraws(t))
	url := startGateway(t, s.nats.URL())
	s.enter(t, 1)
	testenv.AwaitStatus(t, url+"/api/v1/raffles/1/odds", http.StatusOK)
	// The stream holds version 9 of another raffle only, so a client that has version
	// 1 gets a reset.
	data, err := proto.Marshal(&rafflev1.Odds{Id: 77, Version: 9, State: rafflev1.Raffle_OPEN, Title: "Another", Winners: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.nats.JetStream().Publish(t.Context(), oddsstream.Subject(77), data); err != nil {
		t.Fatal(err)
	}
	testenv.AwaitStatus(t, url+"/api/v1/raffles/77/odds", http.StatusOK)
	closed := s.closeWithDraw(t)
	seen := map[string]*fields{}
	readEvents(t, url+"/api/v1/raffles/subscribe?id=77&id=1&id="+closed+"&lastEventId=77:1",
		func(name string, data map[string]any) bool {
			if seen[name] == nil {
				seen[name] = &fields{}
			}
			seen[name].add(data)
			return len(seen) == 3 && data["state"] == "DRAWN"
		})
	for _, name := range []string{"raffle-winning-probability", "reset", "heartbeat"} {
		described := doc.Payloads[name]
		if got, want := seen[name].ever(), slices.Sorted(maps.Keys(described.Properties)); !slices.Equal(got, want) {
			t.Errorf("%s has %v, the document %v", name, got, want)
		}
		slices.Sort(described.Required)
		if got := seen[name].always(); !slices.Equal(got, described.Required) {
			t.Errorf("%s always has %v, the document requires %v", name, got, described.Required)
		}
	}
	// The fields are those of the message, except some that only services need.
	described := (&rafflev1.Odds{}).ProtoReflect().Descriptor().Fields()
	var want []string
	for i := range described.Len() {
		if name := described.Get(i).JSONName(); !slices.Contains([]string{"removed", "visibility", "logLife", "logSeen"}, name) {
			want = append(want, name)
		}
	}
	slices.Sort(want)
	if got := seen["raffle-winning-probability"].ever(); !slices.Equal(got, want) {
		t.Errorf("the event has %v, raffle.v1.Odds %v", got, want)
	}
}

// fields counts in how many events each field was.
type fields struct {
	events int
	in     map[string]int
}

func (f *fields) add(data map[string]any) {
	if f.in == nil {
		f.in = map[string]int{}
	}
	f.events++
	for name := range data {
		f.in[name]++
	}
}

// ever returns the fields that any event had, sorted.
func (f *fields) ever() []string { return slices.Sorted(maps.Keys(f.in)) }

// always returns the fields that all events had, sorted.
func (f *fields) always() []string {
	return slices.DeleteFunc(f.ever(), func(name string) bool { return f.in[name] < f.events })
}

// withDraws lets the service draw raffles on a development chain.
func withDraws(t *testing.T) func(*participation.Config) {
	t.Helper()
	chain, err := localdraw.Start(t.Context(), t.TempDir(), slog.New(slog.NewTextHandler(t.Output(), nil)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(chain.Stop)
	return func(cfg *participation.Config) {
		cfg.DrawKey, cfg.DrawChains, cfg.DrawRelays = chain.KeyFile(), chain.ChainFile(), chain.URL()
	}
}

// enter places an entry of a new member.
func (s *service) enter(t *testing.T, raffleID int64) {
	t.Helper()
	if _, err := s.entries.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: raffleID, MemberId: rand.Text()}); err != nil {
		t.Fatal(err)
	}
}

// closeWithDraw makes a raffle of which viewers are told all that there is to tell, closes
// it, and returns its id. It is drawn after at least 10 s.
func (s *service) closeWithDraw(t *testing.T) string {
	t.Helper()
	made, err := s.raffles.CreateRaffle(t.Context(), &rafflev1.CreateRaffleRequest{
		Title: "Band night", Prizes: []*rafflev1.Prize{{Name: "Guitar", Count: 1}, {Name: "Strings", Count: 2}},
		Rule: rafflev1.Raffle_MEMBER_WINS_ONCE, MaxEntriesPerMember: 3, Alternates: 1,
		Draw: &rafflev1.Draw{Delay: durationpb.New(10 * time.Second)},
	})
	if err != nil {
		t.Fatal(err)
	}
	id := made.GetRaffle().GetId()
	s.enter(t, id)
	closed, err := s.raffles.CloseRaffle(t.Context(), &rafflev1.CloseRaffleRequest{RaffleId: id})
	if err != nil || closed.GetRaffle().GetDrawsAt() == nil {
		t.Fatal(closed, err)
	}
	return strconv.FormatInt(id, 10)
}

// The messages on both subjects are raffle.v1.Odds, without unknown fields.
func TestAsyncAPI_DescribesRealMessages(t *testing.T) {
	t.Parallel()
	s := startParticipation(t)
	conn, err := nats.Connect(s.nats.URL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	live, err := conn.SubscribeSync("raffle.live.*")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	if _, err := s.entries.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: 1, MemberId: "m"}); err != nil {
		t.Fatal(err)
	}
	check := func(subject, want string, data []byte) {
		odds := &rafflev1.Odds{}
		if err := proto.Unmarshal(data, odds); err != nil || subject != want || odds.GetId() != 1 || len(odds.ProtoReflect().GetUnknown()) > 0 {
			t.Errorf("%s: %v, %v", subject, odds, err)
		}
		odds.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
			if field.Kind() == protoreflect.StringKind && value.String() == "m" {
				t.Errorf("%s holds the member in %s", subject, field.Name())
			}
			return true
		})
	}
	msg, err := live.NextMsg(10 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	check(msg.Subject, "raffle.live.1", msg.Data)
	stream, err := s.nats.JetStream().Stream(t.Context(), oddsstream.Name)
	if err != nil {
		t.Fatal(err)
	}
	stored, err := stream.GetLastMsgForSubject(t.Context(), "raffle.odds.1")
	if err != nil {
		t.Fatal(err)
	}
	check(stored.Subject, "raffle.odds.1", stored.Data)
}

// startGateway runs a gateway that sends a heartbeat after half a second, and
// returns its URL.
func startGateway(t *testing.T, natsURL string) string {
	t.Helper()
	cfg := gateway.DefaultConfig()
	cfg.Address, cfg.OpsAddress, cfg.NATSURL = "127.0.0.1:0", "127.0.0.1:0", natsURL
	cfg.Heartbeat, cfg.DrainWindow = 500*time.Millisecond, 0
	cfg.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	started, ended := make(chan gateway.Addresses, 1), make(chan error, 1)
	cfg.Started = func(a gateway.Addresses) { started <- a }
	ctx, cancel := context.WithCancel(t.Context())
	go func() { ended <- gateway.Run(ctx, cfg) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return "http://" + (<-started).HTTP.String()
}

// readEvents calls seen with each event until it returns true, for at most a minute.
func readEvents(t *testing.T, url string, seen func(name string, data map[string]any) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	name := ""
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
			name = value
		}
		text, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok {
			continue
		}
		data := map[string]any{}
		if err := json.Unmarshal([]byte(text), &data); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if seen(name, data) {
			return
		}
	}
	t.Fatal("the events ended before all kinds came")
}
