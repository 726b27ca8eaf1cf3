package handshake

import (
	"bufio"
	"bytes"
	"net/http"
	"slices"
	"strings"
)

// maxRequest bounds a plain request, in bytes. Browsers send some 600, and the last event
// id of a client with many raffles takes a few thousand.
const maxRequest = 4 << 10

// request reads requests. Its memory is used again for the next one.
type request struct {
	data   [maxRequest]byte
	bytes  bytes.Reader
	reader *bufio.Reader
}

func newRequest() *request {
	r := &request{}
	r.reader = bufio.NewReaderSize(&r.bytes, maxRequest)
	return r
}

// parse returns the request in b, or nil if b is not exactly one plain request: a GET of
// HTTP/1.1 without a body, with one Host, in bytes of which every reader makes the same.
// http.ReadRequest parses it, as it does for http.Server; isPlain rules out what the
// server checks in addition.
func (r *request) parse(b []byte) *http.Request {
	if !isPlain(b) {
		return nil
	}
	r.bytes.Reset(b)
	r.reader.Reset(&r.bytes)
	parsed, err := http.ReadRequest(r.reader)
	if err != nil || parsed.Host == "" || parsed.URL.Host != "" || parsed.URL.RawPath != "" {
		return nil
	}
	return parsed
}

// special are the header fields that change how a server reads a request, or goes on with
// the connection.
var special = []string{"Content-Length", "Expect", "HTTP2-Settings", "TE", "Trailer", "Transfer-Encoding", "Upgrade"}

func isSpecial(name string) bool {
	return slices.ContainsFunc(special, func(s string) bool { return strings.EqualFold(s, name) })
}

var (
	begin   = []byte("GET /api/v1/raffle")
	lineEnd = []byte("\r\n")
	end     = []byte(" HTTP/1.1")
)

// isPlain reports whether b has the form of one plain request: the request line, then
// header fields of a name of letters, digits and hyphens, a colon, a space, and visible
// ASCII and spaces, then an empty line. Each line ends with CR LF.
func isPlain(b []byte) bool {
	line, rest, _ := bytes.Cut(b, lineEnd)
	if !bytes.HasPrefix(line, begin) || !bytes.HasSuffix(line, end) || !isVisible(line) {
		return false
	}
	for hosts := 0; ; {
		line, rest, _ = bytes.Cut(rest, lineEnd)
		if len(line) == 0 {
			return len(rest) == 0 && hosts == 1 && bytes.HasSuffix(b, []byte("\r\n\r\n"))
		}
		name, value, found := bytes.Cut(line, []byte(": "))
		if !found || len(name) == 0 || bytes.ContainsFunc(name, isNoNameRune) || isSpecial(string(name)) || !isVisible(value) {
			return false
		}
		if strings.EqualFold(string(name), "Host") {
			hosts++
			if len(value) == 0 || bytes.ContainsFunc(value, isNoHostRune) {
				return false
			}
		}
	}
}

// isVisible reports whether b has visible ASCII and spaces only.
func isVisible(b []byte) bool {
	for _, c := range b {
		if c < ' ' || c > '~' {
			return false
		}
	}
	return true
}

func isNoNameRune(r rune) bool {
	return (r|' ' < 'a' || r|' ' > 'z') && (r < '0' || r > '9') && r != '-'
}

func isNoHostRune(r rune) bool { return isNoNameRune(r) && !strings.ContainsRune(".:[]_", r) }
