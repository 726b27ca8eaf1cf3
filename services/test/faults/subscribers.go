package faults

import (
	"bufio"
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// silence is after how long without an event a client opens another connection, as
// a page does that hears nothing for some heartbeats.
const silence = 8 * time.Second

// subscriber is one client, which reconnects as a browser's EventSource does.
type subscriber struct {
	name  string
	bases []string // URLs of all gateways; each connection takes the next
	ids   []int64

	mu          sync.Mutex
	history     *history
	connections int  // opened so far
	connected   bool // the newest of them is open and answered with 200
}

// subscribers watch until they are stopped.
type subscribers struct {
	all      []*subscriber
	bases    []string // URLs of the gateways
	contents *contents

	mu           sync.Mutex
	regressed    []string
	doubled      []string
	contradicted []string
	resets       int
	refused      map[int]int            // by status
	denied       []string               // connections that were told not to come back
	ends         map[string][]time.Time // of connections, by the gateway's URL
	events       int
}

// newSubscribers returns n clients of gateways at base URLs. They watch some of the
// raffles each.
func newSubscribers(n int, bases []string, ids []int64) *subscribers {
	w := &subscribers{bases: bases, contents: newContents(), refused: make(map[int]int), ends: make(map[string][]time.Time)}
	for i := range n {
		first := i % len(bases)
		c := &subscriber{name: fmt.Sprint("client ", i), history: newHistory()}
		c.bases = slices.Concat(bases[first:], bases[:first])
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
		base := c.bases[c.connections%len(c.bases)]
		w.connect(ctx, client, c, base+c.path(), &lastEventID, &retry)
		c.mu.Lock()
		if c.connected {
			w.noteEnd(base)
		}
		c.connected = false
		c.history.note("disconnected")
		c.mu.Unlock()
		pause(ctx, retry/2+rand.N(retry/2+1))
	}
}

// path returns where a connection leads to at a gateway.
func (c *subscriber) path() string {
	if len(c.ids) == 1 {
		return "/api/v1/raffles/" + strconv.FormatInt(c.ids[0], 10) + "/subscribe"
	}
	var query []string
	for _, id := range c.ids {
		query = append(query, "id="+strconv.FormatInt(id, 10))
	}
	return "/api/v1/raffles/subscribe?" + strings.Join(query, "&")
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
	heard := time.AfterFunc(silence, cancel)
	defer heard.Stop()
	c.mu.Lock()
	c.connections++
	c.mu.Unlock()
	resp, err := client.Do(req)
	if err != nil {
		return
	}
	defer resp.Body.Close()
	c.mu.Lock()
	c.history.note("%s after %q: %d", url, *lastEventID, resp.StatusCode)
	c.connected = resp.StatusCode == http.StatusOK
	c.mu.Unlock()
	if resp.StatusCode != http.StatusOK {
		w.mu.Lock()
		w.refused[resp.StatusCode]++
		if resp.StatusCode == http.StatusNotFound || resp.StatusCode == http.StatusNoContent { // its raffles exist, and are open
			w.denied = append(w.denied, fmt.Sprintf("%s was answered with %s, after which a browser does not come back", c.name, resp.Status))
		}
		w.mu.Unlock()
		return
	}
	w.read(resp, c, heard, lastEventID, retry)
}

// read takes the events of a connection until it ends.
func (w *subscribers) read(resp *http.Response, c *subscriber, heard *time.Timer, lastEventID *string, retry *time.Duration) {
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
			heard.Reset(silence)
			if id != "" {
				*lastEventID = id
			}
			w.take(c, event, []byte(data))
			event, data, id = "", "", ""
		}
	}
}

// forgetDenied forgets what clients were told before everybody knew all raffles.
func (w *subscribers) forgetDenied() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.denied = nil
}

// take judges an event and records it.
func (w *subscribers) take(c *subscriber, event string, data []byte) {
	c.mu.Lock()
	o, v, ok := c.history.take(c.ids, event, data)
	recent := ""
	if v != (verdict{}) {
		recent = "; " + c.name + " saw\n    " + c.history.String()
	}
	c.mu.Unlock()
	if !ok {
		return
	}
	contradicted := ""
	if event != "reset" {
		contradicted = w.contents.take(o)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if event == "reset" {
		w.resets++
		return
	}
	w.events++
	if v.regressed != "" {
		w.regressed = append(w.regressed, v.regressed+recent)
	}
	if v.doubled != "" {
		w.doubled = append(w.doubled, v.doubled+recent)
	}
	if contradicted != "" {
		w.contradicted = append(w.contradicted, contradicted)
	}
}

// place is where a client is connected; 0: it is not.
type place map[*subscriber]int

// places returns the connection of each client that has one.
func (w *subscribers) places() place {
	p := make(place)
	for _, c := range w.all {
		c.mu.Lock()
		if c.connected {
			p[c] = c.connections
		}
		c.mu.Unlock()
	}
	return p
}

// without returns the clients that do not have these odds of all raffles that they
// watch, or were connected at the places and have them over another connection.
func (w *subscribers) without(want map[int64]odds, at place) (found []string) {
	for _, c := range w.all {
		c.mu.Lock()
		if lacks := c.history.lacks(c.ids, want); lacks != "" {
			found = append(found, c.name+", "+lacks+"; it saw\n    "+c.history.String())
		} else if n, connected := at[c]; connected && n != c.connections {
			found = append(found, c.name+" had to reconnect for the final odds; it saw\n    "+c.history.String())
		}
		c.mu.Unlock()
	}
	return found
}

// behind returns the clients that have older odds than these.
func (w *subscribers) behind(want map[int64]odds) (found []string) {
	for _, c := range w.all {
		c.mu.Lock()
		if behind := c.history.behind(c.ids, want); behind != "" {
			found = append(found, c.name+" does not follow while entries flow, "+behind+"; it saw\n    "+c.history.String())
		}
		c.mu.Unlock()
	}
	return found
}
