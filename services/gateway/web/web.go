// Package web is the page of Rafflecast: the odds of a raffle as they change, and
// the form to enter it. Its files are embedded and served as they are; there is no
// build step, and the page loads nothing from another host.
package web

import (
	"bytes"
	"context"
	"embed"
	"html/template"
	"net/http"

	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
)

//go:embed index.html error.html assets draw/*.js client/*.js
var embedded embed.FS

// contentSecurityPolicy lets the page use its own files and its own API and nothing
// else. So even a raffle's title that got into the markup could not run.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; " +
	"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; " +
	"frame-ancestors 'none'"

// Handler serves the page at / and /raffle/{id}, and its files under /assets/, /draw/
// and /client/. Pages of all origins may import the last, which are the same for everybody.
// responder writes its errors: JSON, or HTML for clients that accept it.
// checkRaffle returns the error of a request for a raffle by its id, if there is
// one. The handler is safe for concurrent use.
func Handler(responder *respond.Responder, checkRaffle func(ctx context.Context, id string) error) http.Handler {
	page := mustLoad("index.html")
	forPeople := responder.WithHTML(errorPage)
	// The page itself says in the reader's language that there is no such raffle.
	forRaffles := responder.WithHTML(func(status int, message string) []byte {
		if status == http.StatusNotFound {
			return page.body
		}
		return errorPage(status, message)
	})

	mux := http.NewServeMux()
	handle := func(path string, responder *respond.Responder, get respond.HandlerFunc) {
		mux.Handle(path, responder.Handler(respond.Methods{http.MethodGet: get}))
	}
	handle("/{$}", forPeople, page.serve)
	handle("/raffle/{id}", forRaffles, func(w http.ResponseWriter, r *http.Request) error {
		if err := checkRaffle(r.Context(), r.PathValue("id")); err != nil {
			return err
		}
		return page.serve(w, r)
	})
	mux.HandleFunc("/raffle/{id}/{$}", respond.WithoutSlash)
	for _, name := range assetNames() {
		handle("/"+name, forPeople, mustLoad(name).serve)
	}
	for _, name := range clientNames() {
		mux.Handle("/"+name, withSharing(responder.Handler(respond.Methods{http.MethodGet: mustLoad(name).serve})))
	}
	mux.Handle("/", forPeople.HandlerFunc(func(http.ResponseWriter, *http.Request) error {
		return respond.Errorf(respond.PathNotFound, "There is nothing at this address.")
	}))
	return withHeaders(mux)
}

// withHeaders sets header fields that every answer carries, errors and redirects
// included.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", contentSecurityPolicy)
		header.Set("X-Content-Type-Options", "nosniff")
		header.Set("Referrer-Policy", "no-referrer")
		// Browsers ask every time, which costs a 304, so that none mixes the files of two
		// releases.
		header.Set("Cache-Control", "no-cache")
		next.ServeHTTP(w, r)
	})
}

// withSharing lets pages of all origins import a file.
func withSharing(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		w.Header().Set("Cross-Origin-Resource-Policy", "cross-origin")
		next.ServeHTTP(w, r)
	})
}

var errorTemplate = template.Must(template.ParseFS(embedded, "error.html"))

// errorPage renders an error for people.
func errorPage(status int, message string) []byte {
	var page bytes.Buffer
	data := struct{ Title, Message string }{http.StatusText(status), message}
	if err := errorTemplate.Execute(&page, data); err != nil {
		panic(err) // a defect of the template: the buffer takes everything
	}
	return page.Bytes()
}
