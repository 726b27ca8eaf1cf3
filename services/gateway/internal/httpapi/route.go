package httpapi

import (
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// route is what a path does, by method. HEAD comes with GET.
type route map[string]http.Handler

// allowed returns the methods of the route, as in an Allow header.
func (m route) allowed() string {
	methods := append(slices.Collect(maps.Keys(m)), http.MethodOptions)
	if m[http.MethodGet] != nil {
		methods = append(methods, http.MethodHead)
	}
	slices.Sort(methods)
	return strings.Join(methods, ", ")
}

func (m route) handler(a *API) http.Handler {
	allowed := m.allowed()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		switch h := m[method]; {
		case h != nil:
			h.ServeHTTP(w, r)
		case r.Method == http.MethodOptions:
			w.Header().Set("Allow", allowed)
			if w.Header().Get("Access-Control-Allow-Origin") != "" {
				w.Header().Set("Access-Control-Allow-Methods", allowed)
			}
			w.WriteHeader(http.StatusNoContent)
		default:
			w.Header().Set("Allow", allowed)
			a.refuse(w, &httpError{
				status: http.StatusMethodNotAllowed, code: "UNIMPLEMENTED", reason: "method",
				message: fmt.Sprintf("%.20q is not one of %s", r.Method, allowed),
			})
		}
	})
}

// cors lets pages of the allowed origins read the answers
// (https://fetch.spec.whatwg.org/#http-cors-protocol). Cookies are never used, so
// credentials are not allowed.
func (a *API) cors(next http.Handler) http.Handler {
	if len(a.cfg.Origins) == 0 {
		return next
	}
	all := slices.Contains(a.cfg.Origins, "*")
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header, origin := w.Header(), r.Header.Get("Origin")
		switch {
		case all:
			header.Set("Access-Control-Allow-Origin", "*")
		default:
			header.Add("Vary", "Origin")
			if origin == "" || !slices.Contains(a.cfg.Origins, origin) {
				next.ServeHTTP(w, r)
				return
			}
			header.Set("Access-Control-Allow-Origin", origin)
		}
		header.Set("Access-Control-Expose-Headers", "ETag, Retry-After")
		if r.Method == http.MethodOptions {
			header.Set("Access-Control-Allow-Headers", "Content-Type, If-None-Match, Last-Event-ID")
			header.Set("Access-Control-Max-Age", "600")
		}
		next.ServeHTTP(w, r)
	})
}
