package web

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"sync"
	"time"
)

// content is the body of an answer.
type content struct {
	plain []byte
	small []byte // by gzip; nil if it is not smaller, or is compressed on its way
	etag  string
}

// privateContent returns content that one visitor gets.
func privateContent(plain []byte) *content {
	hash := sha256.Sum256(plain)
	return &content{plain: plain, etag: `"` + hex.EncodeToString(hash[:16]) + `"`}
}

// sharedContent returns content that many visitors get: it is compressed once for all of
// them.
func sharedContent(plain []byte) *content {
	c := privateContent(plain)
	var small bytes.Buffer
	out := compressors.Get().(*gzip.Writer)
	defer compressors.Put(out)
	out.Reset(&small)
	// A buffer takes everything.
	_, _ = out.Write(plain)
	_ = out.Close()
	if small.Len() < len(plain) {
		c.small = small.Bytes()
	}
	return c
}

// compressors are kept, because each takes most of a megabyte.
var compressors = sync.Pool{New: func() any { return gzip.NewWriter(nil) }}

// serve answers with the content. The standard library handles conditional and range
// requests and HEAD.
func (c *content) serve(w http.ResponseWriter, r *http.Request) error {
	body, etag := c.plain, c.etag
	accepted := r.Header.Get("Accept-Encoding")
	if accepted != "" {
		etag = "W/" + etag // the same for other bytes, which may come compressed
	}
	if c.small != nil && r.Header.Get("Range") == "" && takesGzip(accepted) {
		w.Header().Set("Content-Encoding", "gzip")
		body = c.small
	}
	w.Header().Set("ETag", etag)
	out := &rangeWriter{ResponseWriter: w}
	http.ServeContent(out, r, "", time.Time{}, bytes.NewReader(body))
	return out.refusal
}

// takesGzip reports whether an Accept-Encoding header names gzip as browsers do. For other
// forms, such as those with weights, the answer is compressed on its way, if at all.
func takesGzip(accepted string) bool {
	for name := range strings.SplitSeq(accepted, ",") {
		if strings.TrimSpace(name) == "gzip" {
			return true
		}
	}
	return false
}

const (
	// pageAge is how long a page is given to other visitors, too.
	pageAge = time.Second
	// maxPages bounds how many pages are kept.
	maxPages = 256
)

// pages are those that were rendered within the last second, so that a crowd that opens a
// raffle costs one rendering of each page for each version of the odds. They are safe for
// concurrent use.
type pages struct {
	mu   sync.Mutex
	kept map[pageKey]*renderedPage
}

// pageKey is what the content of a page depends on.
type pageKey struct {
	path, lang, origin string
	of                 any // the odds on it
}

type renderedPage struct {
	at     time.Time
	render func() (*content, error)
}

// get returns the page for a key, which render renders if it was not rendered within the
// last second. Those who ask for it meanwhile wait.
func (p *pages) get(key pageKey, render func() ([]byte, error)) (*content, error) {
	p.mu.Lock()
	page := p.kept[key]
	if page == nil || time.Since(page.at) >= pageAge {
		if len(p.kept) >= maxPages || p.kept == nil {
			p.kept = map[pageKey]*renderedPage{}
		}
		page = &renderedPage{at: time.Now(), render: sync.OnceValues(func() (*content, error) {
			body, err := render()
			if err != nil {
				return nil, err
			}
			return sharedContent(body), nil
		})}
		p.kept[key] = page
	}
	p.mu.Unlock()
	return page.render()
}
