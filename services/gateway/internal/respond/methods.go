package respond

import (
	"maps"
	"net/http"
	"slices"
	"strings"
)

// HandlerFunc answers a request, or returns the error to answer with; then it has
// written nothing.
type HandlerFunc func(w http.ResponseWriter, r *http.Request) error

// Methods holds the handlers of one path by method. A handler of GET answers HEAD
// too.
type Methods map[string]HandlerFunc

// Handler returns a handler that writes the errors of a path's handlers, answers
// OPTIONS, and refuses other methods.
func (re *Responder) Handler(methods Methods) http.Handler {
	allow := methods.allow()
	return re.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		if handle := methods[method]; handle != nil {
			return handle(w, r)
		}
		w.Header().Set("Allow", allow)
		if r.Method != http.MethodOptions {
			return Errorf(MethodNotAllowed, "method %.20q is not allowed; use %s", r.Method, allow)
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	})
}

// HandlerFunc returns a handler that calls handle for all methods and writes its
// error.
func (re *Responder) HandlerFunc(handle HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := handle(w, r); err != nil {
			re.Error(w, r, err)
		}
	})
}

// allow returns the value of the path's Allow header.
func (m Methods) allow() string {
	methods := append(slices.Collect(maps.Keys(m)), http.MethodOptions)
	if m[http.MethodGet] != nil {
		methods = append(methods, http.MethodHead)
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

// WithoutSlash redirects a request to its path without the slash at the end. The
// redirect keeps method, body and query.
func WithoutSlash(w http.ResponseWriter, r *http.Request) {
	to := strings.TrimRight(r.URL.EscapedPath(), "/")
	if r.URL.RawQuery != "" {
		to += "?" + r.URL.RawQuery
	}
	w.Header().Set("Location", to)
	w.WriteHeader(http.StatusPermanentRedirect)
}
