package httpapi

import (
	"net/http"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/odds"
	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
	"github.com/rafflecast/rafflecast/services/internal/access"
)

// session is what a page learns about who opened it.
type session struct {
	// Required says that entering needs a token. If not, members enter by their names.
	Required  bool    `json:"required"`
	Member    *string `json:"member"` // null: nobody is known
	ExpiresAt *string `json:"expiresAt"`
}

func newSession(who *access.Identity) session {
	s := session{Required: true}
	if who != nil {
		s.Member, s.ExpiresAt = &who.Subject, new(who.Expires.UTC().Format(odds.TimeFormat))
	}
	return s
}

// readSession tells who a browser is known as.
func (a *API) readSession(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Cache-Control", "no-store")
	if a.cfg.Tokens == nil {
		respond.JSON(w, http.StatusOK, session{})
		return nil
	}
	who, _, err := a.identify(r)
	if err != nil && !respond.Is(err, respond.TokenMissing, respond.TokenExpired, respond.TokenInvalid) {
		return err
	}
	respond.JSON(w, http.StatusOK, newSession(who))
	return nil
}

// beginSession puts the token of the Authorization header into the browser's cookie, for
// EventSource, which can't send the header, and out of reach for scripts.
func (a *API) beginSession(w http.ResponseWriter, r *http.Request) error {
	if len(r.Header.Values("Authorization")) == 0 {
		return accessError(access.ErrMissing)
	}
	who, token, err := a.identify(r)
	if err != nil {
		return err
	}
	setCookie(w, token, int(time.Until(who.Expires).Seconds()))
	w.Header().Set("Cache-Control", "no-store")
	respond.JSON(w, http.StatusOK, newSession(who))
	return nil
}

// endSession removes the cookie.
func (a *API) endSession(w http.ResponseWriter, _ *http.Request) error {
	setCookie(w, "", -1)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func setCookie(w http.ResponseWriter, value string, maxAge int) {
	http.SetCookie(w, &http.Cookie{
		Name: cookieName, Value: value, MaxAge: maxAge, Path: "/", Secure: true, HttpOnly: true, SameSite: http.SameSiteStrictMode,
	})
}
