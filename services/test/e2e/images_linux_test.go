//go:build images

package e2e_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// TestImages_HoldOneStaticProgram checks the images that make images has built. That
// target runs it with the build tag images, and with IMAGES set to their directory,
// VERSION to their tag, and BASE to the image that they are based on, if any.
func TestImages_HoldOneStaticProgram(t *testing.T) {
	t.Parallel()
	dir, version := os.Getenv("IMAGES"), os.Getenv("VERSION")
	for _, program := range []string{"participation", "gateway", "rafflecast"} {
		t.Run(program, func(t *testing.T) {
			t.Parallel()
			a := readArchive(t, filepath.Join(dir, program+".tar"))
			image := a.image(t)
			checkConfig(t, image, program, version)
			root := t.TempDir()
			a.unpack(t, root)
			if os.Getenv("BASE") == "" { // another base has files of its own
				checkFiles(t, root, program)
			}
			checkStatic(t, filepath.Join(root, "ko-app", program))
			identity := program + " " + version + "\nrevision " + image.Config.Labels["org.opencontainers.image.revision"] + "\n"
			if out := runIn(t, root, program, "version"); !strings.HasPrefix(out, identity) {
				t.Errorf("version prints %s", out)
			}
			if out := runIn(t, root, program, "--help"); !strings.Contains(out, "Usage: "+program) {
				t.Errorf("--help prints %s", out)
			}
			checkSBOM(t, filepath.Join(dir, program+"-linux-*.spdx.json"))
		})
	}
}

type descriptor struct {
	Digest      string
	Annotations map[string]string
	Platform    struct{ Architecture string }
}

type imageConfig struct {
	Config struct {
		User       string
		Entrypoint []string
		Cmd        []string
		Labels     map[string]string
	}
}

// archive is an OCI layout: the contents of its files by their paths.
type archive map[string][]byte

func readArchive(t *testing.T, file string) archive {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	a := archive{}
	each(t, f, func(h *tar.Header, content []byte) { a[path.Clean(h.Name)] = content })
	return a
}

// each calls f with every entry of a tar archive.
func each(t *testing.T, r io.Reader, f func(*tar.Header, []byte)) {
	t.Helper()
	for entries := tar.NewReader(r); ; {
		h, err := entries.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(entries)
		if err != nil {
			t.Fatal(err)
		}
		f(h, content)
	}
}

// blob returns the blob of a descriptor, and checks its digest.
func (a archive) blob(t *testing.T, d descriptor) []byte {
	t.Helper()
	sum, _ := strings.CutPrefix(d.Digest, "sha256:")
	content := a["blobs/sha256/"+sum]
	if got := sha256.Sum256(content); hex.EncodeToString(got[:]) != sum {
		t.Fatalf("the archive has no blob with the digest %s", d.Digest)
	}
	return content
}

func decode(t *testing.T, content []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(content, into); err != nil {
		t.Fatal(err)
	}
}

// manifest returns the image for this machine's architecture: the descriptor with its
// name, and those of its configuration and layers.
func (a archive) manifest(t *testing.T) (named descriptor, config descriptor, layers []descriptor) {
	t.Helper()
	var index struct{ Manifests []descriptor }
	decode(t, a["index.json"], &index)
	named = index.Manifests[0]
	var manifest struct {
		Config            descriptor
		Layers, Manifests []descriptor
	}
	decode(t, a.blob(t, named), &manifest)
	for _, d := range manifest.Manifests { // of several platforms
		if d.Platform.Architecture == runtime.GOARCH {
			decode(t, a.blob(t, d), &manifest)
		}
	}
	return named, manifest.Config, manifest.Layers
}

// image returns the image's configuration, with its name as a label.
func (a archive) image(t *testing.T) (c imageConfig) {
	t.Helper()
	named, config, _ := a.manifest(t)
	decode(t, a.blob(t, config), &c)
	c.Config.Labels["name"] = named.Annotations["io.containerd.image.name"]
	return c
}

// unpack writes the layers' files into root.
func (a archive) unpack(t *testing.T, root string) {
	t.Helper()
	_, _, layers := a.manifest(t)
	for _, layer := range layers {
		unzipped, err := gzip.NewReader(bytes.NewReader(a.blob(t, layer)))
		if err != nil {
			t.Fatal(err)
		}
		each(t, unzipped, func(h *tar.Header, content []byte) {
			name := filepath.Join(root, filepath.FromSlash(path.Join("/", h.Name)))
			switch h.Typeflag {
			case tar.TypeDir:
				err = os.MkdirAll(name, 0o755)
			case tar.TypeReg:
				err = os.WriteFile(name, content, os.FileMode(h.Mode))
			default:
				t.Errorf("%s is neither a file nor a directory", h.Name)
			}
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func checkConfig(t *testing.T, c imageConfig, program, version string) {
	t.Helper()
	if c.Config.User != "65532:65532" || !slices.Equal(c.Config.Entrypoint, []string{"/ko-app/" + program}) ||
		len(c.Config.Cmd) > 0 {
		t.Errorf("user %q, entrypoint %q, arguments %q", c.Config.User, c.Config.Entrypoint, c.Config.Cmd)
	}
	for label, want := range map[string]string{"title": program, "version": version, "licenses": "Apache-2.0", "source": "https://"} {
		if got := c.Config.Labels["org.opencontainers.image."+label]; !strings.HasPrefix(got, want) || got == "" {
			t.Errorf("label %s is %q", label, got)
		}
	}
	for _, label := range []string{"revision", "created", "description"} {
		if c.Config.Labels["org.opencontainers.image."+label] == "" {
			t.Errorf("label %s is missing", label)
		}
	}
	if name := c.Config.Labels["name"]; !strings.HasSuffix(name, "/"+program+":"+version) {
		t.Errorf("the image's name is %q", name)
	}
}

// checkFiles checks that the program is the only file.
func checkFiles(t *testing.T, root, program string) {
	t.Helper()
	var files []string
	err := filepath.WalkDir(root, func(name string, entry os.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			files = append(files, strings.TrimPrefix(name, root))
		}
		return err
	})
	if err != nil || !slices.Equal(files, []string{"/ko-app/" + program}) {
		t.Errorf("files %q (%v)", files, err)
	}
}

func checkStatic(t *testing.T, binary string) {
	t.Helper()
	f, err := elf.Open(binary)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	libraries, err := f.ImportedLibraries()
	if len(libraries) > 0 || f.Section(".interp") != nil {
		t.Errorf("needs libraries %q or a loader (%v)", libraries, err)
	}
}

// runIn runs a program with root as its file system, as the image's user, and
// returns its output. If the test does not run as root, the program runs as root of a
// user namespace instead.
func runIn(t *testing.T, root, program string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/ko-app/"+program, args...)
	cmd.Env, cmd.Dir = []string{}, "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: root}
	if os.Geteuid() == 0 {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: 65532, Gid: 65532}
	} else {
		cmd.SysProcAttr.Cloneflags = syscall.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", program, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// checkSBOM checks that the SBOM lists a module that all our programs contain.
func checkSBOM(t *testing.T, pattern string) {
	t.Helper()
	found, _ := filepath.Glob(pattern)
	if len(found) == 0 {
		t.Fatalf("no %s", pattern)
	}
	content, err := os.ReadFile(found[0])
	if err != nil {
		t.Fatal(err)
	}
	var sbom struct {
		Packages []struct{ Name, VersionInfo string }
	}
	if err := json.Unmarshal(content, &sbom); err != nil {
		t.Fatal(err)
	}
	for _, p := range sbom.Packages {
		if p.Name == "github.com/nats-io/nats.go" && p.VersionInfo != "" {
			return
		}
	}
	t.Errorf("%s lists %d packages, and no nats.go", found[0], len(sbom.Packages))
}
