package faults

import (
	"errors"
	"testing"
	"time"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/protoadapt"
	"google.golang.org/protobuf/types/known/durationpb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// refusal returns an error as participation answers with; reason "" has no details.
func refusal(t *testing.T, code codes.Code, reason string, retry bool) error {
	t.Helper()
	st := status.New(code, "refused")
	var details []protoadapt.MessageV1
	if reason != "" {
		details = append(details, &errdetails.ErrorInfo{Reason: reason})
	}
	if retry {
		details = append(details, &errdetails.RetryInfo{RetryDelay: durationpb.New(time.Second)})
	}
	st, err := st.WithDetails(details...)
	if err != nil {
		t.Fatal(err)
	}
	return st.Err()
}

func testCallers() *callers {
	c := newCallers(nil, &lateness{})
	c.ids, c.short = []int64{1, 2, 3, 4, 5, 6, 7, 8}, 9
	return c
}

func TestCallers_JudgeErrors(t *testing.T) {
	t.Parallel()
	const first, last, short = 1, 8, 9 // raffles: an ordinary one, the limited one, the one that closes
	for name, test := range map[string]struct {
		raffleID int64
		err      error
		took     time.Duration
		repeat   bool
		faults   int
		refused  string
	}{
		"unavailable":                    {first, refusal(t, codes.Unavailable, "STORE_UNAVAILABLE", true), 0, true, 0, ""},
		"unavailable, no RetryInfo":      {first, refusal(t, codes.Unavailable, "STORE_UNAVAILABLE", false), 0, true, 1, ""},
		"busy, no RetryInfo":             {first, refusal(t, codes.ResourceExhausted, "BUSY", false), 0, true, 1, ""},
		"no connection":                  {first, refusal(t, codes.Unavailable, "", false), 0, true, 0, ""},
		"no answer in time":              {first, refusal(t, codes.DeadlineExceeded, "", false), callDeadline, true, 0, ""},
		"no answer long after":           {first, refusal(t, codes.DeadlineExceeded, "", false), callDeadline + overdue + time.Second, true, 1, ""},
		"internal":                       {first, refusal(t, codes.Internal, "INTERNAL", false), 0, true, 1, ""},
		"no status":                      {first, errors.New("raw"), 0, true, 1, ""},
		"not found":                      {first, refusal(t, codes.NotFound, "RAFFLE_NOT_FOUND", false), 0, false, 1, ""},
		"a limit that is not reached":    {first, refusal(t, codes.FailedPrecondition, "ENTRY_LIMIT_REACHED", false), 0, false, 1, ""},
		"closed, and it is open":         {last, refusal(t, codes.FailedPrecondition, "RAFFLE_NOT_OPEN", false), 0, false, 1, ""},
		"the limit of the limited":       {last, refusal(t, codes.FailedPrecondition, "ENTRY_LIMIT_REACHED", false), 0, false, 0, "ENTRY_LIMIT_REACHED"},
		"the end of the one that closes": {short, refusal(t, codes.FailedPrecondition, "RAFFLE_NOT_OPEN", false), 0, false, 0, "RAFFLE_NOT_OPEN"},
	} {
		c := testCallers()
		e := &entry{raffleID: test.raffleID}
		if repeat := c.failed(e, test.err, time.Now().Add(-test.took)); repeat != test.repeat || len(c.faults) != test.faults || e.refused != test.refused {
			t.Errorf("%s: repeat %v, refused %q, found %q", name, repeat, e.refused, c.faults)
		}
		if len(c.codes) != 1 {
			t.Errorf("%s: counted %v", name, c.codes)
		}
	}
}

func TestCallers_AllowForTheirOwnDelay(t *testing.T) {
	t.Parallel()
	c := testCallers()
	began := time.Now().Add(-callDeadline - overdue - time.Second)
	c.lateness.note(time.Now(), 2*time.Second)
	c.failed(&entry{raffleID: 1}, refusal(t, codes.DeadlineExceeded, "", false), began)
	if len(c.faults) != 0 {
		t.Errorf("found %q", c.faults)
	}
}

func TestCallers_NoteTwoAnswersToOneRequest(t *testing.T) {
	t.Parallel()
	c := testCallers()
	e := &entry{raffleID: 8}
	c.acknowledge(e, &rafflev1.Entry{Ordinal: 1})
	c.acknowledge(e, &rafflev1.Entry{Ordinal: 1})
	if e.contradicted || e.ordinal != 1 {
		t.Errorf("replayed: %+v", e)
	}
	c.failed(e, refusal(t, codes.FailedPrecondition, "ENTRY_LIMIT_REACHED", false), time.Time{})
	if len(c.faults) != 1 {
		t.Errorf("acknowledged, then refused: found %q", c.faults)
	}
	c.acknowledge(e, &rafflev1.Entry{Ordinal: 2})
	if !e.contradicted {
		t.Error("two ordinals are not noticed")
	}
}

func TestCallers_ForgetWhatARestoreTakesAway(t *testing.T) {
	t.Parallel()
	c := testCallers()
	c.entries = map[string]*entry{
		"before":          {ordinal: 1},
		"withdrawn after": {ordinal: 2, withdrawn: true},
		"answered after":  {ordinal: 3},
		"after":           {ordinal: 4},
	}
	c.restored(map[string]entry{"before": {ordinal: 1}, "withdrawn after": {ordinal: 2}, "answered after": {}})
	for id, want := range map[string]entry{"before": {ordinal: 1}, "withdrawn after": {ordinal: 2}, "answered after": {gone: true}, "after": {gone: true}} {
		if *c.entries[id] != want {
			t.Errorf("%s: %+v", id, *c.entries[id])
		}
	}
}
