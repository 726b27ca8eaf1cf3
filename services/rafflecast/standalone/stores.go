package standalone

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/rafflecast/rafflecast/services/rafflecast/localdraw"
	"github.com/rafflecast/rafflecast/services/rafflecast/localnats"
	"github.com/rafflecast/rafflecast/services/rafflecast/localpg"
)

// stopTimeout bounds how long the stores may take to stop.
const stopTimeout = 5 * time.Second

// stores are the running stores.
type stores struct {
	nats        *localnats.Server
	postgres    *localpg.Server // nil: the database is not ours
	databaseURL string
	draws       *localdraw.Server // nil: draws are configured otherwise
}

// startStores starts NATS and, unless databaseURL names a database, PostgreSQL, both
// with their data in dir, and, unless draws are configured, what they need.
func startStores(ctx context.Context, dir, databaseURL string, draws bool, log *slog.Logger) (*stores, error) {
	s := &stores{databaseURL: databaseURL}
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() (err error) {
		s.nats, err = localnats.Start(gctx, filepath.Join(dir, "nats"), log)
		return err
	})
	if draws {
		g.Go(func() (err error) {
			s.draws, err = localdraw.Start(gctx, filepath.Join(dir, "draws"), log)
			return err
		})
	}
	if databaseURL == "" {
		g.Go(func() error { return s.startPostgres(gctx, dir, log) })
	}
	if err := g.Wait(); err != nil {
		return nil, errors.Join(err, s.stop(ctx))
	}
	return s, nil
}

func (s *stores) startPostgres(ctx context.Context, dir string, log *slog.Logger) error {
	binaries, err := localpg.Find(ctx, localpg.FindOptions{CacheDir: filepath.Join(dir, "cache"), Log: log})
	if err != nil {
		return err
	}
	if s.postgres, err = localpg.Start(
		ctx,
		localpg.Config{Binaries: binaries, Dir: filepath.Join(dir, "postgres"), Log: log},
	); err != nil {
		return err
	}
	s.databaseURL = s.postgres.URL()
	return nil
}

// stop stops the stores that are running.
func (s *stores) stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), stopTimeout)
	defer cancel()
	if s.nats != nil {
		s.nats.Stop()
	}
	if s.draws != nil {
		s.draws.Stop()
	}
	if s.postgres == nil {
		return nil
	}
	return s.postgres.Stop(ctx)
}

// awaitFailure waits until ctx ends and returns nil, or until PostgreSQL ends by
// itself and returns why.
func (s *stores) awaitFailure(ctx context.Context) error {
	if s.postgres == nil {
		return nil
	}
	select {
	case <-ctx.Done():
		return nil
	case <-s.postgres.Done():
		return s.postgres.Err()
	}
}
