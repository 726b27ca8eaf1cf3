package client_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"
	"time"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"

	client "github.com/rafflecast/rafflecast/clients/go"
)

// The examples use these addresses: of real services if the environment names them, as
// services/test/e2e does, else of fakes.
var (
	participationAddress = os.Getenv("EXAMPLE_PARTICIPATION")
	gatewayURL           = os.Getenv("EXAMPLE_GATEWAY")
)

func TestMain(m *testing.M) {
	address, stop, err := new(fake).serve()
	if err != nil {
		panic(err)
	}
	sse := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, `data: {"id":1,"state":"OPEN","title":"Signed guitar"}`+"\nevent: raffle-winning-probability\n\n")
	}))
	participationAddress, gatewayURL = cmp.Or(participationAddress, address), cmp.Or(gatewayURL, sse.URL)
	code := m.Run()
	stop()
	sse.Close()
	os.Exit(code)
}

func Example() {
	c, err := client.New(participationAddress, client.Options{})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	entered, err := c.Enter(ctx, 1, "alice")
	if e, ok := errors.AsType[*client.Error](err); ok && e.Reason == "ENTRY_LIMIT_REACHED" {
		fmt.Println("all", e.Metadata["limit"], "entries are used")
		return
	} else if err != nil {
		panic(err)
	}
	fmt.Println(entered.GetEntry().GetMemberId(), "has entries:", entered.GetMemberEntries())
	// Output: alice has entries: 1
}

func ExampleClient_Stream() {
	c, err := client.New(participationAddress, client.Options{})
	if err != nil {
		panic(err)
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	stream := c.Stream(ctx, 0)
	defer stream.Close()
	var answers []*client.Future
	for _, member := range []string{"bob", "carol", "dave"} {
		answer, err := stream.Enter(ctx, &rafflev1.EnterRequest{RaffleId: 1, MemberId: member})
		if err != nil {
			panic(err)
		}
		answers = append(answers, answer)
	}
	for _, answer := range answers {
		entered, err := answer.Wait(ctx)
		if err != nil {
			panic(err)
		}
		fmt.Println(entered.GetEntry().GetMemberId())
	}
	// Output:
	// bob
	// carol
	// dave
}

func ExampleWatch() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for odds, err := range client.Watch(ctx, gatewayURL, 1) {
		if err != nil {
			fmt.Println("out of date:", err) // the next connection is made by itself
			continue
		}
		fmt.Println(odds.Title, odds.State)
		break
	}
	// Output: Signed guitar OPEN
}
