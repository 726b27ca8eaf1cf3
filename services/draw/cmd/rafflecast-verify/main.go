// Command rafflecast-verify checks a raffle's drawings, see package verifier.
//
// It exits with 0 if all checks are true, with 1 if one is false, and with 2 if it can't
// tell.
package main

import (
	"context"
	"os"
	"os/signal"

	"github.com/rafflecast/rafflecast/services/draw/verifier"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	code := verifier.Run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}
