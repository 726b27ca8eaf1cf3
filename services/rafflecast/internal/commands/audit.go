package commands

import (
	"context"
	"strconv"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/connect"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/console"
)

type auditCommand struct {
	serviceCommand

	Raffle int64 `arg:"" optional:"" default:"0" min:"1" zero:"all raffles" help:"Id of the raffle."`
	Limit  int   `name:"limit" per-call:"" default:"100" min:"1" max:"1000000" unit:"events" help:"Most events to list."`
}

// Help returns the details of the command's help.
func (*auditCommand) Help() string {
	return `The newest come first. Only operators may read them. Example:

    rafflecast audit 1 --limit=10`
}

// Run runs the command.
func (c *auditCommand) Run(ctx context.Context, out *console.Console) error {
	return c.call(ctx, func(client *connect.Client) error {
		rows := [][]string{{"ID", "AT", "CALL", "RAFFLE", "ACTOR", "MEMBER"}}
		req := &rafflev1.ListAuditEventsRequest{RaffleId: c.Raffle}
		for left := c.Limit; left > 0; {
			req.PageSize = int32(min(left, maxPage))
			page, err := client.Audit.ListAuditEvents(ctx, req)
			if err != nil {
				return err
			}
			for _, e := range page.GetEvents() {
				if c.Format.JSON() {
					if err := out.Message(e); err != nil {
						return err
					}
					continue
				}
				rows = append(rows, []string{
					strconv.FormatInt(e.GetId(), 10), formatTime(e.GetAt()), e.GetCall(),
					strconv.FormatInt(e.GetRaffleId(), 10), orDash(e.GetActor()), orDash(e.GetMemberId()),
				})
			}
			left -= len(page.GetEvents())
			if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
				break
			}
		}
		if c.Format.JSON() {
			return nil
		}
		return out.Table(rows)
	})
}
