package httpapi

import (
	"errors"
	"net/http"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
	"github.com/rafflecast/rafflecast/services/internal/access"
)

// cookieName is the name of the cookie that holds a browser's token. By its prefix,
// browsers accept it only over HTTPS (or on loopback), for this host and all its paths,
// so that no other host can set it:
// https://datatracker.ietf.org/doc/html/draft-ietf-httpbis-rfc6265bis#section-4.1.3.2
const cookieName = "__Host-rafflecast"

// ownPages tells requests by which the page of another origin would change something, also
// of one that is allowed to.
var ownPages = http.NewCrossOriginProtection()

// tokenOf returns the token that a request brings, "" if it brings none: that of the
// Authorization header, or else that of the cookie. It never comes from a URL, which
// logs, histories and Referer headers show to others. The cookie is for our own pages:
// browsers send it with what other origins of the same site ask for, too, even before
// these have learnt that they may not read the answer.
func tokenOf(r *http.Request) (string, error) {
	if headers := r.Header.Values("Authorization"); len(headers) > 0 {
		return access.Bearer(headers)
	}
	if cookie, err := r.Cookie(cookieName); err == nil && ownPages.Check(r) == nil {
		return cookie.Value, nil
	}
	return "", nil
}

// identify returns who sends a request. It fails if that is not known.
func (a *API) identify(r *http.Request) (*access.Identity, string, error) {
	token, err := tokenOf(r)
	if err == nil && token == "" {
		err = access.ErrMissing
	}
	var who *access.Identity
	if err == nil {
		who, err = a.cfg.Tokens.Verify(r.Context(), token)
	}
	if err != nil {
		return nil, "", accessError(err)
	}
	return who, token, nil
}

// isMember reports whether a request brings a token that is accepted.
func (a *API) isMember(r *http.Request) bool {
	if token, err := tokenOf(r); err != nil || token == "" || a.cfg.Tokens == nil {
		return false
	}
	_, _, err := a.identify(r)
	return err == nil
}

// accessError returns the error for a request whose sender is not known, or may not do
// what it asks for.
func accessError(err error) error {
	_, isInvalid := errors.AsType[*access.InvalidError](err)
	switch {
	case errors.Is(err, access.ErrMissing):
		return respond.Errorf(respond.TokenMissing, "the request needs a token, in the Authorization header or in the cookie %s", cookieName)
	case errors.Is(err, access.ErrExpired):
		return respond.Errorf(respond.TokenExpired, "the token has expired")
	case isInvalid:
		return respond.Errorf(respond.TokenInvalid, "%v", err)
	case errors.Is(err, access.ErrKeysUnavailable):
		return respond.Errorf(respond.KeysUnavailable, "%v", access.ErrKeysUnavailable)
	}
	return err
}

// mayWatch returns when the right to watch raffles ends, the zero time if never, or an
// error if the sender of the request may not watch one of them.
func (a *API) mayWatch(r *http.Request, newest ...*odds.Update) (until time.Time, err error) {
	for _, u := range newest {
		if !u.MembersOnly {
			continue
		}
		who, _, err := a.identify(r)
		if err != nil {
			return until, err
		}
		return who.Expires, nil // one token opens all of them
	}
	return until, nil
}
