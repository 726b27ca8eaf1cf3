package httpapi

import (
	"encoding/binary"
	"net/netip"
	"sync"

	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
)

// admission is the admission limit: it counts open connections, in all and by
// client, and refuses those beyond a limit. It never closes one to make room. Its
// methods are safe for concurrent use.
type admission struct {
	limit       int // open connections; 0 means no limit
	clientLimit int // open connections of one client; 0 means no limit

	mu      sync.Mutex
	open    int
	clients map[client]int // open connections by client; empty without clientLimit
}

// client identifies the connections that are counted together: those of an IPv4
// address, or of an IPv6 network (/64), in eight bytes. The two can't be mistaken
// for each other, since no network begins with four zero bytes (RFC 4291).
//
// With a key of one word, Go reuses what deleted keys leave behind in a map. With
// a netip.Addr (Go 1.26) the map grows to twice its size as clients come and go.
type client uint64

// clientAt returns the client of an address; the zero Addr is a client, too.
func clientAt(addr netip.Addr) client {
	if addr.Is4() {
		b := addr.As4()
		return client(binary.BigEndian.Uint32(b[:]))
	}
	b := addr.As16()
	return client(binary.BigEndian.Uint64(b[:8]))
}

func newAdmission(limit, clientLimit int) *admission {
	return &admission{limit: limit, clientLimit: clientLimit, clients: make(map[client]int)}
}

// admit counts a new connection of c, unless a limit is reached.
func (a *admission) admit(c client) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.limit > 0 && a.open >= a.limit {
		return respond.Errorf(respond.ConnectionLimit, "this instance has reached its connection limit; retry")
	}
	if a.clientLimit > 0 {
		if a.clients[c] >= a.clientLimit {
			return respond.Errorf(respond.ClientConnectionLimit,
				"your address has reached its limit of %d open connections", a.clientLimit)
		}
		a.clients[c]++
	}
	a.open++
	return nil
}

// release ends the count of a connection that was admitted.
func (a *admission) release(c client) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.open--
	if a.clients[c]--; a.clients[c] <= 0 {
		delete(a.clients, c)
	}
}
