package postgres

import (
	"errors"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/rafflecast/rafflecast/services/participation/internal/raffle"
)

const (
	// trustedAfter is how many entries in a row must have confirmed an expectation about a
	// raffle before it is trusted. Trust that was wrong costs one batch that is rolled back.
	trustedAfter = 10_000
	// rowTrustedFor is for how long after a commit a raffle's row is trusted. It bounds what
	// is lost with a connection that has ended in a pause: without a read before the commit,
	// the fate of the batch would be unknown.
	rowTrustedFor = time.Second
	// maxRemembered bounds the raffles of which there is a history. Beyond it all are forgotten.
	maxRemembered = 1000
)

// history is what this instance has seen of the raffles that it writes, for optimistic
// concurrency control: what was true for many entries in a row is not read again, and the
// transaction fails if it is not true any more. Then all is read. So a history is about
// speed, and never about what is true.
//
//   - Members of a raffle that only newcomers have entered are taken for newcomers. Their
//     entries are inserted unseen, and the primary key refuses whoever has an entry.
//   - A raffle that nobody else has changed is taken for unchanged. The database compares
//     its row with the one that this instance has written last, by its xmin, version and
//     time: https://www.postgresql.org/docs/current/ddl-system-columns.html
//
// It is safe for concurrent use.
type history struct {
	mu      sync.Mutex
	raffles map[int64]*past
}

// past is the history of one raffle.
type past struct {
	newcomers int         // entries in a row that were the first of their members
	alone     int         // entries in a row without another version by anybody else
	version   int64       // that this instance has written last
	last      *trustedRow // as this instance has written it last; nil: it must be read
}

// trustedRow is a raffle as this instance has committed it, and its row.
type trustedRow struct {
	raffle raffle.Raffle
	row    writtenRow
	until  time.Time // how long it may be trusted
}

// assumptions are what is not read for a batch.
type assumptions struct {
	newcomers map[int64]bool // raffles all of whose members are taken for newcomers
	row       *trustedRow    // the only raffle of the batch, taken for unchanged; nil: all raffles are read
}

var (
	// errMembersUnread is why a batch that took members for newcomers can't be decided.
	errMembersUnread = errors.New("what the members have must be read")
	// errChanged is why a batch that took a raffle for unchanged can't be decided.
	errChanged = errors.New("the raffle must be read")
)

// assume returns what need not be read for a batch.
func (h *history) assume(reqs []raffle.EnterRequest) assumptions {
	h.mu.Lock()
	defer h.mu.Unlock()
	a := assumptions{newcomers: make(map[int64]bool)}
	single, tagged := true, true
	for i := range reqs {
		id := reqs[i].RaffleID
		if p := h.raffles[id]; p != nil && p.newcomers >= trustedAfter {
			a.newcomers[id] = true
		}
		single, tagged = single && id == reqs[0].RaffleID, tagged && reqs[i].Tag.Key != nil
	}
	if single && len(a.newcomers) == 1 {
		a.row = h.raffles[reqs[0].RaffleID].trusted()
	}
	if a.row != nil && a.row.raffle.Log != nil && !tagged {
		a.row = nil // the key of the log must be read
	}
	return a
}

// trusted returns the raffle if it is taken for unchanged, and nil otherwise.
func (p *past) trusted() *trustedRow {
	if p.last == nil || p.alone < trustedAfter || time.Now().After(p.last.until) {
		return nil
	}
	return p.last
}

// observe notes a batch that was committed: in the raffles that are known, some of its
// members had entries, and rows are those of the raffles that have changed.
func (h *history) observe(d *raffle.Decision, known map[int64]bool, rows []writtenRow) {
	placed := make(map[int64]int, len(rows))
	for i := range d.Placed {
		placed[d.Placed[i].RaffleID]++
	}
	until := time.Now().Add(rowTrustedFor)
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range d.Changed {
		r := &d.Changed[i]
		p := h.of(r.ID)
		p.newcomers += placed[r.ID]
		if p.version+1 == r.Version {
			p.alone += placed[r.ID]
		} else {
			p.alone = 0
		}
		p.version, p.last = r.Version, nil
		for _, row := range rows {
			if row.id == r.ID {
				p.last = &trustedRow{*r, row, until}
			}
		}
	}
	for id := range known {
		h.of(id).newcomers = 0
	}
}

// of returns the history of a raffle, which is empty if there was none. The caller holds mu.
func (h *history) of(raffleID int64) *past {
	p := h.raffles[raffleID]
	if p != nil {
		return p
	}
	if h.raffles == nil || len(h.raffles) >= maxRemembered {
		h.raffles = make(map[int64]*past)
	}
	p = &past{}
	h.raffles[raffleID] = p
	return p
}

// forget is called if the members of requests must be read after all.
func (h *history) forget(reqs []raffle.EnterRequest) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for i := range reqs {
		if p := h.raffles[reqs[i].RaffleID]; p != nil {
			p.newcomers = 0
		}
	}
}

// forgetRow is called if a batch that took a raffle for unchanged has failed: the next one
// reads it, and so finds out whether the connections are good before anything is written.
func (h *history) forgetRow(raffleID int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.raffles[raffleID]; p != nil {
		p.last = nil
	}
}

// refusesUnread reports whether a request is refused for a raffle whose members are taken
// for newcomers. What its member has may change that: a request that comes again is
// answered, whatever the rules say now.
func refusesUnread(results []raffle.EnterResult, reqs []raffle.EnterRequest, newcomers map[int64]bool) bool {
	if len(newcomers) == 0 {
		return false
	}
	for i := range results {
		if results[i].Err != nil && newcomers[reqs[i].RaffleID] {
			return true
		}
	}
	return false
}

// lockUnchanged locks a raffle, or fails with the code hasChanged if its row is not the
// one that is trusted.
const (
	lockUnchanged = `SELECT lock_unchanged($1, $2, $3, $4)`
	hasChanged    = "RC002"
)

// admissionTo returns an admission to a raffle that was not read. Its entries have no time
// yet: they get that of the transaction.
func admissionTo(r raffle.Raffle, requests int) *raffle.Admission {
	return raffle.NewAdmission(time.Time{}, []raffle.Raffle{r.Clone()}, requests)
}

// queueUnchanged begins a transaction and locks a raffle that is taken for unchanged.
func (s *Store) queueUnchanged(batch *pgx.Batch, t *trustedRow, settings string) {
	batch.Queue(`BEGIN`)
	batch.Queue(settings)
	batch.Queue(lockUnchanged, t.raffle.ID, t.raffle.Version, t.row.at, t.row.xmin)
	s.queueClock(batch, func(time.Time) {})
}

// distrusted returns the error of a transaction as errMembersUnread or errChanged if it
// has failed because of what was trusted.
func distrusted(err error) error {
	pg, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case ok && pg.Code == haveEntered:
		return &unwrittenError{errMembersUnread}
	case ok && pg.Code == hasChanged:
		return &unwrittenError{errChanged}
	}
	return err
}
