package httpserver

import (
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

func TestHosts_OnlyRefusesOthers(t *testing.T) {
	t.Parallel()
	served := ParseHosts(nil, true).Only(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	for host, want := range map[string]int{"localhost:9999": http.StatusOK, "evil.example": http.StatusMisdirectedRequest} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil)
		r.Host = host
		w := httptest.NewRecorder()
		served.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("Host %s: %d", host, w.Code)
		}
	}
}

func TestCheckHosts_RefusesWhatNoRequestIsFor(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"*", "a.example", "A-1.example", "a_b", "localhost", "192.0.2.1", "2001:db8::1", "xn--bcher-kva.example"} {
		if err := CheckHosts([]string{"a.example", name}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if host := net.JoinHostPort(name, "80"); !ParseHosts([]string{name}, false).Have(host) {
			t.Errorf("%s is allowed, but no request can be for it", name)
		}
	}
	for _, name := range []string{
		"https://a.example", "a.example/", "a.example:443", "[2001:db8::1]", "a.example.", ".a.example", "a..example", "*.example", "bücher.example", "a b", "a@b", "",
	} {
		if err := CheckHosts([]string{"a.example", name}); err == nil {
			t.Errorf("%q is accepted", name)
		}
	}
}

func TestParseHosts_OnLoopbackOnlyLoopback(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		names      []string
		isLoopback bool
		served     map[string]bool
	}{
		{nil, true, map[string]bool{"localhost:1": true, "127.0.0.1": true, "evil.example": false, "": true}},
		// All names of loopback, and none that only looks like one.
		{nil, true, map[string]bool{
			"LOCALHOST": true, "localhost.:1": true, "a.localhost": true, "127.1.2.3:1": true, "[::1]:1": true, "[::1]": true, "[::ffff:127.0.0.1]:1": true,
			"evillocalhost": false, "localhost.evil.example": false, "127.0.0.1.evil.example:1": false, "192.0.2.1": false, "[2001:db8::1]:1": false, "0.0.0.0": false,
		}},
		{nil, false, map[string]bool{"localhost:1": true, "evil.example": true}},
		{[]string{"*"}, true, map[string]bool{"evil.example": true}},
		{[]string{"A.example"}, false, map[string]bool{
			"a.example:80": true, "A.EXAMPLE": true, "localhost": true, "evil.example": false, "evil-a.example": false, "a.example.evil": false,
		}},
	} {
		hosts := ParseHosts(c.names, c.isLoopback)
		for host, want := range c.served {
			if hosts.Have(host) != want {
				t.Errorf("%v on loopback %t: Host %q", c.names, c.isLoopback, host)
			}
		}
	}
}
