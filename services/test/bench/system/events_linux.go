package bench

import (
	"bytes"
	"fmt"
	"strconv"
	"time"
)

// event is what a viewer checks of an event with odds.
type event struct {
	raffleID int64
	epoch    []byte
	version  int64
	at       []byte // of the commit
}

var (
	endOfEvent = []byte("\n\n")
	oddsEvent  = []byte("\nevent: raffle-winning-probability\n")
	heartbeat  = []byte("event: heartbeat\n")
	idField    = []byte("\nid: ")
	atField    = []byte(`"at":"`)
)

// parseEvent parses an event without the empty line that ends it. ok is false for one that
// has no odds, such as a heartbeat or the time to wait before reconnecting.
func parseEvent(text []byte) (e event, ok bool, err error) {
	named := bytes.Index(text, oddsEvent)
	if named < 0 {
		if bytes.HasPrefix(text, heartbeat) || !bytes.Contains(text, []byte("event: ")) {
			return event{}, false, nil
		}
		return event{}, false, fmt.Errorf("an unexpected event: %q", text)
	}
	id, hasID := bytes.CutPrefix(text[:named], idField[1:])
	if !hasID {
		_, id, hasID = bytes.Cut(text[:named], idField)
	}
	raffleID, rest, _ := bytes.Cut(id, []byte(":"))
	epoch, version, _ := bytes.Cut(rest, []byte(":"))
	e.epoch = epoch
	var errRaffle, errVersion error
	e.raffleID, errRaffle = strconv.ParseInt(string(raffleID), 10, 64)
	e.version, errVersion = strconv.ParseInt(string(version), 10, 64)
	_, at, hasAt := bytes.Cut(text[named:], atField)
	at, _, isQuoted := bytes.Cut(at, []byte(`"`))
	e.at = at
	if !hasID || errRaffle != nil || errVersion != nil || !hasAt || !isQuoted {
		return event{}, false, fmt.Errorf("odds that cannot be read: %q", text)
	}
	return e, true, nil
}

// raffle is what all viewers of a raffle have seen of it. Most of them see the same event
// one after another, so it is parsed once.
type raffle struct {
	id    int64
	epoch string
	text  []byte // of the last event with odds
	odds  odds   // what that says
}

// odds are what an event says.
type odds struct {
	version int64
	at      time.Time // of the commit
}

// parse returns what an event of the raffle's stream says. ok is false for an event without
// odds.
func (r *raffle) parse(text []byte) (o odds, ok bool, err error) {
	if bytes.Equal(text, r.text) {
		return r.odds, true, nil
	}
	e, ok, err := parseEvent(text)
	if !ok {
		return odds{}, false, err
	}
	at, err := r.commit(e)
	if err != nil {
		return odds{}, false, err
	}
	r.text, r.odds = append(r.text[:0], text...), odds{e.version, at}
	return r.odds, true, nil
}

// commit returns when the version of an event was committed.
func (r *raffle) commit(e event) (time.Time, error) {
	if e.raffleID != r.id {
		return time.Time{}, fmt.Errorf("odds of raffle %d on a stream of raffle %d", e.raffleID, r.id)
	}
	if r.epoch == "" {
		r.epoch = string(e.epoch)
	} else if r.epoch != string(e.epoch) {
		return time.Time{}, fmt.Errorf("raffle %d has epoch %s after %s", r.id, e.epoch, r.epoch)
	}
	at, err := time.Parse(time.RFC3339Nano, string(e.at))
	if err != nil {
		return time.Time{}, fmt.Errorf("odds of raffle %d: %w", r.id, err)
	}
	return at, nil
}
