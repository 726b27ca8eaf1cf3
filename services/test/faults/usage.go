package faults

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// usage is what a process holds while nobody enters.
type usage struct {
	goroutines  float64
	files       float64
	connections float64 // of clients, each of which is a file
	heap        float64 // bytes that are reachable, right after a collection
	banned      float64 // connections that were refused since it began, because their address was a flood
}

func (u usage) String() string {
	return fmt.Sprintf("%.0f goroutines, %.0f files besides %.0f clients', %.1f MiB of heap", u.goroutines, u.files-u.connections, u.connections, u.heap/(1<<20))
}

// What a process may hold more than in the first quiet moment: pools that had not
// grown to their bounds, connections to each server of the cluster, and tables that
// the load has filled once.
const (
	moreGoroutines = 40
	moreFiles      = 40
	moreHeap       = 8 << 20
	// heapOfConnection is for a client at a gateway, whichever way it is served.
	heapOfConnection = 32 << 10
)

// grown says what a process holds more of than in its first quiet moment, or "".
func grown(first, now usage) string {
	clients := max(0, now.connections-first.connections)
	if now.goroutines > first.goroutines+moreGoroutines ||
		now.files-now.connections > first.files-first.connections+moreFiles ||
		now.heap > first.heap+moreHeap+clients*heapOfConnection {
		return fmt.Sprintf("holds %v; in the first quiet moment %v", now, first)
	}
	return ""
}

// usages returns what each service holds, by its own metrics, after a garbage
// collection.
func (s *system) usages(ctx context.Context) (all [participations + gateways]usage, err error) {
	for i, port := range s.opsPorts {
		if _, err := get(ctx, fmt.Sprintf("http://127.0.0.1:%d/debug/pprof/heap?gc=1", port)); err != nil {
			return all, err
		}
		text, err := get(ctx, fmt.Sprintf("http://127.0.0.1:%d/metrics", port))
		if err != nil {
			return all, err
		}
		all[i] = parseUsage(text)
	}
	return all, nil
}

// parseUsage reads the text format of Prometheus.
func parseUsage(text []byte) (u usage) {
	for lines := bufio.NewScanner(bytes.NewReader(text)); lines.Scan(); {
		name, value, _ := strings.Cut(lines.Text(), " ")
		number, _ := strconv.ParseFloat(value, 64)
		switch name {
		case "go_goroutines":
			u.goroutines = number
		case "process_open_fds":
			u.files = number
		case "rafflecast_gateway_connections":
			u.connections = number
		case "go_memstats_heap_alloc_bytes":
			u.heap = number
		case `rafflecast_participation_refused_connections_total{reason="banned"}`:
			u.banned = number
		}
	}
	return u
}

// judgeUsage compares what each service holds with what it held in the first quiet
// moment. What faults have left behind, as half a connection, may take until its
// timeout to go.
func (r *run) judgeUsage(ctx context.Context) error {
	began := time.Now()
	for {
		now, err := r.system.usages(ctx)
		if err != nil {
			return err
		}
		if r.first == nil {
			r.first = &now
		}
		var leaks []string
		for i, u := range now {
			if text := grown(r.first[i], u); text != "" {
				leaks = append(leaks, serviceName(i)+" "+text)
			}
		}
		if len(leaks) > 0 && time.Since(began) < 10*time.Second {
			pause(ctx, 500*time.Millisecond)
			continue
		}
		r.findings.Leaks = append(r.findings.Leaks, leaks...)
		for i, u := range now {
			if u.banned > 0 {
				r.found("%s took its callers for a flood, and refused %.0f connections", serviceName(i), u.banned)
			}
			r.findings.Usage[serviceName(i)] = most(r.findings.Usage[serviceName(i)], u)
		}
		return nil
	}
}

// most returns the most of everything of two measurements.
func most(a, b usage) usage {
	return usage{max(a.goroutines, b.goroutines), max(a.files-a.connections, b.files-b.connections), 0, max(a.heap, b.heap), max(a.banned, b.banned)}
}

func serviceName(i int) string {
	if i < participations {
		return fmt.Sprint("participation-", i)
	}
	return fmt.Sprint("gateway-", i-participations)
}
