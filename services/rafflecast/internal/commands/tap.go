package commands

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/nats-io/nats.go"
	"google.golang.org/protobuf/proto"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/internal/natsconn"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/console"
)

type tapCommand struct {
	Format  console.Format          `embed:""`
	Servers natsconn.ServerSettings `embed:"" group:"Connection:"`

	Raffle int64 `arg:"" optional:"" default:"0" min:"1" zero:"all raffles" help:"Id of the raffle."`
	Count  int   `name:"count" per-call:"" default:"0" min:"1" zero:"until it is interrupted" help:"End after so many messages."`
}

// Help returns the details of the command's help.
func (*tapCommand) Help() string {
	return `It listens to what participation publishes and all gateways receive, and changes nothing. rafflecast run prints the URL of its NATS. Examples:

    rafflecast tap --nats-url=nats://127.0.0.1:4222
    rafflecast tap 1 -o json | jq '[.version, .entries]'`
}

// tapBuffer is how many messages may wait for a slow reader, before some are lost.
const tapBuffer = 4096

// Run runs the command.
func (c *tapCommand) Run(ctx context.Context, out *console.Console) error {
	connected := make(chan struct{})
	missed := make(chan error, 1)
	miss := func(err error) {
		select {
		case missed <- err:
		default: // one is reported already
		}
	}
	nc, err := natsconn.Connect(
		natsconn.Servers{URL: c.Servers.NATSURL, CA: c.Servers.NATSCA, Credentials: c.Servers.NATSCredentials},
		"rafflecast-tap", slog.New(slog.DiscardHandler), natsconn.Callbacks{
			OnConnect:   func() { close(connected) },
			OnReconnect: func() { miss(errors.New("the connection to NATS was lost and is back")) },
			OnError:     miss,
		})
	if err != nil {
		return err
	}
	defer nc.Close()
	select {
	case <-connected:
	case <-ctx.Done():
		return nil
	case <-time.After(dialTimeout):
		return errors.New("no NATS server answers as --nats-url says; rafflecast run prints the URL of its own")
	}
	messages := make(chan *nats.Msg, tapBuffer)
	if _, err := nc.ChanSubscribe(c.Servers.Names().AllLive(), messages); err != nil {
		return err
	}
	if err := nc.Flush(); err != nil {
		return err
	}
	out.Notef("listening to %s", c.Servers.Names().AllLive())
	for seen := 0; c.Count == 0 || seen < c.Count; {
		select {
		case m := <-messages:
			shown, err := c.show(out, m)
			if err != nil {
				return err
			}
			seen += shown
		case err := <-missed:
			out.Notef("some messages may be missing: %v", err)
		case <-ctx.Done():
			return nil
		}
	}
	return nil
}

// dialTimeout bounds the wait for the first connection.
const dialTimeout = 3 * time.Second

// show writes a message, and returns 1 if it was to be shown.
func (c *tapCommand) show(out *console.Console, m *nats.Msg) (int, error) {
	id, ok := c.Servers.Names().RaffleID(m.Subject)
	if c.Raffle != 0 && id != c.Raffle {
		return 0, nil
	}
	var odds rafflev1.Odds
	if readable := proto.Unmarshal(m.Data, &odds) == nil; !readable || !ok || odds.GetId() != id {
		out.Notef("%s: %d bytes that are no odds of this raffle", m.Subject, len(m.Data))
		return 1, nil
	}
	if c.Format.JSON() {
		return 1, out.Message(&odds)
	}
	removed := ""
	if odds.GetRemoved() {
		removed = "  removed"
	}
	out.Printf(
		"%s  %-20s version %-6d %-9s %7d entries %7d members  %s  %q%s\n",
		odds.GetAt().AsTime().Local().Format("15:04:05.000"),
		m.Subject,
		odds.GetVersion(),
		odds.GetState(),
		odds.GetEntries(),
		odds.GetMembers(),
		percent(odds.WinnerProbability),
		console.Printable(odds.GetTitle()),
		removed,
	)
	return 1, nil
}

// percent writes a chance that the service has calculated.
func percent(p *float64) string {
	if p == nil {
		return "no chance yet"
	}
	return fmt.Sprintf("%.4g %%", *p)
}
