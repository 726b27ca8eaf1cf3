package doctor

import (
	"context"
	"crypto/tls"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"time"
)

// dialTimeout bounds what stands before a request can be sent.
const dialTimeout = 10 * time.Second

// maxBody bounds what is read of an answer that is no stream.
const maxBody = 1 << 20

// newClient returns a client with connections of its own, that asks for no
// compression and follows no redirects: both would hide what is on the way.
func (d *doctor) newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			TLSClientConfig:     &tls.Config{InsecureSkipVerify: d.cfg.Insecure}, //nolint:gosec // the user says so
			TLSHandshakeTimeout: dialTimeout,
			ForceAttemptHTTP2:   true,
			DisableCompression:  true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// request sends a GET. The caller closes the response's body where there is one.
func (d *doctor) request(ctx context.Context, c *http.Client, path string, header http.Header) (*http.Response, answer) {
	var a answer
	from := time.Now()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		a.address = info.Conn.RemoteAddr().String()
	}})
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, d.base+path, nil)
	if err != nil {
		return nil, answer{err: err}
	}
	r.Header.Set("User-Agent", "rafflecast-doctor")
	maps.Copy(r.Header, header)
	resp, err := c.Do(r)
	a.took = time.Since(from)
	if err != nil {
		a.err = err
		return nil, a
	}
	a.status, a.proto, a.header = resp.StatusCode, resp.Proto, resp.Header
	if resp.TLS != nil {
		a.tls = tls.VersionName(resp.TLS.Version)
	}
	return resp, a
}

// get returns a whole answer.
func (d *doctor) get(ctx context.Context, path string, header http.Header) answer {
	resp, a := d.request(ctx, d.client, path, header)
	if resp == nil {
		return a
	}
	defer resp.Body.Close()
	a.body, a.err = io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return a
}
