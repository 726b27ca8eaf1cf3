package participation_test

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/url"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/durationpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/draw"
	"github.com/rafflecast/rafflecast/services/draw/logfile"
	"github.com/rafflecast/rafflecast/services/participation"
	"github.com/rafflecast/rafflecast/services/test/drawtest"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// drawing is a service that draws.
type drawing struct {
	*bundle
	draws *drawtest.Draws
}

func setupDrawing(t *testing.T) *drawing {
	t.Helper()
	d := &drawing{prepare(t), drawtest.Start(t)}
	d.configure(&d.cfg)
	d.start(t)
	return d
}

func (d *drawing) configure(cfg *participation.Config) {
	cfg.DrawKey, cfg.DrawChains, cfg.DrawRelays = d.draws.KeyFile, d.draws.ChainFile, d.draws.Relay
}

// createDrawn creates a raffle that is drawn 10 s after its close, the shortest delay.
func (d *drawing) createDrawn(t *testing.T, closesAt time.Time) int64 {
	t.Helper()
	req := &rafflev1.CreateRaffleRequest{
		Title: "Guitar", Winners: 1, MaxEntriesPerMember: 1000,
		Draw: &rafflev1.Draw{Delay: durationpb.New(10 * time.Second)},
	}
	if !closesAt.IsZero() {
		req.ClosesAt = timestamppb.New(closesAt)
	}
	return d.create(t, req).GetId()
}

// enterTimes enters raffles, n times each.
func (d *drawing) enterTimes(t *testing.T, n int, member string, raffles ...int64) {
	t.Helper()
	for range n {
		for _, id := range raffles {
			d.enter(t, id, member)
		}
	}
}

// dump returns a function that restores the database, as it is now, with PostgreSQL's own
// tools. The service may run meanwhile. A tick may not have passed since: see awaitTick.
func (d *drawing) dump(t *testing.T) (restore func()) {
	t.Helper()
	u, err := url.Parse(d.cfg.DatabaseURL)
	if err != nil {
		t.Fatal(err)
	}
	q := u.Query()
	schema := q.Get("search_path")
	q.Del("search_path")
	u.RawQuery = q.Encode()
	dump, err := exec.CommandContext(t.Context(), testenv.NeedProgram(t, "pg_dump"), "--schema", schema, u.String()).Output()
	if err != nil {
		t.Fatal(err)
	}
	psql := testenv.NeedProgram(t, "psql")
	return func() {
		t.Helper()
		load := exec.CommandContext(t.Context(), psql, "--quiet", "--single-transaction", "-v", "ON_ERROR_STOP=1", u.String())
		load.Stdin = strings.NewReader("DROP SCHEMA " + schema + " CASCADE;\n" + string(dump))
		if out, err := load.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, bytes.TrimSpace(out))
		}
	}
}

// closeDrawn closes a raffle, checks that its round lies ahead, and returns the round.
func (d *drawing) closeDrawn(t *testing.T, id int64) (round uint64) {
	t.Helper()
	resp, err := d.raffles.CloseRaffle(t.Context(), &rafflev1.CloseRaffleRequest{RaffleId: id})
	if err != nil {
		t.Fatal(err)
	}
	report, err := d.raffles.GetDraw(t.Context(), &rafflev1.GetDrawRequest{RaffleId: id})
	if err != nil {
		t.Fatal(err)
	}
	round = uint64(report.GetDrawings()[0].GetRound())
	out := d.draws.Chain.Chain().TimeOf(round).Time()
	if !out.After(time.Now()) || !out.Equal(resp.GetRaffle().GetDrawsAt().AsTime()) {
		t.Errorf("round %d of %v is out already, or not the draw's, %v", round, out, resp.GetRaffle().GetDrawsAt().AsTime())
	}
	return round
}

// drawByHand draws a raffle with the signature of its round, before that is out.
func (d *drawing) drawByHand(t *testing.T, id int64, signature []byte) (*rafflev1.Raffle, error) {
	t.Helper()
	resp, err := d.raffles.DrawRaffle(t.Context(), &rafflev1.DrawRaffleRequest{RaffleId: id, Signature: hex.EncodeToString(signature)})
	return resp.GetRaffle(), err
}

func (d *drawing) mustDraw(t *testing.T, id int64, round uint64) {
	t.Helper()
	if r, err := d.drawByHand(t, id, d.draws.Chain.Signature(round)); err != nil || r.GetState() != rafflev1.Raffle_DRAWN {
		t.Fatalf("%v, %v", r, err)
	}
}

// wantUndrawn checks that a raffle is closed and has no winners.
func (d *drawing) wantUndrawn(t *testing.T, id int64) {
	t.Helper()
	r, err := d.raffles.GetRaffle(t.Context(), &rafflev1.GetRaffleRequest{RaffleId: id})
	if err != nil || r.GetRaffle().GetState() != rafflev1.Raffle_CLOSED {
		t.Errorf("%v, %v", r, err)
	}
	winners, err := d.raffles.ListWinners(t.Context(), &rafflev1.ListWinnersRequest{RaffleId: id})
	if err != nil || len(winners.GetWinners()) > 0 {
		t.Errorf("%v, %v", winners, err)
	}
}

// drawn is what a stranger finds of a raffle that is drawn.
type drawn struct {
	checkpoint string
	winners    []int64
	records    [][]byte
}

// verify checks a drawn raffle as a stranger does, with what the service serves, and that
// its log has this number of drawings and the winners that are listed.
func (d *drawing) verify(t *testing.T, id int64, drawings int) (found drawn) {
	t.Helper()
	ctx := t.Context()
	checkpoint, err := d.raffles.GetCheckpoint(ctx, &rafflev1.GetCheckpointRequest{RaffleId: id})
	if err != nil {
		t.Fatal(err)
	}
	page, err := d.raffles.GetLog(ctx, &rafflev1.GetLogRequest{RaffleId: id})
	if err != nil {
		t.Fatal(err)
	}
	for record, err := range logfile.Records(bytes.NewReader(page.GetRecords())) {
		if err != nil {
			t.Fatal(err)
		}
		found.records = append(found.records, slices.Clone(record))
	}
	found.checkpoint = checkpoint.GetCheckpoint()
	report := draw.Verify(draw.Input{
		Records: logfile.Records(bytes.NewReader(page.GetRecords())), Checkpoint: []byte(found.checkpoint),
		Key: d.draws.Key, Chains: []*draw.Chain{d.draws.Chain.Chain()},
	})
	if report.Outcome != draw.True || len(report.Log.Drawings()) != drawings {
		t.Errorf("%d drawings, %+v", len(report.Log.Drawings()), report.Checks)
	}
	list, err := d.raffles.ListWinners(ctx, &rafflev1.ListWinnersRequest{RaffleId: id, PageSize: 1000})
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range list.GetWinners() {
		if w.GetState() == rafflev1.Winner_WINS {
			found.winners = append(found.winners, w.GetTicket())
		}
	}
	want := slices.DeleteFunc(slices.Concat(report.Winners...), func(ticket int64) bool { return ticket == draw.Vacant })
	if fmt.Sprint(found.winners) != fmt.Sprint(want) {
		t.Errorf("the log draws %v, the service lists %v", want, found.winners)
	}
	return found
}
