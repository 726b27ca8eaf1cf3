package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
)

// Run measures everything. It writes the report to out, whose last lines begin with RESULT
// and are for programs, and what it is doing to log. It returns an error if a setting is
// wrong, a process does not start, or anything that the package's comment lists is wrong.
func Run(ctx context.Context, cfg Config, out, log io.Writer) error {
	if err := cfg.Validate(); err != nil {
		return err
	}
	s, err := startSystem(ctx, &cfg, log)
	if err != nil {
		return err
	}
	defer s.stop()
	fmt.Fprintf(log, "profiles: http://%s/debug/pprof/ (participation), http://%s/debug/pprof/ (gateway)\n",
		s.participation.at["ops"], s.gateway.at["ops"])
	turns := make(map[string][]figures) // by scene
	for turn := range cfg.Turns {
		for _, sc := range cfg.chosen() {
			f, err := s.measure(ctx, sc)
			if err != nil {
				return fmt.Errorf("scene %s: %w", sc.name, err)
			}
			turns[sc.name] = append(turns[sc.name], f)
			fmt.Fprintf(log, "turn %d of %d, %s: age p50 %.1f ms, p99 %.1f ms, %.0f deliveries/s\n", turn+1, cfg.Turns, sc.name,
				f[ageP50], f[ageP99], f[deliveries])
		}
	}
	fmt.Fprintf(out, "viewers   before the other processes by %s levels (nice)\n", s.viewers.Ready[0])
	report(out, &cfg, turns)
	return nil
}

// measure measures a scene once.
func (s *system) measure(ctx context.Context, sc scene) (figures, error) {
	callers, err := s.startPart(ctx, "callers", "--target="+s.participation.at["grpc"], "--database-url="+s.postgres.URL(),
		fmt.Sprintf("--raffles=%d", sc.raffles), fmt.Sprintf("--rate=%d", s.cfg.Rate))
	if err != nil {
		return nil, err
	}
	raffles := callers.Ready
	if err := s.awaitKnown(ctx, raffles); err != nil {
		return nil, err
	}
	if _, err := ask(s.viewers, append([]string{askOpen, strconv.Itoa(sc.viewers)}, raffles...)...); err != nil {
		return nil, err
	}
	start := time.Now()
	if _, err := ask(callers, askSend); err != nil {
		return nil, err
	}
	time.Sleep(s.cfg.WarmUp)
	f, err := s.watch(ctx, sc, callers)
	if err != nil {
		return nil, err
	}
	acknowledged, err := ask(callers, askStop)
	if err != nil {
		return nil, err
	}
	f[entries] = acknowledged / time.Since(start).Seconds()
	if f[answerP99], err = ask(callers, askAnswer); err != nil {
		return nil, err
	}
	return f, s.finish(ctx, raffles)
}

// watch measures what the viewers receive, and what that costs, while the callers enter.
func (s *system) watch(ctx context.Context, sc scene, callers *measure.Child) (figures, error) {
	defer s.profile(ctx, sc)()
	before := s.usage(callers)
	if _, err := ask(s.viewers, askBegin); err != nil {
		return nil, err
	}
	time.Sleep(s.cfg.Duration)
	seconds, err := ask(s.viewers, askEnd)
	if err != nil {
		return nil, err
	}
	f := make(figures)
	s.usage(callers).since(before, f)
	received, err := ask(s.viewers, askDeliveries)
	if err != nil {
		return nil, err
	}
	f[deliveries] = received / seconds
	f[updates] = f[deliveries] / float64(sc.raffles*sc.viewers)
	for _, name := range perDelivery {
		f[costOf+name] = f[cpuOf+name] / f[deliveries] * 1e6
	}
	for name, percent := range map[string]string{ageP50: "50", ageP90: "90", ageP99: "99", ageMost: "100"} {
		if f[name], err = ask(s.viewers, askAge, percent); err != nil {
			return nil, err
		}
	}
	return f, nil
}

// finish closes the raffles, and fails unless every viewer receives the final odds and has
// seen no fault.
func (s *system) finish(ctx context.Context, raffles []string) error {
	versions, err := s.closeRaffles(ctx, raffles)
	if err != nil {
		return err
	}
	if _, err := ask(s.viewers, append([]string{askFinal}, versions...)...); err != nil {
		return err
	}
	faults, err := ask(s.viewers, askFaults)
	if err == nil && faults > 0 {
		err = fmt.Errorf("the viewers have seen %.0f faults", faults)
	}
	if err != nil {
		return err
	}
	_, err = ask(s.viewers, askReset)
	return err
}

// closeRaffles closes raffles, and returns the id and the final version of each.
func (s *system) closeRaffles(ctx context.Context, raffles []string) (versions []string, err error) {
	client := rafflev1.NewRaffleServiceClient(s.conn)
	calls, ctx := errgroup.WithContext(ctx)
	calls.SetLimit(16)
	var mu sync.Mutex
	for _, id := range raffles {
		n, err := strconv.ParseInt(id, 10, 64)
		if err != nil {
			return nil, err
		}
		calls.Go(func() error {
			resp, err := client.CloseRaffle(ctx, &rafflev1.CloseRaffleRequest{RaffleId: n})
			mu.Lock()
			defer mu.Unlock()
			versions = append(versions, id, strconv.FormatInt(resp.GetRaffle().GetVersion(), 10))
			return err
		})
	}
	return versions, calls.Wait()
}

// profile takes CPU profiles of the services in a scene, if profiles are wanted. The
// returned function waits for them.
func (s *system) profile(ctx context.Context, sc scene) (wait func()) {
	if s.cfg.Profiles == "" {
		return func() {}
	}
	var taken sync.WaitGroup
	for name, service := range map[string]*service{"participation": s.participation, "gateway": s.gateway} {
		taken.Go(func() {
			file := filepath.Join(s.cfg.Profiles, strings.Join([]string{sc.name, name, "pprof"}, "."))
			if err := measure.Profile(ctx, service.at["ops"], max(1, int(s.cfg.Duration.Seconds())), file); err != nil {
				fmt.Fprintln(s.log, "profile:", err)
			}
		})
	}
	return taken.Wait
}

// errFailed says that a part has written to standard error what went wrong.
var errFailed = errors.New("it failed")

// ask asks a part for a number.
func ask(child *measure.Child, words ...string) (float64, error) {
	n, err := child.Ask(strings.Join(words, " "))
	if err == nil && n == failed {
		err = fmt.Errorf("%s: %w", words[0], errFailed)
	}
	return n, err
}
