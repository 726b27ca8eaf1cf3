package doctor

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptrace"
	"time"
)

// dialTimeout bounds the TLS handshake, and a third of finding the raffle.
const dialTimeout = 10 * time.Second

// maxBody bounds what is read of a response that is not a stream, in bytes.
const maxBody = 1 << 20

// newClient returns a client with connections of its own. It asks for no
// compression and follows no redirects, since both would hide what proxies do.
func (d *doctor) newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			TLSClientConfig:     d.tls.Clone(),
			TLSHandshakeTimeout: dialTimeout,
			ForceAttemptHTTP2:   true,
			DisableCompression:  true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// request sends a GET request. The caller closes the body unless the first result
// is nil.
func (d *doctor) request(
	ctx context.Context,
	c *http.Client,
	path string,
	header http.Header,
) (*http.Response, response) {
	var r response
	start := time.Now()
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		r.address = info.Conn.RemoteAddr().String()
	}})
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, d.base+path, nil)
	if err != nil {
		return nil, response{err: err}
	}
	req.Header.Set("User-Agent", "rafflecast-doctor")
	maps.Copy(req.Header, header)
	if err := d.cfg.Credentials.Authorize(req.Header); err != nil {
		return nil, response{err: err}
	}
	resp, err := c.Do(req)
	r.took = time.Since(start)
	if err != nil {
		r.err = err
		return nil, r
	}
	r.status, r.proto, r.header = resp.StatusCode, resp.Proto, resp.Header
	if resp.TLS != nil {
		r.tls = tls.VersionName(resp.TLS.Version)
	}
	return resp, r
}

// get sends a GET request and reads the response.
func (d *doctor) get(ctx context.Context, path string, header http.Header) response {
	resp, r := d.request(ctx, d.client, path, header)
	if resp == nil {
		return r
	}
	defer resp.Body.Close()
	r.body, r.err = io.ReadAll(io.LimitReader(resp.Body, maxBody))
	return r
}

// getQuickly is get with the timeout for what should be answered at once.
func (d *doctor) getQuickly(ctx context.Context, path string) response {
	ctx, stop := context.WithTimeout(ctx, d.limits.timeout)
	defer stop()
	return d.get(ctx, path, nil)
}

// decode reads a gateway's JSON into body, or says why the response has none.
func (r *response) decode(body any) error {
	switch {
	case r.err != nil:
		return r.err
	case r.header.Get("Location") != "":
		return fmt.Errorf("redirects to %q: use that address", r.header.Get("Location"))
	case r.status != http.StatusOK:
		return fmt.Errorf("answers %d %s: %.200q", r.status, http.StatusText(r.status), r.body)
	}
	if err := json.Unmarshal(r.body, body); err != nil {
		return fmt.Errorf("does not answer as a gateway does: %.200q", r.body)
	}
	return nil
}

// errorCode returns the code of a gateway's error, "" if the response is none.
func (r *response) errorCode() string {
	var body struct {
		Error struct{ Code, Message string }
	}
	if r.status < http.StatusBadRequest || json.Unmarshal(r.body, &body) != nil || body.Error.Message == "" {
		return ""
	}
	return body.Error.Code
}

// fromGateway reports whether the response is an error of the gateway's.
func (r *response) fromGateway() bool { return r.errorCode() != "" }

// failure says how a request failed.
func (r *response) failure() string {
	if r.status != 0 {
		return fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))
	}
	return fmt.Sprint(r.err)
}

// missing says why a response is not the one that was asked for.
func (r *response) missing() string {
	switch {
	case r.status == http.StatusOK:
		return "a response began, and nothing arrived in it"
	case r.status != 0 && r.fromGateway():
		return r.failure() + " from the gateway"
	case r.status != 0:
		return r.failure()
	case r.err != nil && r.took > 0:
		return fmt.Sprintf("no answer in %s", span(r.took))
	}
	return "not measured"
}
