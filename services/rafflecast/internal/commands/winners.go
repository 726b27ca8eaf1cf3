package commands

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/connect"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/console"
)

type drawCommand struct {
	raffleCommand

	Signature string `name:"signature" per-call:"" form:"96 hexadecimal digits" help:"Signature of the draw's round, if the service can't fetch it."`
}

// Help returns the details of the command's help.
func (*drawCommand) Help() string {
	return `The service draws by itself when the draw is due, so this is needed only if it can't. Example:

    rafflecast draw 1`
}

// Run runs the command.
func (c *drawCommand) Run(ctx context.Context, out *console.Console) error {
	return c.call(ctx, func(client *connect.Client) error {
		req := &rafflev1.DrawRaffleRequest{RaffleId: c.Raffle, Signature: c.Signature}
		resp, err := client.Raffles.DrawRaffle(ctx, req)
		if err != nil {
			return err
		}
		return c.print(out, resp.GetRaffle())
	})
}

type redrawCommand struct{ raffleCommand }

// Help returns the details of the command's help.
func (*redrawCommand) Help() string {
	return `Prizes become vacant when winners are struck and no alternate is left. They are drawn from a later round. Example:

    rafflecast redraw 1`
}

// Run runs the command.
func (c *redrawCommand) Run(ctx context.Context, out *console.Console) error {
	return c.call(ctx, func(client *connect.Client) error {
		req := &rafflev1.RedrawRaffleRequest{RaffleId: c.Raffle, RequestId: requestID()}
		resp, err := client.Raffles.RedrawRaffle(ctx, req)
		if err != nil {
			return err
		}
		return c.print(out, resp.GetRaffle())
	})
}

type strikeCommand struct {
	raffleCommand
	confirmation

	Ticket int64  `arg:"" min:"0" help:"Number of the ticket."`
	Reason string `name:"reason" per-call:"" required:"" enum:"unclaimed,declined,ineligible,duplicate,other" help:"Why. It stands in the raffle's log for ever."`
}

// Help returns the details of the command's help.
func (*strikeCommand) Help() string {
	return `The first alternate takes the prize. If there is none, the prize is vacant until it is drawn again. Example:

    rafflecast strike 1 17 --reason=unclaimed --yes`
}

// Run runs the command.
func (c *strikeCommand) Run(ctx context.Context, out *console.Console) error {
	return c.call(ctx, func(client *connect.Client) error {
		question := fmt.Sprintf("Take the prize of ticket %d away, in %%s?", c.Ticket)
		if err := c.confirmRaffle(ctx, client, out, c.Raffle, question); err != nil {
			return err
		}
		reason := rafflev1.Winner_StrikeReason(rafflev1.Winner_StrikeReason_value[strings.ToUpper(c.Reason)])
		resp, err := client.Raffles.StrikeWinner(ctx,
			&rafflev1.StrikeWinnerRequest{RaffleId: c.Raffle, Ticket: c.Ticket, Reason: reason, RequestId: requestID()})
		if err != nil {
			return err
		}
		if c.Format.JSON() {
			return out.Message(resp)
		}
		out.Printf("ticket %d is struck\n", c.Ticket)
		if s := resp.GetSuccessor(); s != nil {
			out.Printf("ticket %d has its place\n", s.GetTicket())
		} else {
			out.Printf("the prize is vacant: rafflecast redraw %d draws it again\n", c.Raffle)
		}
		return nil
	})
}

type winnersCommand struct {
	raffleCommand

	Members bool `name:"members" per-call:"" help:"Tell the members, too, which only operators may ask."`
}

// Help returns the details of the command's help.
func (*winnersCommand) Help() string {
	return `Examples:

    rafflecast winners 1
    rafflecast winners 1 --members -o json | jq -r .memberId`
}

// Run runs the command.
func (c *winnersCommand) Run(ctx context.Context, out *console.Console) error {
	return c.call(ctx, func(client *connect.Client) error {
		rows := [][]string{{"PLACE", "TICKET", "STATE", "MEMBER", "PRIZE"}}
		vacant, err := eachWinner(ctx, client, c.Raffle, c.Members, func(w *rafflev1.Winner) error {
			if c.Format.JSON() {
				return out.Message(w)
			}
			rows = append(rows, []string{
				strconv.Itoa(int(w.GetPlace())), strconv.FormatInt(w.GetTicket(), 10), winnerState(w),
				orDash(w.GetMemberId()), orDash(w.GetPrize()),
			})
			return nil
		})
		if err != nil || c.Format.JSON() {
			return err
		}
		if len(rows) == 1 {
			out.Notef("raffle %d has no winners: it is not drawn, or nobody has entered", c.Raffle)
			return nil
		}
		if err := out.Table(rows); err != nil {
			return err
		}
		if vacant > 0 {
			out.Notef("nobody holds %d of the prizes: rafflecast redraw %d draws them again", vacant, c.Raffle)
		}
		return nil
	})
}

func winnerState(w *rafflev1.Winner) string {
	if w.GetState() == rafflev1.Winner_STRUCK {
		return "STRUCK " + w.GetStrikeReason().String()
	}
	return w.GetState().String()
}

func orDash(text string) string {
	if text == "" {
		return "-"
	}
	return text
}

// eachWinner calls do for each ticket that was drawn, and returns how many prizes are
// vacant.
func eachWinner(
	ctx context.Context, client *connect.Client, id int64, members bool, do func(*rafflev1.Winner) error,
) (vacant int32, err error) {
	req := &rafflev1.ListWinnersRequest{RaffleId: id, PageSize: maxPage, WithMembers: members}
	for {
		page, err := client.Raffles.ListWinners(ctx, req)
		if err != nil {
			return 0, err
		}
		for _, w := range page.GetWinners() {
			if err := do(w); err != nil {
				return 0, err
			}
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			return page.GetVacant(), nil
		}
	}
}
