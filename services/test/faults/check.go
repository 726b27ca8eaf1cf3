package faults

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// Findings are what a run has found; every count but the first two must be 0.
type Findings struct {
	Faults          int
	Acknowledged    int
	Lost            []string
	Doubled         []string
	Regressed       []string
	UpdatesDoubled  []string
	WithoutFinal    []string
	Ghosts          []string
	Leaks           []string
	CallerFaults    []string
	SlowestRecovery time.Duration
	Kinds           map[string]int
	Codes           map[string]int
	Refused         map[int]int
	Events, Resets  int
	SlowestAttempt  time.Duration
}

// OK reports whether nothing is wrong.
func (f *Findings) OK() bool {
	return len(f.Lost)+len(f.Doubled)+len(f.Regressed)+len(f.UpdatesDoubled)+len(f.WithoutFinal)+len(f.Ghosts)+len(f.Leaks)+len(f.CallerFaults) == 0
}

// truth is what the database holds.
func truth(ctx context.Context, s *system) (map[int64]odds, error) {
	conn, err := pgx.Connect(ctx, s.primary.dsn("rafflecast"))
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `SELECT id, title, entries, members, version FROM raffles`)
	if err != nil {
		return nil, err
	}
	all := make(map[int64]odds)
	var o odds
	_, err = pgx.ForEachRow(rows, []any{&o.ID, &o.Title, &o.Entries, &o.Members, &o.Version}, func() error {
		all[o.ID] = o
		return nil
	})
	return all, err
}

// checkEntries compares the database with what callers were told.
func (f *Findings) checkEntries(ctx context.Context, s *system, c *callers) error {
	conn, err := pgx.Connect(ctx, s.primary.dsn("rafflecast"))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	type row struct {
		ordinal   int32
		withdrawn bool
	}
	stored := make(map[string]row)
	rows, err := conn.Query(ctx, `SELECT request_id::text, ordinal, withdrawn_at IS NOT NULL FROM entries`)
	if err != nil {
		return err
	}
	var id string
	var r row
	if _, err := pgx.ForEachRow(rows, []any{&id, &r.ordinal, &r.withdrawn}, func() error {
		if _, again := stored[id]; again {
			f.Doubled = append(f.Doubled, "request "+id+" has two rows")
		}
		stored[id] = r
		return nil
	}); err != nil {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, e := range c.entries {
		r, ok := stored[id]
		delete(stored, id)
		switch {
		case e.contradicted:
			f.Doubled = append(f.Doubled, "request "+id+" was answered with two entries")
		case e.ordinal > 0 && (!ok || r.ordinal != e.ordinal):
			f.Lost = append(f.Lost, fmt.Sprintf("request %s of raffle %d is not stored as entry %d", id, e.raffleID, e.ordinal))
		case e.withdrawn && !r.withdrawn:
			f.Lost = append(f.Lost, "the withdrawal of request "+id+" is not stored")
		}
		if e.ordinal > 0 {
			f.Acknowledged++
		}
	}
	for id := range stored {
		f.Doubled = append(f.Doubled, "request "+id+" is stored, and nobody sent it")
	}
	return f.checkCounters(ctx, conn)
}

func (f *Findings) checkCounters(ctx context.Context, conn *pgx.Conn) error {
	rows, err := conn.Query(ctx, `
		SELECT r.id, r.entries, r.members, count(e.*) FILTER (WHERE e.withdrawn_at IS NULL),
			count(DISTINCT e.member_id) FILTER (WHERE e.withdrawn_at IS NULL)
		FROM raffles r LEFT JOIN entries e ON e.raffle_id = r.id GROUP BY r.id
		HAVING r.entries <> count(e.*) FILTER (WHERE e.withdrawn_at IS NULL)
			OR r.members <> count(DISTINCT e.member_id) FILTER (WHERE e.withdrawn_at IS NULL)`)
	if err != nil {
		return err
	}
	var n [5]int64
	_, err = pgx.ForEachRow(rows, []any{&n[0], &n[1], &n[2], &n[3], &n[4]}, func() error {
		f.Doubled = append(f.Doubled, fmt.Sprintf("raffle %d counts %d entries of %d members; its rows are %d of %d", n[0], n[1], n[2], n[3], n[4]))
		return nil
	})
	return err
}

// checkSubscribers waits for everybody to have the database's odds.
func (f *Findings) checkSubscribers(ctx context.Context, s *system, w *subscribers, within time.Duration) error {
	began := time.Now()
	for {
		want, err := truth(ctx, s)
		if err != nil {
			return err
		}
		n, example := w.lacking(want)
		took := time.Since(began)
		if n == 0 {
			f.SlowestRecovery = max(f.SlowestRecovery, took)
			return nil
		}
		if took > within {
			f.SlowestRecovery = max(f.SlowestRecovery, took)
			f.WithoutFinal = append(f.WithoutFinal, fmt.Sprintf("%d subscribers, for example %s", n, example))
			return nil
		}
		pause(ctx, 20*time.Millisecond)
	}
}

// checkGhosts compares what gateways list with the database.
func (f *Findings) checkGhosts(ctx context.Context, s *system) error {
	want, err := truth(ctx, s)
	if err != nil {
		return err
	}
	for i, port := range s.webPorts {
		body, err := get(ctx, fmt.Sprintf("http://127.0.0.1:%d/api/v1/raffles?pageSize=1000", port))
		if err != nil {
			return err
		}
		var list struct{ Raffles []odds }
		if err := json.Unmarshal(body, &list); err != nil {
			return err
		}
		listed := make(map[int64]bool)
		for _, o := range list.Raffles {
			listed[o.ID] = true
			if want[o.ID].Title != o.Title || want[o.ID].Entries != o.Entries {
				f.Ghosts = append(f.Ghosts, fmt.Sprintf("gateway %d shows raffle %d %q with %d entries; the database has %q with %d",
					i, o.ID, o.Title, o.Entries, want[o.ID].Title, want[o.ID].Entries))
			}
		}
		for id := range want {
			if !listed[id] {
				f.WithoutFinal = append(f.WithoutFinal, fmt.Sprintf("gateway %d does not list raffle %d", i, id))
			}
		}
	}
	return nil
}

// usage is what a service holds, by its own metrics.
type usage struct{ goroutines, files float64 }

func (s *system) usage(ctx context.Context, ops int) (u usage, err error) {
	text, err := metrics(ctx, fmt.Sprintf("http://127.0.0.1:%d/metrics", ops))
	if err != nil {
		return u, err
	}
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		number, _ := strconv.ParseFloat(value, 64)
		switch name {
		case "go_goroutines":
			u.goroutines = number
		case "process_open_fds":
			u.files = number
		}
	}
	return u, nil
}

// checkLeaks looks for services that hold more than their load explains. Each has
// at most some connections per caller, subscriber and server.
func (f *Findings) checkLeaks(ctx context.Context, s *system) error {
	const allowed = 250 // over what the subscribers hold
	for i, port := range s.opsPorts {
		u, err := s.usage(ctx, port)
		if err != nil {
			return err
		}
		name, files := "participation", float64(allowed)
		if i >= participations {
			name, files = "gateway", allowed+subscriberCount
		}
		if u.goroutines > allowed || u.files > files {
			f.Leaks = append(f.Leaks, fmt.Sprintf("%s at port %d has %.0f goroutines and %.0f open files", name, port, u.goroutines, u.files))
		}
	}
	return nil
}

// checkLogs looks for what no service should say.
func (f *Findings) checkLogs(s *system) error {
	for _, p := range append(s.participations[:], s.gateways[:]...) {
		text, err := os.ReadFile(p.log)
		if err != nil {
			return err
		}
		for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
			line := lines.Text()
			if strings.Contains(line, "panic") || strings.Contains(line, "DATA RACE") || strings.Contains(line, "internal error") {
				f.CallerFaults = append(f.CallerFaults, p.name+" logged: "+line[:min(len(line), 300)])
			}
		}
	}
	return nil
}
