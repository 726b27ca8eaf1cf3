// Package release_test runs the steps of make release with stand-ins for Go, ko and
// cyclonedx-gomod, which write their files at once.
package release_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// standIns are the programs that the scripts call. Each fails if its arguments, with the
// platform, contain FAIL. What Go builds prints its version, as the programs do; with
// FORGETFUL it does not, and with PLACE it differs from place to place.
var standIns = map[string]string{
	"go": `case "$1" in
env) [ "$2" = GOHOSTOS ] && echo linux || echo amd64 ;;
build) while [ "$1" != -o ]; do shift; done
  text="$(basename "$2") $VERSION
revision $REVISION"
  [ -z "${FORGETFUL:-}" ] || text=unknown
  printf '#!/bin/sh\necho "%s"\n# %s %s\n' "$text" "$GOOS/$GOARCH" "${PLACE:+$PWD}" >"$2"; chmod +x "$2" ;;
run) mkdir "$4" && echo contract >"$4/raffle.proto" ;;
esac`,
	"ko": `for a; do case $a in --oci-layout-path=*) layout=${a#*=} ;; --sbom-dir=*) sboms=${a#*=} ;; esac; done
mkdir -p "$layout" && echo '{"digest": "sha256:0"}' >"$layout/index.json" && echo sbom >"$sboms/$(basename "$layout").spdx.json"`,
	"cyclonedx-gomod": `while [ "$1" != -output ]; do shift; done
echo "\"timestamp\": \"$(date +%N)\"" >"$2"`,
}

// tree is a copy of what a release is made from, as a commit.
type tree struct{ dir, tools string }

func newTree(t *testing.T) tree {
	t.Helper()
	tr := tree{dir: t.TempDir()}
	tr.tools = filepath.Join(tr.dir, ".build", "tools")
	top, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"LICENSE", "README.md", "CHANGELOG.md", "deploy/release/release.sh", "deploy/release/build.sh", "deploy/images/build.sh"} {
		text, err := os.ReadFile(filepath.Join(top, name))
		if err != nil {
			t.Fatal(err)
		}
		tr.write(t, name, string(text))
	}
	for _, name := range []string{"rafflecast", "participation", "gateway"} {
		tr.write(t, "services/"+name+"/go.mod", "")
	}
	tr.write(t, ".gitignore", "/dist/\n/.build/\n")
	for name, script := range standIns {
		tr.write(t, filepath.Join(".build/tools", name), "#!/bin/bash\nset -eu\n[[ -z \"${FAIL:-}\" || \"${0##*/} $* ${GOOS:-}/${GOARCH:-}\" != *\"$FAIL\"* ]]\n"+script)
	}
	for _, args := range [][]string{{"init", "-q"}, {"add", "-A"}, {"-c", "user.name=t", "-c", "user.email=t@example.com", "commit", "-qm", "all"}} {
		cmd := exec.CommandContext(t.Context(), "git", args...)
		cmd.Dir = tr.dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	return tr
}

func (tr tree) write(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join(tr.dir, name)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(text), 0o755); err != nil {
		t.Fatal(err)
	}
}

// run runs a command in the tree, with settings in its environment.
func (tr tree) run(t *testing.T, settings, name string, args ...string) (output string, err error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Dir = tr.dir
	cmd.Env = append(os.Environ(), "PATH="+tr.tools+":"+os.Getenv("PATH"))
	if settings != "" {
		cmd.Env = append(cmd.Env, strings.Split(settings, "|")...)
	}
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// made returns the names and sums of the files in dist.
func (tr tree) made(t *testing.T) string {
	t.Helper()
	out, err := tr.run(t, "", "bash", "-c", "cd dist && sha256sum --quiet -c SHA256SUMS && sha256sum *")
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return out
}

const version = "VERSION=1.2.3"

func TestRelease_MakesTheSameFilesTwice(t *testing.T) {
	t.Parallel()
	tr := newTree(t)
	var sums [2]string
	for i := range sums {
		if out, err := tr.run(t, version, "deploy/release/release.sh"); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		sums[i] = tr.made(t)
	}
	if sums[0] != sums[1] {
		t.Errorf("the second time made\n%s\nthe first\n%s", sums[1], sums[0])
	}
	var names []string
	for line := range strings.Lines(sums[0]) {
		names = append(names, strings.Fields(line)[1])
	}
	want := "SHA256SUMS gateway.cdx.json gateway.spdx.json gateway.tar participation.cdx.json participation.spdx.json participation.tar " +
		"rafflecast.cdx.json rafflecast.spdx.json rafflecast.tar rafflecast_1.2.3_contract.tar.gz rafflecast_1.2.3_darwin_amd64.tar.gz " +
		"rafflecast_1.2.3_darwin_arm64.tar.gz rafflecast_1.2.3_linux_amd64.tar.gz rafflecast_1.2.3_linux_arm64.tar.gz"
	if got := strings.Join(names, " "); got != want {
		t.Errorf("made\n%s\nwant\n%s", got, want)
	}
}

func TestRelease_FailsIfAStepFails(t *testing.T) {
	t.Parallel()
	for name, settings := range map[string]string{
		"an image":                  "FAIL=./cmd/gateway --bare",
		"the check of images":       "FAIL=TestImages_",
		"a program":                 "FAIL=./cmd/participation darwin/arm64",
		"an SBOM":                   "FAIL=cyclonedx-gomod bin",
		"the contract":              "FAIL=contract folder",
		"a program without version": "FORGETFUL=yes",
		"builds that differ":        "PLACE=yes",
		"a version that is no tag":  "VERSION=1/2",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tr := newTree(t)
			out, err := tr.run(t, version+"|"+settings, "deploy/release/release.sh")
			if err == nil {
				t.Errorf("the release succeeded:\n%s", out)
			}
			if _, err := os.Stat(filepath.Join(tr.dir, "dist", "SHA256SUMS")); !os.IsNotExist(err) {
				t.Errorf("there is a SHA256SUMS: %v", err)
			}
		})
	}
}

func TestRelease_NeedsACommit(t *testing.T) {
	t.Parallel()
	tr := newTree(t)
	tr.write(t, "README.md", "changed")
	if out, err := tr.run(t, version, "deploy/release/release.sh"); err == nil || !strings.Contains(out, "commit first") {
		t.Errorf("a tree with changes: %v\n%s", err, out)
	}
	if out, err := tr.run(t, "VERSION=dev", "deploy/release/release.sh"); err != nil {
		t.Errorf("dev, to try it: %v\n%s", err, out)
	}
}
