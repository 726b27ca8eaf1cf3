package bench

import (
	"context"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/rafflecast/rafflecast/services/test/bench/internal/measure"
)

// hub is the usual way to write such a server: net/http, with a goroutine and a
// channel per client.
type hub struct {
	mu      sync.Mutex
	clients map[int64]map[chan []byte]struct{}
}

// ServeHub serves until standard input ends.
func ServeHub() error {
	h := &hub{clients: make(map[int64]map[chan []byte]struct{})}
	var lc net.ListenConfig
	l, err := lc.Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	measure.Ready(l.Addr().(*net.TCPAddr).Port)
	go serveClient(h.publish)
	mux := http.NewServeMux()
	mux.HandleFunc("GET /api/v1/raffle/{id}/subscribe", h.subscribe)
	return (&http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}).Serve(l)
}

func (h *hub) subscribe(w http.ResponseWriter, r *http.Request) {
	raffleID, _ := strconv.ParseInt(r.PathValue("id"), 10, 64)
	frames := make(chan []byte, 16)
	h.mu.Lock()
	if h.clients[raffleID] == nil {
		h.clients[raffleID] = make(map[chan []byte]struct{})
	}
	h.clients[raffleID][frames] = struct{}{}
	h.mu.Unlock()
	defer func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		delete(h.clients[raffleID], frames)
	}()
	w.Header().Set("Content-Type", "text/event-stream")
	next := frame(raffleID, 1)
	for {
		if _, err := w.Write(next); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		select {
		case next = <-frames:
		case <-r.Context().Done():
			return
		}
	}
}

func (h *hub) publish(raffleID, version int64) {
	prepared := frame(raffleID, version)
	h.mu.Lock()
	defer h.mu.Unlock()
	for frames := range h.clients[raffleID] {
		select {
		case frames <- prepared:
		default: // the client is too slow
		}
	}
}
