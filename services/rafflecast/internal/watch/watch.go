// Package watch shows the odds of one raffle as they change: redrawn in place on a
// terminal, a line for each change elsewhere. It comes back after every cut, until the odds
// are final.
package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rafflecast/rafflecast/services/internal/command"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/connect"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/console"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/sseclient"
	"github.com/rafflecast/rafflecast/services/rafflecast/internal/words"
)

// Config says which raffle to watch.
type Config struct {
	Format      console.Format      `embed:""`
	Gateway     connect.Gateway     `embed:""`
	Credentials connect.Credentials `embed:""`

	Raffle int64 `arg:"" min:"1" help:"Id of the raffle."`
}

// Run shows the raffle until its odds are final or ctx ends. It fails if the gateway
// refuses, or does not answer at first.
func Run(ctx context.Context, cfg Config, out *console.Console) error {
	client, err := cfg.Credentials.HTTPClient()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	w := &watcher{cfg: cfg, out: out, happened: make(chan func()), done: ctx.Done(), stop: stop, figure: newFigure(out)}
	if out.OutTerminal && !cfg.Format.JSON() {
		w.figure.begin()
		defer w.figure.end()
	}
	var running sync.WaitGroup
	ended := make(chan struct{})
	running.Go(func() {
		defer close(ended)
		cfg.Gateway.Subscribe(&cfg.Credentials, client, cfg.Raffle, w).Run(ctx)
	})
	defer running.Wait()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case do := <-w.happened:
			do()
		case <-tick.C:
			w.tick()
		case <-ended:
			stop()
			return w.err
		}
	}
}

// watcher is one Run, and the observer of its stream. All but happened, done and stop
// belongs to the goroutine of Run.
type watcher struct {
	cfg      Config
	out      *console.Console
	happened chan func() // what happened to the stream
	done     <-chan struct{}
	stop     func()

	figure    *figure
	odds      *odds         // the newest; nil before the first
	connects  int           // streams that have begun
	status    string        // of the stream, for people
	clock     time.Duration // how far the server's clock is ahead of ours
	lastEntry int64         // entries at the tick before
	err       error
}

// tell has the goroutine of Run call do.
func (w *watcher) tell(do func()) {
	select {
	case <-w.done: // what the stop itself brings about is not of interest
		return
	default:
	}
	select {
	case w.happened <- do:
	case <-w.done:
	}
}

func (w *watcher) fail(code int, format string, args ...any) {
	w.err = &command.ExitError{Code: code, Err: fmt.Errorf(format, args...)}
	w.stop()
}

// now returns the server's time.
func (w *watcher) now() time.Time { return time.Now().Add(w.clock) }

// setStatus shows what has become of the stream.
func (w *watcher) setStatus(status string) {
	if w.status != "" && status != w.status && !w.redraws() {
		w.out.Notef("%s", status)
	}
	w.status = status
	w.draw()
}

// redraws reports whether the figure is redrawn in place.
func (w *watcher) redraws() bool { return w.out.OutTerminal && !w.cfg.Format.JSON() }

func (w *watcher) draw() {
	if w.redraws() && w.odds != nil {
		w.figure.draw(w.odds, w.now(), w.status)
	}
}

// tick is called every second.
func (w *watcher) tick() {
	if w.odds != nil {
		w.figure.add(w.odds.Entries - w.lastEntry)
		w.lastEntry = w.odds.Entries
	}
	w.draw()
}

// Connected implements sseclient.Observer.
func (w *watcher) Connected(header http.Header) {
	w.tell(func() {
		w.connects++
		if date, err := http.ParseTime(header.Get("Date")); err == nil {
			w.clock = time.Until(date)
		}
		w.setStatus("live")
	})
}

// Received implements sseclient.Observer.
func (w *watcher) Received(e sseclient.Event) {
	w.tell(func() {
		switch e.Name {
		case sseclient.HeartbeatEvent:
			var heartbeat struct{ At time.Time }
			if json.Unmarshal([]byte(e.Data), &heartbeat) == nil && !heartbeat.At.IsZero() {
				w.clock = time.Until(heartbeat.At)
			}
		case sseclient.OddsEvent:
			w.show(e.Data)
		}
	})
}

func (w *watcher) show(data string) {
	var o odds
	if err := json.Unmarshal([]byte(data), &o); err != nil {
		w.fail(connect.ExitFailed, "%s sends odds that are no JSON: it is no gateway of ours", w.cfg.Gateway.URL)
		return
	}
	if w.odds == nil {
		w.lastEntry = o.Entries
	}
	w.odds = &o
	switch {
	case w.cfg.Format.JSON():
		w.out.Printf("%s\n", data)
	case w.redraws():
		w.draw()
	default:
		w.out.Printf("%s\n", o.line(w.now()))
	}
	if o.isFinal() {
		w.stop()
	}
}

// Silent implements sseclient.Observer.
func (w *watcher) Silent() {}

// Disconnected implements sseclient.Observer.
func (w *watcher) Disconnected(retryIn time.Duration) {
	w.tell(func() { w.setStatus("the connection is lost; trying again in " + words.Span(retryIn)) })
}

// Failed implements sseclient.Observer.
func (w *watcher) Failed(err error, retryIn time.Duration) {
	w.tell(func() {
		if w.connects == 0 {
			w.fail(
				connect.ExitFailed,
				"nobody answers at %s; is rafflecast run running? --gateway names another URL (%s)",
				w.cfg.Gateway.URL,
				lastCause(err),
			)
			return
		}
		w.setStatus("the gateway does not answer; trying again in " + words.Span(retryIn))
	})
}

// lastCause returns what an error says last: connection refused.
func lastCause(err error) string {
	text := err.Error()
	if i := strings.LastIndex(text, ": "); i >= 0 {
		return text[i+2:]
	}
	return text
}

// Refused implements sseclient.Observer.
func (w *watcher) Refused(status int, body string, retryIn time.Duration) (goOn bool) {
	if status == http.StatusTooManyRequests || status >= http.StatusInternalServerError {
		w.tell(func() {
			w.setStatus(fmt.Sprintf("the gateway answers %d; trying again in %s", status, words.Span(retryIn)))
		})
		return true
	}
	w.tell(func() {
		var answer struct {
			Error struct{ Reason, Message string }
		}
		if json.Unmarshal([]byte(body), &answer) != nil || answer.Error.Message == "" {
			w.fail(connect.ExitFailed, "%s answers %d %s: it is no gateway of ours",
				w.cfg.Gateway.URL, status, http.StatusText(status))
			return
		}
		w.fail(connect.ExitRefused, "%s (%s)", console.Printable(answer.Error.Message), answer.Error.Reason)
	})
	return false
}

// Stopped implements sseclient.Observer.
func (w *watcher) Stopped() {}

// Malformed implements sseclient.Observer.
func (w *watcher) Malformed(what string) {
	w.tell(func() { w.fail(connect.ExitFailed, "%s is no gateway of ours: %s", w.cfg.Gateway.URL, what) })
}
