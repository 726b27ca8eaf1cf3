package faults

import (
	"context"
	"errors"
	"math/rand/v2"
	"syscall"
	"time"
)

// kind is one way to disturb a system.
type kind struct {
	name string
	// disturb begins the disturbance, and returns what ends it. The schedule waits
	// between the two.
	disturb func(ctx context.Context, s *system, r *rand.Rand) (end func(context.Context) error, err error)
	weight  int
	// group names the kinds that exclude each other; empty: it excludes none.
	group string
	// once is set for a kind that a run can stand only once.
	once bool
}

// ofPostgres returns the kind as one of the group that changes PostgreSQL.
func (k kind) ofPostgres() kind {
	k.group = groupPostgres
	return k
}

// The groups of kinds.
const (
	groupPostgres = "PostgreSQL"
	groupStream   = "stream"
)

// nothing ends a disturbance that is over by itself.
func nothing(context.Context) error { return nil }

// kill returns a kind that ends a process of a group by a signal and starts it
// again.
func kill(name string, signal syscall.Signal, group func(*system) []*process, weight int) kind {
	return kind{name: name, weight: weight, disturb: func(_ context.Context, s *system, r *rand.Rand) (func(context.Context) error, error) {
		p := one(r, group(s))
		sent, signals := time.Now(), p.signalled()
		err := p.end(signal, 20*time.Second)
		if signal == syscall.SIGTERM && err == nil && p.signalled() == signals+1 { // nothing else has disturbed it
			s.noteStop(stop{p, sent, time.Now()})
		}
		return func(context.Context) error { return p.start() }, nil
	}}
}

// freeze returns a kind that stops a process of a group for a while.
func freeze(name string, group func(*system) []*process, weight int) kind {
	return kind{name: name, weight: weight, disturb: func(_ context.Context, s *system, r *rand.Rand) (func(context.Context) error, error) {
		p := one(r, group(s))
		p.signal(syscall.SIGSTOP)
		return func(context.Context) error { p.signal(syscall.SIGCONT); return nil }, nil
	}}
}

// link returns a kind that disturbs a link of a group.
func link(name string, group func(*system) []*Link, disturb func(*Link, *rand.Rand), weight int) kind {
	return kind{name: name, weight: weight, disturb: func(_ context.Context, s *system, r *rand.Rand) (func(context.Context) error, error) {
		l := one(r, group(s))
		disturb(l, r)
		return func(context.Context) error { l.Heal(); return nil }, nil
	}}
}

// cutOff returns a kind that disturbs all links of one service to NATS. The services
// are those from one index of system.natsLinks until another.
func cutOff(name string, from, until int, disturb func(*Link, *rand.Rand)) kind {
	return kind{name: name, weight: 1, disturb: func(_ context.Context, s *system, r *rand.Rand) (func(context.Context) error, error) {
		links := s.natsLinks[from+r.IntN(until-from)]
		for _, l := range links {
			disturb(l, r)
		}
		return func(context.Context) error {
			for _, l := range links {
				l.Heal()
			}
			return nil
		}, nil
	}}
}

func one[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func postgresOf(s *system) []*process { return []*process{s.database().process} }
func natsOf(s *system) []*process     { return s.nats[:] }

func participationOf(s *system) []*process { return s.participations[:] }
func gatewayOf(s *system) []*process       { return s.gateways[:] }

func toPostgres(s *system) []*Link { return s.toPostgres[:] }

func toNATS(from, until int) func(*system) []*Link {
	return func(s *system) []*Link {
		var all []*Link
		for _, service := range s.natsLinks[from:until] {
			all = append(all, service[:]...)
		}
		return all
	}
}

func cut(l *Link, _ *rand.Rand)        { l.Cut() }
func muteServer(l *Link, _ *rand.Rand) { l.Mute(true, false) }
func muteClient(l *Link, _ *rand.Rand) { l.Mute(false, true) }
func muteBoth(l *Link, _ *rand.Rand)   { l.Mute(true, true) }
func slow(l *Link, r *rand.Rand)       { l.Delay(time.Duration(20+r.IntN(180)) * time.Millisecond) }

// killUnpublished kills both instances of participation while what they have
// committed can't reach the stream.
func killUnpublished(ctx context.Context, s *system, _ *rand.Rand) (func(context.Context) error, error) {
	links := toNATS(0, participations)(s)
	for _, l := range links {
		l.Mute(true, true)
	}
	pause(ctx, 500*time.Millisecond)
	for _, p := range s.participations {
		_ = p.end(syscall.SIGKILL, time.Second)
	}
	for _, l := range links {
		l.Cut()
		l.Heal()
	}
	return func(context.Context) error {
		return errors.Join(s.participations[0].start(), s.participations[1].start())
	}, nil
}

// kinds returns every kind of fault.
func kinds() []kind {
	participationNATS, gatewayNATS := toNATS(0, participations), toNATS(participations, participations+gateways)
	return append(routeKinds(), []kind{
		kill("participation killed", syscall.SIGKILL, participationOf, 3),
		kill("participation terminated", syscall.SIGTERM, participationOf, 2),
		freeze("participation frozen", participationOf, 2),
		{name: "participation killed, its odds unpublished", weight: 2, disturb: killUnpublished},
		kill("gateway killed", syscall.SIGKILL, gatewayOf, 3),
		kill("gateway terminated", syscall.SIGTERM, gatewayOf, 2),
		freeze("gateway frozen", gatewayOf, 2),
		kill("NATS server killed", syscall.SIGKILL, natsOf, 3),
		kill("NATS server terminated", syscall.SIGTERM, natsOf, 1),
		freeze("NATS server frozen", natsOf, 2),
		{name: "NATS leader killed", weight: 2, disturb: killLeader},
		{name: "NATS server and gateway killed together", weight: 2, disturb: killTogether},
		{name: "NATS server killed, its store lost", weight: 1, disturb: loseStore, group: groupStream, once: true},
		kill("PostgreSQL killed", syscall.SIGKILL, postgresOf, 2).ofPostgres(),
		kill("PostgreSQL stopped at once", syscall.SIGQUIT, postgresOf, 1).ofPostgres(),
		kill("PostgreSQL restarted", syscall.SIGINT, postgresOf, 1).ofPostgres(),
		freeze("PostgreSQL frozen", postgresOf, 1).ofPostgres(),
		{name: "standby killed", weight: 1, disturb: killStandby, group: groupPostgres},
		{name: "standby frozen", weight: 1, disturb: freezeStandby, group: groupPostgres},
		{name: "backends terminated", weight: 2, disturb: terminateBackends},
		{name: "PostgreSQL read only", weight: 1, disturb: readOnly, group: groupPostgres},
		{name: "database refuses connections", weight: 1, disturb: refuseConnections, group: groupPostgres},
		{name: "rows locked by a stranger", weight: 2, disturb: lockRows},
		link("participation to PostgreSQL cut", toPostgres, cut, 2),
		link("participation to PostgreSQL mute, requests", toPostgres, muteServer, 1),
		link("participation to PostgreSQL mute, answers", toPostgres, muteClient, 1),
		link("participation to PostgreSQL slow", toPostgres, slow, 1),
		link("participation to NATS cut", participationNATS, cut, 2),
		link("participation to NATS mute, requests", participationNATS, muteServer, 2),
		link("participation to NATS mute, answers", participationNATS, muteClient, 1),
		link("participation to NATS slow", participationNATS, slow, 1),
		cutOff("participation to all of NATS mute", 0, participations, muteBoth),
		cutOff("participation to all of NATS slow", 0, participations, slow),
		cutOff("gateway to all of NATS mute", participations, participations+gateways, muteBoth),
		cutOff("gateway to all of NATS slow", participations, participations+gateways, slow),
		link("gateway to NATS cut", gatewayNATS, cut, 2),
		link("gateway to NATS mute, requests", gatewayNATS, muteServer, 1),
		link("gateway to NATS mute, answers", gatewayNATS, muteClient, 2),
		link("gateway to NATS mute", gatewayNATS, muteBoth, 2),
		link("gateway to NATS slow", gatewayNATS, slow, 1),
		{name: "stream purged", weight: 2, disturb: purgeStream, group: groupStream},
		{name: "subject purged", weight: 1, disturb: purgeSubject, group: groupStream},
		{name: "stream truncated at its beginning", weight: 1, disturb: truncateStream, group: groupStream},
		{name: "newest messages deleted", weight: 1, disturb: deleteNewest, group: groupStream},
		{name: "stream deleted", weight: 1, disturb: deleteStream, group: groupStream},
		{name: "NATS store full", weight: 1, disturb: fullStream, group: groupStream},
		{name: "messages that come late", weight: 1, disturb: repeatLive},
		{name: "PostgreSQL's clock stepped", weight: 2, disturb: stepClock, group: groupPostgres},
		{name: "standby promoted, old primary read only", weight: 1, disturb: promote, group: groupPostgres, once: true},
	}...)
}
