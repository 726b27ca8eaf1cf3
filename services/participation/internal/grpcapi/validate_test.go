package grpcapi

import (
	"context"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/timestamppb"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

func mustValidator(tb testing.TB) *validator {
	tb.Helper()
	v, err := newValidator()
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

// The documented alphabet and size, which the validator reads from the rules.
func TestValidator_LearnsMemberIDs(t *testing.T) {
	t.Parallel()
	v := mustValidator(t)
	if v.memberSize != 64 {
		t.Errorf("a member id may have %d bytes", v.memberSize)
	}
	documented := regexp.MustCompile(`^[A-Za-z0-9_.:@-]$`)
	for b := range 256 {
		if want := documented.MatchString(string([]byte{byte(b)})); v.memberBytes[b] != want {
			t.Errorf("byte %q: %v, want %v", byte(b), v.memberBytes[b], want)
		}
	}
	if !v.plainlyValid(&rafflev1.EnterRequest{RaffleId: 1, MemberId: strings.Repeat("m", 64), RequestId: "6f2c2bd0-5f0e-4c11-9d86-1c3c1a0d5a0e"}) {
		t.Error("the shortcut does not know an ordinary request")
	}
}

// FuzzValidator_Shortcut holds the shortcut against the rules of the contract: they
// accept whatever it accepts. It also makes sure that no request breaks the validation.
func FuzzValidator_Shortcut(f *testing.F) {
	v := mustValidator(f)
	for _, id := range []string{
		"", "6f2c2bd0-5f0e-4c11-9d86-1c3c1a0d5a0e", "6F2C2BD0-5F0E-4C11-9D86-1C3C1A0D5A0E", "00000000-0000-0000-0000-000000000000",
		"6f2c2bd05f0e4c119d861c3c1a0d5a0e", "{6f2c2bd0-5f0e-4c11-9d86-1c3c1a0d5a0e}", "urn:uuid:6f2c2bd0-5f0e-4c11-9d86-1c3c1a0d5a0e", "6f2c2bd0-5f0e-4c11-9d86-1c3c1a0d5a0g",
	} {
		f.Add(int64(1), "member-7", id)
	}
	f.Add(int64(0), "m", "")
	f.Add(int64(1), "", "")
	f.Add(int64(1), "a\n", "")
	f.Add(int64(1), "가", "")
	f.Add(int64(1), strings.Repeat("m", 64), "")
	f.Add(int64(1), strings.Repeat("m", 65), "")
	f.Fuzz(func(t *testing.T, raffleID int64, member, id string) {
		req := &rafflev1.EnterRequest{RaffleId: raffleID, MemberId: member, RequestId: id}
		rules := v.rules.Validate(req)
		if v.plainlyValid(req) && rules != nil {
			t.Errorf("the shortcut accepts %v, but: %v", req, rules)
		}
		if got := v.check(req); (got == nil) != (rules == nil) {
			t.Errorf("%v: check returns %v, the rules %v", req, got, rules)
		}
	})
}

func TestValidator_NamesFieldValueAndBound(t *testing.T) {
	t.Parallel()
	v := mustValidator(t)
	now := timestamppb.Now()
	for _, c := range []struct {
		req          any
		field, tells string
		metadata     metadata
	}{
		{&rafflev1.EnterRequest{MemberId: "m"}, "raffle_id", "greater than or equal to 1 (got 0)", metadata{"value": "0", "bound": "1"}},
		{&rafflev1.EnterRequest{RaffleId: 1}, "member_id", `1 to 64 of A-Z a-z 0-9 _ . : @ - (got "")`, metadata{}},
		{&rafflev1.EnterRequest{RaffleId: 1, MemberId: "a\nb"}, "member_id", `(got "a\nb")`, metadata{}},
		{&rafflev1.EnterRequest{RaffleId: 1, MemberId: strings.Repeat("가", 65)}, "member_id", `가"… of 195 bytes`, metadata{}},
		{&rafflev1.EnterRequest{RaffleId: 1, MemberId: "m", RequestId: "x"}, "request_id", `(got "x")`, metadata{"value": `"x"`}},
		{&rafflev1.CreateRaffleRequest{Title: "A\x00B", Winners: 1}, "title", `none a control character, a letter that shows nothing, or one that turns the direction of writing (got "A\x00B")`, metadata{"value": `"A\x00B"`}},
		{&rafflev1.CreateRaffleRequest{Title: "A", Winners: 1_000_001}, "winners", "(got 1000001)", metadata{"value": "1000001"}},
		{&rafflev1.CreateRaffleRequest{Title: "A", Winners: 1, OpensAt: now, ClosesAt: now}, "closes_at", "must be after opens_at", metadata{}},
		{&rafflev1.UpdateRaffleRequest{}, "raffle", "value is required", metadata{}},
		{&rafflev1.UpdateRaffleRequest{Raffle: &rafflev1.Raffle{}}, "raffle.id", "(got 0)", metadata{"value": "0", "bound": "1"}},
		{
			&rafflev1.UpdateRaffleRequest{Raffle: &rafflev1.Raffle{Id: 1}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"nonsense"}}},
			"update_mask", `must only contain paths in`,
			metadata{"value": `"nonsense"`},
		},
		{&rafflev1.EnterStreamRequest{}, "enter", "value is required", metadata{}},
	} {
		st := wantError(t, toStatus(t.Context(), nil, v.check(c.req)), codes.InvalidArgument, "INVALID")
		if want := c.field + ": "; !strings.HasPrefix(st.Message(), want) || !strings.Contains(st.Message(), c.tells) || !utf8.ValidString(st.Message()) {
			t.Errorf("%q does not say %s%s", st.Message(), want, c.tells)
		}
		violations := detail[errdetails.BadRequest](st).GetFieldViolations()
		if len(violations) != 1 || violations[0].GetField() != c.field || violations[0].GetReason() == "" {
			t.Errorf("%s: violations %v", c.field, violations)
		}
		got := detail[errdetails.ErrorInfo](st).GetMetadata()
		if got["field"] != c.field {
			t.Errorf("%s: metadata %v", c.field, got)
		}
		for name, value := range c.metadata {
			if got[name] != value {
				t.Errorf("%s: metadata %v, want %s: %s", c.field, got, name, value)
			}
		}
		if c.field == "member_id" && got["value"] != "" {
			t.Errorf("metadata holds the member id: %v", got)
		}
	}
}

func TestValidator_NamesAllViolations(t *testing.T) {
	t.Parallel()
	st := status.Convert(toStatus(t.Context(), nil, mustValidator(t).check(&rafflev1.CreateRaffleRequest{})))
	if got := detail[errdetails.BadRequest](st).GetFieldViolations(); len(got) != 2 || !strings.Contains(st.Message(), "; winners: ") {
		t.Errorf("%q, %v", st.Message(), got)
	}
}

func TestClip_KeepsCharactersWhole(t *testing.T) {
	t.Parallel()
	for n := range 10 {
		s := "a가나"
		if got := clip(s, n); !utf8.ValidString(got) || len(got) > n || !strings.HasPrefix(s, got) {
			t.Errorf("%d: %q", n, got)
		}
	}
	if got := text(strings.Repeat("가", 100)); !utf8.ValidString(got) || !strings.HasSuffix(got, "… of 300 bytes") {
		t.Errorf("%q", got)
	}
	long := &rafflev1.Raffle{Id: 1, Title: strings.Repeat("가", 100)}
	if got := text(long.ProtoReflect()); !utf8.ValidString(got) || len(got) > maxText {
		t.Errorf("%q", got)
	}
}

func TestUpdateRaffle_RefusesMasks(t *testing.T) {
	t.Parallel()
	b := setup(t, nil)
	b.store.call = func(context.Context) error { t.Error("the store was asked"); return nil }
	for _, c := range []struct {
		raffle *rafflev1.Raffle
		mask   []string
		field  string
	}{
		{&rafflev1.Raffle{}, nil, "update_mask"},
		{&rafflev1.Raffle{Entries: 3}, []string{"entries"}, "update_mask"},
		{&rafflev1.Raffle{Title: "C", Winners: 1}, []string{"*", "title"}, "update_mask"},
		{&rafflev1.Raffle{Title: "C"}, []string{"title", "nonsense"}, "update_mask"},
		{&rafflev1.Raffle{}, []string{"title"}, "raffle.title"},
		{&rafflev1.Raffle{Title: "C"}, []string{"*"}, "raffle.winners"},
	} {
		c.raffle.Id = 1
		_, err := b.raffles.UpdateRaffle(t.Context(), &rafflev1.UpdateRaffleRequest{Raffle: c.raffle, UpdateMask: &fieldmaskpb.FieldMask{Paths: c.mask}})
		st := wantError(t, err, codes.InvalidArgument, "INVALID")
		if got := detail[errdetails.ErrorInfo](st).GetMetadata()["field"]; got != c.field {
			t.Errorf("%v %v: field %q", c.raffle, c.mask, got)
		}
	}
}

func BenchmarkValidator(b *testing.B) {
	v := mustValidator(b)
	req := &rafflev1.EnterRequest{RaffleId: 1, MemberId: "member-123", RequestId: "6f2c2bd0-5f0e-4c11-9d86-1c3c1a0d5a0e"}
	b.Run("shortcut", func(b *testing.B) {
		for b.Loop() {
			_ = v.check(req)
		}
	})
	b.Run("rules", func(b *testing.B) {
		for b.Loop() {
			_ = v.rules.Validate(req)
		}
	})
}

// A title that nobody can see, or that turns the text around it, is refused.
func TestValidator_TitlesCanBeSeen(t *testing.T) {
	t.Parallel()
	v, err := newValidator()
	if err != nil {
		t.Fatal(err)
	}
	for title, want := range map[string]bool{
		"Aé 가": true, "1": true, "!": true, "🎸": true, "👩\u200d👧": true, "مزاد": true, "a\u0301": true, " a ": true, strings.Repeat("가", 200): true,
		"": false, " ": false, "\u00a0": false, "\u200b\u2060": false, "\U000e0061\U000e0062": false, "\u0301\u0302": false, "\ufeff": false,
		"\u3164": false, "\u2800": false, "\ufffc": false, "\U0001d159": false, "\U00013441\U00013442": false,
		"a\u3164b": false, "a\u2800b": false, "a\u115fb": false, "a\u1160b": false, "a\uffa0b": false, "a\ufffcb": false,
		"a\U0001d159b": false, "a\U00013441b": false, "a\U00013442b": false,
		"\u0378": false, "\U000e01f0": false, "\ue000": false, "a\u0378": true, // of which nobody knows how they look
		"\ufe0f": false, "❤\ufe0f": true, "한글 \u1112\u1161\u11ab": true,
		"ab\u202edcba": false, "a\u202ab": false, "a\u202cb": false, "a\u2066b": false, "a\u2068b": false, "a\u2069b": false,
		"a\u200eb": false, "a\u200fb": false, "a\u061cb": false, "a\u202fb": true,
		"a\nb": false, "a\u0000b": false, "a\u001fb": false, "a\u007fb": false, "a\u0085b": false, "a\u009fb": false, "a\u00a0b": true, strings.Repeat("가", 201): false,
	} {
		err := v.check(&rafflev1.CreateRaffleRequest{Title: title, Winners: 1})
		if (err == nil) != want {
			t.Errorf("%q: %v", title, err)
		}
		if title == "" {
			continue // of an update, by the mask: TestUpdateRaffle_RefusesMasks
		}
		update := &rafflev1.UpdateRaffleRequest{Raffle: &rafflev1.Raffle{Id: 1, Title: title}, UpdateMask: &fieldmaskpb.FieldMask{Paths: []string{"title"}}}
		if err := v.check(update); (err == nil) != want {
			t.Errorf("update to %q: %v", title, err)
		}
	}
}
