package faults

import "time"

// stop is an orderly stop of a process, as in a rolling update.
type stop struct {
	process     *process
	sent, ended time.Time
}

func (s *system) noteStop(st stop) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stops = append(s.stops, st)
}

const (
	// atOneMoment is a small part of the gateways' drain window.
	atOneMoment = 150 * time.Millisecond
	// manyClients is how many it takes to judge how evenly they are closed.
	manyClients = 20
)

// crowd returns how many of the times that lie in a stop are within one moment, and
// how many there are in all.
func crowd(ends []time.Time, st stop) (most, all int) {
	var within []time.Time // ascending
	for _, at := range ends {
		if !at.Before(st.sent) && !at.After(st.ended.Add(atOneMoment)) {
			within = append(within, at)
		}
	}
	first := 0
	for i, at := range within {
		for at.Sub(within[first]) > atOneMoment {
			first++
		}
		most = max(most, i-first+1)
	}
	return most, len(within)
}

// judgeStops looks for gateways that have sent many clients away at one moment: they
// would all come back at one moment.
func (r *run) judgeStops() {
	r.system.mu.Lock()
	defer r.system.mu.Unlock()
	for _, st := range r.system.stops {
		for i, p := range r.system.gateways {
			if p != st.process || r.lateness.since(st.sent) > r.lateness.since(st.ended)+atOneMoment {
				continue // another process, or this one was too late to see
			}
			if most, all := crowd(r.subscribers.endsAt(i), st); all >= manyClients && most > all*3/5 {
				r.found("%s closed %d of its %d connections within %v when it was stopped", serviceName(participations+i), most, all, atOneMoment)
			}
		}
	}
}

// endsAt returns when connections to a gateway have ended, in order.
func (w *subscribers) endsAt(gateway int) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ends[w.bases[gateway]]
}

// noteEnd notes that a connection has ended.
func (w *subscribers) noteEnd(base string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.ends[base] = append(w.ends[base], time.Now())
}
