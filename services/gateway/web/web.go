// Package web is the page of Rafflecast: the odds of a raffle as they move, and the form to enter it. The files are
// embedded and served as they are written; there is no build step, and nothing is loaded from another host.
package web

import (
	"embed"
	"encoding/json"
	"net/http"
	"strconv"
)

//go:embed index.html assets
var embedded embed.FS

// contentSecurityPolicy lets the page use its own files and its own API and nothing else, so that even a raffle's
// title which got into the markup could not run.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// Handler serves the page at / and /raffle/{id} and its files under /assets/. Any other path or method is 404, and a
// raffle id that is not a positive int64 is 400, with the JSON error body of the API. It is safe for concurrent use.
func Handler() http.Handler {
	page := mustLoad("index.html")
	mux := http.NewServeMux()
	mux.HandleFunc("/", notFound)
	mux.Handle("GET /{$}", page)
	mux.HandleFunc("GET /raffle/{id}", func(w http.ResponseWriter, r *http.Request) {
		if !validID(r.PathValue("id")) {
			writeError(w, http.StatusBadRequest, "INVALID_ARGUMENT", "the raffle id must be a positive 64-bit integer")
			return
		}
		page.ServeHTTP(w, r)
	})
	for _, name := range assetNames() {
		mux.Handle("GET /"+name, mustLoad(name))
	}
	return withHeaders(mux)
}

// withHeaders sets what every answer carries, errors and redirects included.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", contentSecurityPolicy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		// Asking every time costs a 304 and means that no browser mixes the files of two releases.
		header.Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}

// validID accepts digits alone: ParseUint refuses a sign, and 63 bits are the positive half of an int64.
func validID(id string) bool {
	n, err := strconv.ParseUint(id, 10, 63)
	return err == nil && n > 0
}

func notFound(w http.ResponseWriter, _ *http.Request) {
	writeError(w, http.StatusNotFound, "NOT_FOUND", "there is nothing at this address")
}

func writeError(w http.ResponseWriter, status int, code, message string) {
	type detail struct {
		Code    string `json:"code"`
		Message string `json:"message"`
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// The client that has gone away is the only failure, and there is nobody left to tell.
	_ = json.NewEncoder(w).Encode(map[string]detail{"error": {code, message}})
}
