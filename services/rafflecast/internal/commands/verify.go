package commands

import (
	"context"
	"regexp"
	"strings"

	"github.com/rafflecast/rafflecast/services/draw/verifier"
	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/connect"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/console"
)

type verifyCommand struct {
	Format  console.Format  `embed:""`
	Gateway connect.Gateway `embed:""`

	What      []string `arg:"" form:"an id, a URL that ends like /raffle/1, or files" help:"Id of a raffle at the gateway, URL of a raffle's page, or the files of log and checkpoint; then checkpoints and receipts that were kept earlier."`
	Key       string   `name:"key" per-call:"" form:"name+hash+key" help:"Key that verifies the signatures of the log; without it, the one that the server tells."`
	ChainInfo string   `name:"chain-info" per-call:"" form:"a file that a relay of drand serves at /info" help:"Chain that the draw uses; quicknet is known."`
	Member    string   `name:"member" per-call:"" form:"a member id" help:"Member whose tickets to find, with --opening."`
	Opening   string   `name:"opening" per-call:"" form:"32 bytes, in hexadecimal or Base64" help:"What the member was given when entering."`
}

// Help returns the details of the command's help.
func (*verifyCommand) Help() string {
	return `It does what rafflecast-verify does. The exit code is 0 if all is true, 1 if something is false, and 2 if that cannot be told. Examples:

    rafflecast verify 1
    rafflecast verify https://raffles.example.com/raffle/1
    rafflecast verify 1 --member=minji --opening=ff3e749a0ff991b913819107ffdba76998fa3f875d2d233024b72cfe9c99fa33`
}

var decimal = regexp.MustCompile(`^[1-9][0-9]*$`)

// args returns the arguments of rafflecast-verify.
func (c *verifyCommand) args() (args []string) {
	for _, flag := range []struct{ name, value string }{
		{"--key", c.Key}, {"--chain-info", c.ChainInfo}, {"--member", c.Member}, {"--opening", c.Opening},
	} {
		if flag.value != "" {
			args = append(args, flag.name+"="+flag.value)
		}
	}
	if c.Format.JSON() {
		args = append(args, "--json")
	}
	args = append(args, "--")
	for i, what := range c.What {
		if i == 0 && decimal.MatchString(what) {
			what = strings.TrimSuffix(c.Gateway.URL, "/") + "/raffle/" + what
		}
		args = append(args, what)
	}
	return args
}

// Run runs the command. The exit code is the verifier's answer.
func (c *verifyCommand) Run(ctx context.Context, out *console.Console) error {
	if code := verifier.Run(ctx, c.args(), out.Out, out.Err); code != 0 {
		return &command.ExitError{Code: code}
	}
	return nil
}
