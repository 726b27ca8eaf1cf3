package commands

import (
	"context"
	"encoding/csv"
	"strconv"
	"strings"
	"time"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/connect"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/console"
)

type exportCommand struct {
	Service connect.Service `embed:""`

	Raffle  int64  `arg:"" min:"1" help:"Id of the raffle."`
	Winners bool   `name:"winners" per-call:"" help:"Write the winners with their members, instead of all entries."`
	Output  string `name:"output" short:"o" per-call:"" default:"csv" enum:"csv,json" help:"How entries are written: as CSV with a heading, or one JSON object per line."`
}

// Help returns the details of the command's help.
func (*exportCommand) Help() string {
	return `Entries come by member and ordinal. Those that are made meanwhile may be missing. Examples:

    rafflecast export 1 > entrants.csv
    rafflecast export 1 --winners > winners.csv`
}

// Run runs the command.
func (c *exportCommand) Run(ctx context.Context, out *console.Console) error {
	client, err := c.Service.Connect(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	if c.Winners {
		return c.exportWinners(ctx, client, out)
	}
	return c.exportEntries(ctx, client, out)
}

func (c *exportCommand) exportEntries(ctx context.Context, client *connect.Client, out *console.Console) error {
	w := c.writer(out, "member_id", "ordinal", "created_at", "ticket")
	req := &rafflev1.ListEntriesRequest{RaffleId: c.Raffle, PageSize: maxPage}
	for {
		page, err := client.Entries.ListEntries(ctx, req)
		if err != nil {
			return err
		}
		for _, e := range page.GetEntries() {
			if c.Output == "json" {
				err = out.Message(e)
			} else {
				at := e.GetCreatedAt().AsTime().Format(time.RFC3339Nano)
				err = w.Write([]string{e.GetMemberId(), strconv.Itoa(int(e.GetOrdinal())), at, ticket(e)})
			}
			if err != nil {
				return err
			}
		}
		if req.PageToken = page.GetNextPageToken(); req.PageToken == "" {
			w.Flush()
			return w.Error()
		}
	}
}

func (c *exportCommand) exportWinners(ctx context.Context, client *connect.Client, out *console.Console) error {
	w := c.writer(out, "place", "state", "prize", "ticket", "member_id", "drawing")
	_, err := eachWinner(ctx, client, c.Raffle, true, func(won *rafflev1.Winner) error {
		if c.Output == "json" {
			return out.Message(won)
		}
		return w.Write([]string{
			strconv.Itoa(int(won.GetPlace())), winnerState(won), cell(won.GetPrize()),
			strconv.FormatInt(won.GetTicket(), 10), won.GetMemberId(), strconv.Itoa(int(won.GetDrawing())),
		})
	})
	if err != nil {
		return err
	}
	w.Flush()
	return w.Error()
}

// writer returns a writer of CSV that has written its heading, unless JSON is written.
func (c *exportCommand) writer(out *console.Console, heading ...string) *csv.Writer {
	w := csv.NewWriter(out.Out)
	if c.Output != "json" {
		_ = w.Write(heading) // Error tells
	}
	return w
}

func ticket(e *rafflev1.Entry) string {
	if e.Ticket == nil {
		return ""
	}
	return strconv.FormatInt(e.GetTicket(), 10)
}

// cell returns a text that no spreadsheet takes for a formula. Member ids need none: they
// have no characters with which a formula could do anything.
func cell(text string) string {
	if text != "" && strings.ContainsAny(text[:1], "=+-@\t") {
		return "'" + text
	}
	return text
}
