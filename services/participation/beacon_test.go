package participation_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc/codes"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/draw/drand"
	"github.com/rafflecast/rafflecast/services/test/drawtest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// answer returns a relay that gives every round this signature, and says it is this round;
// 0 is the one that was asked for.
func answer(t *testing.T, asked, round uint64, signature []byte, more string) http.Handler {
	t.Helper()
	if round == 0 {
		round = asked
	}
	text, err := json.Marshal(drand.Round{Round: round, Randomness: draw.Randomness(signature), Signature: signature})
	if err != nil {
		t.Fatal(err)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(string(text) + more))
	})
}

// The service draws with nothing but the signature of the round that the close has named,
// whatever a relay answers, and draws once a relay has it.
func TestDraw_WaitsForTheRightBeacon(t *testing.T) {
	t.Parallel()
	d := setupDrawing(t)
	id := d.createDrawn(t, time.Time{})
	d.enterTimes(t, 8, "m", id)
	d.draws.Answer(http.NotFoundHandler())
	round := d.closeDrawn(t, id)
	_, err := d.drawByHand(t, id, nil)
	wantError(t, err, codes.FailedPrecondition, "DRAW_NOT_DUE")
	due := d.draws.Chain.Chain().TimeOf(round).Time()
	testenv.Eventually(t, "the draw is due", 30*time.Second, func() bool { return time.Now().After(due) })

	right, other := d.draws.Chain.Signature(round), drawtest.Start(t).Chain
	hung := make(chan struct{})
	defer close(hung)
	for name, relay := range map[string]http.Handler{
		"late":                   http.NotFoundHandler(),
		"fails":                  http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }),
		"oversized":              answer(t, round, 0, right, strings.Repeat(" ", 4<<10)),
		"no JSON":                http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }),
		"in the 96-byte form":    answer(t, round, 0, drawtest.Uncompressed(t, right), ""),
		"of another chain":       answer(t, round, 0, other.Signature(round), ""),
		"of another round":       answer(t, round, round-1, d.draws.Chain.Signature(round-1), ""),
		"of another under its":   answer(t, round, 0, d.draws.Chain.Signature(round-1), ""),
		"no signature":           answer(t, round, 0, nil, ""),
		"of zeros":               answer(t, round, 0, make([]byte, 48), ""),
		"right but called other": answer(t, round, round+1, right, ""),
		"redirects to nowhere":   http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound),
		"hangs": http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			select {
			case <-hung:
			case <-r.Context().Done():
			}
		}),
	} {
		d.draws.Answer(relay)
		if _, err := d.drawByHand(t, id, nil); err == nil {
			t.Fatalf("%s: drawn", name)
		} else {
			wantError(t, err, codes.Unavailable, "BEACON_UNAVAILABLE")
		}
		d.wantUndrawn(t, id)
	}
	testenv.Eventually(t, "the failures are counted", 30*time.Second, func() bool {
		return !strings.Contains(d.metrics(t), `draw_failures_total{reason="beacon_unavailable"} 0`)
	})
	d.draws.Answer(nil)
	if r, err := d.drawByHand(t, id, nil); err != nil || r.GetState() != rafflev1.Raffle_DRAWN {
		t.Errorf("%v, %v", r, err)
	}
	d.verify(t, id, 1)
}

// A signature by hand is taken under the same conditions.
func TestDraw_TakesNoOtherSignatureByHand(t *testing.T) {
	t.Parallel()
	d := setupDrawing(t)
	id := d.createDrawn(t, time.Time{})
	d.enterTimes(t, 8, "m", id)
	_, err := d.drawByHand(t, id, d.draws.Chain.Signature(1))
	wantError(t, err, codes.FailedPrecondition, "NO_DRAW")
	round := d.closeDrawn(t, id)
	right, other := d.draws.Chain.Signature(round), drawtest.Start(t).Chain
	for name, signature := range map[string][]byte{
		"another chain's": other.Signature(round), "another round's": d.draws.Chain.Signature(round + 1), "zeros": make([]byte, 48),
	} {
		if _, err := d.drawByHand(t, id, signature); err == nil {
			t.Fatalf("%s: drawn", name)
		} else {
			wantError(t, err, codes.InvalidArgument, "SIGNATURE_INVALID")
		}
	}
	for name, signature := range map[string][]byte{"the 96-byte form": drawtest.Uncompressed(t, right), "one byte less": right[:47]} {
		if _, err := d.drawByHand(t, id, signature); err == nil {
			t.Fatalf("%s: drawn", name)
		} else {
			wantError(t, err, codes.InvalidArgument, "INVALID")
		}
	}
	d.wantUndrawn(t, id)
	d.mustDraw(t, id, round)
	d.verify(t, id, 1)
}

// A relay that lies and one that hangs do not keep the service from asking the next.
func TestDraw_AsksTheNextRelay(t *testing.T) {
	t.Parallel()
	d := &drawing{prepare(t), drawtest.Start(t)}
	d.configure(&d.cfg)
	var asked atomic.Int64
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		<-r.Context().Done()
	}))
	t.Cleanup(hangs.Close)
	lies := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_, _ = w.Write([]byte(`{"round":1,"signature":"00"}`))
	}))
	t.Cleanup(lies.Close)
	d.cfg.DrawRelays = strings.Join([]string{hangs.URL, lies.URL, d.draws.Relay}, ",")
	d.start(t)
	id := d.createDrawn(t, time.Time{})
	d.enterTimes(t, 8, "m", id)
	d.closeDrawn(t, id)
	testenv.Eventually(t, "the raffle is drawn", 60*time.Second, func() bool {
		return d.published(t, id).GetState() == rafflev1.Raffle_DRAWN
	})
	if asked.Load() < 2 {
		t.Error("the first relays were not asked")
	}
	d.verify(t, id, 1)
}

// While the clocks of database and service disagree, no close can name a round, which
// could be out already: the raffle waits, takes no entries, and its wait is told.
func TestDraw_ClocksThatDisagreeKeepARaffleOpen(t *testing.T) {
	t.Parallel()
	d := &drawing{prepare(t), drawtest.Start(t)}
	d.configure(&d.cfg)
	u, err := url.Parse(d.cfg.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	q.Set("search_path", q.Get("search_path")+",pg_catalog")
	u.RawQuery = q.Encode()
	d.cfg.DatabaseURL = u.String()
	d.sql(t, `CREATE TABLE clock AS SELECT interval '0' AS off`, `CREATE FUNCTION clock_timestamp() RETURNS timestamptz LANGUAGE sql VOLATILE AS
		$$ SELECT pg_catalog.clock_timestamp() + off FROM clock $$`)
	d.start(t)
	clock := func(off string) {
		t.Helper()
		d.sql(t, `UPDATE clock SET off = interval '`+off+`'`)
	}
	byCall, byTime := d.createDrawn(t, time.Time{}), d.createDrawn(t, time.Now().Add(time.Hour))
	d.enterTimes(t, 4, "m", byCall, byTime)
	for _, offset := range []string{"-20 seconds", "-3 seconds", "3 seconds", "20 seconds"} { // a quarter of the delay is 2.5 s
		clock(offset)
		_, err := d.raffles.CloseRaffle(t.Context(), &rafflev1.CloseRaffleRequest{RaffleId: byCall})
		wantError(t, err, codes.Unavailable, "CLOCK_SKEW")
	}
	d.sql(t, `UPDATE raffles SET closes_at = now() - interval '10 seconds' WHERE closes_at IS NOT NULL`)
	testenv.Eventually(t, "the scheduler has tried", 20*time.Second, func() bool {
		text := d.metrics(t)
		return !strings.Contains(text, `draw_failures_total{reason="clock_skew"} 0`) &&
			!strings.Contains(text, "closings_overdue_seconds 0") && strings.Contains(text, "closings_overdue_seconds ")
	})
	_, err = d.entries.Enter(t.Context(), &rafflev1.EnterRequest{RaffleId: byTime, MemberId: "late"})
	wantError(t, err, codes.FailedPrecondition, "RAFFLE_NOT_OPEN")
	if r, err := d.raffles.GetRaffle(t.Context(), &rafflev1.GetRaffleRequest{RaffleId: byTime}); err != nil || r.GetRaffle().GetState() != rafflev1.Raffle_OPEN {
		t.Errorf("%v, %v", r, err)
	}
	clock("-1 second")
	testenv.Eventually(t, "the raffle is closed", 20*time.Second, func() bool {
		return d.published(t, byTime).GetState() == rafflev1.Raffle_CLOSED
	})
	d.mustDraw(t, byCall, d.closeDrawn(t, byCall))
	d.verify(t, byCall, 1)
	testenv.Eventually(t, "no raffle waits", 20*time.Second, func() bool {
		return strings.Contains(d.metrics(t), "closings_overdue_seconds 0")
	})
}

// With draws off, a raffle that waits for its close or its draw is told of.
func TestDraw_IsMissedWhereDrawsAreOff(t *testing.T) {
	t.Parallel()
	d := setupDrawing(t)
	waits, closed := d.createDrawn(t, time.Now().Add(time.Hour)), d.createDrawn(t, time.Time{})
	d.enterTimes(t, 4, "m", waits, closed)
	d.closeDrawn(t, closed)
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	d.sql(t, `UPDATE raffles SET closes_at = now() - interval '10 seconds' WHERE closes_at IS NOT NULL`,
		`UPDATE raffles SET draws_at = now() - interval '10 seconds' WHERE draws_at IS NOT NULL`)
	d.cfg.DrawKey = ""
	d.start(t)
	testenv.Eventually(t, "both are told of", 30*time.Second, func() bool {
		text := d.metrics(t)
		return !strings.Contains(text, `draw_failures_total{reason="draws_off"} 0`) && strings.Contains(text, `reason="draws_off"`) &&
			!strings.Contains(text, "closings_overdue_seconds 0") && !strings.Contains(text, "draws_overdue_seconds 0")
	})
}
