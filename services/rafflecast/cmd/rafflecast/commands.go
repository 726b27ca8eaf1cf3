package main

import (
	"context"
	"log/slog"
	"os"

	"github.com/rafflecast/rafflecast/services/draw/verifier"
	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/devtoken"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/doctor"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/signingkey"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/watch"
	"github.com/rafflecast/rafflecast/services/rafflecast/load"
	"github.com/rafflecast/rafflecast/services/rafflecast/standalone"
)

// commands are the commands of the program.
type commands struct {
	Run    runCommand    `cmd:"" help:"Run both services, NATS and PostgreSQL in one process until SIGINT or SIGTERM."`
	Load   loadCommand   `cmd:"" help:"Enter members into raffles of a running service, and verify the entries."`
	Watch  watchCommand  `cmd:"" help:"Watch a raffle with many clients until it is closed, and check what each of them receives."`
	Close  closeCommand  `cmd:"" help:"Close a raffle, which ends load --until-closed and watch."`
	Doctor doctorCommand `cmd:"" help:"Diagnose the proxies between browsers and this gateway."`
	Token  tokenCommand  `cmd:"" help:"Print a token for development, and make the keys for it."`

	Verify     verifyCommand     `cmd:"" passthrough:"" help:"Check the draw of a raffle, by the URL of its page or by files: what the command rafflecast-verify does."`
	SigningKey signingKeyCommand `cmd:"" help:"Make a key that signs the logs of raffles, and print the key that verifies them."`
}

type runCommand struct {
	Config standalone.Config `embed:""`
}

// Help returns the details of the command's help.
func (*runCommand) Help() string {
	return `The settings of the services have the prefixes --participation- and --gateway-, and the same environment variables as in the services' own programs. Example:

    rafflecast run --gateway-address=127.0.0.1:8080 --data-dir=/var/tmp/rafflecast`
}

// Run runs the command.
func (c *runCommand) Run(ctx context.Context, log *slog.Logger) error {
	command.LogStart(log, "rafflecast")
	participation.RedirectGRPCLog(log)
	c.Config.Log, c.Config.Out = log, os.Stdout
	return standalone.Run(ctx, c.Config)
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
func (c *loadCommand) Run(ctx context.Context) error {
	return load.Run(ctx, c.Config, os.Stdout, os.Stderr)
}

type watchCommand struct {
	Config watch.Config `embed:""`
}

// Help returns the details of the command's help.
func (*watchCommand) Help() string {
	return `It checks that no client receives an old version after a newer one, or one twice, and that each has the final odds in time. Example:

    rafflecast watch --raffle=1 --clients=5000`
}

// Run runs the command.
func (c *watchCommand) Run(ctx context.Context) error {
	return watch.Run(ctx, c.Config, os.Stdout, os.Stderr)
}

type closeCommand struct {
	Config load.CloseConfig `embed:""`
}

// Run runs the command.
func (c *closeCommand) Run(ctx context.Context) error {
	return load.Close(ctx, c.Config, os.Stdout)
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
func (c *doctorCommand) Run(ctx context.Context) error {
	return doctor.Run(ctx, c.Config, os.Stdout, os.Stderr)
}

type tokenCommand struct {
	Config devtoken.Config `embed:""`
}

// Help returns the details of the command's help.
func (*tokenCommand) Help() string {
	return `Whoever has the private key can be anybody: in production, tokens come from an identity provider. Example:

    TOKEN=$(rafflecast token --subject=7)
    rafflecast run --auth-jwks=.data/keys/jwks.json --auth-issuer=rafflecast-development`
}

// Run runs the command.
func (c *tokenCommand) Run() error { return devtoken.Run(c.Config, os.Stdout, os.Stderr) }

type verifyCommand struct {
	Args []string `arg:"" optional:"" form:"the arguments of rafflecast-verify" help:"Arguments of rafflecast-verify; --help lists them."`
}

// Run runs the command. The exit code is the verifier's answer.
func (c *verifyCommand) Run(ctx context.Context) error {
	os.Exit(verifier.Run(ctx, c.Args, os.Stdout, os.Stderr))
	return nil
}

type signingKeyCommand struct {
	Config signingkey.Config `embed:""`
}

// Run runs the command.
func (c *signingKeyCommand) Run() error { return signingkey.Run(c.Config, os.Stdout) }
