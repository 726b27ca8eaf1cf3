package faults

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"
)

// split is one way to separate a NATS server from another one, while the clients of
// both still reach them. out leads to the other server, in from it.
type split struct {
	name  string
	apply func(out, in *Link)
}

// splits returns every way.
func splits() []split {
	return []split{
		{"cut off", func(out, in *Link) { out.Refuse(); in.Refuse() }},
		{"mute", func(out, in *Link) { out.Mute(true, true); in.Mute(true, true) }},
		{"hears nothing", func(out, in *Link) { out.Mute(false, true); in.Mute(true, false) }},
		{"is not heard", func(out, in *Link) { out.Mute(true, false); in.Mute(false, true) }},
	}
}

// separate splits server i from others, and returns what joins them again.
func (s *system) separate(i int, others []int, how split) (join func(context.Context) error) {
	for _, j := range others {
		how.apply(s.routes[i][j], s.routes[j][i])
	}
	return func(context.Context) error {
		for _, j := range others {
			s.routes[i][j].Heal()
			s.routes[j][i].Heal()
		}
		return nil
	}
}

// isolate splits server i from both others.
func (s *system) isolate(i int, how split) (join func(context.Context) error) {
	return s.separate(i, []int{(i + 1) % servers, (i + 2) % servers}, how)
}

// leader returns the index of the server that leads the stream.
func (s *system) leader(ctx context.Context) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	stream, err := s.odds(ctx)
	if err != nil {
		return 0, err
	}
	cluster := stream.CachedInfo().Cluster
	if cluster == nil {
		return 0, errors.New("the stream has no cluster")
	}
	i := slices.Index([]string{"n0", "n1", "n2"}, cluster.Leader)
	if i < 0 {
		return 0, errors.New("the stream has no leader")
	}
	return i, nil
}

// routeKinds returns the kinds of fault between NATS servers.
func routeKinds() (all []kind) {
	for _, how := range splits() {
		all = append(all,
			kind{name: "NATS server to both others: " + how.name, weight: 1, disturb: func(_ context.Context, s *system, r *rand.Rand) (func(context.Context) error, error) {
				return s.isolate(r.IntN(servers), how), nil
			}},
			kind{name: "NATS leader to both others: " + how.name, weight: 1, disturb: func(ctx context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
				i, err := s.leader(ctx)
				if err != nil {
					return nil, err
				}
				return s.isolate(i, how), nil
			}})
	}
	// Two servers that do not reach each other, and a third one that reaches both.
	between := func(name string, apply func(*Link, *rand.Rand)) kind {
		return kind{name: "route between NATS servers " + name, weight: 1, disturb: func(_ context.Context, s *system, r *rand.Rand) (func(context.Context) error, error) {
			i := r.IntN(servers)
			j := (i + 1 + r.IntN(servers-1)) % servers
			return s.separate(i, []int{j}, split{apply: func(out, in *Link) { apply(out, r); apply(in, r) }}), nil
		}}
	}
	return append(all, between("cut", cut), between("mute", muteBoth), between("slow", slow))
}

// cutOffWithin is how soon clients must be shown what is committed after the NATS
// server of every service was cut off from the others, and stays so. Services leave a
// server that has had no leader to tell of for 6 s. The others elect one within 9 s, but if
// the server was the leader, goes on being heard and hears nothing: then it leads for up
// to 20 s more, and disturbs the election after that. 29 s were seen.
const cutOffWithin = 45 * time.Second

// judgeCutOff isolates a NATS server to which all services are connected, in a way that
// the seed decides, and checks that what is committed reaches every client all the same.
// Nobody enters before and after.
func (r *run) judgeCutOff(ctx context.Context) error {
	chance := rand.New(rand.NewPCG(r.cfg.Seed, 3))
	how, i := one(chance, splits()), chance.IntN(servers)
	if chance.IntN(2) == 0 {
		leader, err := r.system.leader(ctx)
		if err != nil {
			return err
		}
		i = leader
	}
	if err := r.system.herd(ctx, i); err != nil {
		return err
	}
	r.startCallers(ctx)
	defer func() { r.stopCalls() }()
	join := r.system.isolate(i, how)
	defer func() { _ = join(ctx) }()
	began := time.Now()
	fmt.Fprintf(r.cfg.Out, "%s  all services are at NATS server %d, to both others: %s\n", began.Format("15:04:05.000"), i, how.name)
	pause(ctx, time.Second) // until nothing committed before can pass for what is looked for
	want, _, err := truth(ctx, r.system)
	if err != nil {
		return err
	}
	for {
		behind := r.subscribers.behind(flat(want))
		took := time.Since(began)
		if len(behind) == 0 {
			r.findings.SlowestCutOff = max(r.findings.SlowestCutOff, took)
			return nil
		}
		if took > cutOffWithin+r.lateness.since(began) {
			for _, text := range behind {
				r.findings.WithoutFinal = append(r.findings.WithoutFinal, fmt.Sprintf("%v after a NATS server was cut off (%s): %s", took.Round(time.Second), how.name, text))
			}
			return nil
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// herd has every service connect to NATS server i.
func (s *system) herd(ctx context.Context, i int) error {
	for service := range s.natsLinks {
		for j, l := range s.natsLinks[service] {
			if j != i {
				l.Refuse()
			}
		}
	}
	err := eventually(ctx, 15*time.Second, "every service is connected to one NATS server", func(context.Context) error {
		for service := range s.natsLinks {
			if !s.natsLinks[service][i].Used() {
				return fmt.Errorf("service %d is not", service)
			}
		}
		return nil
	})
	for service := range s.natsLinks {
		for _, l := range s.natsLinks[service] {
			l.Heal()
		}
	}
	return err
}
