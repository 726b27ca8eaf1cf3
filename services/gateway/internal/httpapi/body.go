package httpapi

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"os"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
)

// maxBody bounds a request's body, in bytes: far more than an entry takes, and
// no other request needs one.
const maxBody = 16 << 10

// buffered returns a handler that reads the body of each request into memory
// before next sees the request. So a client that sends less than it announced
// occupies nothing for longer than the body timeout, here or at participation.
func (a *API) buffered(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 { // a negative length is unknown beforehand
			next.ServeHTTP(w, r)
			return
		}
		body, err := a.readBody(w, r)
		if err != nil {
			// Otherwise net/http would wait for the rest, to use the connection again.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now())
			w.Header().Set("Connection", "close")
			a.respond.Error(w, r, err)
			return
		}
		r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
		next.ServeHTTP(w, r)
	})
}

func (a *API) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	control := http.NewResponseController(w)
	if err := control.SetReadDeadline(time.Now().Add(a.cfg.BodyTimeout)); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return nil, respond.Errorf(respond.BodyTooLarge, "the body has more than %d bytes", maxBody)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, respond.Errorf(respond.BodyTimeout, "the body did not arrive within %v", a.cfg.BodyTimeout)
	}
	if err != nil {
		return nil, respond.Errorf(respond.Invalid, "the body can't be read")
	}
	return body, control.SetReadDeadline(time.Time{}) // a stream may follow
}
