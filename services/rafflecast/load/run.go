package load

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/rafflecast/rafflecast/services/rafflecast/internal/connect"
)

// Run makes raffles, enters members into them and verifies the entries. It writes
// the first raffle's id and the results to out, and a line per second to progress.
// When ctx ends, it stops sending and verifies what was sent. It returns an error if
// a setting is wrong, the service or the database cannot be reached, the verification
// or the watched gateway has a fault, or the callers were answered worse than the
// settings allow.
func Run(ctx context.Context, cfg Config, out, progress io.Writer) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	if err := checkDatabase(ctx, cfg.DatabaseURL); err != nil {
		return err
	}
	options, err := cfg.Credentials.DialOptions()
	if err != nil {
		return err
	}
	conns, err := Dial(cfg.Target, cfg.Connections, options...)
	if err != nil {
		return err
	}
	defer conns.Close()
	if err := connect.Check(ctx, conns[0], cfg.Target); err != nil {
		return err
	}
	g, err := Prepare(ctx, cfg, conns)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "first raffle %d\n", g.plan.Raffles[0])
	watched, err := watchFlow(ctx, &cfg, g.plan.Raffles[0], conns[0])
	if err != nil {
		return err
	}
	result, err := g.Send(ctx, progress)
	result.report(out, &cfg)
	errFlow := errors.Join(result.judge(&cfg), watched.finish(out))
	if err != nil {
		fmt.Fprintln(progress, "sending ended early:", err)
	}
	if cfg.DatabaseURL == "" {
		fmt.Fprintf(out, "\nnot verified: no --database-url\nRESULT acknowledged %d\n", result.Acknowledged)
		return errors.Join(err, errFlow)
	}
	found, errVerify := g.verifyEventually(context.WithoutCancel(ctx), cfg.DatabaseURL)
	if errVerify != nil {
		return errors.Join(err, errFlow, errVerify)
	}
	found.report(out, result.Acknowledged)
	return errors.Join(err, errFlow, found.err())
}
