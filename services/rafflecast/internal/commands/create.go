package commands

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/config"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/connect"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/console"
)

type createCommand struct {
	serviceCommand

	Title       string        `arg:"" form:"1 to 200 characters" help:"What is raffled."`
	Winners     int32         `name:"winners" short:"w" per-call:"" default:"0" min:"1" max:"1000000" zero:"1, or as many as prizes" help:"How many entries win."`
	Prize       []string      `name:"prize" per-call:"" sep:"none" form:"NAME or NAME=COUNT, as Guitar or Strings=2" help:"A prize, once or several times, in the order in which they are drawn."`
	Opens       moment        `name:"opens" per-call:"" form:"a duration from now like 90s, 2h30m or 3d, or a time like 2026-12-01T20:00+09:00" help:"When entries begin to be accepted; without it, at once."`
	Closes      moment        `name:"closes" per-call:"" form:"a duration from now like 90s, 2h30m or 3d, or a time like 2026-12-01T20:00+09:00" help:"When entries begin to be refused; without it, when the command close says so."`
	MaxEntries  int32         `name:"max-entries" per-call:"" default:"1" min:"1" max:"1000" unit:"entries" help:"Most entries of one member."`
	Description string        `name:"description" per-call:"" form:"at most 4,000 characters" help:"What the raffle is about."`
	Picture     string        `name:"picture" per-call:"" form:"an https URL" help:"Address of a picture."`
	MembersOnly bool          `name:"members-only" per-call:"" help:"Show the odds only to those who bring a token."`
	Draw        bool          `name:"draw" per-call:"" help:"Have the service draw the winners, so that anybody can check the draw."`
	DrawDelay   time.Duration `name:"draw-delay" per-call:"" default:"60s" min:"10s" max:"168h" help:"Time from the closing to the draw, with --draw."`
	DrawChain   string        `name:"draw-chain" per-call:"" form:"a hash in hexadecimal" help:"Chain of drand that the draw uses, with --draw; without it, the service's default."`
	Once        bool          `name:"once" per-call:"" help:"Let a member win at most once, however many entries it has."`
	Alternates  int32         `name:"alternates" per-call:"" default:"0" min:"0" max:"1000" unit:"tickets" help:"Tickets to draw in reserve, with --draw."`
}

// Help returns the details of the command's help.
func (*createCommand) Help() string {
	return `Times are durations from now (90s, 2h30m, 3d) or times (2026-12-01T20:00+09:00; without a zone, the local one). Examples:

    rafflecast create "Signed guitar" --closes=2h
    rafflecast create "Concert tickets" -w 3 --draw --closes=2026-12-01T20:00+09:00
    rafflecast create "Band night" --prize=Guitar --prize=Strings=2 --draw --once --alternates=2 --max-entries=3
    id=$(rafflecast create "Signed guitar" -o json | jq -r .id)`
}

// Rules implements config.Rules.
func (c *createCommand) Rules(check *config.Checks) {
	_, err := parsePrizes(c.Prize)
	check.NoError(err, &c.Prize)
	check.That(c.Draw || c.Alternates == 0, &c.Alternates, "0 without --draw")
	check.That(c.Draw || c.DrawChain == "", &c.DrawChain, "left out without --draw")
	check.That(!c.Closes.given || !c.Opens.given || c.Closes.at.After(c.Opens.at), &c.Closes, "after --opens")
}

// Run runs the command.
func (c *createCommand) Run(ctx context.Context, out *console.Console) error {
	prizes, _ := parsePrizes(c.Prize) // Rules has checked them
	req := &rafflev1.CreateRaffleRequest{
		Title:               c.Title,
		Winners:             c.Winners,
		Prizes:              prizes,
		OpensAt:             c.Opens.timestamp(),
		ClosesAt:            c.Closes.timestamp(),
		MaxEntriesPerMember: c.MaxEntries,
		Description:         c.Description,
		PictureUrl:          c.Picture,
		Alternates:          c.Alternates,
		RequestId:           requestID(),
	}
	if c.Winners == 0 && len(prizes) == 0 {
		req.Winners = 1
	}
	if c.Draw {
		req.Draw = &rafflev1.Draw{Chain: c.DrawChain, Delay: durationpb.New(c.DrawDelay)}
	}
	if c.Once {
		req.Rule = rafflev1.Raffle_MEMBER_WINS_ONCE
	}
	if c.MembersOnly {
		req.Visibility = rafflev1.Raffle_MEMBERS
	}
	return c.call(ctx, func(client *connect.Client) error {
		resp, err := client.Raffles.CreateRaffle(ctx, req)
		if err != nil {
			return err
		}
		return c.print(out, resp.GetRaffle())
	})
}

// parsePrizes reads prizes, each of the form NAME or NAME=COUNT.
func parsePrizes(texts []string) (prizes []*rafflev1.Prize, err error) {
	for _, text := range texts {
		prize := &rafflev1.Prize{Name: text, Count: 1}
		if i := strings.LastIndex(text, "="); i >= 0 {
			count, err := strconv.ParseInt(text[i+1:], 10, 32)
			if err != nil || count < 1 {
				return nil, fmt.Errorf("%q has no whole number after the =", text)
			}
			prize = &rafflev1.Prize{Name: text[:i], Count: int32(count)}
		}
		if prize.GetName() == "" {
			return nil, fmt.Errorf("%q has no name", text)
		}
		prizes = append(prizes, prize)
	}
	return prizes, nil
}

type editCommand struct {
	raffleCommand

	Title       string       `name:"title" per-call:"" form:"1 to 200 characters" help:"Another title."`
	Winners     int32        `name:"winners" short:"w" per-call:"" default:"0" min:"1" max:"1000000" zero:"as it is" help:"Another number of winners."`
	Prize       []string     `name:"prize" per-call:"" sep:"none" form:"NAME or NAME=COUNT, as Guitar or Strings=2" help:"Other prizes, which replace all that there are."`
	Opens       editedMoment `name:"opens" per-call:"" form:"a duration from now like 90s, 2h30m or 3d, or a time like 2026-12-01T20:00+09:00, or never" help:"Another opening time, of a raffle that is not open yet."`
	Closes      editedMoment `name:"closes" per-call:"" form:"a duration from now like 90s, 2h30m or 3d, or a time like 2026-12-01T20:00+09:00, or never" help:"Another closing time."`
	Description *string      `name:"description" per-call:"" form:"at most 4,000 characters" help:"Another description; an empty one removes it."`
	Picture     *string      `name:"picture" per-call:"" form:"an https URL" help:"Address of another picture; an empty one removes it."`
}

// Help returns the details of the command's help.
func (*editCommand) Help() string {
	return `What is not named stays as it is. The most entries of a member, the rule and the draw never change. Examples:

    rafflecast edit 1 --title="Signed guitar, black" --closes=30m
    rafflecast edit 1 --closes=never`
}

// Rules implements config.Rules.
func (c *editCommand) Rules(check *config.Checks) {
	_, err := parsePrizes(c.Prize)
	check.NoError(err, &c.Prize)
}

// request returns the fields that were given, and their names.
func (c *editCommand) request() *rafflev1.UpdateRaffleRequest {
	r := &rafflev1.Raffle{Id: c.Raffle}
	var mask []string
	change := func(given bool, field string, set func()) {
		if given {
			mask = append(mask, field)
			set()
		}
	}
	change(c.Title != "", "title", func() { r.Title = c.Title })
	change(c.Winners != 0, "winners", func() { r.Winners = c.Winners })
	change(len(c.Prize) > 0, "prizes", func() { r.Prizes, _ = parsePrizes(c.Prize) })
	if len(c.Prize) > 0 && c.Winners == 0 { // the number of winners follows the prizes
		change(true, "winners", func() { r.Winners = places(r.GetPrizes()) })
	}
	change(c.Opens.given, "opens_at", func() { r.OpensAt = c.Opens.timestamp() })
	change(c.Closes.given, "closes_at", func() { r.ClosesAt = c.Closes.timestamp() })
	change(c.Description != nil, "description", func() { r.Description = *c.Description })
	change(c.Picture != nil, "picture_url", func() { r.PictureUrl = *c.Picture })
	slices.Sort(mask)
	return &rafflev1.UpdateRaffleRequest{
		Raffle:     r,
		UpdateMask: &fieldmaskpb.FieldMask{Paths: mask},
		RequestId:  requestID(),
	}
}

// places returns how many prizes there are in all.
func places(prizes []*rafflev1.Prize) (sum int32) {
	for _, p := range prizes {
		sum += p.GetCount()
	}
	return sum
}

// Run runs the command.
func (c *editCommand) Run(ctx context.Context, out *console.Console) error {
	req := c.request()
	if len(req.GetUpdateMask().GetPaths()) == 0 {
		return connect.Usage(
			"nothing to change: give at least one of --title, --winners, --prize, --opens, --closes, --description and --picture",
		)
	}
	return c.call(ctx, func(client *connect.Client) error {
		resp, err := client.Raffles.UpdateRaffle(ctx, req)
		if err != nil {
			return err
		}
		return c.print(out, resp.GetRaffle())
	})
}
