package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"time"

	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
)

// contentTypes are those of the embedded files. mime.TypeByExtension would depend on
// the machine's own tables.
var contentTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// file is an embedded file, ready to be served.
type file struct {
	name string
	body []byte
	etag string
}

// mustLoad returns an embedded file. It panics if there is none with this name,
// which is a defect that shows at every start.
func mustLoad(name string) file {
	body, err := embedded.ReadFile(name)
	if err != nil {
		panic(err)
	}
	hash := sha256.Sum256(body)
	return file{name, body, `"` + hex.EncodeToString(hash[:16]) + `"`}
}

// assetNames returns the names of the files that the page loads.
func assetNames() []string {
	names, _ := fs.Glob(embedded, "assets/*") // fails only for a malformed pattern
	draw, _ := fs.Glob(embedded, "draw/*")
	return append(names, draw...)
}

// clientNames returns the names of the files of the browser's client.
func clientNames() []string {
	names, _ := fs.Glob(embedded, "client/*")
	return names
}

// serve answers with the file. The standard library handles conditional and range
// requests and HEAD.
func (f file) serve(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", contentTypes[path.Ext(f.name)])
	w.Header().Set("ETag", f.etag)
	out := &rangeWriter{ResponseWriter: w}
	http.ServeContent(out, r, f.name, time.Time{}, bytes.NewReader(f.body))
	return out.refusal
}

// rangeWriter holds back the answer by which http.ServeContent refuses a Range
// header, and keeps the error to answer with instead.
type rangeWriter struct {
	http.ResponseWriter
	refusal error
}

func (w *rangeWriter) WriteHeader(status int) {
	switch {
	case status != http.StatusRequestedRangeNotSatisfiable:
		w.ResponseWriter.WriteHeader(status)
	case w.Header().Get("Content-Range") != "": // the header can be read
		w.refusal = respond.Errorf(respond.RangeNotSatisfiable, "Range: the file has no such bytes")
	default:
		w.refusal = respond.Errorf(respond.Invalid, "Range: must be like bytes=0-99")
	}
}

func (w *rangeWriter) Write(p []byte) (int, error) {
	if w.refusal == nil {
		return w.ResponseWriter.Write(p)
	}
	return len(p), nil // the library's text is dropped
}
