package load

import (
	"context"
	"io"
	"testing"

	"github.com/jackc/pgx/v5"
)

// The test changes the database between the load and the verification.
func TestVerification_FindsEveryDifference(t *testing.T) {
	t.Parallel()
	b := setup(t)
	for name, c := range map[string]struct {
		change  string          // of the database; $1 is the raffle
		outcome func(*outcomes) // changes what was answered
		want    findings
	}{
		"nothing": {"", nil, findings{}},
		"a lost entry": {
			`DELETE FROM entries WHERE raffle_id = $1
				AND member_id = (SELECT min(member_id) FROM entries WHERE raffle_id = $1)`,
			nil,
			findings{missing: 2, miscounted: 1},
		},
		"a wrong counter": {"UPDATE raffles SET members = members + 1 WHERE id = $1", nil, findings{miscounted: 1}},
		"a second row": {
			`INSERT INTO entries (raffle_id, member_id, ordinal, request_id, created_at)
				SELECT raffle_id, member_id, 99, request_id, created_at
				FROM entries WHERE raffle_id = $1 AND ordinal = 1 LIMIT 1`,
			nil,
			findings{duplicates: 1, miscounted: 1, overLimit: 1},
		},
		"an unrequested row": {
			`INSERT INTO entries (raffle_id, member_id, ordinal, request_id, created_at)
				VALUES ($1, 'nobody', 1, gen_random_uuid(), now())`,
			nil,
			findings{unrequested: 1, miscounted: 1},
		},
		"an entry too early": {
			"UPDATE raffles SET opens_at = now() + interval '1 hour' WHERE id = $1",
			nil,
			findings{outsideOpenTime: 60},
		},
		"another ordinal": {
			"UPDATE entries SET ordinal = 77 WHERE raffle_id = $1 AND ordinal = 2",
			nil,
			findings{altered: 30},
		},
		"another member": {
			`UPDATE entries SET member_id = 'nobody' WHERE raffle_id = $1 AND ordinal = 2
				AND member_id = (SELECT min(member_id) FROM entries WHERE raffle_id = $1)`,
			nil,
			findings{altered: 1},
		},
		"a limit set too low": {
			"UPDATE raffles SET max_entries_per_member = 1 WHERE id = $1",
			nil,
			findings{overLimit: 30},
		},
		"a refused request": {
			"",
			func(o *outcomes) { o.words.at(0).Store(flagSent | flagRefused) },
			findings{refused: 1},
		},
		"a request never sent":  {"", func(o *outcomes) { o.words.at(0).Store(0) }, findings{unrequested: 1}},
		"an unknown outcome":    {"", func(o *outcomes) { o.words.at(0).Store(flagSent) }, findings{}},
		"contradicting answers": {"", func(o *outcomes) { o.acknowledge(0, 99) }, findings{contradicted: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg := b.settings(t, "--mode=stream", "--count=60", "--members=30", "--max-entries=2")
			got := verifyChanged(t, cfg, c.change, c.outcome)
			c.want.rows = got.rows
			if *got != c.want {
				t.Errorf("found %+v, want %+v", *got, c.want)
			}
			if equal := c.want == (findings{rows: got.rows}); equal != (got.err() == nil) {
				t.Errorf("got the error %v", got.err())
			}
		})
	}
}

// verifyChanged sends a load, changes the database and the outcomes, and verifies.
func verifyChanged(t *testing.T, cfg Config, change string, outcome func(*outcomes)) *findings {
	t.Helper()
	conns, err := Dial(cfg.Target, 1)
	if err != nil {
		t.Fatal(err)
	}
	defer conns.Close()
	g, err := Prepare(t.Context(), cfg, conns)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := g.Send(t.Context(), io.Discard); err != nil {
		t.Fatal(err)
	}
	database, err := pgx.Connect(t.Context(), cfg.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	defer database.Close(context.Background())
	if change != "" {
		if _, err := database.Exec(t.Context(), change, g.Plan().Raffles[0]); err != nil {
			t.Fatal(err)
		}
	}
	if outcome != nil {
		outcome(&g.outcomes)
	}
	found, err := g.verify(t.Context(), database)
	if err != nil {
		t.Fatal(err)
	}
	return found
}
