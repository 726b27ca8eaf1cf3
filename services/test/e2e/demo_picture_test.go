package e2e_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rafflecast/rafflecast/services/test/browser"
	"github.com/rafflecast/rafflecast/services/test/testenv"
)

// TestDemo_Picture takes the frames of the README's picture: the page of a raffle of
// rafflecast run --demo, from some seconds before it closes until its winner is known.
func TestDemo_Picture(t *testing.T) {
	t.Parallel()
	dir := os.Getenv("FRAMES")
	if dir == "" {
		t.Skip("FRAMES is not set: make picture takes the picture")
	}
	p := launch(t, "rafflecast", "run", "--demo", "--data-dir="+dataDir(t), "--participation-grpc-address="+anyPort,
		"--participation-http-address="+anyPort, "--participation-ops-address="+anyPort, "--gateway-address="+anyPort, "--gateway-ops-address="+anyPort)
	web := p.awaitLog(`the page +(http://\S+)/$`)[1]
	var id int64
	var closes time.Time
	testenv.Eventually(t, "a raffle of the demo is open and will close", 4*time.Minute, func() bool {
		var open struct {
			Raffles []struct {
				ID       int64
				ClosesAt *time.Time
			}
		}
		getJSON(t, web+"/api/v1/raffles?state=OPEN", &open)
		for _, r := range open.Raffles {
			if r.ClosesAt != nil {
				id, closes = r.ID, *r.ClosesAt
			}
		}
		return id != 0
	})
	tab := browser.Start(t, "en-US")
	tab.Open(fmt.Sprintf("%s/raffle/%d", web, id))
	frames := time.NewTicker(400 * time.Millisecond)
	defer frames.Stop()
	for n, after := 0, 0; after < 12; {
		now := <-frames.C
		if now.Before(closes.Add(-8 * time.Second)) {
			continue
		}
		if now.After(closes.Add(2 * time.Minute)) {
			t.Fatal("the raffle is not drawn")
		}
		tab.Picture(filepath.Join(dir, fmt.Sprintf("%03d.png", n)), 900, 620, 1)
		n++
		var odds struct{ State string }
		if getJSON(t, fmt.Sprintf("%s/api/v1/raffles/%d/odds", web, id), &odds); odds.State == "DRAWN" {
			after++
		}
	}
}

func getJSON(t *testing.T, url string, value any) {
	t.Helper()
	resp, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if err := json.NewDecoder(resp.Body).Decode(value); err != nil {
		t.Fatal(err)
	}
}
