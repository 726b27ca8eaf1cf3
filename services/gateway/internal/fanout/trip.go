package fanout

import "github.com/rafflecast/rafflecast/services/gateway/internal/odds"

// arrived says that a shard, or Publish, is done with an update, having written
// it to so many connections.
func (h *Hub) arrived(u *odds.Update, written int) {
	if u.Trip != nil && u.Trip.Arrive(written) && h.cfg.Arrived != nil {
		h.cfg.Arrived(u)
	}
}

// superseded says the same of one that a newer one has taken the place of. None
// is as good as one without a trip.
func (h *Hub) superseded(u *odds.Update) {
	if u != nil && u.Trip != nil && u.Trip.Supersede() && h.cfg.Arrived != nil {
		h.cfg.Arrived(u)
	}
}
