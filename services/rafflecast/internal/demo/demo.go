// Package demo keeps a few raffles alive for those who look at the system for the first
// time: members enter, raffles open, close and are drawn, and others take their places.
//
// # What there is
//
// One raffle without a closing time, which members enter and leave all the time; and a
// chain of short ones, of which one is open and the next is scheduled. Each is open for
// some minutes, is drawn by the service, and stays as it is.
//
// # Bounds
//
// No more than MaxRaffles raffles are created in one database, those of earlier runs
// included: then the short ones end, and the long one goes on. It never has more than
// maxEntries entries.
package demo

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/connect"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/ctxtime"
)

// MaxRaffles is how many raffles the demo creates in one database: about a day's, at
// DefaultTimes.
const MaxRaffles = 700

const (
	maxEntries = 2000 // of the long raffle
	members    = 5000 // different ones
	longTitle  = "Festival pass"
	longMost   = 3 // entries of a member in the long raffle
)

// mark is the description of every raffle of the demo, by which it knows its own: it must
// not touch others.
const mark = "Made by rafflecast run --demo: nothing can be won."

// titles are those of the short raffles.
var titles = []string{"Concert tickets", "Signed vinyl", "한정판 운동화 래플", "Weekend at the lake", "Film camera"}

// Times are the paces of the demo.
type Times struct {
	Open  time.Duration // for which a short raffle is open
	Lead  time.Duration // from when the next one is created until it opens
	Delay time.Duration // from a closing to the draw
	Pause time.Duration // between two entries, on average
}

// DefaultTimes returns paces at which one can follow what happens.
func DefaultTimes() Times {
	return Times{Open: 2 * time.Minute, Lead: 2 * time.Minute, Delay: 10 * time.Second, Pause: 700 * time.Millisecond}
}

// demo is one run. It is used by one goroutine.
type demo struct {
	client *connect.Client
	log    *slog.Logger
	times  Times
	limit  int   // of raffles
	most   int64 // entries of the long raffle

	created   int   // raffles, those of earlier runs included
	long      int64 // the long raffle; 0: none
	open      int64 // the short raffle that is open; 0: none
	scheduled int64 // the next one; 0: none
}

// Run keeps the raffles alive until ctx ends. It calls the public gRPC API at a service
// that asks nobody who calls. What fails is logged and tried again.
func Run(ctx context.Context, service connect.Service, times Times, log *slog.Logger) error {
	client, err := service.Connect(ctx)
	if err != nil {
		if ctx.Err() != nil {
			return nil // it was stopped
		}
		return err
	}
	defer client.Close()
	return run(ctx, &demo{client: client, log: log, times: times, limit: MaxRaffles, most: maxEntries})
}

// failurePause is the time after a call that has failed.
const failurePause = 2 * time.Second

func run(ctx context.Context, d *demo) error {
	for started := false; ; {
		var err error
		if started {
			err = d.step(ctx)
		} else {
			err = d.adopt(ctx)
			started = err == nil
		}
		pause := time.Duration(float64(d.times.Pause) * (0.5 + rand.Float64()))
		if err != nil && ctx.Err() == nil {
			d.log.Warn("the demo could not do its next step", "error", err)
			pause = failurePause
		}
		if !ctxtime.Sleep(ctx, pause) {
			return nil
		}
	}
}

// adopt finds the raffles of an earlier run, and creates what is missing.
func (d *demo) adopt(ctx context.Context) error {
	d.created, d.long, d.open, d.scheduled = 0, 0, 0, 0
	req := &rafflev1.ListRafflesRequest{PageSize: 1000}
	for {
		page, err := d.client.Raffles.ListRaffles(ctx, req)
		if err != nil {
			return err
		}
		for _, r := range page.GetRaffles() {
			if r.GetDescription() != mark {
				continue
			}
			d.created++
			d.adoptOne(r)
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return d.begin(ctx)
		}
	}
}

func (d *demo) adoptOne(r *rafflev1.Raffle) {
	switch {
	case r.GetState() == rafflev1.Raffle_SCHEDULED:
		d.scheduled = r.GetId()
	case r.GetState() != rafflev1.Raffle_OPEN:
	case r.GetTitle() == longTitle:
		d.long = r.GetId()
	case time.Until(r.GetClosesAt().AsTime()) > d.times.Open/8: // else it is closing just now
		d.open = r.GetId()
	}
}

// begin creates the raffles that are missing at the start.
func (d *demo) begin(ctx context.Context) error {
	err := d.createLong(ctx)
	if err == nil && d.open == 0 {
		d.open, err = d.createShort(ctx, 0)
	}
	return err
}

// createLong creates the long raffle if there is none.
func (d *demo) createLong(ctx context.Context) (err error) {
	if d.long == 0 {
		d.long, err = d.create(ctx, &rafflev1.CreateRaffleRequest{
			Title: longTitle, Winners: 5, MaxEntriesPerMember: longMost, Draw: d.draw(),
		})
	}
	return err
}

// step does the next thing: it lets a member enter, or a raffle take another's place.
func (d *demo) step(ctx context.Context) error {
	if err := d.followShort(ctx); err != nil {
		return err
	}
	if d.open != 0 {
		if err := d.enter(ctx, d.open); err != nil {
			return err
		}
	}
	if err := d.createLong(ctx); err != nil || d.long == 0 {
		return err
	}
	odds, err := d.client.Entries.GetOdds(ctx, &rafflev1.GetOddsRequest{RaffleId: d.long})
	if err != nil {
		return err
	}
	if odds.GetOdds().GetEntries() >= d.most {
		return d.withdraw(ctx, d.long)
	}
	return d.enter(ctx, d.long)
}

// followShort looks whether the scheduled raffle has opened, and schedules the next one.
func (d *demo) followShort(ctx context.Context) error {
	if d.scheduled != 0 {
		odds, err := d.client.Entries.GetOdds(ctx, &rafflev1.GetOddsRequest{RaffleId: d.scheduled})
		if err != nil {
			return err
		}
		if odds.GetOdds().GetState() == rafflev1.Raffle_SCHEDULED {
			return nil
		}
		d.open, d.scheduled = d.scheduled, 0
	}
	id, err := d.createShort(ctx, d.times.Lead)
	d.scheduled = id
	return err
}

// createShort creates a short raffle that opens after a time; 0 means at once.
func (d *demo) createShort(ctx context.Context, lead time.Duration) (int64, error) {
	now := time.Now()
	req := &rafflev1.CreateRaffleRequest{
		Title: titles[d.created%len(titles)], Winners: int32(1 + d.created%3), MaxEntriesPerMember: 1,
		ClosesAt: timestamppb.New(now.Add(lead + d.times.Open)), Draw: d.draw(),
	}
	if lead > 0 {
		req.OpensAt = timestamppb.New(now.Add(lead))
	}
	return d.create(ctx, req)
}

func (d *demo) draw() *rafflev1.Draw { return &rafflev1.Draw{Delay: durationpb.New(d.times.Delay)} }

// create creates a raffle and returns its id, or 0 if there are as many as may be.
func (d *demo) create(ctx context.Context, req *rafflev1.CreateRaffleRequest) (int64, error) {
	if d.created >= d.limit {
		return 0, nil
	}
	req.Description = mark
	resp, err := d.client.Raffles.CreateRaffle(ctx, req)
	if err != nil {
		return 0, err
	}
	if d.created++; d.created == d.limit {
		d.log.Info("the demo has created all raffles that it may", "raffles", d.created)
	}
	return resp.GetRaffle().GetId(), nil
}

func member() string { return fmt.Sprintf("member-%d", 1+rand.IntN(members)) }

// enter enters some member. That one may have all its entries already, and the raffle may
// have closed just now: both are part of the demo.
func (d *demo) enter(ctx context.Context, id int64) error {
	_, err := d.client.Entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: id, MemberId: member()})
	return d.expect(id, err)
}

// withdraw takes an entry of some member back.
func (d *demo) withdraw(ctx context.Context, id int64) error {
	page, err := d.client.Entries.ListEntries(ctx, &rafflev1.ListEntriesRequest{RaffleId: id, PageSize: 1000})
	if err != nil || len(page.GetEntries()) == 0 {
		return err
	}
	// Several at a time, so that the list is seldom read.
	for range 1 + rand.IntN(30) {
		e := page.GetEntries()[rand.IntN(len(page.GetEntries()))]
		_, err := d.client.Entries.Withdraw(ctx, &rafflev1.WithdrawRequest{RaffleId: id, MemberId: e.GetMemberId()})
		if err = d.expect(id, err); err != nil {
			return err
		}
	}
	return nil
}

// expect returns err unless it may happen to every member.
func (d *demo) expect(id int64, err error) error {
	switch connect.Reason(err) {
	case "ENTRY_LIMIT_REACHED", "WITHDRAWAL_LIMIT_REACHED", "ENTRY_NOT_FOUND":
		return nil
	case "RAFFLE_NOT_OPEN":
		if id == d.open {
			d.open = 0
		}
		if id == d.long {
			d.long = 0 // somebody has closed it
		}
		return nil
	}
	return err
}
