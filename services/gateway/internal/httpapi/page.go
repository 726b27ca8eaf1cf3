package httpapi

import (
	"bytes"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/netip"
	"net/url"
	"slices"

	"github.com/rafflecast/rafflecast/services/gateway/internal/course"
	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
)

// PageSource is what the page for people is made of. It answers as the API does.
type PageSource struct {
	api     *API
	courses *course.Recorder
}

// PageSource returns the source of a page that shows these courses.
func (a *API) PageSource(courses *course.Recorder) *PageSource { return &PageSource{a, courses} }

// Raffle returns the newest odds of the raffle with this id, or the error of the API.
func (s *PageSource) Raffle(r *http.Request, text string) (*odds.Update, error) {
	id, err := raffleID(text)
	if err != nil {
		return nil, err
	}
	u, err := s.api.known(r.Context(), id)
	if err != nil {
		return nil, err
	}
	_, err = s.api.mayWatch(r, u)
	return u, err
}

// IsMember reports whether a request brings a token that is accepted.
func (s *PageSource) IsMember(r *http.Request) bool { return s.api.isMember(r) }

// Raffles returns the newest odds of all raffles in these states, by ascending id.
func (s *PageSource) Raffles(forMembers bool, states ...string) ([]*odds.Update, error) {
	if !s.api.feed.Ready() {
		return nil, errNotReady()
	}
	return s.api.cache.List(0, math.MaxInt, func(u *odds.Update) bool {
		return slices.Contains(states, u.State) && (forMembers || !u.MembersOnly)
	}), nil
}

// Course returns how the entries of a raffle grew, as far as it is known.
func (s *PageSource) Course(raffleID int64) []course.Point { return s.courses.Of(raffleID) }

// Origin returns scheme and host of the gateway as the sender of a request sees them. What
// a trusted proxy says of the scheme is believed.
func (s *PageSource) Origin(r *http.Request) string {
	scheme := "http"
	remote, err := netip.ParseAddrPort(r.RemoteAddr)
	isForwarded := err == nil && s.api.isProxy(remote.Addr().Unmap())
	if r.TLS != nil || isForwarded && r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// Enter makes a request of the API for an entry with this body, in the name of r's sender,
// and returns its answer: so a form passes the same checks and bounds as any other caller.
func (s *PageSource) Enter(r *http.Request, raffleID int64, entry []byte) (status int, answer []byte) {
	inner := r.Clone(r.Context())
	inner.URL = &url.URL{Path: fmt.Sprintf("/api/v1/raffles/%d/entries", raffleID)}
	inner.Header.Set("Content-Type", "application/json")
	inner.Body, inner.ContentLength = io.NopCloser(bytes.NewReader(entry)), int64(len(entry))
	recorded := recordedAnswer{header: http.Header{}, status: http.StatusOK}
	s.api.paths.ServeHTTP(&recorded, inner)
	return recorded.status, recorded.body.Bytes()
}

// recordedAnswer keeps an answer.
type recordedAnswer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recordedAnswer) Header() http.Header            { return r.header }
func (r *recordedAnswer) WriteHeader(status int)         { r.status = status }
func (r *recordedAnswer) Write(part []byte) (int, error) { return r.body.Write(part) }

// Entering reports whether members can enter by this gateway, and whether that takes a
// token.
func (s *PageSource) Entering() (possible, needsToken bool) {
	return s.api.cfg.Participation != nil, s.api.cfg.Tokens != nil
}
