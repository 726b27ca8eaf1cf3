package commands

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/connect"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// The way of a raffle from the idea to the winners, by the commands that
// docs/organisers.md tells of.
func TestOrganiser_FromIdeaToWinners(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id := p.create(
		t,
		"Band night",
		"--prize=Guitar",
		"--prize=Strings=2",
		"--draw",
		"--draw-delay=10s",
		"--max-entries=2",
		"--alternates=1",
	)
	wantLines(
		t,
		p.must(t, "show", id),
		"title        Band night",
		"state        OPEN",
		"winners      3: Guitar, 2 × Strings",
		"each entry   no entries yet",
		"enter now    certain to win",
		"alternates   1",
	)
	for i := range 9 {
		p.must(t, "enter", id, fmt.Sprint("member-", i))
	}
	entered := p.must(t, "enter", id, "member-0")
	wantLines(t, entered, "member-0 is in raffle "+id, "entry        2", "ticket       10", "opening      ",
		"entries      2 of this member, 10 in all", "own chance   1 in 1.9 (53.3 %)")
	withdrawn := p.must(t, "withdraw", id, "member-0", "--ordinal=1")
	wantLines(
		t,
		withdrawn,
		"entry 1 of member-0 in raffle "+id+" is taken back",
		"entries      1 of this member, 9 in all",
		"own chance   1 in 3 (33.3 %)",
	)

	edited := p.objects(t, "edit", id, "--title=Band night, late", "--closes=3d")[0]
	closes, err := time.Parse(time.RFC3339, fmt.Sprint(edited["closesAt"]))
	if err != nil || edited["title"] != "Band night, late" || time.Until(closes).Round(time.Hour) != 72*time.Hour ||
		edited["winners"] != 3.0 {
		t.Errorf("edited: %v, %v", edited, err)
	}
	edited = p.objects(t, "edit", id, "--closes=never", "--prize=Drums")[0]
	if edited["closesAt"] != nil || edited["winners"] != 1.0 {
		t.Errorf("edited again: %v", edited)
	}
	wantLines(
		t,
		p.must(t, "ls", "--state=open"),
		"ID  STATE",
		id+"   OPEN   9        9        1        -     Band night, late",
	)

	if got := p.objects(t, "close", id)[0]; got["state"] != "CLOSED" || got["drawsAt"] == nil {
		t.Errorf("closed: %v", got)
	}
	watched := p.must(t, "watch", id) // ends with the draw
	wantLines(t, watched, "CLOSED", "draws in ", "DRAWN      9 entries of 9 members, 1 wins  drawn: tickets ")

	winners := p.must(t, "winners", id, "--members")
	wantLines(t, winners, "PLACE  TICKET  STATE", "WINS       member-", "Drums", "ALTERNATE  member-")
	if got := p.objects(t, "winners", id); len(got) != 2 || got[0]["prize"] != "Drums" || got[0]["memberId"] != "" {
		t.Errorf("winners without their members: %v", got)
	}
	wantLines(t, p.must(t, "verify", id), "result   true")
	wantLines(t, p.must(t, "draw", id), "state        DRAWN") // it is drawn already
	p.endsDrawn(t, id)
}

// endsDrawn strikes the winners of a raffle with one prize and one alternate, draws it
// again, exports and purges it.
func (p *program) endsDrawn(t *testing.T, id string) {
	t.Helper()
	winners := p.objects(t, "winners", id)
	first, second := fmt.Sprint(winners[0]["ticket"]), fmt.Sprint(winners[1]["ticket"])
	wantLines(
		t,
		p.must(t, "strike", id, first, "--reason=declined", "--yes"),
		"ticket "+first+" is struck",
		"ticket "+second+" has its place",
	)
	wantLines(
		t,
		p.must(t, "strike", id, second, "--reason=other", "--yes"),
		"the prize is vacant: rafflecast redraw "+id,
	)
	r := p.run("winners", id)
	wantLines(t, r.out, "STRUCK DECLINED", "STRUCK OTHER")
	wantLines(t, r.err, "nobody holds 1 of the prizes")
	wantLines(t, p.must(t, "redraw", id), "state        DRAWN, draws again in ")
	testenv.Eventually(
		t,
		"the second drawing",
		time.Minute,
		func() bool { return p.objects(t, "show", id)[0]["drawsAt"] == nil },
	)

	entrants := strings.Split(strings.TrimSpace(p.must(t, "export", id)), "\n")
	if len(entrants) != 10 || entrants[0] != "member_id,ordinal,created_at,ticket" ||
		!strings.HasPrefix(entrants[1], "member-0,2,") {
		t.Errorf("entrants: %q", entrants)
	}
	if got := p.objects(t, "export", id); len(got) != 9 || got[8]["memberId"] != "member-8" || got[8]["ticket"] != "9" {
		t.Errorf("entrants as JSON: %v", got)
	}
	wantLines(
		t,
		p.must(t, "export", id, "--winners"),
		"place,state,prize,ticket,member_id,drawing\n1,WINS,Drums,",
		"STRUCK OTHER,Drums,"+second+",member-",
	)
	wantLines(t, p.must(t, "purge", id, "--yes"), "state        DRAWN")
	if got := p.must(t, "export", id); got != "member_id,ordinal,created_at,ticket\n" {
		t.Errorf("after the purge: %q", got)
	}
	audit := p.must(t, "audit", id)
	wantLines(t, audit, "ID  AT ", "PurgeRaffle", "StrikeWinner", "CreateRaffle")
	newest := p.objects(t, "audit", "--limit=1")
	if len(newest) != 1 || newest[0]["call"] != "PurgeRaffle" || newest[0]["raffleId"] != id {
		t.Errorf("the newest event: %v", newest)
	}
}

func TestCommands_SentencesAndExitCodes(t *testing.T) {
	t.Parallel()
	p := setup(t)
	open, later := p.create(t, "Open"), p.create(t, "Later", "--opens=2030-01-01T12:00Z", "--closes=2031-01-01T12:00Z")
	cancelled := p.create(t, "Cancelled")
	p.must(t, "cancel", cancelled, "-y")
	p.must(t, "enter", open, "minji")
	for _, c := range []struct {
		args string
		code int
		err  string
	}{
		{"show 99", 3, "raffle 99 does not exist (RAFFLE_NOT_FOUND)"},
		{"enter 99 minji", 3, "raffle 99 does not exist (RAFFLE_NOT_FOUND)"},
		{"enter " + open + " minji", 3, "the member has made all entries that raffle " + open + " allows: 1 (ENTRY_LIMIT_REACHED)"},
		{"enter " + later + " minji", 3, "raffle " + later + " is not open yet: it opens at 2030-01-01T12:00:00Z (RAFFLE_NOT_OPEN)"},
		{"enter " + cancelled + " minji", 3, "raffle " + cancelled + " is not open: it is CANCELLED (RAFFLE_NOT_OPEN)"},
		{"cancel " + cancelled + " --yes", 3, "raffle " + cancelled + " is not open: it is CANCELLED (RAFFLE_NOT_OPEN)"},
		{"withdraw " + open + " jiho", 3, "the member has no entry in raffle " + open + " (ENTRY_NOT_FOUND)"},
		{"winners " + open, 3, "raffle " + open + " is not drawn by the service, and has no log (NO_LOG)"},
		{"export 99", 3, "raffle 99 does not exist (RAFFLE_NOT_FOUND)"},
		{"watch 99", 3, "raffle 99 does not exist (RAFFLE_NOT_FOUND)"},
		{"edit " + open + " --opens=1h", 3, "--opens: cannot be changed any more: raffle " + open + " is OPEN (FIELD_IMMUTABLE)"},
		{"edit " + later + " --closes=2029-01-01T12:00Z", 3, "--closes: must be after --opens, and 2029-01-01T12:00:00Z is not after 2030-01-01T12:00:00Z (TIMES_OUT_OF_ORDER)"},
		{"create x --closes=2020-01-01T12:00Z", 3, "--closes: must be in the future, and 2020-01-01T12:00:00Z has passed (TIME_PASSED)"},

		{"enter " + open + " a/b", 2, `member: must be 1 to 64 of A-Z a-z 0-9 _ . : @ - (got "a/b") (INVALID)`},
		{"create x --picture=http://example.com/", 2, "--picture: "},
		{"edit " + open, 2, "nothing to change: give at least one of --title"},
		{"cancel " + open, 2, "this cannot be undone, and there is no terminal to ask: give --yes"},
		{"show", 2, "<raffle> has no value: it must be at least 1"},
		{"show 0", 2, "<raffle>=0: must be at least 1"},
		{"show x", 2, "<raffle>=x: must be a whole number, at least 1"},
		{"create x --closes=soon", 2, "--closes=soon: must be a duration from now like"},
		{"create x --prize=Strings=two", 2, "has no whole number after the ="},
		{"create x --alternates=2", 2, "--alternates=2: must be 0 without --draw"},
		{"strike 1 2 --reason=bored", 2, "--reason=bored: must be unclaimed, declined, ineligible, duplicate or other"},
		{"shwo 1", 2, `unknown command shwo, did you mean "show"?`},
		{"enter 1 minji --tagret=x", 2, `unknown flag --tagret, did you mean "--target"?`},
		{"show 1 --token=a --token-file=b", 2, "--token-file=b: must be left out if there is a --token"},
		{"show 1 --ca=/nonexistent", 2, "--ca=/nonexistent: must be a PEM file of certificates"},
		{"show 1 --cert=x", 2, "--key (RAFFLECAST_KEY) has no value: it must be a PEM file, together with --cert"},

		{"show 1 --target=127.0.0.1:1", 1, "nobody answers at 127.0.0.1:1; is rafflecast run running?"},
		{"watch 1 --gateway=http://127.0.0.1:1", 1, "nobody answers at http://127.0.0.1:1; is rafflecast run running?"},
		{"show 1 --tls", 1, " has no TLS: leave out --tls, --ca and --cert"},
		{"tap --nats-url=nats://127.0.0.1:1", 1, "no NATS server answers as --nats-url says"},
	} {
		r := p.run(strings.Fields(c.args)...)
		last := strings.TrimSpace(r.err)
		last = last[strings.LastIndex(last, "\n")+1:]
		if r.code != c.code || !strings.HasPrefix(last, "rafflecast: ") || !strings.Contains(last, c.err) ||
			r.out != "" && !strings.HasPrefix(c.args, "export") {
			t.Errorf("%s: exit code %d, want %d and %q\n%s%s", c.args, r.code, c.code, c.err, r.out, r.err)
		}
		if strings.Contains(r.err, "rpc error") || strings.Contains(r.err, "code = ") {
			t.Errorf("%s: gRPC's words reach people: %s", c.args, r.err)
		}
	}
}

func TestConfirm_AsksOnATerminal(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id := p.create(t, "A")
	p.interactive = true
	for _, c := range []struct {
		typed string
		code  int
		state string
	}{{"", 2, "OPEN"}, {"\n", 2, "OPEN"}, {"no\n", 2, "OPEN"}, {"y\n", 0, "CANCELLED"}} {
		p.typed = c.typed
		r := p.run("cancel", id)
		if r.code != c.code ||
			!strings.Contains(r.err, fmt.Sprintf("Cancel raffle %s, \"A\", OPEN with 0 entries, for good? [y/N]", id)) {
			t.Errorf("%q: exit code %d\n%s%s", c.typed, r.code, r.out, r.err)
		}
		if got := p.objects(t, "show", id)[0]["state"]; got != c.state {
			t.Errorf("%q: the raffle is %v", c.typed, got)
		}
	}
}

func TestEnter_IsRepeatedByItsRequestID(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id := p.create(t, "A", "--max-entries=9")
	const request = "--request-id=6f2c2bd0-5f0e-4c11-9d86-1c3c1a0d5a0e"
	p.must(t, "enter", id, "minji", request)
	wantLines(
		t,
		p.must(t, "enter", id, "minji", request),
		"minji is in raffle "+id+", by an earlier request with this id",
		"entry        1\n",
	)
	if got := p.objects(t, "enter", id, "minji")[0]; got["memberEntries"] != 2.0 || got["replayed"] != false {
		t.Errorf("without the id: %v", got)
	}
}

func TestList_InPages(t *testing.T) {
	t.Parallel()
	p := setup(t)
	for i := range 3 {
		p.create(t, fmt.Sprint("Raffle ", i), "--members-only", "--once", "--description=A\nB")
	}
	r := p.run("list", "--limit=2")
	if strings.Count(r.out, "\n") != 3 || r.err != "there are more raffles: --limit lists more than 2\n" {
		t.Errorf("%s%s", r.out, r.err)
	}
	all := p.objects(t, "list", "--limit=3")
	if len(all) != 3 || all[2]["title"] != "Raffle 2" || all[0]["visibility"] != "MEMBERS" ||
		all[0]["rule"] != "MEMBER_WINS_ONCE" {
		t.Errorf("%v", all)
	}
	if got := p.must(t, "list", "--state=drawn"); got != "ID  STATE  ENTRIES  MEMBERS  WINNERS  NEXT  TITLE\n" {
		t.Errorf("%q", got)
	}
}

func TestExport_AllPages(t *testing.T) {
	t.Parallel()
	p := setup(t)
	id := p.create(t, "A", "--max-entries=1000")
	service := connect.Service{Target: p.env["RAFFLECAST_TARGET"]}
	client, err := service.Connect(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	raffleID, err := strconv.ParseInt(id, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	const entries = maxPage + 20
	var entering errgroup.Group
	entering.SetLimit(50)
	for i := range entries {
		entering.Go(func() error {
			_, err := client.Entries.Enter(
				t.Context(),
				&rafflev1.EnterRequest{RaffleId: raffleID, MemberId: fmt.Sprint("m-", i%3)},
			)
			return err
		})
	}
	if err := entering.Wait(); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(p.must(t, "export", id)), "\n")
	slices.Sort(lines)
	if n := len(slices.Compact(lines)); n != entries+1 {
		t.Errorf("%d different lines, want %d", n, entries+1)
	}
}

func TestTap_ShowsWhatPasses(t *testing.T) {
	t.Parallel()
	p, nats := setupWithNATS(t)
	id, other := p.create(t, "One"), p.create(t, "Other")
	type tapped struct{ table, json result }
	ended := make(chan tapped, 1)
	go func() {
		var r tapped
		r.table = p.run("tap", id, "--count=2", "--nats-url="+nats)
		r.json = p.run("tap", "--count=1", "-o", "json", "--nats-url="+nats)
		ended <- r
	}()
	// Nobody says when the tap listens, so members enter until it has seen enough.
	var r tapped
	member := 0
	testenv.Eventually(t, "the tap has not ended", time.Minute, func() bool {
		member++
		p.must(t, "enter", id, fmt.Sprint("m-", member))
		p.must(t, "enter", other, fmt.Sprint("m-", member))
		select {
		case r = <-ended:
			return true
		default:
			return false
		}
	})
	if r.table.code != 0 || strings.Count(r.table.out, "\n") != 2 || strings.Contains(r.table.out, "Other") {
		t.Errorf("exit code %d\n%s%s", r.table.code, r.table.out, r.table.err)
	}
	wantLines(t, r.table.out, "raffle.live."+id+" ", "OPEN", "members", "\"One\"")
	wantLines(t, r.table.err, "listening to raffle.live.*")
	wantLines(t, r.json.out, `"title":"`, `"entries":"`)
}
