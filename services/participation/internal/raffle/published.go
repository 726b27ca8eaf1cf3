package raffle

// Published identifies the version of a raffle that was found to be the newest in the
// stream of odds.
type Published struct {
	Epoch   string // empty: any
	Version int64
}

// SeenLog is what was published of a raffle's log.
type SeenLog struct {
	Life int64 // numbers the logs of the raffle, from 1
	Size int64 // 0: there was none
	Root []byte
	// Published is how many records were published in all. It is more than Size if the
	// database of a raffle that had ended had lost some.
	Published int64
}

// DatabaseIdentity says which database answers, and up to which point of its history.
// Unless it was restored or a failover has lost commits, only Ticks changes, and only
// rises. System and Timeline are empty if the database does not tell them.
type DatabaseIdentity struct {
	ID       string // made with the database; dumps and replicas have the same
	System   string // of the PostgreSQL cluster
	Timeline string // changes with every failover
	Ticks    int64
}

// Continues reports whether the database that i was read from can have become what
// next was read from without losing anything. The zero identity is continued by all.
func (i DatabaseIdentity) Continues(next DatabaseIdentity) bool {
	if i == (DatabaseIdentity{}) {
		return true
	}
	return i.ID == next.ID && i.System == next.System && i.Timeline == next.Timeline && i.Ticks < next.Ticks
}
