package faults

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"time"
)

// Config configures a run of one seed.
type Config struct {
	Dir      string // for data and logs; it must exist and be empty
	Programs Programs
	Seed     uint64
	Faults   int    // how many to throw
	Phase    int    // faults between two judgements; 0: 10
	Clients  int    // of the gateways; 0: 300
	Only     string // only kinds whose name contains one of these, separated by commas; empty: all
	Restore  bool   // restore the database to an older dump on the way
	CutOff   bool   // cut off the NATS server of all services, once
	Out      io.Writer
}

// run is a system with those who use it, judge it and break it.
type run struct {
	cfg         Config
	system      *system
	callers     *callers
	subscribers *subscribers
	lateness    *lateness
	findings    *Findings
	first       *[participations + gateways]usage

	stopEntering func()
	stopCalls    func() // stops entering, and returns when no call is under way
}

// Run starts a system, breaks it on the schedule of the seed, and judges it after
// each phase. An error means that the run itself failed, and nothing is known.
func Run(ctx context.Context, cfg Config) (f *Findings, err error) {
	if cfg.Phase == 0 {
		cfg.Phase = 10
	}
	if cfg.Clients == 0 {
		cfg.Clients = 300
	}
	began := time.Now()
	r := &run{cfg: cfg, lateness: &lateness{}, findings: NewFindings(), stopCalls: func() {}}
	plan, err := newSchedule(cfg.Seed, cfg.Only)
	if err != nil {
		return r.findings, err
	}
	if r.system, err = newSystem(ctx, cfg.Dir, cfg.Programs); err != nil {
		return r.findings, err
	}
	defer r.system.stop()
	r.callers = newCallers(r.system.callers[:], r.lateness)
	if err := r.callers.create(ctx); err != nil {
		return r.findings, fmt.Errorf("create raffles: %w", err)
	}
	var bases []string
	for _, port := range r.system.webPorts {
		bases = append(bases, fmt.Sprintf("http://127.0.0.1:%d", port))
	}
	r.subscribers = newSubscribers(cfg.Clients, bases, r.callers.ids)
	watching, stopWatching := context.WithCancel(ctx)
	var running sync.WaitGroup
	defer running.Wait()
	defer stopWatching()
	defer func() { r.stopCalls() }()
	running.Go(func() { r.lateness.run(watching) })
	running.Go(func() { r.subscribers.run(watching) })
	err = r.phases(ctx, newThrower(r.system, plan, cfg.Out))
	if err == nil {
		err = r.judgeLogs()
	}
	r.judgeStops()
	r.collect()
	r.findings.Took = time.Since(began)
	return r.findings, err
}

// hushedFor is how much longer the faults last among which entries stop: they shall
// last until after that.
const hushedFor = 2500 * time.Millisecond

// phases throws all faults and judges between them. The first judgement is of a
// system that nobody has disturbed yet.
func (r *run) phases(ctx context.Context, t *thrower) error {
	r.startCallers(ctx)
	pause(ctx, time.Second)
	if err := r.judge(ctx, false); err != nil {
		return fmt.Errorf("before the first fault: %w", err)
	}
	r.subscribers.forgetDenied()
	f := r.findings
	f.Kinds = t.kinds
	half := r.cfg.Faults / 2
	for phase := 1; f.Faults < r.cfg.Faults; phase++ {
		if err := r.callers.createShort(ctx); err != nil {
			return err
		}
		r.startCallers(ctx)
		n := min(r.cfg.Phase, r.cfg.Faults-f.Faults)
		// In every second phase entries stop among the last faults, so that what those
		// leave undone is not covered up by what comes later.
		hushed := phase%2 == 0
		last := 0
		if hushed {
			last = min(n, 3)
		}
		if err := t.throw(ctx, n-last, 0); err != nil {
			return err
		}
		restores := r.cfg.Restore && f.Faults <= half && half < f.Faults+n
		f.Faults += n
		if restores {
			if err := r.restore(ctx, t, r.cfg.Seed%4 == 0); err != nil {
				return err
			}
		}
		if hushed {
			hush := time.AfterFunc(300*time.Millisecond+rand.N(time.Second), r.stopEntering)
			err := t.throw(ctx, last, hushedFor)
			hush.Stop()
			r.stopEntering()
			if err != nil {
				return err
			}
		}
		if err := r.judge(ctx, hushed); err != nil {
			return err
		}
		if hushed {
			continue
		}
		if err := r.judgeIsolation(ctx); err != nil {
			return err
		}
		if phase == 1 && r.cfg.CutOff {
			if err := r.judgeCutOff(ctx); err != nil {
				return err
			}
		}
	}
	return nil
}

// startCallers has callers enter until stopEntering or stopCalls is called.
func (r *run) startCallers(ctx context.Context) {
	entering, stopEntering := context.WithCancel(ctx)
	calls, cutCalls := context.WithCancel(ctx)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		r.callers.run(entering, calls)
	}()
	r.stopEntering = stopEntering
	r.stopCalls = func() {
		stopEntering()
		defer cutCalls()
		began := time.Now()
		select {
		case <-ended:
			return
		case <-time.After(15 * time.Second):
		}
		r.findings.Others = append(r.findings.Others, fmt.Sprintf("calls were still failing %v after everything ran again; this process was late by %v",
			time.Since(began), r.lateness.since(began)))
		cutCalls()
		<-ended
	}
}

// collect adds what callers and clients have noted.
func (r *run) collect() {
	f, w, c := r.findings, r.subscribers, r.callers
	w.mu.Lock()
	f.Regressed, f.UpdatesDoubled = w.regressed, w.doubled
	f.Doubled = append(f.Doubled, w.contradicted...)
	f.WithoutFinal = append(f.WithoutFinal, w.denied...)
	f.Events, f.Resets, f.Refused = w.events, w.resets, w.refused
	w.mu.Unlock()
	c.mu.Lock()
	f.Codes, f.SlowestAttempt = c.codes, c.slowest
	f.Others = append(f.Others, c.faults...)
	for _, e := range c.entries {
		if e.refused != "" {
			f.RefusedByRule[e.refused]++
		}
	}
	c.mu.Unlock()
	// What is wrong in one judgement is wrong in those that follow.
	f.Lost, f.Doubled = unique(f.Lost), unique(f.Doubled)
	f.Late = r.lateness.worst()
}

func unique(found []string) []string {
	slices.Sort(found)
	return slices.Compact(found)
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
