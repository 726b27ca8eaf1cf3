package raffle

// Odds is the chance of winning a raffle, as of one version of it.
type Odds struct {
	Raffle
}

// WinnerProbability returns the chance in percent that one entry wins,
// 100 * min(1, winners / entries), and false before the first entry: every
// entry is as likely as any other to be among the winners drawn.
func (o *Odds) WinnerProbability() (float64, bool) {
	return percent(o.Winners, o.Entries)
}

// NextEntryProbability returns the same for one more entry, and false unless
// the raffle is open.
func (o *Odds) NextEntryProbability() (float64, bool) {
	if o.State != Open {
		return 0, false
	}
	return percent(o.Winners, o.Entries+1)
}

func percent(winners int32, entries int64) (float64, bool) {
	if entries <= 0 {
		return 0, false
	}
	return min(100, 100*float64(winners)/float64(entries)), true
}

// Odds returns the raffle's odds.
func (r *Raffle) Odds() Odds { return Odds{*r} }
