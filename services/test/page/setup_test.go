// Package page tests the page for people in a browser, in every state of a raffle, against
// a gateway whose odds the tests publish.
package page

import (
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/gateway"
	"github.com/rafflecast/rafflecast/services/test/browser"
	"github.com/rafflecast/rafflecast/services/test/natstest"
	"github.com/rafflecast/rafflecast/services/test/servicetest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// bench is a gateway whose odds a test publishes.
type bench struct {
	t       testing.TB
	odds    *servicetest.OddsPublisher
	gateway *servicetest.Gateway
	web     string // URL
}

func setup(t testing.TB, options ...func(*gateway.Config)) *bench {
	t.Helper()
	nats := natstest.Start(t)
	b := &bench{t: t, odds: servicetest.NewOddsPublisher(t, nats)}
	b.gateway = servicetest.StartGateway(t, nats.URL(), options...)
	b.web = "http://" + b.gateway.HTTP
	return b
}

// raffle returns the first odds of a raffle: open, with 3 winners, 40 members and 42 entries.
func raffle(id int64, changes ...func(*rafflev1.Odds)) *rafflev1.Odds {
	o := &rafflev1.Odds{
		Id: id, Version: 1, Epoch: "first", State: rafflev1.Raffle_OPEN, Title: "Signed guitar", Winners: 3,
		MaxEntriesPerMember: 3, Entries: 42, Members: 40, Rule: rafflev1.Raffle_ENTRY_WINS, LogSize: 43,
		At: timestamppb.Now(), ClosesAt: in(26 * time.Hour),
		Prizes: []*rafflev1.Prize{{Name: "Signed guitar", Count: 1}, {Name: "Plectrum", Count: 2}},
	}
	for _, change := range changes {
		change(o)
	}
	return o
}

func in(d time.Duration) *timestamppb.Timestamp { return timestamppb.New(time.Now().Add(d)) }

// publish publishes odds with the chances that follow from their numbers.
func (b *bench) publish(o *rafflev1.Odds) {
	b.t.Helper()
	percent := func(entries int64) *float64 { return new(100 * min(1, float64(o.GetWinners())/float64(entries))) }
	o.WinnerProbability, o.NextEntryProbability = nil, nil
	if o.GetEntries() > 0 {
		o.WinnerProbability = percent(o.GetEntries())
	}
	if o.GetState() == rafflev1.Raffle_OPEN {
		o.NextEntryProbability = percent(o.GetEntries() + 1)
	}
	b.odds.Publish(o)
}

// change publishes the next version of a raffle.
func (b *bench) change(o *rafflev1.Odds, change func(*rafflev1.Odds)) {
	b.t.Helper()
	o.Version++
	o.At = timestamppb.Now()
	change(o)
	b.publish(o)
}

// await waits until the gateway knows a raffle.
func (b *bench) await(id int64) {
	b.t.Helper()
	testenv.AwaitStatus(b.t, fmt.Sprintf("%s/api/v1/raffles/%d/odds", b.web, id), 200)
}

func (b *bench) url(id int64) string { return fmt.Sprintf("%s/raffle/%d", b.web, id) }

// open opens the page of a raffle and waits until it is live.
func (b *bench) open(tab *browser.Tab, id int64) {
	b.t.Helper()
	tab.Open(b.url(id))
	tab.Await(live)
}

const live = `document.querySelector("#connection").dataset.connection === "live"`

// keep makes the browser keep entries of minji, with tickets from 7 on, as if made there.
func (b *bench) keep(tab *browser.Tab, id int64, entries int) {
	b.t.Helper()
	tab.Open(b.web + "/assets/favicon.svg")
	tab.Evaluate(fmt.Sprintf(`localStorage.setItem("rafflecast.entries.%d.first", JSON.stringify({member: "minji",
		entries: Array.from({length: %d}, (_, i) => ({ordinal: i + 1, ticket: 7 + i, at: Date.now() - 60000}))}))`, id, entries))
}
