package command

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestVersion_OfTheLinkerOrElseOfGo(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	printVersion(&b, "gateway")
	if !strings.HasPrefix(b.String(), "gateway ") || strings.Contains(b.String(), "(devel)") || strings.Contains(b.String(), "gateway \n") || !strings.Contains(b.String(), "\nrevision ") {
		t.Errorf("got %s", b.String())
	}
}

// The roots are read once per process, so each case has a process of its own: this
// test again, with the URL of a server.
func TestRoots_WithoutAFileSystem(t *testing.T) {
	t.Parallel()
	if os.Getenv("CERTIFICATES") != "" {
		printRoots(t)
		return
	}
	server := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	own := filepath.Join(t.TempDir(), "ca.pem")
	block := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	if err := os.WriteFile(own, block, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct{ file, want string }{
		"no file":  {"/nowhere", "public true, own false"},
		"own file": {own, "public false, own true"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestRoots_WithoutAFileSystem$", "-test.v")
			cmd.Env = []string{"CERTIFICATES=" + server.URL, "SSL_CERT_FILE=" + c.file, "SSL_CERT_DIR=/nowhere"}
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), c.want) {
				t.Errorf("want %s, got %s (%v)", c.want, out, err)
			}
		})
	}
}

// printRoots logs whether a public authority is trusted, and whether one's own server is.
func printRoots(t *testing.T) {
	t.Helper()
	pool, err := x509.SystemCertPool()
	if err != nil {
		t.Fatal(err)
	}
	public := false
	for _, subject := range pool.Subjects() { //nolint:staticcheck // on Linux, Subjects holds all roots
		public = public || strings.Contains(string(subject), "ISRG Root X1")
	}
	conn, err := tls.Dial("tcp", strings.TrimPrefix(os.Getenv("CERTIFICATES"), "https://"), &tls.Config{ServerName: "example.com"})
	if err == nil {
		conn.Close()
	}
	t.Logf("public %v, own %v", public, err == nil)
}
