//go:build signing

// These tests need cosign, which takes minutes to build. `make signatures` runs them.

package release_test

import (
	"crypto/sha256"
	"fmt"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/random"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// signed is a release whose images are in a registry on this machine.
type signed struct{ dist, keys, registry string }

// run runs a program with the settings of the release, and returns what it wrote.
func (s signed) run(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, args...)
	cmd.Env = append(os.Environ(), "DIST="+s.dist, "REGISTRY="+s.registry, "PUSH=true", "IMAGES=true",
		"COSIGN_KEY="+filepath.Join(s.keys, "ours.key"), "COSIGN_PASSWORD=secret")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// push replaces the image that a tag names, and returns its digest.
func (s signed) push(t *testing.T, image string) v1.Hash {
	t.Helper()
	index, err := random.Index(64, 1, 2) // of two platforms
	if err != nil {
		t.Fatal(err)
	}
	tag, err := name.NewTag(s.registry + "/" + image + ":1.2.3")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(tag, index); err != nil {
		t.Fatal(err)
	}
	digest, err := index.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return digest
}

// newSigned makes a release, and signs it with the key "ours".
func newSigned(t *testing.T) signed {
	t.Helper()
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	t.Cleanup(server.Close)
	s := signed{t.TempDir(), t.TempDir(), strings.TrimPrefix(server.URL, "http://") + "/rafflecast"}
	for _, pair := range []string{"ours", "theirs"} {
		if out, err := s.run(t, "cosign", "generate-key-pair", "--output-key-prefix="+filepath.Join(s.keys, pair)); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	var sums strings.Builder
	for _, image := range []string{"participation", "gateway", "rafflecast"} {
		index := fmt.Sprintf(`{"manifests": [{"digest": "%s"}]}`, s.push(t, image))
		if err := os.WriteFile(filepath.Join(s.dist, "index.json"), []byte(index), 0o600); err != nil {
			t.Fatal(err)
		}
		archive := filepath.Join(s.dist, image+".tar")
		if out, err := s.run(t, "tar", "-C", s.dist, "-cf", archive, "./index.json"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		text, err := os.ReadFile(archive)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&sums, "%x  %s.tar\n", sha256.Sum256(text), image)
	}
	if err := os.WriteFile(filepath.Join(s.dist, "SHA256SUMS"), []byte(sums.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := s.run(t, "./sign.sh"); err != nil || strings.Count(out, "signed, and verified with cosign.pub: ") != 4 {
		t.Fatalf("sign.sh ended with %v and\n%s", err, out)
	}
	return s
}

// verify verifies an image by its tag, or SHA256SUMS, with the public key of a pair.
func (s signed) verify(t *testing.T, pair, image string) error {
	t.Helper()
	args := []string{"verify", "--key=" + filepath.Join(s.keys, pair+".pub"), "--insecure-ignore-tlog", s.registry + "/" + image + ":1.2.3"}
	if image == "SHA256SUMS" {
		sums := filepath.Join(s.dist, image)
		args = []string{"verify-blob", args[1], args[2], "--bundle=" + sums + ".sigstore.json", sums}
	}
	out, err := s.run(t, "cosign", args...)
	if err != nil {
		t.Logf("%s: %s", image, out)
	}
	return err
}

func TestSign_SignsImagesAndSums(t *testing.T) {
	t.Parallel()
	s := newSigned(t)
	for _, what := range []string{"participation", "gateway", "rafflecast", "SHA256SUMS"} {
		if err := s.verify(t, "ours", what); err != nil {
			t.Errorf("%s: our key: %v", what, err)
		}
		if err := s.verify(t, "theirs", what); err == nil {
			t.Errorf("%s: another key verifies it", what)
		}
	}
	if err := exec.CommandContext(t.Context(), "cmp", filepath.Join(s.dist, "cosign.pub"), filepath.Join(s.keys, "ours.pub")).Run(); err != nil {
		t.Errorf("dist has another public key: %v", err)
	}
	s.push(t, "gateway")
	if err := s.verify(t, "ours", "gateway"); err == nil {
		t.Error("a changed image is verified")
	}
	if out, err := s.run(t, "./sign.sh"); err != nil {
		t.Errorf("to sign once more: %v\n%s", err, out)
	}
	if err := s.verify(t, "ours", "gateway"); err == nil {
		t.Error("an image that is not the one in dist was signed")
	}
	if err := os.WriteFile(filepath.Join(s.dist, "SHA256SUMS"), []byte("changed"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := s.verify(t, "ours", "SHA256SUMS"); err == nil {
		t.Error("changed sums are verified")
	}
}

// An image that the registry does not have as it is in dist fails the release.
func TestSign_FailsWithoutTheImage(t *testing.T) {
	t.Parallel()
	s := newSigned(t)
	s.registry += "/elsewhere"
	if out, err := s.run(t, "./sign.sh"); err == nil {
		t.Errorf("it succeeded:\n%s", out)
	}
}
