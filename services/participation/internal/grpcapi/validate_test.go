package grpcapi

import (
	"testing"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// FuzzPlainlyValid holds the shortcut against the rules of the contract: what it
// passes, they pass. It also makes sure that no request breaks the validation.
func FuzzPlainlyValid(f *testing.F) {
	validator, err := newValidator()
	if err != nil {
		f.Fatal(err)
	}
	for _, id := range []string{
		"", "6f2c2bd0-5f0e-4c11-9d86-1c3c1a0d5a0e", "6F2C2BD0-5F0E-4C11-9D86-1C3C1A0D5A0E",
		"6f2c2bd05f0e4c119d861c3c1a0d5a0e", "{6f2c2bd0-5f0e-4c11-9d86-1c3c1a0d5a0e}", "urn:uuid:6f2c2bd0-5f0e-4c11-9d86-1c3c1a0d5a0e", "6f2c2bd0-5f0e-4c11-9d86-1c3c1a0d5a0g",
	} {
		f.Add(int64(1), "member-7", id)
	}
	f.Add(int64(0), "m", "")
	f.Add(int64(1), "", "")
	f.Add(int64(1), "a\n", "")
	f.Add(int64(1), "가", "")
	f.Fuzz(func(t *testing.T, raffleID int64, member, id string) {
		req := &rafflev1.EnterRequest{RaffleId: raffleID, MemberId: member, RequestId: id}
		rules := validator.Validate(req)
		if plainlyValid(req) && rules != nil {
			t.Errorf("%v passes though: %v", req, rules)
		}
		if got := validate(validator, req); (got == nil) != (rules == nil) {
			t.Errorf("%v: validate says %v, the rules %v", req, got, rules)
		}
	})
}

func BenchmarkValidate(b *testing.B) {
	validator, err := newValidator()
	if err != nil {
		b.Fatal(err)
	}
	req := &rafflev1.EnterRequest{RaffleId: 1, MemberId: "member-123", RequestId: "6f2c2bd0-5f0e-4c11-9d86-1c3c1a0d5a0e"}
	b.Run("shortcut", func(b *testing.B) {
		for b.Loop() {
			_ = validate(validator, req)
		}
	})
	b.Run("rules", func(b *testing.B) {
		for b.Loop() {
			_ = validator.Validate(req)
		}
	})
}
