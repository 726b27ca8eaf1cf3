package commands

import (
	"context"
	"fmt"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/connect"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/console"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/words"
)

// confirmation asks before something that cannot be undone.
type confirmation struct {
	Yes bool `name:"yes" short:"y" per-call:"" help:"Do it without asking."`
}

// confirm returns nil if the answer is yes.
func (c *confirmation) confirm(out *console.Console, question string) error {
	switch {
	case c.Yes:
		return nil
	case !out.Interactive:
		return connect.Usage("this cannot be undone, and there is no terminal to ask: give --yes")
	case !out.Confirm(question):
		return connect.Usage("nothing was done")
	}
	return nil
}

// describe names a raffle in a question.
func describe(r *rafflev1.Raffle) string {
	return fmt.Sprintf("raffle %d, %q, %s with %s", r.GetId(), console.Printable(r.GetTitle()), r.GetState(),
		words.Count(r.GetEntries(), "entry", "entries"))
}

// confirmRaffle reads a raffle and asks before something is done to it.
func (c *confirmation) confirmRaffle(
	ctx context.Context, client *connect.Client, out *console.Console, id int64, question string,
) error {
	if c.Yes || !out.Interactive {
		return c.confirm(out, "")
	}
	resp, err := client.Raffles.GetRaffle(ctx, &rafflev1.GetRaffleRequest{RaffleId: id})
	if err != nil {
		return err
	}
	return c.confirm(out, fmt.Sprintf(question, describe(resp.GetRaffle())))
}

type closeCommand struct{ raffleCommand }

// Help returns the details of the command's help.
func (*closeCommand) Help() string {
	return `No more entries are accepted then. If the raffle was created with --draw, the draw follows. Example:

    rafflecast close 1`
}

// Run runs the command.
func (c *closeCommand) Run(ctx context.Context, out *console.Console) error {
	return c.call(ctx, func(client *connect.Client) error {
		req := &rafflev1.CloseRaffleRequest{RaffleId: c.Raffle, RequestId: requestID()}
		resp, err := client.Raffles.CloseRaffle(ctx, req)
		if err != nil {
			return err
		}
		return c.print(out, resp.GetRaffle())
	})
}

type cancelCommand struct {
	raffleCommand
	confirmation
}

// Help returns the details of the command's help.
func (*cancelCommand) Help() string {
	return `There will be no winner, and this cannot be undone. On a terminal it asks first. Example:

    rafflecast cancel 1 --yes`
}

// Run runs the command.
func (c *cancelCommand) Run(ctx context.Context, out *console.Console) error {
	return c.call(ctx, func(client *connect.Client) error {
		if err := c.confirmRaffle(ctx, client, out, c.Raffle, "Cancel %s, for good?"); err != nil {
			return err
		}
		req := &rafflev1.CancelRaffleRequest{RaffleId: c.Raffle, RequestId: requestID()}
		resp, err := client.Raffles.CancelRaffle(ctx, req)
		if err != nil {
			return err
		}
		return c.print(out, resp.GetRaffle())
	})
}

type purgeCommand struct {
	raffleCommand
	confirmation
}

// Help returns the details of the command's help.
func (*purgeCommand) Help() string {
	return `It deletes what a raffle that has ended holds about its members. The draw stays checkable. Export what you need first. Example:

    rafflecast export 1 > entrants.csv && rafflecast purge 1 --yes`
}

// Run runs the command.
func (c *purgeCommand) Run(ctx context.Context, out *console.Console) error {
	return c.call(ctx, func(client *connect.Client) error {
		if err := c.confirmRaffle(ctx, client, out, c.Raffle, "Delete the members' data of %s, for good?"); err != nil {
			return err
		}
		req := &rafflev1.PurgeRaffleRequest{RaffleId: c.Raffle, RequestId: requestID()}
		resp, err := client.Raffles.PurgeRaffle(ctx, req)
		if err != nil {
			return err
		}
		return c.print(out, resp.GetRaffle())
	})
}
