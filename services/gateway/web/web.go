// Package web is the page of Rafflecast for people: a raffle, or the list of them, as the
// gateway knows them. Everything that a visitor wants to know is in the HTML; a script keeps
// it current and lets members enter. make generate bundles script and style from assets.
// The page loads nothing from another host.
package web

import (
	"embed"
	"net/http"

	"github.com/klauspost/compress/gzhttp"

	"github.com/rafflecast/rafflecast/services/gateway/internal/course"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
)

//go:embed html text bundle assets/*.svg assets/*.png draw/*.js client/*.js
var embedded embed.FS

// Source is what the page is made of. Its methods are safe for concurrent use.
type Source interface {
	// Raffle returns the newest odds of the raffle with this id, or the error for a sender
	// who may not see it, or for an id that no raffle has.
	Raffle(r *http.Request, id string) (*odds.Update, error)
	// IsMember reports whether the sender is a member, who may see more than others.
	IsMember(r *http.Request) bool
	// Raffles returns the newest odds of all raffles in these states, by ascending id, with
	// or without those for members.
	Raffles(forMembers bool, states ...string) ([]*odds.Update, error)
	// Course returns how the entries of a raffle grew, as far as it is known.
	Course(raffleID int64) []course.Point
	// Origin returns scheme and host of the gateway as the sender sees them.
	Origin(r *http.Request) string
	// Entering reports whether members can enter by the page, and whether that takes a
	// token.
	Entering() (possible, needsToken bool)
	// Enter sends an entry on, with the rules for any sender of it. entry is the body of a
	// request of the API, whose answer Enter returns.
	Enter(r *http.Request, raffleID int64, entry []byte) (status int, answer []byte)
}

// contentSecurityPolicy lets the page use its own files and its own API and nothing
// else. So even a raffle's title that got into the markup could not run.
var contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src " + styleSource + "; " +
	"img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self'; " +
	"frame-ancestors 'none'"

// permissionsPolicy takes from the page what it never asks for.
const permissionsPolicy = "accelerometer=(), camera=(), display-capture=(), geolocation=(), gyroscope=(), " +
	"magnetometer=(), microphone=(), midi=(), payment=(), usb=()"

// site serves the page.
type site struct {
	source Source
	lists  lists
	pages  pages
}

// Handler serves the list of raffles at /, a raffle at /raffle/{id}, and the page's files
// under /assets/, /draw/ and /client/. Pages of all origins may import the last, which are
// the same for everybody. responder writes its errors: JSON, or HTML for clients that
// accept it. The handler is safe for concurrent use.
func Handler(responder *respond.Responder, source Source) http.Handler {
	s := &site{source: source}
	forPeople := responder.WithHTML(s.errorPage)
	mux := http.NewServeMux()
	handle := func(path string, get respond.HandlerFunc) {
		mux.Handle(path, forPeople.Handler(respond.Methods{http.MethodGet: get}))
	}
	handle("/{$}", s.list)
	mux.Handle("/raffle/{id}", forPeople.Handler(respond.Methods{http.MethodGet: s.raffle, http.MethodPost: s.enter}))
	mux.HandleFunc("/raffle/{id}/{$}", respond.WithoutSlash)
	for _, name := range glob("assets/*.svg", "assets/*.png", "draw/*.js") {
		handle("/"+name, mustLoad(name).serve)
	}
	for _, name := range glob("client/*.js") {
		mux.Handle("/"+name, withSharing(responder.Handler(respond.Methods{http.MethodGet: mustLoad(name).serve})))
	}
	handle("/assets/{name}", serveScript)
	for _, path := range []string{"/raffle", "/raffle/{$}", "/raffles", "/raffles/{$}"} {
		handle(path, func(w http.ResponseWriter, _ *http.Request) error {
			w.Header().Set("Location", "/?show=open")
			w.WriteHeader(http.StatusPermanentRedirect)
			return nil
		})
	}
	mux.Handle("/", forPeople.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return errNothing() }))
	return withHeaders(compressed(mux))
}

func errNothing() error {
	return respond.Errorf(respond.PathNotFound, "There is nothing at this address.")
}

// compressed compresses what is worth it. None of it is an event stream.
func compressed(next http.Handler) http.Handler {
	wrap, err := gzhttp.NewWrapper()
	if err != nil {
		panic(err) // the options are wrong
	}
	return wrap(next)
}

// withHeaders sets header fields that every answer carries, errors and redirects
// included.
func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header.Set("Content-Security-Policy", contentSecurityPolicy)
		header.Set("Permissions-Policy", permissionsPolicy)
		header.Set("Cross-Origin-Opener-Policy", "same-origin")
		header.Set("X-Content-Type-Options", "nosniff")
		// With no-referrer, browsers would send the form's Origin as null.
		header.Set("Referrer-Policy", "same-origin")
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

// errorTexts are the keys of title and hint of an error's page, by its reason.
var errorTexts = map[respond.Reason][2]string{
	respond.RaffleNotFound: {"missing", "missingHint"},
	respond.Invalid:        {"badId", "missingHint"},
	respond.PathNotFound:   {"nothing", "nothingHint"},
	respond.TokenMissing:   {"membersOnly", "membersOnlyHint"},
	respond.TokenExpired:   {"membersOnly", "membersOnlyHint"},
	respond.TokenInvalid:   {"membersOnly", "membersOnlyHint"},
	respond.NotReady:       {"notReady", "notReadyHint"},
}

// errorPage renders an error for people. If the raffle may yet be seen, since its visitor
// signs in or its first odds are on the way, the script looks for it.
func (s *site) errorPage(r *http.Request, reason respond.Reason) []byte {
	keys, ok := errorTexts[reason]
	if !ok {
		keys = [2]string{"failed", "failedHint"}
	}
	t := textsOf(r)
	p := &page{T: t, Title: t.Get(keys[0]), Description: t.Get(keys[1])}
	if keys[0] == "membersOnly" || keys[0] == "missing" || keys[0] == "notReady" {
		p.Data = data{Lang: t.lang, Awaits: r.PathValue("id")}
	}
	return render(errorPage, p)
}

// data is what the script learns from the page.
type data struct {
	Lang   string    `json:"lang"`
	Now    string    `json:"now,omitempty"` // by the server's clock
	Odds   any       `json:"odds,omitempty"`
	Course [][]int64 `json:"course,omitempty"` // pairs of milliseconds and entries
	List   any       `json:"list,omitempty"`   // the odds of the raffles on a list
	// Entering needs a token.
	NeedsToken bool `json:"needsToken,omitempty"`
	// Awaits is the id of a raffle that can't be seen yet.
	Awaits string `json:"awaits,omitempty"`
}
