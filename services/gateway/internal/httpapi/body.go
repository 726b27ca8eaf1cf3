package httpapi

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

// maxBody bounds a request's body, in bytes: far more than an entry takes, and
// nothing else here needs one.
const maxBody = 16 << 10

// whole has each request's body in memory before anything acts on it, so that a
// client that sends none of what it has announced holds nothing for longer than
// the body's timeout, here or at participation.
func (a *API) whole(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength == 0 { // less: not said beforehand
			next.ServeHTTP(w, r)
			return
		}
		body, refused := a.readBody(w, r)
		if refused != nil {
			// The rest is not waited for; net/http would, to use the connection again.
			_ = http.NewResponseController(w).SetReadDeadline(time.Now())
			w.Header().Set("Connection", "close")
			a.refuse(w, refused)
			return
		}
		r.Body, r.ContentLength, r.TransferEncoding = io.NopCloser(bytes.NewReader(body)), int64(len(body)), nil
		next.ServeHTTP(w, r)
	})
}

func (a *API) readBody(w http.ResponseWriter, r *http.Request) ([]byte, *httpError) {
	control := http.NewResponseController(w)
	err := control.SetReadDeadline(time.Now().Add(a.cfg.BodyTimeout))
	var body []byte
	if err == nil {
		body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	}
	if err == nil {
		err = control.SetReadDeadline(time.Time{}) // a stream may follow
	}
	_, large := errors.AsType[*http.MaxBytesError](err)
	switch {
	case err == nil:
		return body, nil
	case large:
		return nil, &httpError{
			status: http.StatusRequestEntityTooLarge, code: "INVALID_ARGUMENT", reason: "body_large",
			message: fmt.Sprintf("the body has more than %d bytes", maxBody),
		}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, &httpError{
			status: http.StatusRequestTimeout, code: "DEADLINE_EXCEEDED", reason: "body_late",
			message: fmt.Sprintf("the body did not arrive within %v", a.cfg.BodyTimeout),
		}
	}
	return nil, invalid("the body can't be read")
}
