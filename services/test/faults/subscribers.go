package faults

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const subscriberCount = 200

// odds are what an event says.
type odds struct {
	ID      int64  `json:"id"`
	Epoch   string `json:"epoch"`
	Version int64  `json:"version"`
	State   string `json:"state"`
	Title   string `json:"title"`
	Entries int64  `json:"entries"`
	Members int64  `json:"members"`
}

// subscriber is one client, which reconnects as a browser's EventSource does.
type subscriber struct {
	urls []string // of all gateways; each connection takes the next
	ids  []int64

	mu          sync.Mutex
	last        map[int64]odds
	afterReset  map[int64]bool
	connections int
}

// subscribers watch until they are stopped.
type subscribers struct {
	all []*subscriber

	mu        sync.Mutex
	regressed []string
	doubled   []string
	resets    int
	refused   map[int]int // by status
	events    int
}

func newSubscribers(s *system, ids []int64) *subscribers {
	w := &subscribers{refused: make(map[int]int)}
	var urls []string
	for _, port := range s.webPorts {
		urls = append(urls, fmt.Sprintf("http://127.0.0.1:%d/api/v1/raffles/", port))
	}
	for i := range subscriberCount {
		c := &subscriber{urls: slices.Concat(urls[i%gateways:], urls[:i%gateways]), last: make(map[int64]odds), afterReset: make(map[int64]bool)}
		if i%3 == 0 { // several raffles on one connection
			first := rand.IntN(len(ids) - 2)
			c.ids = ids[first : first+3]
		} else {
			c.ids = ids[i%len(ids) : i%len(ids)+1]
		}
		w.all = append(w.all, c)
	}
	return w
}

func (w *subscribers) run(ctx context.Context) {
	transport := &http.Transport{DisableKeepAlives: true}
	client := &http.Client{Transport: transport}
	var running sync.WaitGroup
	for _, c := range w.all {
		running.Go(func() { w.watch(ctx, client, c) })
	}
	running.Wait()
}

// watch connects again and again until ctx ends.
func (w *subscribers) watch(ctx context.Context, client *http.Client, c *subscriber) {
	lastEventID, retry := "", time.Second
	for ctx.Err() == nil {
		url := c.urls[c.connections%len(c.urls)]
		if len(c.ids) == 1 {
			url += strconv.FormatInt(c.ids[0], 10) + "/subscribe"
		} else {
			var query []string
			for _, id := range c.ids {
				query = append(query, "id="+strconv.FormatInt(id, 10))
			}
			url += "subscribe?" + strings.Join(query, "&")
		}
		c.connections++
		w.connect(ctx, client, c, url, &lastEventID, &retry)
		pause(ctx, retry/2+rand.N(retry/2+1))
	}
}

// connect reads one connection to its end.
func (w *subscribers) connect(ctx context.Context, client *http.Client, c *subscriber, url string, lastEventID *string, retry *time.Duration) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return
	}
	if *lastEventID != "" {
		req.Header.Set("Last-Event-ID", *lastEventID)
	}
	// A page that hears nothing for some heartbeats opens another connection.
	silence := time.AfterFunc(8*time.Second, cancel)
	defer silence.Stop()
	resp, err := client.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		w.mu.Lock()
		w.refused[resp.StatusCode]++
		w.mu.Unlock()
		return
	}
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	var event, data, id string
	for lines.Scan() {
		name, value, _ := strings.Cut(lines.Text(), ": ")
		switch name {
		case "event":
			event = value
		case "data":
			data = value
		case "id":
			id = value
		case "retry":
			if ms, err := strconv.Atoi(value); err == nil {
				*retry = time.Duration(ms) * time.Millisecond
			}
		case "":
			silence.Reset(8 * time.Second)
			if id != "" {
				*lastEventID = id
			}
			w.take(c, event, data)
			event, data, id = "", "", ""
		}
	}
}

// take judges an event and records it.
func (w *subscribers) take(c *subscriber, event, data string) {
	var o odds
	if (event != "raffle-winning-probability" && event != "reset") || json.Unmarshal([]byte(data), &o) != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if event == "reset" {
		w.resets++
		for _, id := range c.ids {
			if o.ID == 0 || o.ID == id {
				c.afterReset[id] = true
			}
		}
		return
	}
	w.events++
	before, known := c.last[o.ID]
	reset := c.afterReset[o.ID]
	delete(c.afterReset, o.ID)
	if known && before.Epoch == o.Epoch {
		switch {
		case o.Version < before.Version:
			w.regressed = append(w.regressed, fmt.Sprintf("raffle %d: version %d after %d", o.ID, o.Version, before.Version))
		case o.Version == before.Version && !reset:
			w.doubled = append(w.doubled, fmt.Sprintf("raffle %d: version %d twice", o.ID, o.Version))
		}
	}
	c.last[o.ID] = o
}

// lacking returns how many subscribers do not have these odds of a raffle that
// they watch.
func (w *subscribers) lacking(truth map[int64]odds) (n int, example string) {
	for _, c := range w.all {
		c.mu.Lock()
		for _, id := range c.ids {
			want, got := truth[id], c.last[id]
			if got.Version != want.Version || got.Entries != want.Entries || got.Members != want.Members || got.Title != want.Title {
				n++
				example = fmt.Sprintf("raffle %d: has version %d with %d entries, the database version %d with %d", id, got.Version, got.Entries, want.Version, want.Entries)
				break
			}
		}
		c.mu.Unlock()
	}
	return n, example
}
