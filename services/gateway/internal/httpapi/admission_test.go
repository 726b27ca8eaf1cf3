package httpapi

import (
	"net/netip"
	"runtime"
	"testing"
)

func TestWhatCountsAsAClient(t *testing.T) {
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

//nolint:paralleltest // it looks at what the whole process allocates
func TestClientsThatComeAndGoTakeNoMoreMemory(t *testing.T) {
	const clients = 10_000
	a := newAdmission(0, 10)
	for i := range clients {
		a.admit(client(i))
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for i := range 20 * clients {
		a.release(client(i))
		a.admit(client(clients + i))
	}
	runtime.ReadMemStats(&after)
	if len(a.clients) != clients || a.open != clients {
		t.Errorf("%d clients with %d connections", len(a.clients), a.open)
	}
	// Now and then a part of the map splits. As many bytes as 10,000 clients took at
	// first would mean that all of it does.
	if took := after.TotalAlloc - before.TotalAlloc; took > 32*clients {
		t.Errorf("%d clients more took %d bytes", 20*clients, took)
	}
}
