package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Config configures a run of one seed.
type Config struct {
	Dir      string // for data and logs; it must exist and be empty
	Programs Programs
	Seed     uint64
	Faults   int    // how many to throw
	Only     string // only kinds whose name contains this; empty: all
	Restore  bool   // end with a restore of the database to an older dump
	Out      io.Writer
}

// Run starts a system, breaks it on the schedule of the seed, and checks it. An
// error means that the run itself failed, and nothing is known.
func Run(ctx context.Context, cfg Config) (f *Findings, err error) {
	f = &Findings{Kinds: make(map[string]int)}
	s, err := newSystem(ctx, cfg.Dir, cfg.Programs)
	if err != nil {
		return f, err
	}
	defer s.stop()
	c := newCallers(s)
	if err := c.create(ctx); err != nil {
		return f, fmt.Errorf("create raffles: %w", err)
	}
	w := newSubscribers(s, c.ids)
	watching, stopWatching := context.WithCancel(ctx)
	entering, stopEntering := context.WithCancel(ctx)
	calls, stopCalls := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stopWatching()
	defer stopCalls()
	defer stopEntering()
	running.Go(func() { w.run(watching) })
	entered := make(chan struct{})
	running.Go(func() { c.run(entering, calls); close(entered) })
	pause(ctx, time.Second)

	if err := throw(ctx, &cfg, s, f); err != nil {
		return f, err
	}
	if cfg.Restore {
		if err := restore(ctx, s, c); err != nil {
			return f, err
		}
		f.Kinds["restored to an older dump"]++
		f.Faults++
	}
	if err := s.heal(); err != nil {
		return f, err
	}
	if err := s.awaitReady(ctx, 60*time.Second); err != nil {
		return f, fmt.Errorf("after healing: %w", err)
	}
	pause(ctx, time.Second)
	stopEntering()
	select {
	case <-entered:
	case <-time.After(15 * time.Second):
		f.CallerFaults = append(f.CallerFaults, "calls were still failing 15 s after everything was healed")
	}
	stopCalls()
	<-entered
	return f, f.check(ctx, s, c, w)
}

// check judges everything, once nobody enters any more.
func (f *Findings) check(ctx context.Context, s *system, c *callers, w *subscribers) error {
	err := f.checkSubscribers(ctx, s, w, 5*time.Second)
	err = errors.Join(err, f.checkEntries(ctx, s, c), f.checkGhosts(ctx, s), f.checkLeaks(ctx, s), f.checkLogs(s))
	w.mu.Lock()
	f.Regressed, f.UpdatesDoubled = w.regressed, w.doubled
	f.Events, f.Resets, f.Refused = w.events, w.resets, w.refused
	w.mu.Unlock()
	c.mu.Lock()
	f.Codes, f.SlowestAttempt = c.codes, c.slowest
	f.CallerFaults = append(f.CallerFaults, c.faults...)
	c.mu.Unlock()
	return err
}

// throw throws the faults of a schedule, one or two at once.
func throw(ctx context.Context, cfg *Config, s *system, f *Findings) error {
	r := rand.New(rand.NewPCG(cfg.Seed, 1)) // a schedule that can be repeated
	choices := choose(cfg.Only)
	if len(choices) == 0 {
		return fmt.Errorf("there is no kind of fault like %q", cfg.Only)
	}
	for f.Faults < cfg.Faults && ctx.Err() == nil {
		var ends []func(context.Context) error
		for range 1 + r.IntN(2) {
			i := r.IntN(len(choices))
			k := choices[i]
			if k.once {
				choices = slices.DeleteFunc(choices, func(other kind) bool { return other.name == k.name })
			}
			end, err := k.disturb(ctx, s, r)
			if end != nil {
				ends = append(ends, end)
			}
			if err != nil { // another fault stands in its way
				f.Kinds["(not possible then) "+k.name]++
				continue
			}
			fmt.Fprintf(cfg.Out, "%s  %s\n", time.Now().Format("15:04:05.000"), k.name)
			f.Kinds[k.name]++
			f.Faults++
		}
		pause(ctx, 200*time.Millisecond+time.Duration(r.IntN(1500))*time.Millisecond)
		for _, end := range ends {
			// What stands in its way may be over in a moment.
			if err := eventually(ctx, 30*time.Second, "the fault is ended", end); err != nil {
				return err
			}
		}
		if err := s.startEnded(); err != nil {
			return err
		}
		pause(ctx, 100*time.Millisecond+time.Duration(r.IntN(900))*time.Millisecond)
	}
	return ctx.Err()
}

// choose returns the kinds by their weight.
func choose(only string) []kind {
	var all []kind
	for _, k := range kinds() {
		if !strings.Contains(k.name, only) {
			continue
		}
		for range k.weight {
			all = append(all, k)
		}
	}
	return all
}

func metrics(ctx context.Context, url string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// startEnded starts processes that a fault has ended beside its own target.
func (s *system) startEnded() error {
	for _, p := range s.processes() {
		if !p.alive() {
			if err := p.start(); err != nil {
				return err
			}
		}
	}
	return nil
}

// Build builds the programs that a run needs into dir.
func Build(ctx context.Context, dir string) (Programs, error) {
	const services = "github.com/rafflecast/rafflecast/services/"
	p := Programs{filepath.Join(dir, "participation"), filepath.Join(dir, "gateway"), filepath.Join(dir, "nats-server")}
	out, err := exec.CommandContext(ctx, "go", "build", "-o", dir, //nolint:gosec // our own programs
		services+"participation/cmd/participation", services+"gateway/cmd/gateway", "github.com/nats-io/nats-server/v2").CombinedOutput()
	if err != nil {
		return p, fmt.Errorf("build: %w: %s", err, out)
	}
	return p, nil
}
