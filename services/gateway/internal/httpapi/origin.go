package httpapi

import (
	"net/http"
	"strings"

	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
)

// newCrossOriginProtection returns what refuses requests by which the page of another
// origin would change something in the name of its visitor. Origins that may read answers
// may change things as well, if they are named in full.
func newCrossOriginProtection(origins []string) (*http.CrossOriginProtection, error) {
	protection := http.NewCrossOriginProtection()
	for _, origin := range origins {
		if strings.Contains(origin, "*") {
			continue
		}
		if err := protection.AddTrustedOrigin(origin); err != nil {
			return nil, err
		}
	}
	return protection, nil
}

// guarded refuses requests of pages of other origins, and those whose Host is not ours:
// by DNS rebinding, a page of any name can be made to reach a port on loopback.
func (a *API) guarded(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !a.cfg.Hosts.Have(r.Host) {
			a.respond.Error(w, r, respond.Errorf(respond.HostNotAllowed,
				"the host %.80q is not served here; --hosts names those that are", r.Host))
			return
		}
		if a.origins.Check(r) != nil {
			a.respond.Error(w, r, respond.Errorf(respond.CrossOrigin, "the page of another origin may not change anything here"))
			return
		}
		next.ServeHTTP(w, r)
	})
}
