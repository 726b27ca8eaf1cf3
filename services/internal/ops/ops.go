// Package ops serves the operations port of a service: liveness and readiness for
// orchestrators, metrics and profiles for operators.
package ops

import (
	"fmt"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/rafflecast/rafflecast/services/internal/command"
)

// NewRegistry returns a registry with the metrics of the Go runtime and the process, and
// which build it is.
func NewRegistry() *prometheus.Registry {
	r := prometheus.NewRegistry()
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Namespace: "rafflecast", Name: "build_info", Help: "1, with the build of the program as labels.",
		ConstLabels: prometheus.Labels{
			"version": command.Version(), "revision": command.Revision(), "goversion": runtime.Version(),
		},
	})
	build.Set(1)
	r.MustRegister(build, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return r
}

// Handler serves
//
//   - GET /livez: 200 for as long as the process answers at all. It asks nothing of
//     the database or NATS, because a restart would mend neither.
//   - GET /readyz: 200 while ready returns nil, else 503 with the error's text. An
//     instance that is not ready should get no new clients; what it serves already
//     goes on. A service is not ready once it is told to stop.
//   - GET /metrics: the registry's metrics, for Prometheus.
//   - GET /debug/pprof/: profiles, for go tool pprof. They tell much of the process,
//     so this port belongs inside.
//
// ready is called from several goroutines at once.
func Handler(registry *prometheus.Registry, ready func() error) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "ok") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{Registry: registry}))
	mux.HandleFunc("GET /debug/pprof/", bounded(pprof.Index))
	mux.HandleFunc("GET /debug/pprof/cmdline", name)
	mux.HandleFunc("GET /debug/pprof/profile", bounded(pprof.Profile))
	mux.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("GET /debug/pprof/trace", bounded(pprof.Trace))
	return withoutPages(mux)
}

// name tells the program's name, and not its flags as the standard library does: they may
// hold passwords.
func name(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	fmt.Fprint(w, os.Args[0]) //nolint:gosec // G705: it is text, and says so
}

// maxProfile bounds a profile over time, in seconds: while a CPU profile is taken, nobody
// else can take one, and the standard library takes it for as long as it is asked to.
const maxProfile = 300

// bounded refuses profiles of more than maxProfile.
func bounded(profile http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if text := r.FormValue("seconds"); text != "" {
			seconds, err := strconv.ParseFloat(text, 64)
			if err != nil || !(seconds >= 0 && seconds <= maxProfile) { // or NaN
				http.Error(w, fmt.Sprintf("seconds: must be 0 to %d", maxProfile), http.StatusBadRequest)
				return
			}
		}
		profile(w, r)
	}
}

// withoutPages refuses requests that the page of another origin makes: without it, any
// page that a person with access to this port opens could start profiles.
func withoutPages(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" || site == "same-site" {
			http.Error(w, "the page of another origin may not read this", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}
