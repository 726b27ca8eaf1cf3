package httpapi

import (
	"net/http"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/test/testenv"
)

func TestAdmission_RefusesConnectionsBeyondItsLimits(t *testing.T) {
	t.Parallel()
	// In memory all clients are one.
	forEach(t, socketTransports, func(b *testBundle) {
		b.cfg.MaxOpen, b.cfg.MaxPerClient = 3, 2
		b.cfg.Proxies = []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	}, func(b *testBundle) {
		b.publish(update(1, 1))
		mine := b.subscribe(subscribe1)
		b.subscribe(subscribe1)
		if got := b.refused(http.MethodGet, subscribe1, 429, "CLIENT_CONNECTION_LIMIT"); got.header.Get("Retry-After") == "" {
			b.t.Error("a third of one client: no Retry-After")
		}
		const longPoll = "/api/v1/raffles/1/odds?wait=1s"
		b.refused(http.MethodGet, longPoll, 429, "CLIENT_CONNECTION_LIMIT", "If-None-Match", `"1:e:1"`)

		b.subscribe(subscribe1, "X-Forwarded-For", "192.0.2.1")
		got := b.refused(http.MethodGet, subscribe1, 503, "CONNECTION_LIMIT", "X-Forwarded-For", "192.0.2.2")
		if got.header.Get("Retry-After") == "" {
			b.t.Error("a fourth: no Retry-After")
		}
		b.refused(http.MethodGet, longPoll, 503, "CONNECTION_LIMIT", "X-Forwarded-For", "192.0.2.2", "If-None-Match", `"1:e:1"`)

		mine.Body.Close()
		testenv.Eventually(b.t, "a place is free", 10*time.Second, func() bool { return b.hub.Open() == 2 })
		b.subscribe(subscribe1)
	})
}

func TestAdmission_CountsEachConnectionOnce(t *testing.T) {
	t.Parallel()
	a := newAdmission(2, 1)
	if err := a.admit(1); err != nil {
		t.Errorf("the first: %v", err)
	}
	if err := a.admit(1); err == nil {
		t.Error("a second of the same client is admitted")
	}
	if err := a.admit(2); err != nil { // the refused one was not counted
		t.Errorf("the second: %v", err)
	}
	if err := a.admit(3); err == nil {
		t.Error("a third is admitted")
	}
	a.release(1)
	a.release(2)
	if a.open != 0 || len(a.clients) != 0 {
		t.Errorf("%d are open, of %d clients", a.open, len(a.clients))
	}
}

func TestAdmission_CountsAddressesAndNetworks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		one, other string
		same       bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"192.0.2.1", "192.1.2.1", false},
		{"2001:db8:1:2::7", "2001:db8:1:2:3:4:5:6", true},
		{"2001:db8:1:2::7", "2001:db8:1:3::7", false},
		{"fe80::1%eth0", "fe80::1%eth1", true},
		{"::1", "127.0.0.1", false},
		{"64:ff9b::c000:201", "192.0.2.1", false},
	} {
		if same := clientAt(netip.MustParseAddr(c.one)) == clientAt(netip.MustParseAddr(c.other)); same != c.same {
			t.Errorf("%s and %s are one client: %t", c.one, c.other, same)
		}
	}
}

// count returns the number of open connections.
func (a *admission) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.open
}

//nolint:paralleltest // it measures what the whole process allocates
func TestAdmission_ReusesTheMemoryOfOldClients(t *testing.T) {
	const clients = 10_000
	a := newAdmission(0, 10)
	for i := range clients {
		_ = a.admit(client(i))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range 20 * clients {
		a.release(client(i))
		_ = a.admit(client(clients + i))
	}
	runtime.ReadMemStats(&after)
	if len(a.clients) != clients || a.open != clients {
		t.Errorf("%d clients with %d connections", len(a.clients), a.open)
	}
	// Now and then a part of the map splits. As many bytes as 10,000 clients took at
	// first would mean that all parts do.
	if took := after.TotalAlloc - before.TotalAlloc; took > 32*clients {
		t.Errorf("%d more clients took %d bytes", 20*clients, took)
	}
}
