package web

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/rafflecast/rafflecast/services/gateway/internal/respond"
)

// contentTypes are those of the embedded files. mime.TypeByExtension would depend on
// the machine's own tables.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".png":  "image/png",
	".svg":  "image/svg+xml",
}

// file is an embedded file, ready to be served.
type file struct {
	name string
	*content
}

func mustLoad(name string) file { return file{name, sharedContent(mustRead(name))} }

// mustRead returns the content of an embedded file. It panics if there is none with this
// name, which is a defect that shows at every start.
func mustRead(name string) []byte {
	body, err := embedded.ReadFile(name)
	if err != nil {
		panic(err)
	}
	return body
}

// mustLoadHashed returns the script, under a name that changes with its content.
func mustLoadHashed(name string) file {
	body := mustRead(name)
	hash := sha256.Sum256(body)
	return file{scriptPrefix + hex.EncodeToString(hash[:8]) + ".js", sharedContent(body)}
}

// scriptPrefix begins the names that the script has had in any release.
const scriptPrefix = "assets/page-"

func hashBase64(text string) string {
	hash := sha256.Sum256([]byte(text))
	return base64.StdEncoding.EncodeToString(hash[:])
}

// glob returns the names of the embedded files that match one of the patterns.
func glob(patterns ...string) (names []string) {
	for _, pattern := range patterns {
		found, _ := fs.Glob(embedded, pattern) // fails only for a malformed pattern
		names = append(names, found...)
	}
	return names
}

// serve answers with the file. Browsers ask every time, which costs a 304, so that none
// mixes the files of two releases.
func (f file) serve(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", contentTypes[path.Ext(f.name)])
	w.Header().Set("Cache-Control", "no-cache")
	return f.content.serve(w, r)
}

// serveScript answers with the script, which never changes under its name. While a release
// is rolled out, the page of one instance may ask another for its script: that one answers
// with its own, which nobody must keep.
func serveScript(w http.ResponseWriter, r *http.Request) error {
	name := "assets/" + r.PathValue("name")
	switch {
	case name == pageScript.name:
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
	case strings.HasPrefix(name, scriptPrefix) && path.Ext(name) == ".js":
		w.Header().Set("Cache-Control", "no-store")
	default:
		return errNothing()
	}
	w.Header().Set("Content-Type", contentTypes[".js"])
	return pageScript.content.serve(w, r)
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
