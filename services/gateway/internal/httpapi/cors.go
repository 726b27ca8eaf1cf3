package httpapi

import (
	"fmt"

	"github.com/jub0bs/cors"
)

// newCORS returns the middleware that lets pages of other origins read answers
// (https://fetch.spec.whatwg.org/#http-cors-protocol). "*" stands for all origins;
// without any, the middleware does nothing. Credentials are not allowed: the cookie of a
// session is for our own pages. A page of another origin brings a token of its own, in the
// Authorization header.
func newCORS(origins []string) (*cors.Middleware, error) {
	if len(origins) == 0 {
		return new(cors.Middleware), nil
	}
	middleware, err := cors.NewMiddleware(cors.Config{
		Origins:         origins,
		RequestHeaders:  []string{"Authorization", "Content-Type", "If-None-Match", "Last-Event-ID"},
		ResponseHeaders: []string{"Date", "ETag", "Retry-After"}, // Date, for countdowns
		MaxAgeInSeconds: 600,
	})
	if err != nil {
		return nil, fmt.Errorf("allowed origins: %w", err)
	}
	return middleware, nil
}

// CheckOrigins returns an error if one of the origins is not "*" or of the form
// https://example.org.
func CheckOrigins(origins []string) error {
	_, err := newCORS(origins)
	return err
}
