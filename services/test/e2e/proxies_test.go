package e2e_test

import (
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	rafflev1 "github.com/rafflecast/rafflecast/proto/gen/raffle/v1"
)

// manyEntries makes a raffle in which a member may enter many times.
var manyEntries = &rafflev1.CreateRaffleRequest{Title: "A", Winners: 1, MaxEntriesPerMember: 1000}

// askFrom sends a request from an address of loopback, on a connection of its own, with
// header lines as they are, and returns the status. A stream stays open until the test ends.
func (b *testBundle) askFrom(t *testing.T, from, to, method, path string, lines ...string) int {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	head := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\n", method, path)
	if method == http.MethodPost {
		head += "Content-Length: 0\r\n"
	}
	if _, err := io.WriteString(c, head+strings.Join(append(lines, "\r\n"), "\r\n")); err != nil {
		t.Fatal(err)
	}
	status := make([]byte, len("HTTP/1.1 200"))
	if _, err := io.ReadFull(c, status); err != nil {
		t.Fatalf("from %s, %q: %v", from, lines, err)
	}
	var code int
	if _, err := fmt.Sscanf(string(status), "HTTP/1.1 %d", &code); err != nil {
		t.Fatal(err)
	}
	return code
}

const xff = "X-Forwarded-For: "

// A forgedRequest comes from a peer, with header lines, and counts for a client.
type forgedRequest struct {
	peer   string
	lines  []string
	client string // "X-Forwarded-For" of the trusted proxy for the same client, or a peer's address
}

// forged are requests that lie about where they come from. 127.0.0.1 and 127.0.0.2 are
// trusted proxies if trusted is true.
func forged(trusted bool) map[string]forgedRequest {
	many := strings.Repeat("127.0.0.2, ", 1200)
	requests := map[string]forgedRequest{
		"a stranger lies":                {"127.0.1.1", []string{xff + "192.0.2.1"}, "127.0.1.1"},
		"a stranger names a proxy":       {"127.0.1.2", []string{xff + "192.0.2.1, 127.0.0.1"}, "127.0.1.2"},
		"a stranger sends Forwarded":     {"127.0.1.3", []string{"Forwarded: for=192.0.2.1"}, "127.0.1.3"},
		"a stranger sends all there are": {"127.0.1.4", []string{"X-Real-IP: 192.0.2.1", "True-Client-IP: 192.0.2.2", "CF-Connecting-IP: 192.0.2.3", "X-Client-IP: 192.0.2.4", "X_Forwarded_For: 192.0.2.5"}, "127.0.1.4"},
		"a stranger sends a long list":   {"127.0.1.5", []string{xff + many + "192.0.2.1"}, "127.0.1.5"},
	}
	if !trusted {
		requests["nobody is trusted"] = forgedRequest{"127.0.0.1", []string{xff + "192.0.2.1"}, "127.0.0.1"}
		return requests
	}
	// Nothing behind what can't be read is believed: these count for the proxy.
	maps.Copy(requests, map[string]forgedRequest{
		"a client lies":                   {"127.0.0.1", []string{xff + "192.0.2.99, 198.51.100.1"}, "198.51.100.1"},
		"a client lies in a line before":  {"127.0.0.1", []string{xff + "192.0.2.99", xff + "198.51.100.2"}, "198.51.100.2"},
		"a client names a proxy":          {"127.0.0.1", []string{xff + "192.0.2.99, 127.0.0.2, 198.51.100.3"}, "198.51.100.3"},
		"through two proxies":             {"127.0.0.1", []string{xff + "192.0.2.99, 198.51.100.4, 127.0.0.2"}, "198.51.100.4"},
		"with a port":                     {"127.0.0.1", []string{xff + "192.0.2.99, 198.51.100.5:4711"}, "198.51.100.5"},
		"in other letters":                {"127.0.0.1", []string{"x-forwarded-for: 192.0.2.99", "X-FORWARDED-FOR: 198.51.100.6"}, "198.51.100.6"},
		"IPv6":                            {"127.0.0.1", []string{xff + "192.0.2.99, 2001:db8:1::7"}, "2001:db8:1::1"},
		"IPv6 of the same network":        {"127.0.0.1", []string{xff + "2001:db8:2::ffff:ffff:ffff:ffff"}, "2001:db8:2::1"},
		"IPv6 with a port":                {"127.0.0.1", []string{xff + `192.0.2.99, "[2001:db8:3::7]:4711"`}, "2001:db8:3::1"},
		"IPv4 written as IPv6":            {"127.0.0.1", []string{xff + "192.0.2.99, ::ffff:198.51.100.7"}, "198.51.100.7"},
		"garbage before":                  {"127.0.0.1", []string{xff + "garbage;--, 198.51.100.8"}, "198.51.100.8"},
		"a list that is too long to read": {"127.0.0.1", []string{xff + strings.Repeat("192.0.2.99, ", 1200) + "198.51.100.9"}, "198.51.100.9"},

		"garbage at the end":         {"127.0.0.2", []string{xff + "192.0.2.99, garbage"}, "127.0.0.2"},
		"a name":                     {"127.0.0.2", []string{xff + "192.0.2.99, unknown"}, "127.0.0.2"},
		"nothing at the end":         {"127.0.0.2", []string{xff + "192.0.2.99,"}, "127.0.0.2"},
		"an empty line at the end":   {"127.0.0.2", []string{xff + "192.0.2.99", xff}, "127.0.0.2"},
		"an address in octal":        {"127.0.0.2", []string{xff + "192.0.2.99, 0300.0.2.1"}, "127.0.0.2"},
		"an address with few parts":  {"127.0.0.2", []string{xff + "192.0.2.99, 192.2"}, "127.0.0.2"},
		"Forwarded through a proxy":  {"127.0.0.2", []string{"Forwarded: for=192.0.2.99"}, "127.0.0.2"},
		"proxies only, many of them": {"127.0.0.1", []string{xff + many + "127.0.0.2"}, "127.0.0.2"},
	})
	return requests
}

// TestProxies_ForgedAddressesCountForWhoSendsThem has each client use up what it may do, and
// then lie.
func TestProxies_ForgedAddressesCountForWhoSendsThem(t *testing.T) {
	t.Parallel()
	for name, trusted := range map[string]bool{"127.0.0.1/32,127.0.0.2/32": true, "192.0.2.200/32": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := setupWith(t, nil, []string{
				"GATEWAY_TRUSTED_PROXIES=" + name, "GATEWAY_ENTRIES_PER_CLIENT=1", "GATEWAY_MAX_CONNECTIONS_PER_CLIENT=1", "GATEWAY_MAX_HEADER_BYTES=65536",
			})
			id := b.client.createWith(t, manyEntries)
			b.awaitRaffle(t, id)
			enter, watch := fmt.Sprintf("/api/v1/raffles/%d/entries?memberId=m", id), fmt.Sprintf("/api/v1/raffles/%d/subscribe", id)
			to := strings.TrimPrefix(b.web, "http://")
			for name, r := range forged(trusted) {
				peer, lines := r.client, []string(nil)
				if !strings.HasPrefix(r.client, "127.") {
					peer, lines = "127.0.0.1", []string{xff + r.client}
				}
				// The first of a client's, if no request before has been for it.
				_ = b.askFrom(t, peer, to, http.MethodPost, enter, lines...)
				_ = b.askFrom(t, peer, to, http.MethodGet, watch, lines...)
				if got := b.askFrom(t, r.peer, to, http.MethodPost, enter, r.lines...); got != http.StatusTooManyRequests {
					t.Errorf("%s: entering: %d", name, got)
				}
				if got := b.askFrom(t, r.peer, to, http.MethodGet, watch, r.lines...); got != http.StatusTooManyRequests {
					t.Errorf("%s: watching: %d", name, got)
				}
			}
			// Whom others have named as theirs has used up nothing.
			peer, lines := "127.0.0.1", []string{xff + "192.0.2.99"}
			if !trusted {
				peer, lines = "127.0.1.9", nil
			}
			if got := b.askFrom(t, peer, to, http.MethodPost, enter, lines...); got != http.StatusOK {
				t.Errorf("another client enters: %d", got)
			}
			if got := b.askFrom(t, peer, to, http.MethodGet, watch, lines...); got != http.StatusOK {
				t.Errorf("another client watches: %d", got)
			}
		})
	}
}

// Participation believes nobody: what a gateway forwards counts for the gateway, whatever its
// client says, and what a client sends for itself counts for that client.
func TestProxies_ParticipationCountsItsPeers(t *testing.T) {
	t.Parallel()
	b := setupWith(t, []string{"PARTICIPATION_ENTRIES_PER_CLIENT=3"}, []string{"GATEWAY_TRUSTED_PROXIES=127.0.0.0/8"})
	id := b.client.createWith(t, manyEntries)
	b.awaitRaffle(t, id)
	enter, web := fmt.Sprintf("/api/v1/raffles/%d/entries?memberId=m", id), strings.TrimPrefix(b.web, "http://")
	for to, peer := range map[string]string{web: "127.0.1.1", b.facade: "127.0.1.2"} {
		var got []int
		for i := range 5 {
			got = append(got, b.askFrom(t, peer, to, http.MethodPost, enter, fmt.Sprintf("%s192.0.2.%d", xff, i),
				fmt.Sprintf("Forwarded: for=192.0.2.%d", i), fmt.Sprintf("Grpc-Metadata-X-Forwarded-For: 192.0.2.%d", i)))
		}
		if fmt.Sprint(got) != "[200 200 200 429 429]" {
			t.Errorf("at %s from %s: %v", to, peer, got)
		}
	}
	if got := b.askFrom(t, "127.0.1.3", b.facade, http.MethodPost, enter); got != http.StatusOK {
		t.Errorf("another client: %d", got)
	}
}
