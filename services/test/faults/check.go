package faults

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// finalWithin is how soon everybody must have the final odds once entries have
// stopped and everything runs.
const finalWithin = 5 * time.Second

// judge waits for a quiet moment and judges everything. If hushed, nobody enters
// already; else callers must be entering, and none is when it returns.
func (r *run) judge(ctx context.Context, hushed bool) error {
	healed := time.Now()
	if err := r.system.heal(); err != nil {
		return err
	}
	if err := r.system.awaitReady(ctx, 60*time.Second); err != nil {
		return fmt.Errorf("after healing: %w", err)
	}
	r.findings.SlowestReady = max(r.findings.SlowestReady, time.Since(healed))
	if !hushed {
		if err := r.judgeFlow(ctx); err != nil {
			return err
		}
	}
	r.stopCalls()
	if err := r.judgeFinal(ctx); err != nil {
		return err
	}
	if hushed {
		if err := r.judgeStream(ctx); err != nil {
			return err
		}
	}
	return r.judgeUsage(ctx)
}

// judgeStream has a gateway begin anew, so that it shows what the stream holds instead
// of what it was told on the way.
func (r *run) judgeStream(ctx context.Context) error {
	p := r.system.gateways[rand.IntN(gateways)]
	_ = p.end(syscall.SIGKILL, time.Second)
	if err := p.start(); err != nil {
		return err
	}
	if err := r.system.awaitReady(ctx, 30*time.Second); err != nil {
		return fmt.Errorf("after a gateway was started again: %w", err)
	}
	return r.judgeFinal(ctx)
}

// judgeFlow checks that entries are taken, and that what is committed now reaches
// every client while more is.
func (r *run) judgeFlow(ctx context.Context) error {
	began := time.Now()
	before := r.callers.answers()
	want, _, err := truth(ctx, r.system)
	if err != nil {
		return err
	}
	for {
		behind, answered := r.subscribers.behind(flat(want)), r.callers.answers()-before
		switch took := time.Since(began); {
		case len(behind) == 0 && answered > 0:
			return nil
		case took > finalWithin+r.lateness.since(began):
			r.findings.WithoutFinal = append(r.findings.WithoutFinal, behind...)
			if answered == 0 {
				r.findings.Others = append(r.findings.Others, fmt.Sprintf("no entry is acknowledged %v after everything runs again", took))
			}
			return nil
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// judgeFinal checks entries, and that everybody is shown what the database holds.
// Nobody enters.
func (r *run) judgeFinal(ctx context.Context) error {
	began, at := time.Now(), r.subscribers.places()
	for {
		want, rows, err := truth(ctx, r.system)
		if err != nil {
			return err
		}
		without := append(unclosed(want, time.Now()), r.subscribers.without(flat(want), at)...)
		ghosts, missing, err := r.judgeLists(ctx, flat(want))
		if err != nil {
			return err
		}
		took := time.Since(began)
		over := took > finalWithin+r.lateness.since(began)
		if len(without)+len(ghosts)+len(missing) > 0 && !over {
			pause(ctx, 20*time.Millisecond)
			continue
		}
		f := r.findings
		f.SlowestRecovery = max(f.SlowestRecovery, took)
		f.WithoutFinal = append(append(f.WithoutFinal, without...), missing...)
		f.Ghosts = append(f.Ghosts, ghosts...)
		r.callers.mu.Lock()
		f.judgeEntries(r.callers.entries, rows)
		r.callers.mu.Unlock()
		f.judgeRaffles(want, rows)
		return nil
	}
}

// unclosed returns the raffles that should have closed by a time.
func unclosed(raffles map[int64]ruled, now time.Time) (found []string) {
	for id, r := range raffles {
		if !r.closesAt.IsZero() && r.closesAt.Before(now) && r.State == rafflev1.Raffle_OPEN.String() {
			found = append(found, fmt.Sprintf("raffle %d is still open %v after its end", id, now.Sub(r.closesAt)))
		}
	}
	return found
}

// truth returns what the database holds.
func truth(ctx context.Context, s *system) (map[int64]ruled, []row, error) {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	conn, err := pgx.Connect(ctx, s.database().dsn("rafflecast"))
	if err != nil {
		return nil, nil, err
	}
	defer conn.Close(ctx)
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = tx.Rollback(ctx) }()
	found, err := tx.Query(ctx, `SELECT id, epoch, version, state, title, entries, members, max_entries_per_member, closes_at FROM raffles`)
	if err != nil {
		return nil, nil, err
	}
	raffles := make(map[int64]ruled)
	var o ruled
	var state int32
	var closesAt *time.Time
	if _, err := pgx.ForEachRow(found, []any{&o.ID, &o.Epoch, &o.Version, &state, &o.Title, &o.Entries, &o.Members, &o.perMember, &closesAt}, func() error {
		o.State, o.closesAt = rafflev1.Raffle_State(state).String(), time.Time{}
		if closesAt != nil {
			o.closesAt = *closesAt
		}
		raffles[o.ID] = o
		return nil
	}); err != nil {
		return nil, nil, err
	}
	found, err = tx.Query(ctx, `SELECT coalesce(request_id::text, ''), raffle_id, member_id, ordinal, created_at, withdrawn_at IS NOT NULL FROM entries`)
	if err != nil {
		return nil, nil, err
	}
	rows, err := pgx.CollectRows(found, func(found pgx.CollectableRow) (r row, err error) {
		err = found.Scan(&r.requestID, &r.raffleID, &r.member, &r.ordinal, &r.createdAt, &r.withdrawn)
		return r, err
	})
	return raffles, rows, err
}

// flat returns only what clients are shown.
func flat(raffles map[int64]ruled) map[int64]odds {
	shown := make(map[int64]odds, len(raffles))
	for id, r := range raffles {
		shown[id] = r.odds
	}
	return shown
}

// judgeLists compares what each gateway lists with what the database holds.
func (r *run) judgeLists(ctx context.Context, want map[int64]odds) (ghosts, missing []string, err error) {
	for i, port := range r.system.webPorts {
		body, err := get(ctx, fmt.Sprintf("http://127.0.0.1:%d/api/v1/raffles?pageSize=1000", port))
		if err != nil {
			return nil, nil, err
		}
		var list struct{ Raffles []odds }
		if err := json.Unmarshal(body, &list); err != nil {
			return nil, nil, err
		}
		g, m := judgeList(list.Raffles, want)
		for _, text := range g {
			ghosts = append(ghosts, fmt.Sprintf("gateway %d: %s", i, text))
		}
		for _, text := range m {
			missing = append(missing, fmt.Sprintf("gateway %d: %s", i, text))
		}
	}
	return ghosts, missing, nil
}

// judgeLogs looks for what no service should say, and for services that ended
// without being told to.
func (r *run) judgeLogs() error {
	f := r.findings
	for _, p := range r.system.processes() {
		f.Others = append(f.Others, p.crashed()...)
	}
	for _, d := range []*database{r.system.database(), r.system.replica()} {
		text, err := os.ReadFile(d.log)
		if err != nil {
			return err
		}
		if bytes.Contains(text, []byte("was terminated by signal")) {
			f.Others = append(f.Others, d.name+" has crashed by itself: what was found since may come from that")
		}
	}
	for _, p := range append(r.system.participations[:], r.system.gateways[:]...) {
		text, err := os.ReadFile(p.log)
		if err != nil {
			return err
		}
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			line := lines.Text()
			if strings.Contains(line, "panic") || strings.Contains(line, "DATA RACE") || strings.Contains(line, "internal error") {
				f.Others = append(f.Others, p.name+" logged: "+line[:min(len(line), 300)])
			}
		}
	}
	return nil
}
