package participation_test

import (
	"crypto/rand"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/mod/sumdb/note"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/test/drawtest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// Two instances draw at once, by themselves and by hand: one drawing is made, and no call
// makes another.
func TestDraw_TwoInstancesMakeOne(t *testing.T) {
	t.Parallel()
	d := setupDrawing(t)
	other := &drawing{&bundle{nats: d.nats, cfg: d.cfg}, d.draws}
	other.start(t)
	raffles := make([]int64, 10)
	rounds := make([]uint64, len(raffles))
	for i := range raffles {
		raffles[i] = d.createDrawn(t, time.Time{})
		d.enterTimes(t, 8, "m", raffles[i])
		rounds[i] = d.closeDrawn(t, raffles[i])
	}
	var calls sync.WaitGroup
	for _, instance := range []*drawing{d, other, d, other} {
		calls.Go(func() {
			for i, id := range raffles {
				instance.mustDraw(t, id, rounds[i])
			}
		})
	}
	calls.Wait()
	for i, id := range raffles {
		first := d.verify(t, id, 1)
		other.mustDraw(t, id, rounds[i])
		if again := other.verify(t, id, 1); again.checkpoint != first.checkpoint {
			t.Errorf("raffle %d: %q, then %q", id, first.checkpoint, again.checkpoint)
		}
	}
	// Those that nobody draws by hand are drawn by the instances themselves.
	alone := d.createDrawn(t, time.Time{})
	d.enterTimes(t, 8, "m", alone)
	d.closeDrawn(t, alone)
	testenv.Eventually(t, "the raffle is drawn", 60*time.Second, func() bool {
		return d.published(t, alone).GetState() == rafflev1.Raffle_DRAWN
	})
	d.verify(t, alone, 1)
}

// A process that is killed leaves of its transaction what a connection leaves that is
// cut at any statement of it. Each time the close, the draw and the strike are made again,
// and once.
func TestDraw_IsMadeOnceWhereverItIsCutOff(t *testing.T) {
	t.Parallel()
	d := setupDrawing(t)
	const changed = " FOR EACH ROW WHEN (NEW.version > OLD.version)"
	for name, step := range map[string]struct {
		trigger string
		cuts    int64
	}{
		"the record":  {"TRIGGER cut AFTER INSERT ON raffle_log FOR EACH ROW", 3},
		"the round":   {"TRIGGER cut AFTER INSERT OR UPDATE ON drawings FOR EACH ROW", 2},
		"the winners": {"TRIGGER cut AFTER INSERT OR UPDATE ON winners FOR EACH ROW", 2},
		"the raffle":  {"TRIGGER cut AFTER UPDATE ON raffles" + changed, 3},
		"the commit":  {"CONSTRAINT TRIGGER cut AFTER UPDATE ON raffles DEFERRABLE INITIALLY DEFERRED" + changed, 3},
	} {
		id := d.createDrawn(t, time.Time{})
		d.enterTimes(t, 8, "m", id)
		// Every other time the connection is cut. No rollback takes back a value of a sequence.
		d.sql(t, `CREATE SEQUENCE cuts`, `CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
			IF nextval('cuts') % 2 = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()), pg_sleep(1); END IF;
			RETURN NULL; END $$`, `CREATE `+step.trigger+` EXECUTE FUNCTION cut()`)
		d.untilDone(t, name, func() error {
			_, err := d.raffles.CloseRaffle(t.Context(), &rafflev1.CloseRaffleRequest{RaffleId: id, RequestId: requestID(id, 1)})
			return err
		})
		d.drawCut(t, name, id)
		d.untilDone(t, name, func() error {
			list, err := d.raffles.ListWinners(t.Context(), &rafflev1.ListWinnersRequest{RaffleId: id})
			if err != nil {
				return err
			}
			_, err = d.raffles.StrikeWinner(t.Context(), &rafflev1.StrikeWinnerRequest{
				RaffleId: id, Ticket: list.GetWinners()[0].GetTicket(), Reason: rafflev1.Winner_DECLINED, RequestId: requestID(id, 2),
			})
			return err
		})
		if cuts := d.number(t, `SELECT last_value FROM cuts`) / 2; cuts != step.cuts {
			t.Errorf("%s: %d cuts instead of %d", name, cuts, step.cuts)
		}
		d.sql(t, `DROP FUNCTION cut CASCADE`, `DROP SEQUENCE cuts`)
		if found := d.verify(t, id, 1); len(found.winners) != 0 || len(found.records) != 1+8+3 {
			t.Errorf("%s: %v, %d records", name, found.winners, len(found.records))
		}
	}
}

// drawCut makes the drawing that lies ahead by hand.
func (d *drawing) drawCut(t *testing.T, step string, id int64) {
	t.Helper()
	d.untilDone(t, step, func() error {
		report, err := d.raffles.GetDraw(t.Context(), &rafflev1.GetDrawRequest{RaffleId: id})
		if err != nil {
			return err
		}
		ahead := report.GetDrawings()[len(report.GetDrawings())-1]
		_, err = d.drawByHand(t, id, d.draws.Chain.Signature(uint64(ahead.GetRound())))
		return err
	})
}

// requestID returns the id of a request for a raffle.
func requestID(id, request int64) string {
	return fmt.Sprintf("6ba7b810-9dad-41d1-80b%d-%012d", request, id)
}

// untilDone calls f again while it fails as it does if the connection was cut.
func (d *drawing) untilDone(t *testing.T, step string, f func() error) {
	t.Helper()
	testenv.Eventually(t, step, 60*time.Second, func() bool {
		err := f()
		if code := status.Code(err); err != nil && code != codes.Unavailable && code != codes.DeadlineExceeded {
			t.Fatalf("%s: %v", step, err)
		}
		return err == nil
	})
}

// A process that is killed after the commit has not published the draw: another does.
func TestDraw_IsPublishedByAnotherInstance(t *testing.T) {
	t.Parallel()
	d := setupDrawing(t)
	id := d.createDrawn(t, time.Time{})
	d.enterTimes(t, 8, "m", id)
	round := d.closeDrawn(t, id)
	d.awaitTruth(t, id)
	d.nats.Stop()
	d.mustDraw(t, id, round)
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	d.nats.Start()
	if d.published(t, id).GetState() != rafflev1.Raffle_CLOSED {
		t.Fatal("it is published already, so this shows nothing")
	}
	d.start(t)
	if odds := d.awaitTruth(t, id); odds.GetState() != rafflev1.Raffle_DRAWN || len(odds.GetWinningTickets()) != 1 {
		t.Errorf("published %v", odds)
	}
	d.verify(t, id, 1)
}

// Whoever edits rows between the close and the draw stops the draw until they are as they
// were.
func TestDraw_IsNotMadeOverEditedRows(t *testing.T) {
	t.Parallel()
	d := setupDrawing(t)
	for name, edit := range map[string]string{
		"a record":       `UPDATE raffle_log SET records = set_byte(records, 11, get_byte(records, 11) # 1) WHERE first = 3`,
		"a dropped row":  `DELETE FROM raffle_log WHERE first = 3`,
		"an added row":   `INSERT INTO raffle_log SELECT raffle_id, 10, count, records FROM raffle_log WHERE first = 3 AND raffle_id = $ID`,
		"the tree":       `UPDATE raffles SET log_tree = set_byte(log_tree, 11, get_byte(log_tree, 11) # 1)`,
		"the checkpoint": `UPDATE drawings SET checkpoint = replace(checkpoint, 'raffles.test', 'other.test')`,
	} {
		id := d.createDrawn(t, time.Time{})
		for i := range 8 { // so that the counts of the close hold for another tag, too
			d.enter(t, id, fmt.Sprint("member-", i))
		}
		round := d.closeDrawn(t, id)
		d.sql(t, `DROP TABLE IF EXISTS kept_log, kept_raffles, kept_drawings`, `CREATE TABLE kept_log AS TABLE raffle_log`,
			`CREATE TABLE kept_raffles AS TABLE raffles`, `CREATE TABLE kept_drawings AS TABLE drawings`)
		if name == "an added row" {
			// It takes the place of the close, at the end.
			edit = `DELETE FROM raffle_log WHERE first = 9;` + strings.Replace(edit, " 10,", " 9,", 1)
		}
		edit = strings.ReplaceAll(edit, "$ID", fmt.Sprint(id))
		d.sql(t, edit)
		_, err := d.drawByHand(t, id, d.draws.Chain.Signature(round))
		if st := wantError(t, err, codes.FailedPrecondition, "LOG_MISMATCH"); st.Code() == codes.OK {
			t.Errorf("%s: drawn", name)
		}
		d.wantUndrawn(t, id)
		d.sql(t, `DELETE FROM raffle_log`, `INSERT INTO raffle_log TABLE kept_log`, `DELETE FROM drawings`, `INSERT INTO drawings TABLE kept_drawings`,
			`UPDATE raffles r SET log_tree = k.log_tree FROM kept_raffles k WHERE k.id = r.id`)
		d.mustDraw(t, id, round)
		d.verify(t, id, 1)
	}
}

// The key of an earlier close is enough to draw; without it, the draw waits.
func TestDraw_NeedsTheKeyThatSignedTheClose(t *testing.T) {
	t.Parallel()
	d := setupDrawing(t)
	id := d.createDrawn(t, time.Time{})
	d.enterTimes(t, 8, "m", id)
	round := d.closeDrawn(t, id)
	signing, key, err := note.GenerateKey(rand.Reader, drawtest.LogName)
	if err != nil {
		t.Fatal(err)
	}
	earlier := d.draws.Key
	for _, file := range []string{signing, signing + "\n" + earlier} {
		if err := d.stop(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(d.draws.KeyFile, []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		d.start(t)
		if file == signing {
			_, err := d.drawByHand(t, id, d.draws.Chain.Signature(round))
			wantError(t, err, codes.FailedPrecondition, "LOG_MISMATCH")
			d.wantUndrawn(t, id)
		}
	}
	d.mustDraw(t, id, round)
	d.draws.Key = key
	d.verify(t, id, 1)
}

// A backup from after the close leads to the same draw, and nothing can follow what the
// restore has lost.
func TestDraw_IsTheSameAfterARestore(t *testing.T) {
	t.Parallel()
	d := setupDrawing(t)
	id := d.createDrawn(t, time.Time{})
	d.enterTimes(t, 8, "m", id)
	round := d.closeDrawn(t, id)
	d.awaitTruth(t, id)
	closed := d.dump(t)
	d.mustDraw(t, id, round)
	first := d.verify(t, id, 1)
	d.awaitTruth(t, id)
	drawnOnly := d.dump(t)
	ctx := t.Context()
	strike := func() error {
		_, err := d.raffles.StrikeWinner(ctx, &rafflev1.StrikeWinnerRequest{
			RaffleId: id, Ticket: first.winners[0], Reason: rafflev1.Winner_UNCLAIMED,
		})
		return err
	}
	if err := strike(); err != nil {
		t.Fatal(err)
	}
	d.awaitTruth(t, id)
	d.awaitTick(t)

	closed()
	untilCompared(t, func() error {
		_, err := d.drawByHand(t, id, d.draws.Chain.Signature(round))
		return err
	})
	if again := d.verify(t, id, 1); again.checkpoint != first.checkpoint {
		t.Errorf("first %q, again %q", first.checkpoint, again.checkpoint)
	}
	testenv.Eventually(t, "what was lost is known", 20*time.Second, func() bool {
		err := strike()
		if err == nil {
			t.Fatal("a strike takes the place of the one that was lost")
		}
		return status.Code(err) == codes.FailedPrecondition
	})
	wantError(t, strike(), codes.FailedPrecondition, "LOG_BEHIND")
	d.awaitTruth(t, id)
	d.awaitTick(t)

	drawnOnly()
	testenv.Eventually(t, "what was lost is known", 20*time.Second, func() bool {
		err := strike()
		if err == nil {
			t.Fatal("a strike takes the place of the one that was lost")
		}
		return status.Code(err) == codes.FailedPrecondition
	})
	wantError(t, strike(), codes.FailedPrecondition, "LOG_BEHIND")
	_, err := d.raffles.RedrawRaffle(ctx, &rafflev1.RedrawRaffleRequest{RaffleId: id})
	if code := status.Code(err); code != codes.FailedPrecondition {
		t.Errorf("redraw: %v", err)
	}
	if again := d.verify(t, id, 1); again.checkpoint != first.checkpoint {
		t.Errorf("first %q, again %q", first.checkpoint, again.checkpoint)
	}
}
