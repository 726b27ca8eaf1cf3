package commands

import (
	"context"
	"encoding/hex"
	"fmt"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/connect"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/console"
)

// memberCommand is what commands about a member have in common.
type memberCommand struct {
	raffleCommand

	Member    string `arg:"" optional:"" form:"1 to 64 of A-Z a-z 0-9 _ . : @ -" help:"Id of the member; with a member's token it may be left out."`
	RequestID string `name:"request-id" per-call:"" form:"a UUID" help:"Name of this request: repeated with the same one, it has no second effect. Without it, a random one."`
}

// id returns the request id.
func (c *memberCommand) id() string {
	if c.RequestID == "" {
		return requestID()
	}
	return c.RequestID
}

type enterCommand struct{ memberCommand }

// Help returns the details of the command's help.
func (*enterCommand) Help() string {
	return `If the service draws the raffle, keep ticket and opening: they show whose the entry is. Examples:

    rafflecast enter 1 minji
    rafflecast enter 1 minji --request-id=6f2c2bd0-5f0e-4c11-9d86-1c3c1a0d5a0e`
}

// Run runs the command.
func (c *enterCommand) Run(ctx context.Context, out *console.Console) error {
	return c.call(ctx, func(client *connect.Client) error {
		req := &rafflev1.EnterRequest{RaffleId: c.Raffle, MemberId: c.Member, RequestId: c.id()}
		resp, err := client.Entries.Enter(ctx, req)
		if err != nil {
			return err
		}
		if c.Format.JSON() {
			return out.Message(resp)
		}
		again := ""
		if resp.GetReplayed() {
			again = ", by an earlier request with this id"
		}
		out.Printf("%s is in raffle %d%s\n", resp.GetEntry().GetMemberId(), c.Raffle, again)
		printEntry(out, resp.GetEntry())
		if len(resp.GetOpening()) > 0 {
			out.Printf("%-12s %s\n", "opening", hex.EncodeToString(resp.GetOpening()))
		}
		printMember(out, resp.GetOdds(), resp.GetMemberEntries())
		return nil
	})
}

type withdrawCommand struct {
	memberCommand

	Ordinal int32 `name:"ordinal" per-call:"" default:"0" min:"1" zero:"the newest" help:"Which of the member's entries to take back."`
}

// Help returns the details of the command's help.
func (*withdrawCommand) Help() string {
	return `Examples:

    rafflecast withdraw 1 minji
    rafflecast withdraw 1 minji --ordinal=2`
}

// Run runs the command.
func (c *withdrawCommand) Run(ctx context.Context, out *console.Console) error {
	req := &rafflev1.WithdrawRequest{RaffleId: c.Raffle, MemberId: c.Member, RequestId: c.id()}
	if c.Ordinal != 0 {
		req.Ordinal = &c.Ordinal
	}
	return c.call(ctx, func(client *connect.Client) error {
		resp, err := client.Entries.Withdraw(ctx, req)
		if err != nil {
			return err
		}
		if c.Format.JSON() {
			return out.Message(resp)
		}
		e := resp.GetEntry()
		out.Printf("entry %d of %s in raffle %d is taken back\n", e.GetOrdinal(), e.GetMemberId(), c.Raffle)
		printMember(out, resp.GetOdds(), resp.GetMemberEntries())
		return nil
	})
}

func printEntry(out *console.Console, e *rafflev1.Entry) {
	out.Printf("%-12s %d\n", "entry", e.GetOrdinal())
	if e.Ticket != nil {
		out.Printf("%-12s %d\n", "ticket", e.GetTicket())
	}
}

// printMember writes what a member has now.
func printMember(out *console.Console, odds *rafflev1.Odds, entries int32) {
	out.Printf("%-12s %s\n", "entries", fmt.Sprintf("%d of this member, %d in all", entries, odds.GetEntries()))
	if entries > 0 {
		out.Printf("%-12s %s\n", "own chance", ownChance(odds, entries))
	}
}
