package web

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"io/fs"
	"net/http"
	"path"
	"time"
)

// contentTypes is a table of our own because mime.TypeByExtension answers by the files of the machine it runs on.
var contentTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

// file is one embedded file, ready to be served.
type file struct {
	name string
	body []byte
	etag string
}

// mustLoad panics on a name that was not embedded, which is a mistake in the program and shows at every start.
func mustLoad(name string) file {
	body, err := embedded.ReadFile(name)
	if err != nil {
		panic(err)
	}
	hash := sha256.Sum256(body)
	return file{name, body, `"` + hex.EncodeToString(hash[:16]) + `"`}
}

// assetNames lists assets/; the pattern cannot be malformed, so Glob cannot fail.
func assetNames() []string {
	names, _ := fs.Glob(embedded, "assets/*")
	return names
}

// ServeHTTP leaves 304, HEAD and ranges to the standard library, which does them from the ETag.
func (f file) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", contentTypes[path.Ext(f.name)])
	w.Header().Set("ETag", f.etag)
	http.ServeContent(w, r, f.name, time.Time{}, bytes.NewReader(f.body))
}
