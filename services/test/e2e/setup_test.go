package e2e_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/launchdarkly/eventsource"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/pgtest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// anyPort makes a program listen on a free loopback port.
const anyPort = "127.0.0.1:0"

// testBundle is both services as processes of their own, on real stores.
type testBundle struct {
	client        *client // of participation
	participation *program
	gateway       *program
	web           string // the gateway's URL
	webOps        string // the URL of its operations port

	grpc, facade, ops string // participation's addresses
}

// client calls a participation service.
type client struct {
	raffles rafflev1.RaffleServiceClient
	entries rafflev1.ParticipationServiceClient
}

func dial(t *testing.T, address string) *client {
	t.Helper()
	conn, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &client{rafflev1.NewRaffleServiceClient(conn), rafflev1.NewParticipationServiceClient(conn)}
}

func setup(t *testing.T) *testBundle {
	t.Helper()
	return setupWith(t, nil, nil)
}

// setupWith is setup with environment variables for the services.
func setupWith(t *testing.T, participation, gateway []string) *testBundle {
	t.Helper()
	database, nats := pgtest.URL(t), natstest.Start(t).URL()
	if err := launch(t, "participation", "migrate", "--database-url="+database).awaitEnd(); err != nil {
		t.Fatalf("migrate: %v", err)
	}
	b := &testBundle{}
	b.participation = launchWith(
		t,
		participation,
		"participation",
		"serve",
		"--database-url="+database,
		"--nats-url="+nats,
		"--grpc-address="+anyPort,
		"--http-address="+anyPort,
		"--ops-address="+anyPort,
	)
	at := b.participation.awaitLog(servingPattern)
	b.grpc, b.facade, b.ops = at[1], at[2], at[3]
	b.client = dial(t, at[1])
	b.gateway = launchWith(t, gateway, "gateway", "serve", "--nats-url="+nats, "--participation-url=http://"+at[2],
		"--address="+anyPort, "--ops-address="+anyPort, "--drain-window=1s")
	b.web, b.webOps = awaitGateway(t, b.gateway)
	return b
}

// servingPattern matches the line by which participation logs its addresses, as text and
// as JSON.
const servingPattern = `participation is serving.*?grpc\W+([\d.:]+)\W+http\W+([\d.:]+)\W+ops\W+([\d.:]+)`

// awaitGateway waits until a gateway is ready, and returns the URLs of its two ports.
func awaitGateway(t *testing.T, gateway *program) (web, ops string) {
	t.Helper()
	at := gateway.awaitLog(`gateway is serving.*?http\W+([\d.:]+)\W+ops\W+([\d.:]+)`)
	web, ops = "http://"+at[1], "http://"+at[2]
	testenv.AwaitStatus(t, ops+"/readyz", http.StatusOK)
	return web, ops
}

func (c *client) create(t *testing.T, title string, winners int32) int64 {
	t.Helper()
	return c.createWith(t, &rafflev1.CreateRaffleRequest{Title: title, Winners: winners})
}

func (c *client) createWith(t *testing.T, request *rafflev1.CreateRaffleRequest) int64 {
	t.Helper()
	made, err := c.raffles.CreateRaffle(t.Context(), request)
	if err != nil {
		t.Fatal(err)
	}
	return made.GetRaffle().GetId()
}

func (c *client) enter(t *testing.T, id int64, member string) {
	t.Helper()
	if _, err := c.entries.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: id, MemberId: member}); err != nil {
		t.Fatal(err)
	}
}

// entriesOf returns how many entries a raffle has, by participation.
func (b *testBundle) entriesOf(ctx context.Context, t *testing.T, id int64) int64 {
	t.Helper()
	got, err := b.client.entries.GetOdds(ctx, &rafflev1.GetOddsRequest{RaffleId: id})
	if err != nil {
		t.Fatal(err)
	}
	return got.GetOdds().GetEntries()
}

func (c *client) closeRaffle(t *testing.T, id int64) {
	t.Helper()
	if _, err := c.raffles.CloseRaffle(t.Context(), &rafflev1.CloseRaffleRequest{RaffleId: id}); err != nil {
		t.Fatal(err)
	}
}

// awaitRaffle waits until the gateway knows a raffle.
func (b *testBundle) awaitRaffle(t *testing.T, id int64) {
	t.Helper()
	testenv.AwaitStatus(t, fmt.Sprintf("%s/api/v1/raffles/%d/odds", b.web, id), http.StatusOK)
}

// odds are the data of an event.
type odds struct {
	Epoch                string
	Entries              int64
	WinnerProbability    *float64
	NextEntryProbability float64
}

// getOdds returns the odds at a URL.
func getOdds(t *testing.T, url string) (o odds) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(&o); err != nil {
		t.Fatal(err)
	}
	return o
}

// subscription reads the events of a stream. It fails the test if they do not arrive
// within a minute.
type subscription struct {
	t       *testing.T
	decoder *eventsource.Decoder
}

// subscribe opens a stream at a URL.
func subscribe(t *testing.T, url string) *subscription {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("GET %s: %s", url, resp.Status)
	}
	return &subscription{t, eventsource.NewDecoder(resp.Body)}
}

// nextOdds returns the odds of the next event that has any.
func (s *subscription) nextOdds() (o odds) {
	s.t.Helper()
	for {
		e, err := s.decoder.Decode()
		if err != nil {
			s.t.Fatalf("the stream ended: %v", err)
		}
		if e.Event() != "raffle-winning-probability" {
			continue
		}
		if err := json.Unmarshal([]byte(e.Data()), &o); err != nil {
			s.t.Fatal(err)
		}
		return o
	}
}
