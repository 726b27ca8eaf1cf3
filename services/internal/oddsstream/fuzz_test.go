package oddsstream

import (
	"strconv"
	"testing"
)

// FuzzRaffleID makes sure that each raffle has one subject: another spelling of its id
// is the subject of no raffle.
func FuzzRaffleID(f *testing.F) {
	for _, subject := range []string{"raffle.odds.7", "raffle.live.7", "raffle.odds.07", "raffle.odds.+7", "raffle.odds.7.x", "raffle.odds.", "x.raffle.odds.7", "raffle.odds.9223372036854775808"} {
		f.Add("", subject)
	}
	f.Add("staging", "staging.raffle.live.7")
	f.Fuzz(func(t *testing.T, prefix, subject string) {
		if CheckPrefix(prefix) != nil {
			return
		}
		names := Names{Prefix: prefix}
		id, ok := names.RaffleID(subject)
		if !ok {
			return
		}
		if id < 1 || subject != names.Subject(id) && subject != names.subject(live+strconv.FormatInt(id, 10)) {
			t.Errorf("%q with the prefix %q is read as raffle %d", subject, prefix, id)
		}
	})
}
