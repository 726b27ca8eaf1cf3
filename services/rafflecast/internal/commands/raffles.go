package commands

import (
	"context"
	"strings"

	"github.com/google/uuid"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/connect"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/console"
)

// serviceCommand is what commands have in common that call participation.
type serviceCommand struct {
	Format  console.Format  `embed:""`
	Service connect.Service `embed:""`
}

// call calls do with a connection.
func (s *serviceCommand) call(ctx context.Context, do func(*connect.Client) error) error {
	client, err := s.Service.Connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	return do(client)
}

// raffleCommand is what commands about one raffle have in common.
type raffleCommand struct {
	serviceCommand

	Raffle int64 `arg:"" min:"1" help:"Id of the raffle."`
}

// requestID lets a request be repeated without a second effect.
func requestID() string { return uuid.NewString() }

type listCommand struct {
	serviceCommand

	State string `name:"state" per-call:"" default:"any" enum:"any,scheduled,open,closed,cancelled,drawn" help:"Only raffles in this state."`
	Limit int    `name:"limit" per-call:"" default:"100" min:"1" max:"1000000" unit:"raffles" help:"Most raffles to list."`
}

// Help returns the details of the command's help.
func (*listCommand) Help() string {
	return `Examples:

    rafflecast list --state=open
    rafflecast list -o json | jq -r .title`
}

// maxPage is the greatest page that the service returns.
const maxPage = 1000

// Run runs the command.
func (c *listCommand) Run(ctx context.Context, out *console.Console) error {
	return c.call(ctx, func(client *connect.Client) error {
		rows := [][]string{raffleHeading}
		state := rafflev1.Raffle_State_value[strings.ToUpper(c.State)] // of "any" it is unspecified
		req := &rafflev1.ListRafflesRequest{State: rafflev1.Raffle_State(state)}
		for left := c.Limit; left > 0; {
			req.PageSize = int32(min(left, maxPage))
			page, err := client.Raffles.ListRaffles(ctx, req)
			if err != nil {
				return err
			}
			for _, r := range page.GetRaffles() {
				if !c.Format.JSON() {
					rows = append(rows, raffleRow(r))
				} else if err := out.Message(r); err != nil {
					return err
				}
			}
			left -= len(page.GetRaffles())
			if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
				break
			}
		}
		if !c.Format.JSON() {
			if err := out.Table(rows); err != nil {
				return err
			}
		}
		if req.GetPageToken() != "" {
			out.Notef("there are more raffles: --limit lists more than %d", c.Limit)
		}
		return nil
	})
}

type showCommand struct{ raffleCommand }

// Help returns the details of the command's help.
func (*showCommand) Help() string {
	return `Examples:

    rafflecast show 1
    rafflecast show 1 -o json | jq -r .state`
}

// Run runs the command.
func (c *showCommand) Run(ctx context.Context, out *console.Console) error {
	return c.call(ctx, func(client *connect.Client) error {
		resp, err := client.Raffles.GetRaffle(ctx, &rafflev1.GetRaffleRequest{RaffleId: c.Raffle})
		if err != nil {
			return err
		}
		return c.print(out, resp.GetRaffle())
	})
}

// print writes a raffle in the format that was asked for.
func (s *serviceCommand) print(out *console.Console, r *rafflev1.Raffle) error {
	if s.Format.JSON() {
		return out.Message(r)
	}
	return printRaffle(out, r)
}
