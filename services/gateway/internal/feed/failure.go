package feed

import (
	"context"
	"errors"
	"log/slog"

	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
)

// errNoStream is usual at the very first start: participation makes the stream.
var errNoStream = errors.New("there is no stream " + oddsstream.Name + " yet: participation makes it")

// failure remembers what went wrong last, so that it is logged once, however
// often it is tried again.
type failure struct{ last string }

func (f *failure) log(ctx context.Context, log *slog.Logger, cause Cause, err error) {
	if ctx.Err() != nil || err.Error() == f.last {
		return
	}
	f.last = err.Error()
	level := slog.LevelWarn
	if errors.Is(err, errNoStream) {
		level = slog.LevelInfo
	}
	log.Log(ctx, level, "odds: no snapshot yet", "cause", cause, "error", err)
}
