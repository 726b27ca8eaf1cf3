package loadstreams

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestRun_FindsStreamsThatEndAtOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		apart time.Duration // between the ends of two streams
		final bool          // the clients have the final odds
		want  string        // part of the faults; "": there must be none
	}{
		"all at once":           {0, false, "10 of 10 clients lost their streams within 1s, more than 20 %"},
		"three within a second": {400 * time.Millisecond, false, "3 of 10 clients lost their streams"},
		"evenly":                {time.Second / 2, false, ""},
		"at the raffle's end":   {0, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				r, err := newRun(settings(t, "--gateway=http://x", "7", "--clients=10", "--max-burst=20"))
				if err != nil {
					t.Fatal(err)
				}
				for _, client := range r.clients {
					client.history.Connected(nil)
					if c.final {
						client.history.receiveOdds(odds{ID: 7, Epoch: "k3", Version: 3, State: "CLOSED"})
					}
				}
				for _, client := range r.clients {
					client.history.Disconnected(time.Second)
					time.Sleep(c.apart)
				}
				faults := strings.Join(r.checkBursts(), "; ")
				if (faults == "") != (c.want == "") || !strings.Contains(faults, c.want) {
					t.Errorf("got %q, want %q", faults, c.want)
				}
			})
		})
	}
}

func TestRun_FindsClientsThatReturnAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r, err := newRun(settings(t, "--gateway=http://x", "7", "--clients=10", "--max-burst=20"))
		if err != nil {
			t.Fatal(err)
		}
		for _, client := range r.clients {
			client.history.Connected(nil) // the first time, which is no return
		}
		for _, client := range r.clients {
			client.history.Disconnected(time.Second)
			time.Sleep(time.Second)
		}
		if faults := r.checkBursts(); faults != nil {
			t.Errorf("before any return: %v", faults)
		}
		for _, client := range r.clients {
			client.history.Connected(nil)
		}
		r.faults = r.checkBursts()
		if s := r.summarize(raffleEnd{}); len(s.faults) != 1 || !strings.Contains(s.faults[0], "10 of 10 clients connected again within 1s") {
			t.Errorf("got %v", s.faults)
		}
	})
}
