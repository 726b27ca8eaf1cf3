package participation_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/nats-io/nats.go/jetstream"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/internal/oddsstream"
	"github.com/rafflecast/rafflecast/services/test/drawtest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// untilCompared calls f again and again while the answer is that logs are not compared.
func untilCompared(t *testing.T, f func() error) {
	t.Helper()
	testenv.Eventually(t, "the logs are compared", 60*time.Second, func() bool {
		err := f()
		if status.Code(err) == codes.Unavailable {
			wantNotCompared(t, err)
			return false
		}
		if err != nil {
			t.Fatal(err)
		}
		return true
	})
}

func wantNotCompared(t *testing.T, err error) {
	t.Helper()
	st := wantError(t, err, codes.Unavailable, "LOG_NOT_COMPARED")
	for _, detail := range st.Details() {
		if retry, ok := detail.(*errdetails.RetryInfo); ok && retry.GetRetryDelay().AsDuration() > 0 {
			return
		}
	}
	t.Errorf("no RetryInfo: %v", st.Details())
}

// signed returns the signed checkpoint of a ticket's receipt.
func (d *drawing) signed(t *testing.T, id, ticket int64) (head draw.Checkpoint) {
	t.Helper()
	untilCompared(t, func() error {
		resp, err := d.raffles.GetTicket(t.Context(), &rafflev1.GetTicketRequest{RaffleId: id, Ticket: ticket})
		if err != nil {
			return err
		}
		receipt, err := draw.ParseReceipt([]byte(resp.GetProof()))
		if err != nil {
			t.Fatal(err)
		}
		head, err = receipt.Open(resp.GetRecord(), d.draws.Key)
		if err != nil {
			t.Fatal(err)
		}
		return nil
	})
	return head
}

// wantOneTree checks what the stream holds of a raffle: below the sequence after,
// anything; from there on no log of the first life, whose records were lost.
func (d *drawing) wantOneTree(t *testing.T, id int64, after uint64) {
	t.Helper()
	stream, err := d.nats.JetStream().Stream(t.Context(), oddsstream.Name)
	if err != nil {
		t.Fatal(err)
	}
	for seq := after + 1; ; seq++ {
		msg, err := stream.GetMsg(t.Context(), seq, jetstream.WithGetMsgSubject(oddsstream.Subject(id)))
		if err != nil {
			return
		}
		seq = msg.Sequence
		var odds rafflev1.Odds
		if err := proto.Unmarshal(msg.Data, &odds); err != nil {
			t.Fatal(err)
		}
		if odds.GetLogLife() < 2 {
			t.Errorf("published after the restore: %v", &odds)
		}
	}
}

// lastSeq returns the sequence of the stream's last message.
func (d *drawing) lastSeq(t *testing.T) uint64 {
	t.Helper()
	stream, err := d.nats.JetStream().Stream(t.Context(), oddsstream.Name)
	if err != nil {
		t.Fatal(err)
	}
	info, err := stream.Info(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.State.LastSeq
}

// A service that finds an older state of its database at the start signs nothing, and
// closes nothing that will be drawn, before it was compared with the stream. Entries are
// taken meanwhile, by as many batches as the lost ones, so that versions do not tell.
func TestRestore_NothingIsSignedBeforeTheComparisonAtTheStart(t *testing.T) {
	t.Parallel()
	d := setupDrawing(t)
	due := d.createDrawn(t, time.Now().Add(20*time.Second))
	open := d.createDrawn(t, time.Time{})
	without := d.create(t, &rafflev1.CreateRaffleRequest{Title: "no draw", Winners: 1}).GetId()
	d.enterTimes(t, 2, "kept", due, open)
	restore := d.dump(t)
	d.enterTimes(t, 2, "lost", due, open)
	for _, id := range []int64{due, open} {
		if head := d.signed(t, id, 4); head.Size != 5 {
			t.Fatalf("%q", head)
		}
		d.awaitTruth(t, id)
	}
	d.awaitTick(t)
	if err := d.stop(); err != nil {
		t.Fatal(err)
	}
	restore()
	before := d.lastSeq(t)
	d.sql(t, fmt.Sprintf(`UPDATE raffles SET closes_at = now() WHERE id = %d`, due)) // the time passes
	d.nats.Stop()
	d.start(t)
	ctx := t.Context()
	d.enterTimes(t, 6, "new", open)
	_, err := d.raffles.CloseRaffle(ctx, &rafflev1.CloseRaffleRequest{RaffleId: open})
	wantNotCompared(t, err)
	_, err = d.raffles.CancelRaffle(ctx, &rafflev1.CancelRaffleRequest{RaffleId: open})
	wantNotCompared(t, err)
	_, err = d.raffles.GetTicket(ctx, &rafflev1.GetTicketRequest{RaffleId: open, Ticket: 1})
	wantNotCompared(t, err)
	testenv.Eventually(t, "the scheduler has tried", 20*time.Second, func() bool {
		text := d.metrics(t)
		return !strings.Contains(text, `draw_failures_total{reason="not_compared"} 0`)
	})
	_, err = d.entries.Enter(ctx, &rafflev1.EnterRequest{RaffleId: due, MemberId: "late"})
	wantError(t, err, codes.FailedPrecondition, "RAFFLE_NOT_OPEN")
	if r, err := d.raffles.GetRaffle(ctx, &rafflev1.GetRaffleRequest{RaffleId: due}); err != nil || r.GetRaffle().GetState() != rafflev1.Raffle_OPEN {
		t.Errorf("%v, %v", r, err)
	}
	if _, err := d.raffles.CloseRaffle(ctx, &rafflev1.CloseRaffleRequest{RaffleId: without}); err != nil {
		t.Errorf("a raffle without a log: %v", err)
	}

	d.nats.Start()
	untilCompared(t, func() error {
		_, err := d.raffles.CloseRaffle(ctx, &rafflev1.CloseRaffleRequest{RaffleId: open})
		return err
	})
	for _, id := range []int64{due, open} {
		testenv.Eventually(t, "the raffle is closed", 20*time.Second, func() bool {
			return d.published(t, id).GetState() == rafflev1.Raffle_CLOSED
		})
		if head := d.signed(t, id, 2); head.Origin != draw.Origin(drawtest.LogName, id, 2) {
			t.Errorf("signed %q", head)
		}
		d.wantOneTree(t, id, before)
	}
}

// The same if the database is restored while the service runs: it is noticed within the
// transaction that would sign, not a second later.
func TestRestore_NothingIsSignedBeforeTheComparisonWhileItRuns(t *testing.T) {
	t.Parallel()
	d := setupDrawing(t)
	closed, cancelled := d.createDrawn(t, time.Time{}), d.createDrawn(t, time.Time{})
	due, receipt := d.createDrawn(t, time.Now().Add(time.Hour)), d.createDrawn(t, time.Time{})
	all := []int64{closed, cancelled, due, receipt}
	d.enterTimes(t, 2, "kept", all...)
	restore := d.dump(t)
	d.enterTimes(t, 2, "lost", all...)
	lost := d.createDrawn(t, time.Time{})
	d.enterTimes(t, 1, "lost", lost)
	if head := d.signed(t, lost, 1); head.Origin != draw.Origin(drawtest.LogName, lost, 1) {
		t.Fatalf("%q", head)
	}
	d.awaitTruth(t, lost)
	for _, id := range all {
		if head := d.signed(t, id, 4); head.Size != 5 {
			t.Fatalf("%q", head)
		}
		d.awaitTruth(t, id)
	}
	d.awaitTick(t)
	restore()
	before := d.lastSeq(t)
	ctx := t.Context()
	// Versions overtake those of the lost entries at once, and a new raffle gets the id of
	// the lost one, unless the comparison was faster.
	d.enterTimes(t, 4, "new", closed, receipt)
	again := d.createDrawn(t, time.Time{})
	d.enterTimes(t, 1, "new", again)
	untilCompared(t, func() error {
		_, err := d.raffles.CloseRaffle(ctx, &rafflev1.CloseRaffleRequest{RaffleId: closed})
		return err
	})
	untilCompared(t, func() error {
		_, err := d.raffles.CancelRaffle(ctx, &rafflev1.CancelRaffleRequest{RaffleId: cancelled})
		return err
	})
	for _, id := range all {
		if head := d.signed(t, id, 2); head.Origin != draw.Origin(drawtest.LogName, id, 2) {
			t.Errorf("signed %q", head)
		}
		d.awaitTruth(t, id)
		d.wantOneTree(t, id, before)
	}
	if head := d.signed(t, again, 1); head.Origin == draw.Origin(drawtest.LogName, lost, 1) {
		t.Errorf("signed %q", head)
	}
	if next := d.createDrawn(t, time.Time{}); next <= lost {
		t.Errorf("raffle %d after %d", next, lost)
	}
}

// A raffle that is lost leaves its id to no other.
func TestRestore_TheIDsOfLostRafflesAreNotUsedAgain(t *testing.T) {
	t.Parallel()
	d := setupDrawing(t)
	restore := d.dump(t)
	var lost int64
	for range 3 {
		lost = d.createDrawn(t, time.Time{})
	}
	d.awaitTruth(t, lost)
	d.awaitTick(t)
	restore()
	testenv.Eventually(t, "viewers are told that the raffle is gone", 20*time.Second, func() bool { return d.published(t, lost).GetRemoved() })
	if next := d.createDrawn(t, time.Time{}); next != lost+1 {
		t.Errorf("raffle %d after %d", next, lost)
	}
}

// Nor does the scheduler close a raffle whose time comes with the restore.
func TestRestore_TheSchedulerClosesNothingBeforeTheComparison(t *testing.T) {
	t.Parallel()
	d := setupDrawing(t)
	id := d.createDrawn(t, time.Now().Add(time.Hour))
	d.enterTimes(t, 2, "kept", id)
	d.sql(t, fmt.Sprintf(`UPDATE raffles SET closes_at = now() + interval '4 seconds' WHERE id = %d`, id))
	comes := time.Now().Add(4 * time.Second)
	restore := d.dump(t) // in which the time will have come
	d.sql(t, fmt.Sprintf(`UPDATE raffles SET closes_at = now() + interval '1 hour' WHERE id = %d`, id))
	d.enterTimes(t, 2, "lost", id)
	if head := d.signed(t, id, 4); head.Size != 5 {
		t.Fatalf("%q", head)
	}
	d.awaitTruth(t, id)
	testenv.Eventually(t, "the time of the close in the dump has come", 20*time.Second, func() bool { return time.Now().After(comes) })
	d.awaitTick(t)
	restore()
	before := d.lastSeq(t)
	testenv.Eventually(t, "the raffle is closed", 30*time.Second, func() bool {
		return d.published(t, id).GetState() == rafflev1.Raffle_CLOSED
	})
	if head := d.signed(t, id, 2); head.Origin != draw.Origin(drawtest.LogName, id, 2) {
		t.Errorf("signed %q", head)
	}
	d.wantOneTree(t, id, before)
}
