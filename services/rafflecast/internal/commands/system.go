package commands

import (
	"context"
	"log/slog"

	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/console"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/devtoken"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/doctor"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/loadstreams"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/signingkey"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/watch"
	"github.com/rafflecast/rafflecast/services/rafflecast/load"
	"github.com/rafflecast/rafflecast/services/rafflecast/standalone"
)

type runCommand struct {
	Config standalone.Config `embed:""`
}

// Help returns the details of the command's help.
func (*runCommand) Help() string {
	return `It runs until SIGINT or SIGTERM. The settings of the services have the prefixes --participation- and --gateway-, and the same environment variables as in the services' own programs. Examples:

    rafflecast run
    rafflecast run --demo
    rafflecast run --gateway-address=127.0.0.1:8080 --data-dir=/var/tmp/rafflecast`
}

// Run runs the command.
func (c *runCommand) Run(ctx context.Context, log *slog.Logger, out *console.Console) error {
	command.LogStart(log, "rafflecast")
	participation.RedirectGRPCLog(log)
	c.Config.Log, c.Config.Out = log, out.Out
	return standalone.Run(ctx, c.Config)
}

type watchCommand struct {
	Config watch.Config `embed:""`
}

// Help returns the details of the command's help.
func (*watchCommand) Help() string {
	return `On a terminal the figure is redrawn in place; elsewhere each change is a line. It comes back after every cut, and ends once the odds are final. Examples:

    rafflecast watch 1
    rafflecast watch 1 -o json | jq .winnerProbability`
}

// Run runs the command.
func (c *watchCommand) Run(ctx context.Context, out *console.Console) error {
	return watch.Run(ctx, c.Config, out)
}

type loadCommand struct {
	Config load.Config `embed:""`
}

// Help returns the details of the command's help.
func (*loadCommand) Help() string {
	return `With --database-url, the entries in the database are compared with the answers afterwards. Examples:

    rafflecast load --mode=stream --concurrency=1000 --duration=30s --database-url=postgres://...
    rafflecast load --rate=500 --count=10000 --raffles=10`
}

// Run runs the command.
func (c *loadCommand) Run(ctx context.Context, out *console.Console) error {
	c.Config.Bar = out.ErrTerminal
	return load.Run(ctx, c.Config, out.Out, out.Err)
}

type loadStreamsCommand struct {
	Config loadstreams.Config `embed:""`
}

// Help returns the details of the command's help.
func (*loadStreamsCommand) Help() string {
	return `It checks that no client receives an old version after a newer one, or one twice, and that each has the final odds in time. Example:

    rafflecast load-streams 1 --clients=5000`
}

// Run runs the command.
func (c *loadStreamsCommand) Run(ctx context.Context, out *console.Console) error {
	return loadstreams.Run(ctx, c.Config, out.Out, out.Err)
}

type doctorCommand struct {
	Config doctor.Config `embed:""`
}

// Help returns the details of the command's help.
func (*doctorCommand) Help() string {
	return `It watches a raffle at the gateway's public address as a browser would, and changes nothing. The exit code is 0 if all is well, 1 if there is a fault, and 2 if that cannot be told. Example:

    rafflecast doctor https://odds.example.org`
}

// Run runs the command.
func (c *doctorCommand) Run(ctx context.Context, out *console.Console) error {
	return doctor.Run(ctx, c.Config, out.Out, out.Err)
}

type tokenCommand struct {
	Config devtoken.Config `embed:""`
}

// Help returns the details of the command's help.
func (*tokenCommand) Help() string {
	return `Whoever has the private key can be anybody: in production, tokens come from an identity provider. Example:

    export RAFFLECAST_TOKEN=$(rafflecast token --subject=ann --scope=operator)
    rafflecast run --auth-jwks=.data/keys/jwks.json --auth-issuer=rafflecast-development`
}

// Run runs the command.
func (c *tokenCommand) Run(out *console.Console) error {
	return devtoken.Run(c.Config, out.Out, out.Err)
}

type signingKeyCommand struct {
	Config signingkey.Config `embed:""`
}

// Help returns the details of the command's help.
func (*signingKeyCommand) Help() string {
	return `Example:

    rafflecast signing-key raffles.example.com signing.key`
}

// Run runs the command.
func (c *signingKeyCommand) Run(out *console.Console) error {
	return signingkey.Run(c.Config, out.Out)
}
